package remote

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"bakeoff/internal/record"
)

// Options are what a controller offers.
type Options struct {
	Token string
	Root  string // folder of run directories, in which a run to resume arrives
	// Resume: a run is taken in by POST /record; without it none is.
	Resume bool
	// Stop ends the run as Ctrl-C does. It is called once.
	Stop func()
}

// Server is the controller's side. It is safe for concurrent use.
type Server struct {
	o    Options
	stop sync.Once

	mu      sync.Mutex // never held while a laptop is waited for
	dir     string     // the run directory; empty: none yet
	outcome *Outcome
	opened  chan struct{} // closed once dir is known
	ended   chan struct{} // closed once outcome is
	acked   chan struct{}

	arrival  sync.Mutex    // of the run to resume
	upload   string        // its directory, once it is whole
	uploaded chan struct{} // closed then
}

// NewServer returns a server of a run that has not begun.
func NewServer(o Options) (*Server, error) {
	if o.Token == "" {
		return nil, errors.New("remote: no token")
	}
	return &Server{
		o: o, opened: make(chan struct{}), ended: make(chan struct{}), acked: make(chan struct{}), uploaded: make(chan struct{}),
	}, nil
}

// Opened says where the run directory is; once.
func (s *Server) Opened(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dir = dir
	close(s.opened)
}

// Ended says how the run ended; once, after the record is closed.
func (s *Server) Ended(o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcome = &o
	close(s.ended)
}

// Acked is closed once the laptop has fetched everything; never before Ended.
func (s *Server) Acked() <-chan struct{} { return s.acked }

// Uploaded waits for a run to resume, and returns its directory.
func (s *Server) Uploaded(ctx context.Context) (dir string, err error) {
	select {
	case <-s.uploaded:
		return s.upload, nil
	case <-ctx.Done():
		return "", fmt.Errorf("remote: no run to resume has arrived: %w", context.Cause(ctx))
	}
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); ctx.Err() == nil {
		return fmt.Errorf("remote: %w", err)
	}
	return nil
}

// Handler answers who knows the token.
func (s *Server) Handler() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /run", s.serveRun)
	routes.HandleFunc("GET /events", s.serveEvents)
	routes.HandleFunc("GET /files", s.serveFiles)
	routes.HandleFunc("GET /file/{path...}", s.serveFile)
	routes.HandleFunc("POST /stop", s.serveStop)
	routes.HandleFunc("POST /ack", s.serveAck)
	routes.HandleFunc("POST /record/{path...}", s.takePiece)
	routes.HandleFunc("POST /record", s.takeWhole)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(TokenHeader)), []byte(s.o.Token)) != 1 {
			http.Error(w, "the token is not the run's", http.StatusUnauthorized)
			return
		}
		routes.ServeHTTP(w, r)
	})
}

// place is the run directory; empty: there is none yet.
func (s *Server) place() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dir
}

// state is how the run stands.
func (s *Server) state() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := State{Ended: s.outcome != nil, Outcome: s.outcome}
	if s.dir != "" {
		state.Name = filepath.Base(s.dir)
	}
	return state
}

func (s *Server) serveRun(w http.ResponseWriter, _ *http.Request) { answer(w, s.state()) }

func (s *Server) serveStop(w http.ResponseWriter, _ *http.Request) {
	s.stop.Do(s.o.Stop)
	w.WriteHeader(http.StatusNoContent)
}

// serveAck refuses a word that comes too early: what was not there yet cannot have been fetched.
func (s *Server) serveAck(w http.ResponseWriter, _ *http.Request) {
	if !s.ack() {
		http.Error(w, "the run has not ended", http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// ack reports whether the run has ended, and then says that it is fetched.
func (s *Server) ack() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outcome == nil {
		return false
	}
	select {
	case <-s.acked:
	default:
		close(s.acked)
	}
	return true
}

func (s *Server) serveFiles(w http.ResponseWriter, _ *http.Request) {
	dir := s.place()
	if dir == "" {
		answer(w, []record.FileSeal{})
		return
	}
	files, err := record.Files(dir, true)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, files)
}

// serveFile gives a regular file of the run directory, or a range of it. No path leads out of it, nor does a link.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	dir := s.place()
	if dir == "" {
		http.Error(w, "there is no run directory yet", http.StatusNotFound)
		return
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer root.Close() // nothing was written
	path := filepath.FromSlash(r.PathValue("path"))
	file, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would block
	if err != nil {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	defer file.Close() // opened for reading
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		http.Error(w, "it is no regular file", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream") // a proxy may change what is a page
	http.ServeContent(w, r, "", time.Time{}, file)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked is gone
}
