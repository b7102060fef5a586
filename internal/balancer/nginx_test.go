package balancer_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/balancer"
	"bakeoff/internal/platform/local"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		os.Exit(local.Guard())
	}
	os.Exit(m.Run())
}

// backend is one replica, which answers with its name.
type backend struct {
	*httptest.Server
	name  string
	asked atomic.Int64
}

func startBackend(t *testing.T, name string, status int) *backend {
	t.Helper()
	b := &backend{name: name}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		w.WriteHeader(status)
		fmt.Fprint(w, name, r.URL.RequestURI())
	}))
	b.Start()
	t.Cleanup(b.Close)
	return b
}

func startNginx(t *testing.T, backends ...*backend) *balancer.Nginx {
	t.Helper()
	p, err := local.Open(t.Context(), local.Options{Self: []string{os.Args[0], "guard"}, StateDir: t.TempDir(), Share: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(t.TempDir(), `my "runs"; {of} 'all' $kinds \ # of`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := balancer.Options{Platform: p, Dir: dir, InFlight: 8}
	for _, b := range backends {
		o.Backends = append(o.Backends, balancer.Backend{Name: b.name, Address: strings.TrimPrefix(b.URL, "http://")})
	}
	n, err := balancer.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(context.Background(), 5*time.Second); err != nil {
			t.Error(err)
		}
	})
	return n
}

func get(t *testing.T, url string) (replica, body string, status int) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Get("X-Bakeoff-Replica"), string(data), resp.StatusCode
}

func TestRoundRobinNamesReplicasAndCounts(t *testing.T) {
	backends := []*backend{startBackend(t, "a-1", 200), startBackend(t, "a-2", 200), startBackend(t, "a-3", 200)}
	n := startNginx(t, backends...)
	before, err := n.Requests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const asked = 300
	for i := range asked {
		replica, body, status := get(t, fmt.Sprintf("%s/demo?name=%%25x%d", n.URL(), i))
		if status != 200 || !strings.HasPrefix(body, replica) || replica == "" {
			t.Fatalf("replica %q answered %d %q", replica, status, body)
		}
		if !strings.HasSuffix(body, fmt.Sprintf("/demo?name=%%25x%d", i)) {
			t.Fatalf("the request target was changed: %q", body)
		}
	}
	for _, b := range backends {
		if got := b.asked.Load(); got != asked/3 {
			t.Errorf("%s was asked %d times, want exactly %d", b.name, got, asked/3)
		}
	}
	after, err := n.Requests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after-before != asked {
		t.Errorf("nginx counts %d requests, want %d: its own status requests are taken off", after-before, asked)
	}
}

func TestFailuresShow(t *testing.T) {
	good, bad := startBackend(t, "a-1", 200), startBackend(t, "a-2", 500)
	n := startNginx(t, good, bad)
	gone := startBackend(t, "b-1", 200)
	m := startNginx(t, gone)
	gone.Close()
	failed := 0
	for range 100 {
		if replica, _, status := get(t, n.URL()); status == 500 {
			failed++
			if replica != "a-2" {
				t.Fatalf("the failing answer is put on %q", replica)
			}
		}
	}
	if failed != 50 || good.asked.Load() != 50 {
		t.Errorf("%d of 100 failures show, the good replica was asked %d times: want 50 and 50, nothing is retried", failed, good.asked.Load())
	}
	for range 3 {
		if _, _, status := get(t, m.URL()); status != 502 {
			t.Errorf("a replica that is gone gives %d, want 502 every time", status)
		}
	}
}

func TestConnectionsToReplicasAreKept(t *testing.T) {
	var opened atomic.Int64
	b := &backend{name: "a-1"}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a-1") }))
	b.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	b.Start()
	t.Cleanup(b.Close)
	n := startNginx(t, b)
	for range 200 {
		get(t, n.URL())
	}
	if got := opened.Load(); got != 1 {
		t.Errorf("%d connections were opened for 200 requests in a row, want 1", got)
	}
}
