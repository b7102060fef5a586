package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/dataset"
)

// journalTable keeps, for each row that is about to be changed, what it is: a null name where there is no such row.
const journalTable = "bakeoff_moves"

const makeJournal = "CREATE TABLE IF NOT EXISTS " + journalTable + " (id bigint PRIMARY KEY, name varchar(255)) CHARACTER SET = utf8mb4 COLLATE = " +
	collation + " ENGINE = InnoDB"

// undoing are the statements that put back what is in the journal, and empty it. Done again they change nothing.
var undoing = []string{
	"DELETE demo_data FROM demo_data JOIN " + journalTable + " j ON demo_data.id = j.id WHERE j.name IS NULL",
	"INSERT INTO demo_data (id, name) SELECT j.id, j.name FROM " + journalTable + " j WHERE j.name IS NOT NULL ON DUPLICATE KEY UPDATE name = j.name",
	"DELETE FROM " + journalTable,
}

// ErrNotOurs is returned by BeginMoves for a table that somebody else made, or that we may not change.
var ErrNotOurs = errors.New("the table is not bakeoff's to change")

// mayMove finds out whether rows may change on a server of somebody else, by the statements themselves on a row that is not there.
func (s *Server) mayMove(ctx context.Context) error {
	s.noMoves("")
	if s.private != nil {
		return nil
	}
	if s.adopted {
		s.noMoves("bakeoff did not make the table")
		return nil
	}
	statements := append([]string{
		makeJournal, "INSERT INTO " + journalTable + " SELECT id, name FROM demo_data WHERE id = 0",
		"UPDATE demo_data SET name = name WHERE id = 0", "DELETE FROM demo_data WHERE id = 0",
	}, undoing...)
	err := s.run(ctx, statements...)
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok && ctx.Err() == nil {
		s.noMoves(fmt.Sprintf("the account of the DSN file may not change them: %s (it needs CREATE, and SELECT, INSERT, UPDATE and DELETE on %s and %s)",
			refused.Message, tableName, journalTable))
		return nil
	}
	return err
}

func (s *Server) noMoves(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.movesReason = why
}

// journalRows is how many rows of the journal one statement writes.
const journalRows = 200

// BeginMoves keeps what the rows are that the moves will change, so that UndoMoves puts them back, also after a crash.
func (s *Server) BeginMoves(ctx context.Context, moves []dataset.Move) error {
	s.mu.Lock()
	reason := s.movesReason
	s.mu.Unlock()
	if reason != "" {
		return fmt.Errorf("%w: %s", ErrNotOurs, reason)
	}
	err := s.use(ctx, func(c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, makeJournal); err != nil {
			return err
		}
		tx, err := c.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(moves, journalRows) {
			args := make([]any, 0, 2*len(some))
			for _, m := range some {
				args = append(args, m.ID, sql.NullString{String: m.Old, Valid: m.Old != ""})
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO "+journalTable+" VALUES (?, ?)"+strings.Repeat(", (?, ?)", len(some)-1), args...); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		return tx.Commit()
	})
	if err != nil {
		return fmt.Errorf("database: journal of moves: %w", err)
	}
	return nil
}

// noteEvery is how old what we know of our own session may get while rows change. The server reads all of its figures for that, which
// takes it as long as some ten changes of a row. It matters where our connection is lost before they are read again.
const noteEvery = time.Second

// Move changes rows, all of them at once or none. It asks the server for as little as can be: targets are measured on it. Where locks are
// in the way, which ErrLocked says, rows may have been read, and are taken off the counts as well.
func (s *Server) Move(ctx context.Context, moves ...dataset.Move) error {
	err := s.peek(ctx, func(c *sql.Conn) error {
		read, err := moveRows(ctx, c, moves)
		if err != nil {
			s.moveFailed(ctx, c, read)
			return err
		}
		if s.moved += read; time.Since(s.noted) < noteEvery {
			return nil
		}
		own, err := status(ctx, c, "SESSION")
		if err == nil {
			s.note(own)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("database: move: %w", err)
	}
	return nil
}

// moveRows changes rows in one transaction, and says how many it has read for that.
func moveRows(ctx context.Context, c *sql.Conn, moves []dataset.Move) (read int64, err error) {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	for _, m := range moves {
		if err := moveRow(ctx, tx, m); err != nil {
			return read, errors.Join(locked(err), tx.Rollback())
		}
		if m.Kind != dataset.Inserted {
			read++
		}
	}
	return read, tx.Commit()
}

// moveFailed takes off the counts what was read for nothing: rows before the one that was locked, and that one too where only its change
// had to wait. They are what is read by now and nobody had read when it was last counted. Where that cannot be asked, the counts stay.
func (s *Server) moveFailed(ctx context.Context, c *sql.Conn, read int64) {
	var now Touched
	if s.countRows(ctx, c, &now) == nil {
		s.moved += min(max(now.ByOther-s.moved-s.strayed, 0), read+1)
	}
}

// moveRow changes one row. Generated names need no quoting.
func moveRow(ctx context.Context, tx *sql.Tx, m dataset.Move) error {
	if m.Kind != dataset.Deleted && !dataset.Plain(m.New) {
		return fmt.Errorf("row %d: a name that has to be quoted", m.ID)
	}
	query := fmt.Sprintf("UPDATE demo_data SET name = '%s' WHERE id = %d", m.New, m.ID)
	switch m.Kind {
	case dataset.Inserted:
		query = fmt.Sprintf("INSERT INTO demo_data (name, id) VALUES ('%s', %d)", m.New, m.ID)
	case dataset.Deleted:
		query = fmt.Sprintf("DELETE FROM demo_data WHERE id = %d", m.ID)
	}
	result, err := tx.ExecContext(ctx, query)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("row %d: %d rows %s", m.ID, n, m.Kind))
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
		var rows int64
		if err := c.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+journalTable).Scan(&rows); err != nil || rows == 0 {
			return err
		}
		for _, statement := range undoing {
			if _, err := c.ExecContext(ctx, statement); err != nil {
				return locked(err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("database: moves are not undone: %w", err)
	}
	return nil
}
