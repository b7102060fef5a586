package jmeter

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/show"
)

// warmConnections are those of each server in the warm-up.
const warmConnections = 16

// warmUp loads an own server, so that no target pays for JVMs that are not compiled yet, and notes what JMeter can do here.
func (l *Loader) warmUp(ctx context.Context) error {
	if l.o.Progress != nil {
		l.o.Progress(fmt.Sprintf("warming up JMeter on a server of its own for %v", l.o.WarmUp))
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(l.host(), "0"))
	if err != nil {
		return err
	}
	own := &http.Server{Handler: http.HandlerFunc(constant), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = own.Serve(listener) }() // ends with Close
	defer own.Close()
	task := fleet.Task{URLs: []string{"http://" + listener.Addr().String()}, Phase: load.Phase{
		Name: "warm-up", Model: load.Closed, Connections: warmConnections * l.o.Count, Duration: l.o.WarmUp, Timeout: 5 * time.Second, CheckShare: 0.1,
	}}
	third := l.o.WarmUp / 3
	var clock costs
	task.Begun = func() { clock.watch(l.o.clock(), l.pids, l.o.WarmUp-third, l.o.WarmUp) }
	var answered int64
	l.warming = true
	defer func() { l.warming = false }()
	report, err := l.perform(ctx, task, always{}, func(s fleet.Snapshot) {
		if w := s.Window; w.Begin >= l.o.WarmUp-third && w.End() <= l.o.WarmUp {
			answered += w.Books.OK
		}
	})
	if err != nil {
		return err
	}
	if len(report.Lost) > 0 {
		return fmt.Errorf("warm-up: server %d: %s", report.Lost[0].Agent, report.Lost[0].Why)
	}
	if err := os.Remove(l.result); err != nil {
		return err
	}
	l.warm = fmt.Sprintf("JMeter on this machine, in the last third of a warm-up of %v on a server of bakeoff's own that answers at once: %s requests/s",
		l.o.WarmUp, show.Count(int64(float64(answered)/third.Seconds())))
	if used, known := clock.took(); known && answered > 0 {
		l.warm += fmt.Sprintf(", with %s of CPU time of its JVMs for each", show.Duration(used/time.Duration(answered)))
	}
	return nil
}

// costs is the CPU time that processes use between two moments.
type costs struct{ from, to chan time.Duration }

// watch reads the processes' clocks so long from now.
func (c *costs) watch(clock func([]int) time.Duration, pids func() []int, from, to time.Duration) {
	c.from, c.to = make(chan time.Duration, 1), make(chan time.Duration, 1)
	time.AfterFunc(from, func() { c.from <- clock(pids()) })
	time.AfterFunc(to, func() { c.to <- clock(pids()) })
}

// took is that time, where both moments have passed.
func (c *costs) took() (time.Duration, bool) {
	if len(c.from) == 0 || len(c.to) == 0 {
		return 0, false
	}
	return <-c.to - <-c.from, true
}

// constant answers every request alike.
func constant(w http.ResponseWriter, _ *http.Request) {
	const body = `{"name": "warm", "exists": true, "id": 1}`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write([]byte(body))
}

// always asks for the same, with the same work for JMeter as a target makes.
type always struct{}

func (always) AppendTarget(dst []byte, _, _ uint64) []byte { return append(dst, "/demo?name=warm"...) }
func (always) Length(_, _ uint64, _ int64) bool            { return true }
func (always) Check(_, _ uint64, _ int, _ []byte) string   { return "" }
func (always) Hit(_, _ uint64) (hit, known bool)           { return true, true }
func (always) Patterns(_, _ uint64) []string {
	return []string{`"name"\s*:\s*"warm"`, `"id"\s*:\s*1\s*[,}]`}
}

func (always) Captures() [][2]string {
	return [][2]string{{"key", `"name"\s*:\s*"([^"]*)"`}, {"id", `"id"\s*:\s*(\d+|null)`}, {"exists", `"exists"\s*:\s*(true|false)`}}
}

func (always) Judge(_, _ uint64, captures []string) (why string) {
	if captures[0] != "warm" || captures[1] != "1" || captures[2] != "true" {
		return "wrong answer"
	}
	return ""
}
