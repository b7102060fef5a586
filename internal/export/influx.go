package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/consent"
)

// Influx says where an InfluxDB is, of any version, or what speaks its protocol. A database is v1's, bucket and
// org are v2's.
type Influx struct {
	URL            string // of the server, such as http://127.0.0.1:8086
	Database       string
	Bucket, Org    string
	User, Password string
	Token          string
	CAFile         string        // PEM; empty: the system's authorities
	AllowHosts     []string      // that may be sent to in addition to this machine
	Timeout        time.Duration // of one request; 0: 10 s

	transport http.RoundTripper // in place of the network; nil but in tests
}

// server is an Influx being written to.
type server struct {
	Influx
	client *http.Client
	one    bool // InfluxDB 1, in which a database can be made
	three  bool // InfluxDB 3, which fixes a table's tags at its first point
}

// refusal is an answer that says no to what was sent: sent again it would be refused again.
type refusal struct {
	status  int
	dropped int // points, where the server says how many; 0: it does not
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

// most is what is read of an answer.
const mostAnswer = 64 << 10

// connect makes what writes to a server. It sends nothing.
func (i Influx) connect() (*server, error) {
	if i.Timeout == 0 {
		i.Timeout = 10 * time.Second
	}
	roots := &tls.Config{MinVersion: tls.VersionTLS12}
	if i.CAFile != "" {
		pem, err := os.ReadFile(i.CAFile)
		if err != nil {
			return nil, fmt.Errorf("influxdb: ca_file: %w", err)
		}
		roots.RootCAs = x509.NewCertPool()
		if !roots.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("influxdb: ca_file %s holds no certificate", i.CAFile)
		}
	}
	dialer := &net.Dialer{Timeout: i.Timeout}
	var transport http.RoundTripper = &http.Transport{
		TLSClientConfig: roots, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: i.Timeout,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return i.dial(ctx, dialer, network, address)
		},
	}
	if i.transport != nil {
		transport = i.transport
	}
	return &server{Influx: i, client: &http.Client{
		Transport: transport, Timeout: i.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// dial connects to an address of the host that may be sent to.
func (i Influx) dial(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := consent.Host(host, i.AllowHosts); err != nil {
		return nil, err
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, addr := range found {
		if err := consent.Address(host, addr.Unmap(), i.AllowHosts); err != nil {
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

// begin finds out what the server is; whatever answers anything but success is not yet it, such as a proxy in front.
func (s *server) begin(ctx context.Context) error {
	res, body, err := s.ask(ctx, http.MethodGet, "/ping", nil, nil)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("ping: %w", later(res, body))
	}
	version := strings.TrimPrefix(res.Header.Get("X-Influxdb-Version"), "v")
	s.one, s.three = strings.HasPrefix(version, "1."), strings.HasPrefix(version, "3.")
	return nil
}

// create makes the database of a v1; one that exists stays as it is. Not every user who may write may do it.
func (s *server) create(ctx context.Context) error {
	text := `CREATE DATABASE "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s.Database) + `"`
	res, body, err := s.ask(ctx, http.MethodPost, "/query?"+url.Values{"q": {text}}.Encode(), nil, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || bytes.Contains(body, []byte(`"error"`)) {
		return fmt.Errorf("create database %q: %w", s.Database, later(res, body))
	}
	return nil
}

// post writes lines with their times in nanoseconds, into a database that is made where it is missing.
func (s *server) post(ctx context.Context, lines []byte) error {
	err := s.write(ctx, lines)
	var t *trouble
	if !s.one || s.Database == "" || !errors.As(err, &t) || t.status != http.StatusNotFound {
		return err
	}
	if failed := s.create(ctx); failed != nil {
		return errors.Join(err, failed)
	}
	return s.write(ctx, lines)
}

func (s *server) write(ctx context.Context, lines []byte) error {
	var packed bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed) // the level is one that there is
	if _, err := zip.Write(lines); err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	path := "/write?" + url.Values{"db": {s.Database}, "precision": {"ns"}}.Encode()
	if s.Bucket != "" {
		path = "/api/v2/write?" + url.Values{"bucket": {s.Bucket}, "org": {s.Org}, "precision": {"ns"}}.Encode()
	}
	res, body, err := s.ask(ctx, http.MethodPost, path, packed.Bytes(), http.Header{
		"Content-Type": {"text/plain; charset=utf-8"}, "Content-Encoding": {"gzip"},
	})
	if err != nil {
		return err
	}
	if res.StatusCode/100 == 2 {
		return nil
	}
	return answered(res, body)
}

// ask sends one request and reads its answer.
func (s *server) ask(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for key, values := range header {
		req.Header[key] = values
	}
	req.Header.Set("User-Agent", "bakeoff")
	switch {
	case s.Token != "":
		req.Header.Set("Authorization", "Token "+s.Token)
	case s.User != "":
		req.SetBasicAuth(s.User, s.Password)
	}
	res, err := s.client.Do(req)
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

// refused are answers that another attempt does not change: what was sent is at fault.
func refused(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
}

var droppedText = regexp.MustCompile(`dropped=(\d+)`)

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
	t := &trouble{status: res.StatusCode, text: said(body)}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		t.after = min(time.Duration(seconds)*time.Second, time.Minute)
	}
	return t
}

// answered is what an answer to points means that is no success. InfluxDB 1 says dropped=0 of lines that it cannot
// parse, so only another number counts.
func answered(res *http.Response, body []byte) error {
	if !refused(res.StatusCode) {
		return later(res, body)
	}
	r := &refusal{status: res.StatusCode, text: said(body)}
	if m := droppedText.FindSubmatch(body); m != nil {
		r.dropped, _ = strconv.Atoi(string(m[1])) // digits
	}
	return r
}
