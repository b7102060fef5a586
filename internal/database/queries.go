package database

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"bakeoff/internal/dataset"
)

// Our statements on demo_data carry this alias, which sets them apart in the server's statement digests.
const ownAlias = "bakeoff_own"

// hello asks the server for a sign of life.
func (s *Server) hello(ctx context.Context) error {
	return s.peek(ctx, func(c *sql.Conn) error {
		var one int
		return c.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	})
}

// Lookup is the controller's own parameterised SELECT: what the right answer
// for any name is, hostile ones included.
func (s *Server) Lookup(ctx context.Context, name string) (id int64, ok bool, err error) {
	err = s.use(ctx, func(c *sql.Conn) error {
		err := c.QueryRowContext(ctx, "SELECT id FROM demo_data AS "+ownAlias+" WHERE name = ? ORDER BY id LIMIT 1", name).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		ok = err == nil
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("database: lookup: %w", err)
	}
	return id, ok, nil
}

// Insert adds a row and returns its id. Delete must follow: the table has to be the dataset's again. Both wrap ErrLocked where
// locks of others are in the way.
func (s *Server) Insert(ctx context.Context, name string) (id int64, err error) {
	err = s.use(ctx, func(c *sql.Conn) error {
		result, err := c.ExecContext(ctx, "INSERT INTO demo_data (name) VALUES (?)", name)
		if err != nil {
			return locked(err)
		}
		id, err = result.LastInsertId()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("database: insert: %w", err)
	}
	return id, nil
}

// Delete removes the row of an id that Insert returned; rows of the dataset are refused.
func (s *Server) Delete(ctx context.Context, id int64) error {
	err := s.use(ctx, func(c *sql.Conn) error {
		if s.table != nil && id <= s.table.Rows() {
			return fmt.Errorf("row %d belongs to the dataset", id)
		}
		result, err := c.ExecContext(ctx, "DELETE FROM demo_data WHERE id = ?", id)
		if err != nil {
			return locked(err)
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, fmt.Errorf("row %d: %d rows removed", id, n))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("database: delete: %w", err)
	}
	return nil
}

// Explain is the index by which the server answers a lookup of name, as its
// EXPLAIN names it; empty for none. The format is named: MySQL draws a tree by default since 9.5.
func (s *Server) Explain(ctx context.Context, name string) (key string, err error) {
	err = s.use(ctx, func(c *sql.Conn) error {
		rows, err := c.QueryContext(ctx, "EXPLAIN FORMAT=TRADITIONAL SELECT id, name FROM demo_data AS "+ownAlias+" WHERE name = ? ORDER BY id LIMIT 1", name)
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		for rows.Next() {
			values := make([]sql.NullString, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			for i, column := range columns {
				if strings.EqualFold(column, "key") {
					key = values[i].String
				}
			}
		}
		return rows.Err()
	})
	if err != nil {
		return "", fmt.Errorf("database: explain: %w", err)
	}
	return key, nil
}

// Digest reads the whole table back and hashes it as dataset.Digest does.
func (s *Server) Digest(ctx context.Context) (string, error) {
	var digest string
	err := s.use(ctx, func(c *sql.Conn) error {
		var err error
		digest, err = readBack(ctx, c)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("database: digest: %w", err)
	}
	return digest, nil
}

// readBack hashes all rows in the order of their ids.
func readBack(ctx context.Context, c *sql.Conn) (string, error) {
	rows, err := c.QueryContext(ctx, "SELECT id, name FROM demo_data AS "+ownAlias+" ORDER BY id")
	if err != nil {
		return "", err
	}
	defer rows.Close()
	hash := dataset.NewDigest()
	w := bufio.NewWriterSize(hash, 1<<16)
	var id int64
	var name sql.RawBytes
	var line []byte
	for rows.Next() {
		if err := rows.Scan(&id, &name); err != nil {
			return "", err
		}
		line = dataset.AppendLine(line[:0], id, name)
		_, _ = w.Write(line)
	}
	_ = w.Flush()
	return hash.String(), rows.Err()
}
