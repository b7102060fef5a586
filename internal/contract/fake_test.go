package contract_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/contract"
	"bakeoff/internal/database"
)

// fake is a small target. As newFake makes it, it keeps the contract; tests
// replace one of its parts.
type fake struct {
	db    *sql.DB
	nonce string
	// served counts the requests.
	served atomic.Int64
	// read finds the lowest id of a row of that name; 0: there is none.
	read func(ctx context.Context, name string) (int64, error)
	// draw makes up a name when the request has none.
	draw func() string
	// write sends the answer to a lookup.
	write func(w http.ResponseWriter, name string, id int64)
	// around sees every request first; it calls next to go on.
	around func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc)
}

const (
	statement  = "SELECT id FROM demo_data WHERE name = ? ORDER BY id LIMIT 1"
	characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

func newFake(db *sql.DB, nonce string) *fake {
	f := &fake{db: db, nonce: nonce, draw: drawName, write: writeAnswer}
	f.read = func(ctx context.Context, name string) (int64, error) { return f.query(ctx, statement, name) }
	f.around = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) { next(w, r) }
	return f
}

// query runs a statement that finds at most one id.
func (f *fake) query(ctx context.Context, statement string, args ...any) (id int64, err error) {
	err = f.db.QueryRowContext(ctx, statement, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// inTransaction reads as some frameworks do: in a transaction of its own, after asking for a variable.
func (f *fake) inTransaction(ctx context.Context, name string) (id int64, err error) {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	var level string
	if err := tx.QueryRowContext(ctx, "SELECT @@tx_isolation").Scan(&level); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, statement, name).Scan(&id); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	return id, nil
}

func drawName() string {
	name := make([]byte, 1+rand.IntN(255))
	for i := range name {
		name[i] = characters[rand.IntN(len(characters))]
	}
	return string(name)
}

type body struct {
	Name   string `json:"name"`
	Exists bool   `json:"exists"`
	ID     *int64 `json:"id"`
}

func encode(name string, id int64) []byte {
	b := body{Name: name, Exists: id != 0}
	if b.Exists {
		b.ID = &id
	}
	text, _ := json.Marshal(b)
	return text
}

func writeAnswer(w http.ResponseWriter, name string, id int64) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(name, id))
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.served.Add(1)
	f.around(w, r, f.serve)
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ping" && r.Method == http.MethodGet:
		fmt.Fprint(w, f.nonce)
	case r.URL.Path != "/demo":
		http.NotFound(w, r)
	case r.Method != http.MethodGet:
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
	default:
		f.demo(w, r)
	}
}

func (f *fake) demo(w http.ResponseWriter, r *http.Request) {
	names, given := r.URL.Query()["name"]
	if !given {
		names = []string{f.draw()}
	}
	name := names[0]
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > 255 {
		http.Error(w, "no such name can exist", http.StatusBadRequest)
		return
	}
	id, err := f.read(r.Context(), name)
	if err != nil {
		http.Error(w, "failed: "+err.Error(), http.StatusInternalServerError)
		return
	}
	f.write(w, name, id)
}

// openTarget is the database as targets reach it.
func openTarget(t *testing.T, a database.Access) *sql.DB {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.DBName = a.User, a.Password, a.Name
	cfg.InterpolateParams = true
	cfg.Net, cfg.Addr = "tcp", fmt.Sprintf("%s:%d", a.Host, a.Port)
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	t.Cleanup(func() { db.Close() })
	return db
}

// serveFakes serves the fakes as replicas named fake-1, fake-2, ... and behind a
// balancer that takes them in turn.
func serveFakes(t *testing.T, fakes ...*fake) (replicas []contract.Endpoint, balancer string) {
	t.Helper()
	for i, f := range fakes {
		server := httptest.NewServer(f)
		t.Cleanup(server.Close)
		replicas = append(replicas, contract.Endpoint{Name: fmt.Sprintf("fake-%d", i+1), URL: server.URL, Nonce: f.nonce})
	}
	turn := make(chan int, 1)
	turn <- 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := <-turn
		turn <- n + 1
		fakes[n%len(fakes)].ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return replicas, front.URL
}

// failedNames are the checks that failed, each once, in order.
func failedNames(r contract.Result) (names []string) {
	for _, c := range r.Failed() {
		if len(names) == 0 || names[len(names)-1] != c.Name {
			names = append(names, c.Name)
		}
	}
	return names
}

// concatenated is the statement of one who never heard of parameters.
func concatenated(name string) string {
	return strings.Replace(statement, "?", "'"+name+"'", 1)
}
