// Package driver asks the database directly, as targets do but without them: each connection of an agent is a session of
// its own, and each request the statement that every target makes, in the text protocol. What is left of a target's time per
// answer is the database and a driver.
//
// Agents send HTTP/1.1 and keep their books of that. So Dial gives them connections on which a request for /demo?name=K
// is answered as a target answers it, from a SELECT on the connection behind it; one for /ping is answered after a ping of the
// server, which reads no table. It refuses any other request, and a statement that failed is a 500. Nothing is retried, and
// there is no pool: when a session has ended, so has the connection.
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
	Ping     bool                 `json:"ping,omitempty"` // no lookups
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

// NewPings is the workload without lookups.
func NewPings(s Spec) *Pings { return &Pings{s.sessions()} }

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
type sessions struct{ config *mysql.Config }

func (s Spec) sessions() sessions {
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	c.User, c.Passwd, c.DBName = s.User, s.Password, s.Schema
	c.InterpolateParams = true // the text protocol
	c.CheckConnLiveness = false
	c.Logger = silent{} // what goes wrong is in the books
	return sessions{c}
}

// silent is a logger that writes nothing.
type silent struct{}

func (silent) Print(...any) {}

// Dial opens a session; see load.ByDial. The address is the account's, whatever is asked for.
func (s sessions) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
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
	session, err := connector.Connect(ctx)
	switch {
	case err == nil:
		return &conn{wire: below, session: session}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case below.err != nil:
		return nil, below.err
	}
	return nil, err
}

// Ask opens a session, asks for names one after another as agents do, and ends it. An id of 0: no row has the name.
func Ask(ctx context.Context, s Spec, names []string) (ids []int64, err error) {
	nc, err := s.sessions().Dial(ctx, "", "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, nc.Close()) }()
	end := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer end()
	for _, name := range names {
		id, exists, err := nc.(*conn).lookup(name)
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
