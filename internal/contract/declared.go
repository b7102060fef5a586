package contract

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"bakeoff/internal/record"
)

// checkProtocol enters whether reads were executions of prepared statements, as declared. The server counts the SQL statement EXECUTE
// twice: as such, and among all executions.
func (s *inspection) checkProtocol(context.Context) error {
	executed, problem := s.others["stmt_execute"], ""
	bySQL := s.others["execute_sql"] + s.others["execute_immediate"]
	switch {
	case s.reads == 0:
		return nil
	case s.Protocol == "prepared" && executed-bySQL != s.reads:
		problem = fmt.Sprintf("prepared is declared, but %d of %d reads were executions of prepared statements over the binary protocol", executed-bySQL, s.reads)
	case s.Protocol == "text" && max(executed, bySQL) > 0:
		problem = fmt.Sprintf("text is declared, but %d prepared statements were executed for %d reads", max(executed, bySQL), s.reads)
	}
	if s.Protocol != "" {
		s.findings.enter("protocol", Endpoint{}, problem)
		s.findings.remark("protocol", Endpoint{}, fmt.Sprintf("%s; %d of %d reads by prepared statements", s.Protocol, executed, s.reads))
	}
	return nil
}

// idleMost is how long a full check waits before it uses an idle connection again, where more is declared.
const idleMost = 5 * time.Second

// IdleConnections are one to each replica that were used once and must be there for some time after.
type IdleConnections struct {
	declared time.Duration
	all      []idleConnection
}

type idleConnection struct {
	at     Endpoint
	conn   net.Conn
	reader *bufio.Reader
	last   time.Time // when the last answer was there
	err    error     // why it is of no use
}

// OpenIdle opens a connection to each replica, on which one request is answered. A server must leave it open for the time declared.
func OpenIdle(ctx context.Context, replicas []Endpoint, declared time.Duration) *IdleConnections {
	out := &IdleConnections{declared: declared}
	for _, at := range replicas {
		c := idleConnection{at: at}
		c.open(ctx)
		out.all = append(out.all, c)
	}
	return out
}

func (c *idleConnection) open(ctx context.Context) {
	u, err := url.Parse(c.at.URL)
	if err == nil {
		c.conn, err = (&net.Dialer{Timeout: askTimeout}).DialContext(ctx, "tcp", u.Host)
	}
	if c.err = err; err == nil {
		c.reader = bufio.NewReader(c.conn)
		c.err = c.ask()
	}
}

// errCloses is what a server says that keeps no connection open.
var errCloses = errors.New("the answer says Connection: close")

// ask has one request answered on the connection.
func (c *idleConnection) ask() error {
	_ = c.conn.SetDeadline(time.Now().Add(askTimeout))
	if _, err := fmt.Fprintf(c.conn, "GET /ping HTTP/1.1\r\nHost: %s\r\n\r\n", c.conn.RemoteAddr()); err != nil {
		return fmt.Errorf("the connection was closed: %w", plainNet(err))
	}
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return fmt.Errorf("the connection was closed: %w", plainNet(err))
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, answerLimit)); err != nil {
		return err
	}
	if c.last = time.Now(); res.Close {
		return errCloses
	}
	return nil
}

// plainNet is the error below one of package net, which names addresses.
func plainNet(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Check asks once more on each connection, and returns one check for each replica; wait is how long a connection must have been
// idle for that. One that has been idle longer than declared proves nothing any more.
func (i *IdleConnections) Check(ctx context.Context, when string, wait time.Duration) ([]record.Check, error) {
	var out []record.Check
	for n := range i.all {
		c := &i.all[n]
		if c.err == nil {
			if err := pause(ctx, time.Until(c.last.Add(wait))); err != nil {
				return nil, err
			}
		}
		out = append(out, c.check(when, i.declared))
	}
	return out, nil
}

func (c *idleConnection) check(when string, declared time.Duration) record.Check {
	idle := time.Since(c.last)
	out := record.Check{When: when, Name: "keep-alive", Replica: c.at.Name, OK: true}
	switch {
	case c.err == nil && idle >= declared:
		out.Detail = fmt.Sprintf("%v is declared; not checked after %v", declared, idle.Round(time.Second))
		return out
	case c.err == nil:
		c.err = c.ask()
	}
	out.Detail = fmt.Sprintf("%v is declared; still open after %v", declared, idle.Round(10*time.Millisecond))
	if c.err != nil {
		out.OK = false
		out.Detail = fmt.Sprintf("%v is declared; after %v idle: %v", declared, idle.Round(10*time.Millisecond), c.err)
	}
	return out
}

// Close closes the connections.
func (i *IdleConnections) Close() {
	if i == nil {
		return
	}
	for _, c := range i.all {
		if c.conn != nil {
			c.conn.Close()
		}
	}
}

func (s *inspection) openIdle(ctx context.Context) error {
	if s.KeepAlive > 0 {
		s.idle = OpenIdle(ctx, s.replicas, s.KeepAlive)
	}
	return nil
}

// checkKeepAlive enters whether idle connections opened first are still there. A full check waits for that.
func (s *inspection) checkKeepAlive(ctx context.Context) error {
	if s.idle == nil {
		return nil
	}
	checks, err := s.idle.Check(ctx, s.when, s.idleFor())
	if err != nil {
		return err
	}
	for i, c := range checks {
		problem := ""
		if !c.OK {
			problem = c.Detail
		}
		s.findings.enter("keep-alive", s.replicas[i], problem)
		if c.OK {
			s.findings.remark("keep-alive", s.replicas[i], c.Detail)
		}
	}
	return nil
}

// idleFor is how long a connection must have been idle when it is used again.
func (c *Contract) idleFor() time.Duration {
	switch {
	case !c.Full:
		return 0
	case c.Long:
		return max(0, c.KeepAlive-idleMargin)
	}
	return max(0, min(c.KeepAlive, idleMost)-idleMargin)
}

// idleMargin is how much before the declared end an idle connection is used again: servers look at their clocks once in a while.
const idleMargin = 250 * time.Millisecond
