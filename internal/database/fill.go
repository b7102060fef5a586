package database

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"

	"bakeoff/internal/dataset"
)

// Filled says how the table came to be.
type Filled struct {
	Seconds   float64
	FromCache bool   // nothing was loaded: a copy of a filled data directory, or a table found complete
	Digest    string // read back from the server when the table was loaded
	Warning   string // why the next fill will not be faster, if so
}

// Fill makes the table hold exactly the dataset, and proves it. Killed at any
// point, the next call completes or rebuilds it: a table is trusted only
// when its mark, written last, says so. progress, when not nil, is called with rows
// done and rows in all, from one goroutine.
//
// An external server's demo_data that is not ours is never overwritten: it is
// used when it is the dataset's, and refused otherwise.
func (s *Server) Fill(ctx context.Context, d *dataset.Dataset, progress func(done, total int64)) (Filled, error) {
	start := time.Now()
	if progress == nil {
		progress = func(int64, int64) {}
	}
	filled, err := s.fill(ctx, d, progress)
	if err == nil {
		err = s.prepare(ctx, d)
	}
	if err != nil {
		return Filled{}, fmt.Errorf("database: fill: %w", err)
	}
	progress(d.Rows(), d.Rows())
	filled.Seconds = time.Since(start).Seconds()
	return filled, nil
}

// fill fills a server of its kind.
func (s *Server) fill(ctx context.Context, d *dataset.Dataset, progress func(done, total int64)) (Filled, error) {
	switch {
	case s.private != nil:
		return s.fillPrivate(ctx, d, progress)
	case s.kind == KindPrivate:
		return s.fillAttached(ctx, func() (Filled, error) { return s.fillExternal(ctx, d, progress) })
	}
	return s.fillExternal(ctx, d, progress)
}

// fillPrivate takes the data directory from the cache, else loads one and
// puts it there.
func (s *Server) fillPrivate(ctx context.Context, d *dataset.Dataset, progress func(done, total int64)) (Filled, error) {
	if s.state == plainState || s.private.options.Dataset.Spec() != d.Spec() {
		if err := s.end(ctx); err != nil { // however: its data are not used again
			return Filled{}, err
		}
		if err := s.restoreOr(ctx, d); err != nil {
			return Filled{}, err
		}
	}
	found := s.state
	s.state = plainState
	if found == cachedState {
		return Filled{FromCache: true, Digest: s.restored}, nil
	}
	if err := s.load(ctx, d, progress); err != nil {
		return Filled{}, err
	}
	if err := s.relaunch(ctx); err != nil {
		return Filled{}, err
	}
	digest, err := s.proven(ctx, d)
	if err != nil || s.private.options.CacheDir == "" {
		return Filled{Digest: digest}, err
	}
	filled := Filled{Digest: digest}
	if err := s.halt(ctx); err != nil {
		return Filled{}, err
	}
	if err := s.private.entry(d).save(ctx, s.private.path("data"), digest); err != nil {
		filled.Warning = fmt.Sprintf("the filled data directory could not be kept: %v", err)
	}
	return filled, s.launch(ctx, nil)
}

// relaunch restarts a private server with the settings it is measured with.
func (s *Server) relaunch(ctx context.Context) error {
	if err := s.halt(ctx); err != nil {
		return err
	}
	return s.launch(ctx, nil)
}

// fromCache starts the server on a copy of a cached directory. Any error means that
// the table has to be loaded; an entry that proved bad is removed.
func (s *Server) fromCache(ctx context.Context, e entry, d *dataset.Dataset) (digest string, err error) {
	m, err := e.restore(ctx, s.private.path("data"))
	if err != nil {
		return "", err
	}
	if err := s.private.ownAll(s.private.path("data")); err != nil {
		return "", err
	}
	err = s.launch(ctx, nil)
	if err == nil {
		err = s.Check(ctx, d)
	}
	if err == nil || ctx.Err() != nil {
		return m.Digest, err
	}
	err = errors.Join(err, s.end(ctx))
	e.discard()
	return "", err
}

// Marks of an external server's table.
const (
	markTable    = "bakeoff_state"
	markFilling  = "filling"
	markComplete = "complete"
	markAccount  = "account " // before the name of an account that was made for a trial
	fillLock     = "bakeoff_fill"
)

