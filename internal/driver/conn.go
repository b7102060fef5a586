package driver

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

// Requests that are answered, and the answer to a ping.
const (
	lookupTarget = "/demo?name="
	pingTarget   = "/ping"
	pong         = "pong"
)

// statement is what every target asks.
const statement = "SELECT id FROM demo_data WHERE name = ? ORDER BY id LIMIT 1"

// errRequest is returned for bytes that are not one whole request of those that are answered.
var errRequest = errors.New("driver: not a request for a lookup or a ping")

// wire is the connection below a session. It keeps the first error of the network: the driver says only that the session is of no
// use any more.
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

// conn is a session as agents see it: what is written to it is a request, and the answer is read from it. Its deadlines are those of
// the connection below. One goroutine uses it, except for SetDeadline.
type conn struct {
	*wire
	session driver.Conn
	target  string // of the request that is to be answered; empty: none is
	answer  []byte // what is not read yet
}

// Write takes a request. The statement is sent when the answer is read.
func (c *conn) Write(p []byte) (int, error) {
	line, ok := bytes.CutPrefix(p, []byte(http.MethodGet+" "))
	target, _, ended := bytes.Cut(line, []byte(" "))
	if !ok || !ended || !bytes.HasSuffix(p, []byte("\r\n\r\n")) || c.target != "" || len(c.answer) > 0 {
		return 0, errRequest
	}
	c.target = string(target)
	return len(p), nil
}

// Read returns what there is of the answer, which the database is asked for first.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.answer) == 0 {
		if c.target == "" {
			return 0, io.EOF
		}
		target := c.target
		c.target = ""
		if err := c.ask(target); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.answer)
	c.answer = c.answer[n:]
	return n, nil
}

// Close ends the session.
func (c *conn) Close() error {
	return errors.Join(c.session.Close(), ignoreClosed(c.wire.Close()))
}

// ignoreClosed is the error of a connection that the driver has closed, too.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// ask makes the answer. An error is one of the connection: what the server refuses is an answer.
func (c *conn) ask(target string) error {
	status, body, err := c.body(target)
	refused, isRefused := errors.AsType[*mysql.MySQLError](err)
	switch {
	case isRefused:
		status, body = http.StatusInternalServerError, []byte(refused.Error())
	case err != nil && c.err != nil:
		return c.err
	case err != nil:
		return err
	}
	c.answer = fmt.Appendf(c.answer[:0], "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n", status, http.StatusText(status), len(body))
	c.answer = append(c.answer, body...)
	return nil
}

func (c *conn) body(target string) (status int, body []byte, err error) {
	if target == pingTarget {
		return http.StatusOK, []byte(pong), c.session.(driver.Pinger).Ping(context.Background())
	}
	name, ok := bytes.CutPrefix([]byte(target), []byte(lookupTarget))
	if !ok {
		return http.StatusNotFound, nil, nil
	}
	id, exists, err := c.lookup(string(name))
	if err != nil {
		return 0, nil, err
	}
	body = append([]byte(`{"name":"`), name...) // letters and digits, which need no escaping
	if !exists {
		return http.StatusOK, append(body, `","exists":false,"id":null}`...), nil
	}
	body = append(body, `","exists":true,"id":`...)
	return http.StatusOK, append(strconv.AppendInt(body, id, 10), '}'), nil
}

// lookup asks for one name.
func (c *conn) lookup(name string) (id int64, exists bool, err error) {
	rows, err := c.session.(driver.QueryerContext).QueryContext(context.Background(), statement, []driver.NamedValue{{Ordinal: 1, Value: name}})
	if err != nil {
		return 0, false, err
	}
	row := make([]driver.Value, 1)
	err = rows.Next(row)
	if errors.Is(err, io.EOF) {
		return 0, false, rows.Close()
	}
	if err == nil {
		err = rows.Close() // whatever is left of the answer is read
	}
	if err != nil {
		return 0, false, err
	}
	switch v := row[0].(type) {
	case int64:
		return v, true, nil
	case []byte:
		id, err = strconv.ParseInt(string(v), 10, 64)
		return id, err == nil, err
	}
	return 0, false, fmt.Errorf("driver: the id is a %T", row[0])
}
