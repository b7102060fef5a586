// Package driver asks the database directly, as targets do but without them: each connection of an agent is a session of
// its own, and each request the statement that every target makes, as text or prepared. What is left of a target's time per
// answer is the database and a driver.
//
// This driver is as cheap as one can be: go-sql-driver/mysql logs a session in, and from then on a request is one packet
// written and its answer's packets read, without a copy or an allocation. So the time is nearly that of the database alone.
//
// Agents keep their books of requests and answers of HTTP/1.1. So a request for /demo?name=K has the answer that a
// target gives, from a SELECT on the session; one for /ping is answered after a ping of the server, which reads no table. It refuses any
// other request, and a statement that the server refuses is a 500. Nothing is retried, and there is no pool: when a session has
// ended, so has the connection.
//
// Lookups and Pings are the workloads: what package dataset asks and how it judges answers, on such connections.
package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/dataset"
)

// Contract is the name by which agents know these workloads.
const Contract = "driver"

// Base is the URL of a job: the requests name no server.
const Base = "http://database"

// LengthPresent and LengthAbsent are what dataset.Overhead is for the answers made here.
const (
	LengthPresent = len(`{"name":"","exists":true,"id":}`)
	LengthAbsent  = len(`{"name":"","exists":false,"id":null}`)
)

// Spec is all an agent needs to ask and to judge. It travels as JSON, and only to agents: it holds the password.
type Spec struct {
	Lookup   dataset.WorkloadSpec `json:"lookup"`
	Ping     bool                 `json:"ping,omitempty"`     // no lookups
	Prepared bool                 `json:"prepared,omitempty"` // each session prepares the statement once, and then executes it
	Host     string               `json:"host"`
	Port     int                  `json:"port"`
	User     string               `json:"user"`
	Password string               `json:"password"`
	Schema   string               `json:"schema"`
}

// ParseSpec reads a Spec.
func ParseSpec(raw json.RawMessage) (s Spec, err error) {
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("driver: %w", err)
	}
	return s, nil
}

// String leaves the password out.
func (s Spec) String() string { return fmt.Sprintf("%s@%s:%d/%s", s.User, s.Host, s.Port, s.Schema) }

// GoString leaves the password out.
func (s Spec) GoString() string { return s.String() }

// Lookups asks for names, and judges the answers as those of a target.
type Lookups struct {
	*dataset.Workload
	sessions
}

// NewLookups is a workload of the dataset on connections of this package.
func NewLookups(s Spec, w *dataset.Workload) *Lookups { return &Lookups{w, s.sessions()} }

// Pings asks the server for a sign of life.
type Pings struct{ sessions }

// NewPings is the workload without lookups: nothing is prepared for it.
func NewPings(s Spec) *Pings {
	s.Prepared = false
	return &Pings{s.sessions()}
}

// AppendTarget implements load.Workload, as all that follow.
func (*Pings) AppendTarget(dst []byte, _, _ uint64) []byte { return append(dst, pingTarget...) }

// Length reports whether an answer is as long as the right one.
func (*Pings) Length(_, _ uint64, length int64) bool { return length == int64(len(pong)) }

// Check judges an answer.
func (*Pings) Check(_, _ uint64, _ int, body []byte) string {
	if string(body) != pong {
		return "wrong body"
	}
	return ""
}

// Hit knows nothing: no key is asked for.
func (*Pings) Hit(uint64, uint64) (hit, known bool) { return false, false }

// sessions opens sessions of one account.
type sessions struct {
	config   *mysql.Config
	prepared bool
}

func (s Spec) sessions() sessions {
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	c.User, c.Passwd, c.DBName = s.User, s.Password, s.Schema
	c.CheckConnLiveness = false
	c.Logger = silent{} // what goes wrong is in the books
	return sessions{c, s.Prepared}
}

// silent is a logger that writes nothing.
type silent struct{}

func (silent) Print(...any) {}

// wire is the connection while it is logged in on. It keeps the first error of the network: the login says only that the connection is
// of no use any more.
type wire struct {
	net.Conn
	err error
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	return n, w.keep(err)
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	return n, w.keep(err)
}

func (w *wire) keep(err error) error {
	if err != nil && w.err == nil {
		w.err = err
	}
	return err
}

// Dial opens a session; see load.ByDial. The address is the account's, whatever is asked for.
func (s sessions) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	opened, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// open opens a session, which is prepared where that is asked for.
func (s sessions) open(ctx context.Context) (*session, error) {
	opened, err := s.logIn(ctx)
	if err != nil || !s.prepared {
		return opened, err
	}
	end := until(ctx, opened)
	defer end()
	if err := opened.prepare(); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// logIn opens a session.
func (s sessions) logIn(ctx context.Context) (*session, error) {
	below := &wire{}
	c := s.config.Clone()
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		below.Conn = nc
		return below, nil
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("driver: %w", err)
	}
	login, err := connector.Connect(ctx)
	switch {
	case err == nil:
		return &session{packets: packets{Conn: below.Conn, in: make([]byte, bufferSize)}, login: login}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case below.err != nil:
		return nil, below.err
	}
	return nil, err
}

// until has all waits on the connection end with the context. The function returned ends that.
func until(ctx context.Context, nc net.Conn) (end func() bool) {
	return context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
}

// Ask opens a session, asks for names one after another as agents do, and ends it. An id of 0: no row has the name.
func Ask(ctx context.Context, s Spec, names []string) (ids []int64, err error) {
	opened, err := s.sessions().open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	end := until(ctx, opened)
	defer end()
	for _, name := range names {
		id, exists, err := opened.lookup([]byte(name))
		if err != nil {
			return nil, err
		}
		if !exists {
			id = 0
		}
		ids = append(ids, id)
	}
	return ids, nil
}
