package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"bakeoff/internal/dataset"
)

// journalTable keeps, for each row that is about to be changed, what it is: a null name where there is no such row.
const journalTable = "bakeoff_moves"

// ErrNotOurs is returned by BeginMoves for a table that somebody else made.
var ErrNotOurs = errors.New("the table is not bakeoff's own")

// BeginMoves keeps what the rows are that the moves will change, so that UndoMoves puts them back, also after a crash.
func (s *Server) BeginMoves(ctx context.Context, moves []dataset.Move) error {
	if s.adopted {
		return ErrNotOurs
	}
	err := s.use(ctx, func(c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+journalTable+" (id bigint PRIMARY KEY, name varchar(255)) CHARACTER SET = utf8mb4 COLLATE = "+collation+" ENGINE = InnoDB"); err != nil {
			return err
		}
		tx, err := c.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for _, m := range moves {
			if _, err := tx.ExecContext(ctx, "INSERT INTO "+journalTable+" VALUES (?, ?)", m.ID, sql.NullString{String: m.Old, Valid: m.Old != ""}); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil || s.private == nil {
			return err
		}
		_, err = c.ExecContext(ctx, "SET GLOBAL innodb_flush_log_at_trx_commit = 2") // a move waits for no disk
		return err
	})
	if err != nil {
		return fmt.Errorf("database: journal of moves: %w", err)
	}
	return nil
}

// Move changes one row.
func (s *Server) Move(ctx context.Context, m dataset.Move) error {
	err := s.use(ctx, func(c *sql.Conn) error {
		query, args := "UPDATE demo_data SET name = ? WHERE id = ?", []any{m.New, m.ID}
		switch m.Kind {
		case dataset.Inserted:
			query, args = "INSERT INTO demo_data (name, id) VALUES (?, ?)", []any{m.New, m.ID}
		case dataset.Deleted:
			query, args = "DELETE FROM demo_data WHERE id = ?", []any{m.ID}
		}
		result, err := c.ExecContext(ctx, query, args...)
		if err != nil {
			return locked(err)
		}
		if m.Kind != dataset.Inserted {
			s.moved++
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, fmt.Errorf("row %d: %d rows %s", m.ID, n, m.Kind))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("database: move: %w", err)
	}
	return nil
}

// UndoMoves puts every row back that moves have changed, those of a run that was killed too.
func (s *Server) UndoMoves(ctx context.Context) error {
	err := s.use(ctx, func(c *sql.Conn) error {
		present, err := tableExists(ctx, c, journalTable)
		if err != nil || !present {
			return err
		}
		for _, statement := range []string{
			"DELETE demo_data FROM demo_data JOIN " + journalTable + " j ON demo_data.id = j.id WHERE j.name IS NULL",
			"INSERT INTO demo_data (id, name) SELECT j.id, j.name FROM " + journalTable + " j WHERE j.name IS NOT NULL ON DUPLICATE KEY UPDATE name = j.name",
			"DELETE FROM " + journalTable,
		} {
			if _, err := c.ExecContext(ctx, statement); err != nil {
				return locked(err)
			}
		}
		if s.private == nil {
			return nil
		}
		_, err = c.ExecContext(ctx, "SET GLOBAL innodb_flush_log_at_trx_commit = 1")
		return err
	})
	if err != nil {
		return fmt.Errorf("database: moves are not undone: %w", err)
	}
	return nil
}
