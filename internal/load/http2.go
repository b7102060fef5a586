package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// errNotHTTP2 means that the server would not agree on HTTP/2.
var errNotHTTP2 = errors.New("no HTTP/2")

// protocols are what TLS is to agree on.
func (j *Job) protocols() []string {
	if j.Phase.HTTP2 {
		return []string{"h2"}
	}
	return []string{"http/1.1"}
}

// inHand is where a dial finds the connection that is open already.
type inHand struct{}

// newTransport makes HTTP/2 of connections that it is given; it dials none.
func newTransport() *http.Transport {
	given := func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, ok := ctx.Value(inHand{}).(net.Conn)
		if !ok {
			return nil, errors.New("load: no connection in hand")
		}
		return nc, nil
	}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		DialContext: given, DialTLSContext: given, Protocols: &protocols,
		DisableCompression: true, MaxResponseHeaderBytes: headerLimit,
	}
}

// firstError remembers what ended the reading: net/http reports it only where a stream is open. It counts bytes.
type firstError struct {
	net.Conn
	err     atomic.Pointer[error]
	in, out atomic.Int64
}

func (f *firstError) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p)
	f.out.Add(int64(n))
	return n, err
}

func (f *firstError) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.in.Add(int64(n))
	if err != nil {
		f.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

// begin makes HTTP/2 of a fresh connection: agreed on by TLS, or without asking
// where there is none (RFC 9113, 3.2 and 3.3). net/http's own connection does
// not dial, retry, or choose another connection: the one that it is given is all it has.
func (c *conn) begin(ctx context.Context, nc net.Conn) error {
	scheme := "http"
	if t, secure := nc.(*tls.Conn); secure {
		scheme = "https"
		if t.ConnectionState().NegotiatedProtocol != "h2" {
			return errNotHTTP2
		}
	}
	two, err := c.transport.NewClientConn(context.WithValue(ctx, inHand{}, nc), scheme, c.origin.authority)
	if err != nil {
		return err
	}
	c.two = two
	c.idle = func() error { // nil: it takes another stream
		if two.Err() != nil || two.Available() == 0 {
			return errNoAnswer
		}
		return nil
	}
	return nil
}

// stream makes one request on an HTTP/2 connection and reads the answer to its last byte.
// The time-out is the connection's and not a context's: after its error the writing has ended, too.
func (c *conn) stream(r *result, deadline time.Time) (length int64, err error) {
	if err := c.nc.SetDeadline(deadline); err != nil {
		return 0, c.broken(err, false, deadline)
	}
	if c.stopped.Load() {
		return 0, errInterrupted
	}
	var written, begun atomic.Bool
	interim := 0
	req, err := c.asRequest(r, &httptrace.ClientTrace{
		WroteRequest:         func(info httptrace.WroteRequestInfo) { written.Store(info.Err == nil) },
		GotFirstResponseByte: func() { begun.Store(true) },
		Got1xxResponse: func(status int, _ textproto.MIMEHeader) error {
			if interim++; interim > interimLimit {
				return errHeaderLimit
			}
			if status == http.StatusSwitchingProtocols {
				return unspoken{errors.New("an answer of status 101")}
			}
			return nil
		},
	})
	if err != nil {
		return 0, err
	}
	r.stage = stageWaiting
	in, out := c.first.in.Load(), c.first.out.Load()
	defer func() {
		if r.received, r.sentBytes = c.first.in.Load()-in, c.first.out.Load()-out; begun.Load() {
			r.stage = stageAnswering
		}
	}()
	resp, err := c.two.RoundTrip(req)
	r.written = err == nil || written.Load()
	if err != nil {
		return 0, c.broken(err, begun.Load(), deadline)
	}
	length, err = c.bodyOf(resp, r.checked)
	if err == nil && !time.Now().Before(deadline) {
		err = syscall.ETIMEDOUT // the header of an answer to HEAD had come, and not the stream's end
	}
	if err != nil {
		return 0, c.broken(err, true, deadline)
	}
	c.served(r, resp)
	if c.job.Phase.Reconnect || c.nc.SetDeadline(time.Time{}) != nil { // none between requests
		c.close()
	}
	return length, nil
}

// bodyOf reads the body of a stream's answer, and waits until net/http has done with the stream.
func (c *conn) bodyOf(resp *http.Response, keep bool) (length int64, err error) {
	// net/http takes any number for a status.
	if status := fmt.Sprintf("%03d ", resp.StatusCode); resp.StatusCode < 200 || resp.StatusCode > 999 || !strings.HasPrefix(resp.Status, status) {
		return 0, unspoken{fmt.Errorf("an answer of status %q", resp.Status)}
	}
	if resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		// A length is that of an answer with a body (RFC 9110, 8.6).
		c.body = c.body[:0]
		if n, _ := resp.Body.Read(make([]byte, 1)); n > 0 {
			return 0, errExtra
		}
	} else if length, err = c.readBody(resp, keep); err != nil {
		return 0, err
	}
	return length, resp.Body.Close()
}