// fillExternal uses the table when it is complete, rebuilds it when it is
// ours and is not, and makes it when there is none.
func (s *Server) fillExternal(ctx context.Context, d *dataset.Dataset, progress func(done, total int64)) (Filled, error) {
	mark, present, err := s.survey(ctx)
	if err != nil {
		return Filled{}, err
	}
	s.adopted = present && mark == ""
	if present && mark == markComplete {
		if err := s.UndoMoves(ctx); err != nil {
			return Filled{}, err
		}
	}
	if present && mark != markFilling {
		digest, err := s.adopt(ctx, d)
		if err == nil {
			return Filled{FromCache: true, Digest: digest}, nil
		}
		if mark == "" || ctx.Err() != nil {
			return Filled{}, fmt.Errorf("%s exists, was not made by bakeoff, and is not the dataset's; drop it, or name another schema: %w", tableName, err)
		}
	}
	if err := s.setMark(ctx, markFilling); err != nil {
		return Filled{}, err
	}
	if err := s.load(ctx, d, progress); err != nil {
		return Filled{}, err
	}
	digest, err := s.proven(ctx, d)
	if err != nil {
		return Filled{}, err
	}
	return Filled{Digest: digest}, s.setMark(ctx, markComplete)
}

// survey takes the lock against a second filler and reads the table's mark.
func (s *Server) survey(ctx context.Context) (mark string, present bool, err error) {
	err = s.use(ctx, func(c *sql.Conn) error {
		var got sql.NullInt64
		if err := c.QueryRowContext(ctx, "SELECT GET_LOCK(?, 0)", fillLock).Scan(&got); err != nil {
			return err
		}
		if got.Int64 != 1 {
			return errors.New("another bakeoff is filling this server")
		}
		if present, err = tableExists(ctx, c, tableName); err != nil {
			return err
		}
		marked, err := tableExists(ctx, c, markTable)
		if err != nil || !marked {
			return err
		}
		err = c.QueryRowContext(ctx, "SELECT state FROM "+markTable+" WHERE name = ?", tableName).Scan(&mark)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return err
	})
	return mark, present, err
}

func tableExists(ctx context.Context, c *sql.Conn, name string) (bool, error) {
	var n int
	err := c.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?", name).Scan(&n)
	return n > 0, err
}

// setMark says of the table whether it can be trusted.
func (s *Server) setMark(ctx context.Context, mark string) error {
	if err := s.makeMarks(ctx); err != nil {
		return err
	}
	return s.setMarkOf(ctx, tableName, mark)
}

// makeMarks makes the table of marks.
func (s *Server) makeMarks(ctx context.Context) error {
	return s.run(ctx, "CREATE TABLE IF NOT EXISTS "+markTable+" (name varchar(64) PRIMARY KEY, state varchar(64) NOT NULL) ENGINE = InnoDB")
}

// setMarkOf marks anything of ours on the server.
func (s *Server) setMarkOf(ctx context.Context, name, mark string) error {
	return s.use(ctx, func(c *sql.Conn) error {
		_, err := c.ExecContext(ctx, "REPLACE INTO "+markTable+" VALUES (?, ?)", name, mark)
		return err
	})
}

// adopt proves a table that is there.
func (s *Server) adopt(ctx context.Context, d *dataset.Dataset) (digest string, err error) {
	if err := s.Check(ctx, d); err != nil {
		return "", err
	}
	return s.proven(ctx, d)
}

// proven reads the whole table back.
func (s *Server) proven(ctx context.Context, d *dataset.Dataset) (string, error) {
	digest, err := s.Digest(ctx)
	if want := d.Digest(); err == nil && digest != want {
		err = fmt.Errorf("%w: read back %s, not %s", ErrData, digest, want)
	}
	return digest, err
}

