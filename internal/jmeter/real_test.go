package jmeter

import (
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// counting is a server that counts what it is asked.
type counting struct {
	url   string
	asked atomic.Int64
	delay time.Duration
}

func newCounting(t *testing.T, delay time.Duration) *counting {
	t.Helper()
	c := &counting{delay: delay}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.url = "http://" + listener.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.asked.Add(1)
		time.Sleep(c.delay)
		constant(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return c
}

func TestRealPhases(t *testing.T) {
	o := realOptions(t, 2)
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, p := range []load.Phase{
		{Number: 1, Name: "closed", Model: load.Closed, Connections: 5, Duration: 3 * time.Second},
		{Number: 2, Name: "open", Model: load.Open, Connections: 5, Rate: 200, Duration: 3 * time.Second},
		{Number: 3, Name: "think", Model: load.Closed, Connections: 4, Ramp: time.Second, Think: 100 * time.Millisecond, Reconnect: true, Duration: 3 * time.Second},
	} {
		t.Run(p.Name, func(t *testing.T) {
			p.Timeout, p.CheckShare = 2*time.Second, 0.5
			c := newCounting(t, 5*time.Millisecond)
			var sum stats.Totals
			began := time.Now()
			report, err := l.Run(t.Context(), fleet.Task{URLs: []string{c.url}, Phase: p, Contract: "same", Seed: 1}, func(s fleet.Snapshot) { sum.Add(s.Window) })
			if err != nil {
				t.Fatal(err)
			}
			for _, lost := range report.Lost {
				t.Errorf("server %d: %s", lost.Agent, lost.Why)
			}
			t.Logf("%v: %+v; skew %v; checked %d, outcomes %v; p50 %v", time.Since(began), sum.Books, report.Skew, sum.Checked, sum.Outcomes, sum.Service)
			if err := sum.Exact(); err != nil {
				t.Error(err)
			}
			if asked := c.asked.Load(); sum.Books.Sent != asked || sum.Books.OK != asked {
				t.Errorf("books %+v, but the server was asked %d times", sum.Books, asked)
			}
		})
	}
}
