package database

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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

// ownLookup is the statement of our own lookups.
const ownLookup = "SELECT id FROM demo_data AS " + ownAlias + " WHERE name = ? ORDER BY id LIMIT 1"

// Lookup is the controller's own parameterised SELECT: what the right answer
// for any name is, hostile ones included.
func (s *Server) Lookup(ctx context.Context, name string) (id int64, ok bool, err error) {
	err = s.use(ctx, func(c *sql.Conn) error {
		err := c.QueryRowContext(ctx, ownLookup, name).Scan(&id)
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

// Alone is how long one lookup takes while nothing else is asked on our connection: prepared before, or as text, whichever
// takes longer, since drivers do the one or the other, and a server has to parse text. Of each it is the lower quartile of those of
// names, which need no quoting, since others may use the machine. A first one, before them, is not timed.
func (s *Server) Alone(ctx context.Context, names []string) (time.Duration, error) {
	if len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return strings.ContainsAny(name, "'\\\x00") }) {
		return 0, errors.New("database: lookup alone: no names, or such as have to be quoted")
	}
	var prepared, text []time.Duration
	err := s.use(ctx, func(c *sql.Conn) error {
		statement, err := c.PrepareContext(ctx, ownLookup)
		if err != nil {
			return err
		}
		defer statement.Close()
		for _, name := range append(names[:1:1], names...) {
			if prepared, err = lookupTime(prepared, func() *sql.Row { return statement.QueryRowContext(ctx, name) }); err != nil {
				return err
			}
			whole := strings.Replace(ownLookup, "?", "'"+name+"'", 1)
			if text, err = lookupTime(text, func() *sql.Row { return c.QueryRowContext(ctx, whole) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("database: lookup alone: %w", err)
	}
	return max(quartile(prepared[1:]), quartile(text[1:])), nil
}

// lookupTime adds how long a lookup takes, its row included.
func lookupTime(all []time.Duration, lookup func() *sql.Row) ([]time.Duration, error) {
	var id int64
	began := time.Now()
	err := lookup().Scan(&id)
	all = append(all, time.Since(began))
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return all, err
}

// quartile is the lower one.
func quartile(all []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(all))[len(all)/4]
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
