package load

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// ownWork makes connections that answer by themselves, as its function says for a request.
type ownWork struct {
	echoWork
	answer func(request string) (status int, body string, err error)
	closed atomic.Int64
}

func (a *ownWork) Dial(context.Context, string, string) (net.Conn, error) {
	return &ownConn{of: a}, nil
}

type ownConn struct {
	net.Conn // what nobody asks of it
	of       *ownWork
	received int64
}

func (c *ownConn) Exchange(request []byte) (int, []byte, error) {
	status, body, err := c.of.answer(string(request))
	c.received = int64(len(body))
	return status, []byte(body), err
}

func (c *ownConn) Carried() (sent, received int64, whole bool) { return 3, c.received, true }
func (c *ownConn) SetDeadline(time.Time) error                 { return nil }
func (c *ownConn) LocalAddr() net.Addr                         { return &net.UnixAddr{Net: "unix"} }
func (c *ownConn) Close() error                                { c.of.closed.Add(1); return nil }

// A connection with a protocol of its own is given whole requests, and what comes of them is booked as of any other: by status and
// body, by how far a failed one had come, and with the bytes that it says.
func TestExchangers(t *testing.T) {
	t.Parallel()
	w := &ownWork{answer: func(request string) (int, string, error) {
		name, _, _ := strings.Cut(strings.TrimPrefix(request, "GET /demo?name="), " ")
		switch {
		case !strings.HasSuffix(request, " HTTP/1.1\r\nHost: own\r\n\r\n"):
			return 400, "", nil
		case name == "k3":
			return 500, "refused", nil
		case name == "k5":
			return 0, "", io.EOF
		case name == "k7":
			return 0, "half", io.ErrUnexpectedEOF
		}
		return 200, name, nil
	}}
	job := closedJob(1, 10*time.Second, "http://own")
	job.Workload, job.Phase.Requests = w, 10
	sum := collect(t, NewHTTP(), job)
	if b := sum.Books; b.OK != 7 || b.Bad != 1 || b.Error != 2 || b.Sent != 10 || sum.Checked != 8 || sum.Unwritten != 0 {
		t.Errorf("%+v, %d checked, %d unwritten", b, sum.Checked, sum.Unwritten)
	}
	if o := sum.Outcomes; len(o) != 3 || o["status 500"] != 1 || o[classClosedBefore] != 1 || o[classClosedEarly] != 1 {
		t.Errorf("%v", o)
	}
	if sum.Opened != 3 || w.closed.Load() != 3 || sum.Written != 3*10 || sum.Received != int64(7*len("k0")+len("refused")+len("half")) {
		t.Errorf("%d opened, %d closed, %d bytes written, %d received", sum.Opened, w.closed.Load(), sum.Written, sum.Received)
	}
	w.closed.Store(0)
	w.answer = func(string) (int, string, error) { return 200, "wrong", nil }
	job.Start, job.Phase.Reconnect = time.Now(), true
	sum = collect(t, NewHTTP(), job)
	if b := sum.Books; b.Bad != 10 || sum.Wrong != 10 || sum.Opened != 10 || w.closed.Load() != 10 {
		t.Errorf("%+v, %d wrong, %d opened, %d closed", b, sum.Wrong, sum.Opened, w.closed.Load())
	}
}
