package jmeter

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/platform"
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
		select {
		case <-time.After(c.delay):
		case <-r.Context().Done():
		}
		constant(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return c
}

// The servers of one loader carry out phases one after another, and what goes wrong with real JVMs is named. Phases of both models
// without more are those of TestJMeterRun in internal/cli, where nginx and a database count them.
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
	t.Run("think", func(t *testing.T) { thinking(t, l) })
	t.Run("stall", func(t *testing.T) { stalled(t, l) })
	t.Run("server frozen", func(t *testing.T) {
		disturbed(t, l, "its JVM stands still", func() int { return l.servers[1].process.PID() }, syscall.SIGSTOP)
	})
	t.Run("master killed", func(t *testing.T) {
		disturbed(t, l, "the master ended (ended by SIGKILL)", l.current.PID, syscall.SIGKILL)
	})
	if err := l.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// thinking has connections that start one after another, think, and are opened again for each request.
func thinking(t *testing.T, l *Loader) {
	p := load.Phase{Number: 3, Name: "think", Model: load.Closed, Connections: 4, Ramp: time.Second, Think: 100 * time.Millisecond, Reconnect: true, Duration: 3 * time.Second}
	p.Timeout, p.CheckShare = 2*time.Second, 0.5
	c := newCounting(t, 5*time.Millisecond)
	var sum stats.Totals
	began := time.Now()
	report, err := l.Run(t.Context(), fleet.Task{URLs: []string{c.url}, Phase: p, Contract: "same", Seed: 1}, func(s fleet.Snapshot) { sum.Add(s.Window) })
	if err != nil || len(report.Lost) > 0 {
		t.Fatalf("%+v, %v", report.Lost, err)
	}
	t.Logf("%v: %+v; skew %v; checked %d, outcomes %v; p50 %v", time.Since(began), sum.Books, report.Skew, sum.Checked, sum.Outcomes, sum.Service)
	if err := sum.Exact(); err != nil {
		t.Error(err)
	}
	asked := c.asked.Load()
	if sum.Books.Error == 0 && sum.Books.Sent != asked || asked < sum.Books.OK || asked > sum.Books.Sent {
		t.Errorf("books %+v, but the server was asked %d times", sum.Books, asked)
	}
	// Each connection asks ten times a second at most, and starts within the first one.
	if sum.Books.OK < sum.Books.Planned*95/100 || sum.Books.Sent < 4 || sum.Books.Sent > 4*30 {
		t.Errorf("books %+v", sum.Books)
	}
}

// stalled has the target hold all answers for longer than a server may be silent: nobody is lost, and the
// requests are time-outs.
func stalled(t *testing.T, l *Loader) {
	c := newCounting(t, time.Hour)
	var sum stats.Totals
	p := load.Phase{Number: 4, Name: "stall", Model: load.Closed, Connections: 4, Duration: 3 * time.Second, Timeout: 5 * time.Second}
	report, err := l.Run(t.Context(), fleet.Task{URLs: []string{c.url}, Phase: p, Contract: "same"}, func(s fleet.Snapshot) { sum.Add(s.Window) })
	if err != nil || len(report.Lost) > 0 {
		t.Fatalf("%+v, %v", report.Lost, err)
	}
	if want := (stats.Books{Planned: 4, Sent: 4, Timeout: 4}); sum.Books != want || sum.Service.Over() != 4 {
		t.Errorf("books %+v, %d over; want %+v", sum.Books, sum.Service.Over(), want)
	}
}

// disturbed sends a signal to a process once requests arrive; a server is then lost, for that reason.
func disturbed(t *testing.T, l *Loader, says string, pid func() int, signal syscall.Signal) {
	if err := l.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := newCounting(t, 5*time.Millisecond)
	sent := make(chan error, 1)
	go func() {
		err := platform.Await(t.Context(), nil, func(context.Context) (bool, error) { return c.asked.Load() > 20, nil })
		sent <- errors.Join(err, syscall.Kill(pid(), signal))
	}()
	p := load.Phase{Number: 5, Name: "disturbed", Model: load.Closed, Connections: 4, Duration: 60 * time.Second, Timeout: 2 * time.Second}
	report, err := l.Run(t.Context(), fleet.Task{URLs: []string{c.url}, Phase: p, Contract: "same"}, func(fleet.Snapshot) {})
	if err := errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	if len(report.Lost) == 0 || !strings.Contains(report.Lost[len(report.Lost)-1].Why, says) {
		t.Errorf("lost %+v, want %q", report.Lost, says)
	}
	t.Logf("ended %v after the last sign of life: %s", time.Since(report.Lost[0].LastSign).Round(time.Millisecond), report.Lost[0].Why)
	for _, p := range l.Processes() {
		if pids := p.PIDs(); len(pids) > 0 {
			t.Errorf("%s: %v are left", p.Name(), pids)
		}
	}
}

// A port that another program listens at is named.
func TestRealPortTaken(t *testing.T) {
	o := realOptions(t, 1)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o.Platform = elsewhere{o.Platform, taken.Addr().(*net.TCPAddr).Port}
	_, err = Start(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "is taken by another process") {
		t.Errorf("%v", err)
	}
}

// elsewhere gives out one port only.
type elsewhere struct {
	platform.Platform
	port int
}

func (e elsewhere) Port(context.Context) (int, error) { return e.port, nil }
