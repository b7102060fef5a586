package balancer_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Redrawing closes the connections to replicas and those of clients, and nothing else: no request is lost or counted twice.
func TestRedraw(t *testing.T) {
	var opened, closed atomic.Int64
	b := startBackend(t, "a-1", 200)
	b.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	n := startNginx(t, b)
	worker := n.Process().PIDs()
	for round := int64(1); round <= 3; round++ {
		for range 20 {
			if _, _, status := get(t, n.URL()); status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
		}
		if opened.Load() != round {
			t.Errorf("round %d: %d connections to the replica were opened, want one a round", round, opened.Load())
		}
		http.DefaultClient.CloseIdleConnections()
		before := n.Process().PIDs()
		if err := n.Redraw(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := n.Process().PIDs(); len(now) != 2 || len(before) != 2 || now[1] == before[1] {
			t.Errorf("round %d: processes %v, and %v as soon as the connections are redrawn", round, before, now)
		}
		for end := time.Now().Add(10 * time.Second); closed.Load() < round && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // until the replica has seen it
		}
		if closed.Load() != round {
			t.Errorf("round %d: %d connections were closed", round, closed.Load())
		}
		count, err := n.Requests(t.Context())
		if err != nil || count != 20*round {
			t.Errorf("round %d: nginx counts %d requests, %v", round, count, err)
		}
	}
	if now := n.Process().PIDs(); len(now) != len(worker) || now[0] != worker[0] || now[1] == worker[1] {
		t.Errorf("processes %v, then %v: want the same first one, and another worker", worker, now)
	}
}

// Where nginx has ended that is said.
func TestRedrawWithoutNginx(t *testing.T) {
	n := startNginx(t, startBackend(t, "a-1", 200))
	if err := n.Stop(context.Background(), time.Second); err != nil {
		t.Fatal(err)
	}
	if err := n.Redraw(t.Context()); err == nil || !strings.Contains(err.Error(), "redraw") {
		t.Errorf("redrawn all the same: %v", err)
	}
}
