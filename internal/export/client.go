package export

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/consent"
)

// client asks one server, at addresses that may be sent to. It follows no redirect.
type client struct {
	url       string // without a slash at its end
	authorize func(*http.Request)
	http      *http.Client
}

// reach says how a server is reached.
type reach struct {
	kind       string // influxdb or otlp, for errors
	url        string
	caFile     string        // PEM; empty: the system's authorities
	allowHosts []string      // that may be sent to in addition to this machine
	timeout    time.Duration // of one request; 0: 10 s
	transport  http.RoundTripper
	authorize  func(*http.Request) // adds what proves who asks
}

// connect makes a client. It sends nothing.
func (r reach) connect() (*client, error) {
	if r.timeout == 0 {
		r.timeout = 10 * time.Second
	}
	roots := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.caFile != "" {
		pem, err := os.ReadFile(r.caFile)
		if err != nil {
			return nil, fmt.Errorf("%s: ca_file: %w", r.kind, err)
		}
		roots.RootCAs = x509.NewCertPool()
		if !roots.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: ca_file %s holds no certificate", r.kind, r.caFile)
		}
	}
	dialer := &net.Dialer{Timeout: r.timeout}
	var transport http.RoundTripper = &http.Transport{
		TLSClientConfig: roots, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: r.timeout,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return r.dial(ctx, dialer, network, address)
		},
	}
	if r.transport != nil {
		transport = r.transport
	}
	return &client{url: strings.TrimSuffix(r.url, "/"), authorize: r.authorize, http: &http.Client{
		Transport: transport, Timeout: r.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// dial connects to an address of the host that may be sent to.
func (r reach) dial(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := consent.Host(host, r.allowHosts); err != nil {
		return nil, err
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, addr := range found {
		if err := consent.Address(host, addr.Unmap(), r.allowHosts); err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := d.DialContext(ctx, network, net.JoinHostPort(addr.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// mostAnswer is what is read of an answer.
const mostAnswer = 64 << 10

// ask sends one request and reads its answer.
func (c *client) ask(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for key, values := range header {
		req.Header[key] = values
	}
	req.Header.Set("User-Agent", "bakeoff")
	c.authorize(req)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return nil, nil, fmt.Errorf("the answer broke off: %w", err)
	}
	return res, text, nil
}

// refusal is an answer that says no to what was sent: sent again it would be refused again.
type refusal struct {
	status  int
	dropped int  // points, where the server says how many; 0: it does not
	final   bool // parts of what was sent would be refused too
	text    string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.text) }

// trouble is an answer that may be another one later.
type trouble struct {
	status int
	after  time.Duration // that the server asks for; 0: it does not
	text   string
}

func (t *trouble) Error() string { return fmt.Sprintf("status %d: %s", t.status, t.text) }

// refused are answers that another attempt does not change: what was sent is at fault.
func refused(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
}

// said is what an answer says, cut short.
func said(body []byte) string {
	text := strings.TrimSpace(string(body))
	var known struct{ Error, Message string }
	if json.Unmarshal(body, &known) == nil && known.Error+known.Message != "" {
		text = known.Error + known.Message
	}
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return text
}

// later is an answer that says nothing of the points.
func later(res *http.Response, body []byte) *trouble {
	return &trouble{status: res.StatusCode, after: retryAfter(res.Header.Get("Retry-After"), time.Now()), text: said(body)}
}

// mostAfter bounds what a server may ask for.
const mostAfter = time.Minute

// retryAfter is how long a server asks to wait, by seconds or by a date (RFC 9110, 10.2.3); 0: it does not.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(0, seconds), int(mostAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), mostAfter)
}
