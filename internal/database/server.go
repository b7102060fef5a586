package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/dataset"
	"bakeoff/internal/platform"
)

// Vendors.
const (
	MariaDB = "mariadb"
	MySQL   = "mysql"
)

// Kinds of server.
const (
	KindPrivate  = "private"  // started and ended by us
	KindExternal = "external" // somebody else's, reached by a DSN file
)

// Info is the server as it was used.
type Info struct {
	Kind           string
	Vendor         string // MariaDB or MySQL
	Version        string
	MaxConnections int
	Settings       map[string]string // as the server reports them
	Collation      string            // of demo_data.name; empty before the fill
	Counter        string            // how statements are counted: ByHandler or ByDigest
	CounterReason  string            // why not by ByHandler, and what distorts the count; empty: nothing
	Meanings       Meanings          // what the counters of Touched were found to count
	AccountReason  string            // why all trials share one account; empty: each has one of its own
	MovesReason    string            // why BeginMoves is ErrNotOurs; empty: it is not
	Command        string            // private: the command that started it, as a shell line
	Config         string            // private: the configuration file it was started with
}

// Server is a running MySQL or MariaDB. Its methods are safe for concurrent
// use; those that ask the server take turns on one connection, so that what
// that connection did can be taken off the counts.
type Server struct {
	kind   string
	access Access // of the targets
	info   Info

	less     Less
	private  *private         // nil when external, or started by somebody else
	process  platform.Process // of one that somebody else has started for us
	chosen   []string         // settings of the plan, of such a one
	state    state            // of a private server: what Fill finds
	restored string           // digest of the cached data directory, in cachedState
	pool     *sql.DB
	dialled  atomic.Int64 // connections we opened, or tried to
	forget   func() error // removes the targets' password file

	mu      sync.Mutex // guards what follows and the use of conn
	conn    *sql.Conn
	base    map[string]int64 // status of our sessions that ended
	last    map[string]int64 // status of the session, as last seen
	noted   time.Time        // when that was
	counter string
	// counterReason says why counter is not the first choice, and what distorts it; empty: nothing.
	counterReason string
	rows          rowSource
	meanings      Meanings
	adopted       bool                     // the table is somebody else's
	resting       int64                    // statements that run while no target does
	moved         int64                    // rows that we changed by their ids, which the server counts as read
	strayed       int64                    // rows that others read by another index than name, as last counted
	met           map[connection]time.Time // when Status saw each open connection of a target first
	accountReason string                   // why trials share one account; empty: they do not
	movesReason   string                   // why no rows can change; empty: they can
	table         *dataset.Dataset         // whose rows are in place; nil before the fill
}

// Less is what a server is not asked for that it usually does for the trust in targets.
type Less struct {
	Uncounted     bool // what is counted of each lookup
	SharedAccount bool // an account for each trial
}

// account is why all trials share one account; empty: nothing keeps them from having their own yet.
func (l Less) account() string {
	if l.SharedAccount {
		return "the plan says so (trust.account: shared)"
	}
	return ""
}

// state is how far a private server is.
type state int

const (
	plainState   state = iota // running with the settings of a measurement
	fillingState              // empty, running with the settings of a fill
	cachedState               // running on a copy of a filled data directory
)

// Access is how a target reaches the server.
func (s *Server) Access() Access { return s.access }

// Process is the private server's process; nil for one that is somebody else's.
func (s *Server) Process() platform.Process {
	if s.private == nil {
		return s.process
	}
	return s.private.current()
}

// Info describes the server.
func (s *Server) Info(ctx context.Context) (Info, error) {
	info := s.info
	info.Kind = s.kind
	s.mu.Lock()
	info.Counter, info.CounterReason = s.counter, s.counterReason
	info.Meanings, info.AccountReason, info.MovesReason = maps.Clone(s.meanings), s.accountReason, s.movesReason
	s.mu.Unlock()
	err := s.use(ctx, func(c *sql.Conn) error {
		var err error
		if info.Settings, err = reportedSettings(ctx, c, s.settingNames()); err != nil {
			return err
		}
		if _, err := fmt.Sscan(info.Settings["max_connections"], &info.MaxConnections); err != nil {
			return fmt.Errorf("max_connections: %w", err)
		}
		info.Collation, err = nameCollation(ctx, c)
		return err
	})
	if err != nil {
		return Info{}, fmt.Errorf("database: info: %w", err)
	}
	return info, nil
}

// Stop closes our connections and ends a private server: asked to, then, after
// grace, killed. Its folder and the password file are removed. Calling it again is no error.
func (s *Server) Stop(ctx context.Context, grace time.Duration) error {
	s.disconnect()
	err := s.forget()
	if s.private != nil {
		err = errors.Join(s.private.remove(ctx, grace), err)
	}
	return err
}

// variable is one of the server's variables; empty where it has no such one.
func (s *Server) variable(ctx context.Context, name string) (value string, err error) {
	err = s.peek(ctx, func(c *sql.Conn) error {
		settings, err := reportedSettings(ctx, c, []string{name})
		value = settings[name]
		return err
	})
	return value, err
}

// connect opens the pool with the given account. dial, when not nil, replaces
// the driver's own.
func (s *Server) connect(cfg *mysql.Config, dial func(ctx context.Context) (net.Conn, error)) error {
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, cfg.Net, cfg.Addr)
		}
	}
	cfg.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := dial(ctx)
		if err == nil {
			s.dialled.Add(1)
		}
		return c, err
	}
	cfg.Logger = &mysql.NopLogger{}
	cfg.Params = map[string]string{"innodb_lock_wait_timeout": fmt.Sprint(lockWait.Seconds())}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pool = sql.OpenDB(connector)
	s.dialled.Store(0)
	clear(s.base)
	clear(s.last)
	s.pool.SetMaxIdleConns(-1) // a session used for something else must not become ours
	return nil
}

func (s *Server) disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropConn()
	if s.pool != nil {
		_ = s.pool.Close()
		s.pool = nil
	}
}

// dropConn closes our connection for good and keeps the count of what it did.
func (s *Server) dropConn() {
	if s.conn != nil {
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = s.conn.Close()
		s.conn = nil
	}
	for name, value := range s.last {
		s.base[name] += value
	}
	clear(s.last)
}

// use runs f on our one connection and notes what the connection has done so
// far. A broken connection is dropped; the next use opens another.
func (s *Server) use(ctx context.Context, f func(*sql.Conn) error) error {
	return s.peek(ctx, func(c *sql.Conn) error {
		if err := f(c); err != nil {
			return err
		}
		own, err := status(ctx, c, "SESSION")
		if err == nil {
			s.note(own)
		}
		return err
	})
}

// note keeps what our session has done so far; s.mu is held.
func (s *Server) note(own map[string]int64) { s.last, s.noted = own, time.Now() }

// peek is use without a note of what our session has done.
func (s *Server) peek(ctx context.Context, f func(*sql.Conn) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pool == nil {
		return errors.New("the server is not running")
	}
	if s.conn == nil {
		c, err := s.pool.Conn(ctx)
		if err != nil {
			return err
		}
		s.conn = c
	}
	err := f(s.conn)
	if ctx.Err() != nil || isBroken(err) {
		s.dropConn()
	}
	return err
}
