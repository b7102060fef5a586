package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
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

// begin makes HTTP/2 of a fresh connection: agreed on by TLS, or without asking
// where there is none (RFC 9113, 3.2 and 3.3). net/http's connection does
// not dial, retry, or choose another connection: one that it is given is all it has.
func (c *conn) begin(ctx context.Context, nc net.Conn) error {
	scheme := "http"
	if t, secure := nc.(*tls.Conn); secure {
		scheme = "https"
		if t.ConnectionState().NegotiatedProtocol != "h2" {
			return errNotHTTP2
		}
	}
	given := func(context.Context, string, string) (net.Conn, error) { return nc, nil }
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	t := &http.Transport{
		DialContext: given, DialTLSContext: given, Protocols: &protocols,
		DisableCompression: true, MaxResponseHeaderBytes: headerLimit,
	}
	var err error
	c.two, err = t.NewClientConn(ctx, scheme, c.origin.address)
	return err
}

// serves tells whether the connection takes another stream.
func (c *conn) serves() bool { return c.two.Err() == nil && c.two.Available() > 0 }

// stream makes one request on an HTTP/2 connection and reads the answer to its last byte.
// The time-out is the connection's and not a context's: after its error the writing has ended, too.
func (c *conn) stream(r *result, deadline time.Time) (length int64, err error) {
	if err := c.nc.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if c.stopped.Load() {
		return 0, errInterrupted
	}
	var written atomic.Bool
	interim := 0
	req, err := c.asRequest(&httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) { written.Store(info.Err == nil) },
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			if interim++; interim > interimLimit {
				return errHeaderLimit
			}
			return nil
		},
	})
	if err != nil {
		return 0, err
	}
	resp, err := c.two.RoundTrip(req)
	r.written = err == nil || written.Load()
	if err != nil {
		return 0, c.broken(err, false, deadline)
	}
	if length, err = c.readBody(resp, r.checked); err != nil {
		return 0, c.broken(err, true, deadline)
	}
	c.served(r, resp)
	if c.job.Phase.Reconnect || c.nc.SetDeadline(time.Time{}) != nil { // none between requests
		c.close()
	}
	return length, nil
}

// asRequest takes the text of the request apart for net/http.
func (c *conn) asRequest(trace *httptrace.ClientTrace) (*http.Request, error) {
	line, _, _ := bytes.Cut(c.request, []byte(" HTTP/1.1\r\n"))
	method, target, _ := strings.Cut(string(line), " ")
	if strings.HasPrefix(target, "//") {
		return nil, errRequest // net/http would take it for a host
	}
	req := (&http.Request{
		Method: method, Host: c.origin.authority, URL: &url.URL{Scheme: "http", Host: c.origin.authority, Opaque: target},
		Header: http.Header{"User-Agent": {""}}, // none, as in HTTP/1.1
	}).WithContext(httptrace.WithClientTrace(context.Background(), trace)) // an interruption comes by abort
	if c.origin.tls {
		req.URL.Scheme = "https"
	}
	for name, value := range c.job.Header {
		req.Header.Set(name, value)
	}
	if len(c.job.Body) > 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(c.job.Body)), int64(len(c.job.Body))
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
	var stream streamError
	if errors.As(err, &stream) && stream.Cause != nil {
		err = stream.Cause
	}
	switch {
	case c.stopped.Load():
		return errInterrupted
	case errors.Is(err, os.ErrDeadlineExceeded), !time.Now().Before(deadline):
		return syscall.ETIMEDOUT
	case errors.Is(err, errHeaderLimit), errors.Is(err, errBodyLimit):
		return err
	case strings.Contains(text, "header list larger"):
		return errHeaderLimit
	case strings.Contains(text, "more than declared"):
		return errExtra
	case strings.Contains(text, "received from peer"):
		return syscall.ECONNRESET
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "GOAWAY"), strings.Contains(text, "http2: client conn"):
		if begun {
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
	return errProtocol
}
