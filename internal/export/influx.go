package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Influx says where an InfluxDB is, of any version, or what speaks its protocol. A database is v1's, bucket and
// org are v2's.
type Influx struct {
	URL            string // of the server, such as http://127.0.0.1:8086
	Database       string
	Bucket, Org    string
	Schema         string // which measurements are written; empty: bakeoff's
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
	*client
	one   bool // InfluxDB 1, in which a database can be made
	three bool // InfluxDB 3, which fixes a table's tags at its first point
}

// connect makes what writes to a server. It sends nothing.
func (i Influx) connect() (*server, error) {
	c, err := reach{
		kind: "influxdb", url: i.URL, caFile: i.CAFile, allowHosts: i.AllowHosts, timeout: i.Timeout, transport: i.transport,
		authorize: i.authorize,
	}.connect()
	return &server{Influx: i, client: c}, err
}

func (i Influx) authorize(req *http.Request) {
	switch {
	case i.Token != "":
		req.Header.Set("Authorization", "Token "+i.Token)
	case i.User != "":
		req.SetBasicAuth(i.User, i.Password)
	}
}

func (i Influx) open() (taker, former, error) {
	s, err := i.connect()
	return s, i.form, err
}

func (s *server) name() string { return "influxdb at " + s.URL }

// begin finds out what the server is, and has InfluxDB 3 know all tags of JMeter's measurement.
func (s *server) begin(ctx context.Context) error {
	if err := s.identify(ctx); err != nil || !s.three || s.Schema == SchemaBakeoff || s.Schema == "" {
		return err
	}
	var no *refusal
	if err := s.post(ctx, everyTag(time.Unix(0, 0)).line(nil)); err != nil && !errors.As(err, &no) {
		return err
	}
	return nil
}

// identify asks for the version; whatever answers anything but success is not yet the server, such as a proxy in front.
func (s *server) identify(ctx context.Context) error {
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
	packed, err := zipped(lines)
	if err != nil {
		return err
	}
	path := "/write?" + url.Values{"db": {s.Database}, "precision": {"ns"}}.Encode()
	if s.Bucket != "" {
		path = "/api/v2/write?" + url.Values{"bucket": {s.Bucket}, "org": {s.Org}, "precision": {"ns"}}.Encode()
	}
	res, body, err := s.ask(ctx, http.MethodPost, path, packed, http.Header{
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

// zipped is a body as it is sent.
func zipped(body []byte) ([]byte, error) {
	var packed bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed) // the level is one that there is
	if _, err := zip.Write(body); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

var droppedText = regexp.MustCompile(`dropped=(\d+)`)

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
