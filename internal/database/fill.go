package database

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"time"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/dataset"
)

// Filled says how the table came to be.
type Filled struct {
	Seconds   float64
	FromCache bool
	Digest    string // read back from the server
}

// Fill makes the table hold exactly the dataset. progress, when not nil, is
// told rows done and rows in all; it is called from one goroutine.
func (s *Server) Fill(ctx context.Context, d *dataset.Dataset, progress func(done, total int64)) (Filled, error) {
	start := time.Now()
	if progress == nil {
		progress = func(int64, int64) {}
	}
	var filled Filled
	var err error
	filled, err = s.fillPrivate(ctx, d, progress)
	if err != nil {
		return Filled{}, fmt.Errorf("database: fill: %w", err)
	}
	filled.Seconds = time.Since(start).Seconds()
	return filled, nil
}

func (s *Server) fillPrivate(ctx context.Context, d *dataset.Dataset, progress func(done, total int64)) (Filled, error) {
	if err := s.halt(ctx); err != nil {
		return Filled{}, err
	}
	if err := s.launch(ctx, filling); err != nil {
		return Filled{}, err
	}
	if err := s.use(ctx, func(c *sql.Conn) error { return load(ctx, c, d, progress) }); err != nil {
		return Filled{}, err
	}
	if err := s.halt(ctx); err != nil {
		return Filled{}, err
	}
	if err := s.launch(ctx, nil); err != nil {
		return Filled{}, err
	}
	if err := s.ready(ctx, d); err != nil {
		return Filled{}, err
	}
	return s.proven(ctx, d)
}

// proven reads the whole table back.
func (s *Server) proven(ctx context.Context, d *dataset.Dataset) (Filled, error) {
	digest, err := s.Digest(ctx)
	if want := d.Digest(); err == nil && digest != want {
		err = fmt.Errorf("%w: read back %s, not %s", ErrData, digest, want)
	}
	return Filled{Digest: digest}, err
}

// ready grants the targets their one right and chooses the counter.
func (s *Server) ready(ctx context.Context, d *dataset.Dataset) error {
	err := s.use(ctx, func(c *sql.Conn) error {
		s.table = d
		s.counter = ByHandler
		for _, host := range []string{"localhost", "127.0.0.1"} {
			if _, err := c.ExecContext(ctx, fmt.Sprintf("GRANT SELECT ON %s.demo_data TO '%s'@'%s'", schemaName, targetUser, host)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.Check(ctx, d)
}

// load fills an empty schema and reads it back.
func load(ctx context.Context, c *sql.Conn, d *dataset.Dataset, progress func(done, total int64)) error {
	for _, statement := range []string{
		"SET SESSION unique_checks = 0, foreign_key_checks = 0",
		"DROP TABLE IF EXISTS demo_data", ddl,
	} {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if err := stream(ctx, c, d, progress); err != nil {
		return err
	}
	for _, statement := range []string{addIndex, "ANALYZE TABLE demo_data", "SET SESSION unique_checks = 1, foreign_key_checks = 1"} {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// stream sends all rows by LOAD DATA LOCAL, generated as they are sent.
func stream(ctx context.Context, c *sql.Conn, d *dataset.Dataset, progress func(done, total int64)) error {
	lines := d.Reader()
	defer lines.Close()
	name := fmt.Sprintf("rows-%p", lines)
	mysql.RegisterReaderHandler(name, func() io.Reader { return lines })
	defer mysql.DeregisterReaderHandler(name)
	result, err := c.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::"+name+"' INTO TABLE demo_data CHARACTER SET utf8mb4 (id, name)")
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != d.Rows() {
		return fmt.Errorf("%d of %d rows arrived: %w", n, d.Rows(), ErrRows)
	}
	progress(d.Rows(), d.Rows())
	return nil
}