// asRequest takes the text of the request apart for net/http.
func (c *conn) asRequest(r *result, trace *httptrace.ClientTrace) (*http.Request, error) {
	line, _, _ := bytes.Cut(c.request, []byte(" HTTP/1.1\r\n"))
	method, target, _ := strings.Cut(string(line), " ")
	where := &url.URL{Scheme: "http", Host: c.origin.authority, Opaque: target}
	if strings.HasPrefix(target, "//") { // an opaque one would be taken for a host
		path, query, asked := strings.Cut(target, "?")
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return nil, errRequest
		}
		where = &url.URL{Scheme: "http", Host: c.origin.authority, Path: decoded, RawPath: path, RawQuery: query, ForceQuery: asked}
	}
	req := (&http.Request{
		Method: method, Host: c.origin.authority, URL: where,
		Header: http.Header{"User-Agent": {""}}, // none, as in HTTP/1.1
	}).WithContext(httptrace.WithClientTrace(context.Background(), trace)) // an interruption comes by abort
	if c.origin.tls {
		req.URL.Scheme = "https"
	}
	for _, f := range c.job.Header {
		req.Header.Add(f.Name, c.job.filled(f.Value, r.stream, r.n))
	}
	body := c.job.Body
	if c.job.byKey != nil {
		body = []byte(c.job.filled(string(body), r.stream, r.n))
	}
	switch {
	case len(body) > 0:
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	case c.job.hasBody():
		req.Body = http.NoBody // a length of 0 is said
	}
	return req, nil
}

// A streamError is net/http's own error of a stream, which it turns into any
// type of this shape.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream error" }

// broken gives an error of a stream its right name; begun: the answer's header had come.
// net/http names some of them only by their text.
func (c *conn) broken(err error, begun bool, deadline time.Time) error {
	text := err.Error()
	if first := c.first.err.Load(); first != nil && !errors.Is(*first, net.ErrClosed) && (errors.Is(err, net.ErrClosed) || strings.Contains(text, "http2: client conn")) {
		err = *first // the connection had ended before the stream began
	}
	var stream streamError
	if errors.As(err, &stream) && stream.Cause != nil {
		err = stream.Cause
	}
	switch {
	case c.stopped.Load():
		return errInterrupted
	case errors.Is(err, os.ErrDeadlineExceeded), !time.Now().Before(deadline):
		return syscall.ETIMEDOUT
	case errors.Is(err, errHeaderLimit), errors.Is(err, errBodyLimit), errors.Is(err, errExtra), errors.Is(err, errProtocol):
		return err
	case strings.Contains(text, "response header list larger"):
		return errHeaderLimit
	case strings.Contains(text, "request header list larger"), strings.Contains(text, "http2: invalid"), strings.Contains(text, "http: invalid"):
		return errRequest
	case strings.Contains(text, "more than declared"):
		return errExtra
	case strings.Contains(text, "received from peer"):
		return syscall.ECONNRESET
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), strings.Contains(text, "GOAWAY"), strings.Contains(text, "http2: client conn"):
		if begun && !strings.Contains(text, "graceful shutdown") { // which left the stream out: what came of it is not its answer (RFC 9113, 6.8)
			return io.ErrUnexpectedEOF
		}
		return errNoAnswer
	}
	if _, system := errors.AsType[syscall.Errno](err); system {
		return err
	}
	if isTLS(err) {
		return err
	}
	return unspoken{err}
}

// unspoken is an answer that is not HTTP/2, in the words of net/http.
type unspoken struct{ error }

func (unspoken) Is(target error) bool { return target == errProtocol }
