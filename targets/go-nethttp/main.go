// Command go-nethttp serves the lookup with net/http and go-sql-driver/mysql:
// the compiled reference. It is built from this folder alone; module.txt and
// modulesum.txt become go.mod and go.sum then.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
)

const (
	lookup    = "SELECT id FROM demo_data WHERE name = ? ORDER BY id LIMIT 1"
	longest   = 255
	alphabet  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	proofTime = 0.2 // seconds each statement of the overlap proof sleeps
)

type answer struct {
	Name   string `json:"name"`
	Exists bool   `json:"exists"`
	ID     *int64 `json:"id"`
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "versions" {
		printVersions()
		return
	}
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	pool, err := strconv.Atoi(os.Getenv("DATABASE_POOL"))
	if err != nil {
		return fmt.Errorf("DATABASE_POOL: %w", err)
	}
	workers, err := strconv.Atoi(os.Getenv("WORKERS"))
	if err != nil {
		return fmt.Errorf("WORKERS: %w", err)
	}
	// One process does the work of all workers, so it has all their connections.
	pool *= workers
	db, err := open(pool)
	if err != nil {
		return err
	}
	defer db.Close()
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
	if err != nil {
		return err
	}
	defer listener.Close()
	server, err := newServer(db)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := sayReady(ctx, pool); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

func open(pool int) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = net.JoinHostPort(os.Getenv("DATABASE_HOST"), os.Getenv("DATABASE_PORT"))
	config.User = os.Getenv("DATABASE_USER")
	config.Passwd = os.Getenv("DATABASE_PASSWORD")
	config.DBName = os.Getenv("DATABASE_NAME")
	config.InterpolateParams = os.Getenv("PROTOCOL") == "text"
	if err := config.Apply(mysql.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(pool)
	db.SetMaxIdleConns(pool)
	return db, nil
}

func newServer(db *sql.DB) (*http.Server, error) {
	idle, err := strconv.Atoi(os.Getenv("KEEPALIVE"))
	if err != nil {
		return nil, fmt.Errorf("KEEPALIVE: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", ping)
	mux.HandleFunc("GET /demo", func(w http.ResponseWriter, r *http.Request) { demo(w, r, db) })
	var handler http.Handler = mux
	if os.Getenv("BAKEOFF_ACCESS_LOG") == "1" {
		handler = accessLog(mux)
	}
	if replica := os.Getenv("BAKEOFF_REPLICA"); replica != "" {
		handler = named(handler, replica)
	}
	return &http.Server{Handler: handler, IdleTimeout: time.Duration(idle) * time.Second}, nil
}

func ping(w http.ResponseWriter, _ *http.Request) {
	nonce := os.Getenv("BAKEOFF_NONCE")
	if nonce == "" {
		nonce = "pong"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, nonce)
}

func demo(w http.ResponseWriter, r *http.Request, db *sql.DB) {
	name := randomName()
	if values, given := r.URL.Query()["name"]; given {
		name = strings.ToValidUTF8(values[0], "\uFFFD")
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > longest {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "name must have 1 to 255 characters"})
		return
	}
	found := answer{Name: name}
	var id int64
	switch err := db.QueryRowContext(r.Context(), lookup, name).Scan(&id); {
	case err == nil:
		found.Exists, found.ID = true, &id
	case !errors.Is(err, sql.ErrNoRows):
		log.Print(err)
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "database"})
		return
	}
	writeJSON(w, http.StatusOK, found)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away is no failure of ours
}

func randomName() string {
	name := make([]byte, 1+rand.IntN(longest))
	for i := range name {
		name[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return string(name)
}

// named has every answer say which replica gave it.
func named(next http.Handler, replica string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Bakeoff-Replica", replica)
		next.ServeHTTP(w, r)
	})
}

func accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		log.Printf("%s %s %s", r.RemoteAddr, r.Method, r.URL.RequestURI())
	})
}

// span is when a statement began and ended, in seconds.
type span struct{ began, ended float64 }

// overlap runs two sleeping statements at once. It asks through a pool of its
// own, made the same way: one of a single connection could not show it.
func overlap(ctx context.Context) (spans [2]span, err error) {
	db, err := open(2)
	if err != nil {
		return spans, err
	}
	defer db.Close()
	var connections [2]*sql.Conn
	for i := range connections {
		if connections[i], err = db.Conn(ctx); err != nil {
			return spans, err
		}
		defer connections[i].Close()
	}
	zero := time.Now()
	var errs [2]error
	var both sync.WaitGroup
	for i, connection := range connections {
		both.Go(func() {
			var result int
			spans[i].began = time.Since(zero).Seconds()
			errs[i] = connection.QueryRowContext(ctx, "SELECT SLEEP(?)", proofTime).Scan(&result)
			spans[i].ended = time.Since(zero).Seconds()
		})
	}
	both.Wait()
	return spans, errors.Join(errs[:]...)
}

// sayReady shows that two statements run at once in this process, then says so.
func sayReady(ctx context.Context, pool int) error {
	spans, err := overlap(ctx)
	if err != nil {
		return fmt.Errorf("overlap proof: %w", err)
	}
	line, err := json.Marshal(map[string]any{
		"pid": os.Getpid(), "pool": pool, "protocol": os.Getenv("PROTOCOL"),
		"overlap": map[string]float64{
			"first_began": spans[0].began, "first_ended": spans[0].ended,
			"second_began": spans[1].began, "second_ended": spans[1].ended,
		},
	})
	if err != nil {
		return err
	}
	_, err = fmt.Printf("bakeoff: ready %s\n", line)
	return err
}

func printVersions() {
	versions := map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			versions[module.Path] = module.Version
		}
	}
	line, err := json.Marshal(versions)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", line)
}
