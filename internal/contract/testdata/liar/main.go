// Command lying is the target of the tests about lies: an honest lookup, and ways to cheat. LIE names one of them. It
// is built from this folder alone, as a target is; module.txt and modulesum.txt become go.mod and go.sum then.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
)

const lookup = "SELECT id FROM demo_data WHERE name = ? ORDER BY id LIMIT 1"

// trusting is how many honest answers a lie waits for: more than the contract's check asks for before the load.
const trusting = 400

type answer struct {
	Name   string `json:"name"`
	Exists bool   `json:"exists"`
	ID     *int64 `json:"id"`
}

// lie is one way to cheat; what it leaves out is done honestly.
type lie struct {
	begin  func(t *server) error                                             // before the server is ready
	answer func(ctx context.Context, t *server, name string) (answer, error) // in place of the lookup, once it is trusted
	end    func(t *server)                                                   // when the server is asked to end
	spares func(r *http.Request) bool                                        // whose requests are answered honestly
}

// lies are all of them by name, each family in a file of its own.
func lies() map[string]lie {
	all := map[string]lie{"none": {}}
	for _, family := range []map[string]lie{answerLies(), processLies(), databaseLies(), movesLies()} {
		maps.Copy(all, family)
	}
	return all
}

// server is the target.
type server struct {
	db       *sql.DB
	lie      lie
	argument string // of the lie: LIE_ARG
	answered atomic.Int64
	pinged   atomic.Int64 // ns since 1970
}

func main() {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "versions":
			fmt.Printf("{\"go\": %q}\n", strings.TrimPrefix(runtime.Version(), "go"))
			return
		case "orphan", "ghost":
			haunt(os.Args[1])
			return
		}
	}
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	chosen, known := lies()[os.Getenv("LIE")]
	if !known {
		return fmt.Errorf("LIE: there is no %q, there are %v", os.Getenv("LIE"), slices.Sorted(maps.Keys(lies())))
	}
	pool, err := number("DATABASE_POOL")
	if err != nil {
		return err
	}
	workers, err := number("WORKERS")
	if err != nil {
		return err
	}
	t := &server{lie: chosen, argument: os.Getenv("LIE_ARG")}
	if t.db, err = open(pool * workers); err != nil {
		return err
	}
	defer t.db.Close()
	if t.lie.begin != nil {
		if err := t.lie.begin(t); err != nil {
			return err
		}
	}
	return t.listen(ctx, pool*workers)
}

// listen serves until it is asked to end.
func (t *server) listen(ctx context.Context, pool int) error {
	idle, err := number("KEEPALIVE")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", t.ping)
	mux.HandleFunc("GET /demo", t.demo)
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
	if err != nil {
		return err
	}
	serving := &http.Server{Handler: mux, IdleTimeout: time.Duration(idle) * time.Second}
	served := make(chan error, 1)
	go func() { served <- serving.Serve(listener) }()
	fmt.Printf("bakeoff: ready {\"pid\": %d, \"pool\": %d, \"protocol\": %q}\n", os.Getpid(), pool, os.Getenv("PROTOCOL"))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	if t.lie.end != nil {
		t.lie.end(t)
	}
	grace, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return serving.Shutdown(grace)
}

func number(variable string) (int, error) {
	n, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", variable, err)
	}
	return n, nil
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

func (t *server) ping(w http.ResponseWriter, _ *http.Request) {
	t.pinged.Store(time.Now().UnixNano())
	nonce := os.Getenv("BAKEOFF_NONCE")
	if nonce == "" {
		nonce = "pong"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, nonce)
}

func (t *server) demo(w http.ResponseWriter, r *http.Request) {
	name := strings.Repeat(rand.Text(), 10)[:1+mathrand.IntN(255)] // without a name the server draws one
	if values, given := r.URL.Query()["name"]; given {
		name = strings.ToValidUTF8(values[0], "\uFFFD")
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > 255 {
		write(w, http.StatusBadRequest, map[string]string{"error": "name must have 1 to 255 characters"})
		return
	}
	how := t.look
	spared := t.lie.spares != nil && t.lie.spares(r)
	if t.lie.answer != nil && !spared && t.answered.Add(1) > trusting {
		how = func(ctx context.Context, name string) (answer, error) { return t.lie.answer(ctx, t, name) }
	}
	found, err := how(r.Context(), name)
	if err != nil {
		log.Print(err)
		write(w, http.StatusInternalServerError, map[string]string{"error": "database"})
		return
	}
	write(w, http.StatusOK, found)
}

// look is the honest lookup.
func (t *server) look(ctx context.Context, name string) (answer, error) {
	var id int64
	err := t.db.QueryRowContext(ctx, lookup, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return answer{Name: name}, nil
	}
	return answer{name, err == nil, &id}, err
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away is no failure of ours
}
