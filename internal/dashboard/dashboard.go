// Package dashboard shows the runs of a folder as pages of a web browser, live and finished. It is a reader of run
// directories like any other: it follows a run that is under way by record.Follow, and what it sends has the position
// in the record as its identifier, so that a page that was cut off continues where it was. The numbers of finished
// trials are those of figures, drawn by report; what is under way is that of live.
//
// It changes nothing, and it refuses whatever is not asked for by a page of its own: names of other hosts, other
// methods than GET and HEAD, folders that are no run below its own. It never waits for a page: one that is slow loses
// detail, and the next whole state says so. It serves this machine only, unless it is given a token.
package dashboard

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// Loopback is where pages are served by default: this machine, at a port that is free.
const Loopback = "127.0.0.1:0"

// leastToken is how long a token must be at least, in bytes.
const leastToken = 16

// Options are what to serve, and where.
type Options struct {
	Root   string // folder of runs
	Run    string // the name of the run in it that the first page shows; empty: the list
	Listen string // host and port; empty: Loopback
	// Token is what a browser must show; empty: on another address than this machine's own one is made.
	Token string
}

// Server serves the pages.
type Server struct {
	root     string                 // without links
	first    atomic.Pointer[string] // the run that the first page shows
	listener net.Listener
	guard    guard
	shelf    *shelf
	watches  *watches
	http     *http.Server
}

// Open listens, and serves nothing yet.
func Open(o Options) (*Server, error) {
	if o.Listen == "" {
		o.Listen = Loopback
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("dashboard: listen: %w", err)
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	l = netutil.LimitListener(l, mostConnections)
	s := &Server{root: root, listener: l, shelf: newShelf(root), watches: newWatches()}
	s.Show(o.Run)
	if s.guard, err = newGuard(host, l.Addr(), o.Token); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s.http = &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: quiet()}
	return s, nil
}

// newGuard is who may ask, for a server at an address that was given as host.
func newGuard(host string, at net.Addr, token string) (guard, error) {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return guard{}, fmt.Errorf("dashboard: %v is no TCP address", at)
	}
	g := guard{port: strconv.Itoa(tcp.Port), loopback: tcp.IP.IsLoopback(), names: map[string]bool{"localhost": true}, token: token}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		g.names[strings.ToLower(host)] = true
	}
	if name, err := os.Hostname(); err == nil && !g.loopback {
		g.names[strings.ToLower(name)] = true
	}
	switch {
	case token != "" && len(token) < leastToken:
		return g, fmt.Errorf("dashboard: the token has %d bytes, at least %d are needed", len(token), leastToken)
	case token == "" && !g.loopback:
		var secret [32]byte
		_, _ = rand.Read(secret[:]) // never fails
		g.token = base64.RawURLEncoding.EncodeToString(secret[:])
	}
	return g, nil
}

// URL is the first page, with the token where there is one.
func (s *Server) URL() string {
	at := s.listener.Addr().String()
	if tcp, ok := s.listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		name, err := os.Hostname()
		if err != nil {
			name = "localhost"
		}
		at = net.JoinHostPort(name, s.guard.port)
	}
	u := url.URL{Scheme: "http", Host: at, Path: "/"}
	if run := *s.first.Load(); run != "" {
		u = *u.JoinPath("run", run, "/")
	}
	if s.guard.token != "" {
		u.RawQuery = url.Values{tokenKey: {s.guard.token}}.Encode()
	}
	return u.String()
}

// Show sets the run that the first page shows.
func (s *Server) Show(run string) { s.first.Store(&run) }

// Serve serves until the context ends, and then leaves whatever is open: nobody waits for a page.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	defer s.Close()
	err := s.http.Serve(s.listener)
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("dashboard: %w", err)
}

// Close ends everything at once. It may be called several times.
func (s *Server) Close() {
	s.watches.close()
	_ = s.http.Close() // what was open is given up
}