// prepare grants the targets of a private server their one right, checks the
// table, which also warms the server's cache, logs the account in once, and finds out what may be done and what can be counted.
func (s *Server) prepare(ctx context.Context, d *dataset.Dataset) error {
	err := s.use(ctx, func(c *sql.Conn) error {
		s.table = d
		if s.private == nil {
			return nil
		}
		for _, host := range []string{"localhost", "127.0.0.1"} {
			if _, err := c.ExecContext(ctx, fmt.Sprintf("GRANT SELECT ON %s.%s TO '%s'@'%s'", schemaName, tableName, targetUser, host)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.Check(ctx, d); err != nil {
		return err
	}
	if err := s.warm(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.rights(ctx), s.mayMove(ctx)); err != nil {
		return err
	}
	if err := s.chooseCounter(ctx); err != nil {
		return err
	}
	if s.less.Uncounted {
		return s.findResting(ctx)
	}
	return s.explore(ctx)
}

// load makes the table from scratch: in bulk over one connection where the server can, else over several
// at once, each with a range of ids. The secondary index is added when the rows are in, which is
// faster than keeping it up to date.
func (s *Server) load(ctx context.Context, d *dataset.Dataset, progress func(done, total int64)) error {
	if err := s.run(ctx, "DROP TABLE IF EXISTS demo_data", "DROP TABLE IF EXISTS "+journalTable, ddl); err != nil {
		return err
	}
	var unique errgroup.Group
	unique.Go(d.Prove)
	var done atomic.Int64
	stop := report(&done, d.Rows(), progress)
	err := s.streams(ctx, d, &done)
	stop()
	if err := errors.Join(err, unique.Wait()); err != nil {
		return err
	}
	return s.run(ctx, addIndex, "ANALYZE TABLE demo_data")
}

// run executes statements one after the other.
func (s *Server) run(ctx context.Context, statements ...string) error {
	return s.use(ctx, func(c *sql.Conn) error {
		for _, statement := range statements {
			if _, err := c.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// report calls progress a few times a second until stopped.
func report(done *atomic.Int64, total int64, progress func(done, total int64)) (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				progress(done.Load(), total)
			case <-quit:
				return
			}
		}
	})
	return func() { close(quit); wg.Wait() }
}

// streamRows is the least number of rows worth a connection of its own.
const streamRows = 50_000

// streams loads all rows.
func (s *Server) streams(ctx context.Context, d *dataset.Dataset, done *atomic.Int64) error {
	count := min(int64(runtime.NumCPU()), 4, 1+d.Rows()/streamRows)
	if s.bulk() {
		count = 1
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range count {
		first, last := 1+d.Rows()*i/count, d.Rows()*(i+1)/count
		group.Go(func() error {
			c, err := s.pool.Conn(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			if s.bulk() {
				return inBulk(ctx, c, func() error { return stream(ctx, c, d, first, last, done) })
			}
			return stream(ctx, c, d, first, last, done)
		})
	}
	return group.Wait()
}

// bulk reports whether one statement into an empty table is loaded without undo log: MariaDB since
// 10.7 does so for a connection that checks neither uniqueness nor foreign keys. One such
// connection is faster than two that insert row by row.
func (s *Server) bulk() bool {
	if s.kind != KindPrivate || s.info.Vendor != MariaDB {
		return false
	}
	var major, minor int
	_, err := fmt.Sscanf(s.info.Version, "%d.%d", &major, &minor)
	return err == nil && (major > 10 || major == 10 && minor >= 7)
}

// inBulk loads over a connection without its checks, which come back afterwards.
func inBulk(ctx context.Context, c *sql.Conn, load func() error) error {
	if _, err := c.ExecContext(ctx, "SET unique_checks = 0, foreign_key_checks = 0"); err != nil {
		return err
	}
	err := load()
	_, back := c.ExecContext(context.WithoutCancel(ctx), "SET unique_checks = 1, foreign_key_checks = 1")
	if err != nil {
		return err // the connection may be gone with it
	}
	return back
}

// stream loads rows first to last, generated as they are sent: by LOAD DATA
// LOCAL where the server takes it, else by INSERT.
func stream(ctx context.Context, c *sql.Conn, d *dataset.Dataset, first, last int64, done *atomic.Int64) error {
	lines := d.Reader(first, last)
	defer lines.Close()
	name := fmt.Sprintf("rows-%p", lines)
	mysql.RegisterReaderHandler(name, func() io.Reader { return counted{lines, done} })
	defer mysql.DeregisterReaderHandler(name)
	result, err := c.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::"+name+"' INTO TABLE demo_data CHARACTER SET binary FIELDS ESCAPED BY '' (id, name)")
	if refusesLocal(err) {
		return insert(ctx, c, d, first, last, done)
	}
	if err != nil {
		return err
	}
	// LOCAL turns errors into warnings: a row refused is a row missing.
	if n, err := result.RowsAffected(); err != nil || n != last-first+1 {
		return fmt.Errorf("%w: %d of %d arrived", ErrRows, n, last-first+1)
	}
	return nil
}

// refusesLocal reports whether the server does not take LOAD DATA LOCAL:
// ER_NOT_ALLOWED_COMMAND (also MariaDB's text for local_infile off),
// ER_LOAD_INFILE_CAPABILITY_DISABLED and ER_CLIENT_LOCAL_FILES_DISABLED.
func refusesLocal(err error) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && (refused.Number == 1148 || refused.Number == 4166 || refused.Number == 3948 || refused.Number == 2068)
}

// counted counts the lines read through it.
type counted struct {
	io.Reader
	lines *atomic.Int64
}

func (r counted) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.lines.Add(int64(bytes.Count(p[:n], []byte{'\n'})))
	return n, err
}

// batchRows is how many rows one INSERT carries: well below any server's max_allowed_packet.
const batchRows = 2000

// insert loads rows by INSERT statements of many rows; names are letters and digits and need
// no escaping.
func insert(ctx context.Context, c *sql.Conn, d *dataset.Dataset, first, last int64, done *atomic.Int64) error {
	var b strings.Builder
	for from := first; from <= last; from += batchRows {
		to := min(from+batchRows-1, last)
		b.Reset()
		b.WriteString("INSERT INTO demo_data (id, name) VALUES ")
		for id := from; id <= to; id++ {
			if id > from {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(%d,'%s')", id, d.Name(id))
		}
		if _, err := c.ExecContext(ctx, b.String()); err != nil {
			return err
		}
		done.Add(to - from + 1)
	}
	return nil
}
