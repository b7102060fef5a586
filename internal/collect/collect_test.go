package collect

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/record"
)

// self is this test's own process as a platform would hand it out.
type self struct{ platform.Process }

func (self) Name() string { return "self-1" }
func (self) PIDs() []int  { return []int{os.Getpid()} }

// burn uses at least the given processor time.
func burn(d time.Duration) {
	machine, _ := thisMachine()
	start, _ := machine.process(os.Getpid())
	for {
		for range 1_000_000 {
		}
		if now, _ := machine.process(os.Getpid()); now.cpu-start.cpu >= d {
			return
		}
	}
}

type lines struct {
	mu  sync.Mutex
	all []record.Series
}

func (l *lines) put(s record.Series) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, s)
	return nil
}

// of returns the lines of one member in one phase.
func (l *lines) of(name string, phase int) []record.Series {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []record.Series
	for _, s := range l.all {
		if s.Name == name && s.Phase == phase {
			out = append(out, s)
		}
	}
	return out
}

func TestPhaseHasItsOwnFirstAndLastSample(t *testing.T) {
	var got lines
	status := func(context.Context) (map[string]float64, error) {
		return map[string]float64{"threads_connected": 3}, nil
	}
	sources := []Source{
		{Tier: "target", Process: self{}, Workers: []int{os.Getpid()}},
		{Tier: "database"},
	}
	s := Start(t.Context(), time.Hour, sources, status, got.put)
	s.Phase(4)
	burn(300 * time.Millisecond)
	s.Phase(-1)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"self-1", "self-1/" + pid(), "host", "controller"} {
		in := got.of(name, 4)
		if len(in) != 2 {
			t.Fatalf("%s has %d samples in the phase, want the first and the last", name, len(in))
		}
		if used := in[1].CPUNS - in[0].CPUNS; used < int64(250*time.Millisecond) {
			t.Errorf("%s used %v, but 300 ms were burnt", name, time.Duration(used))
		}
		if in[0].RSSBytes < 1<<20 {
			t.Errorf("%s holds %d bytes, want more than 1 MiB", name, in[0].RSSBytes)
		}
	}
	if db := got.of("database", 4); len(db) != 2 || db[0].Values["threads_connected"] != 3 {
		t.Errorf("database lines: %+v", db)
	}
	if host := got.of("host", 4)[0]; host.Values["idle_ns"] == 0 {
		t.Errorf("host has no idle time: %v", host.Values)
	}
}

// However often samples are taken, none is a phase's behind its last one: who judged the phase by then would not have seen it.
func TestNothingBehindTheLastSample(t *testing.T) {
	var got lines
	s := Start(t.Context(), time.Microsecond, nil, nil, got.put)
	const phases = 30
	for n := range phases {
		s.Phase(n)
		s.Phase(-1)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for n := range phases {
		host := got.of("host", n)
		for i, line := range host {
			if _, last := line.Values["strangers_ns"]; last != (i == len(host)-1) {
				t.Errorf("phase %d has %d samples, sample %d is the one that ends it: %v", n, len(host), i, last)
			}
		}
		if len(host) < 2 {
			t.Errorf("phase %d has %d samples", n, len(host))
		}
	}
}

func TestSinkErrorIsReturnedByStop(t *testing.T) {
	full := errors.New("disk full")
	s := Start(t.Context(), time.Hour, nil, nil, func(record.Series) error { return full })
	s.Phase(1)
	if err := s.Stop(); !errors.Is(err, full) {
		t.Fatalf("Stop says %v, want %v", err, full)
	}
}

func TestConnectionsCountsOnlyTheServersSide(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	const want = 5
	var open []net.Conn
	for range want {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, client, server)
	}
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	got, err := Connections(listener.Addr().(*net.TCPAddr).Port, []int{os.Getpid(), 1 << 30}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got[os.Getpid()] != want {
		t.Errorf("this process holds %d connections, want %d (the clients' ends are not counted)", got[os.Getpid()], want)
	}
	if got, err = Connections(listener.Addr().(*net.TCPAddr).Port, []int{os.Getpid()}, os.Getpid()); err != nil || got[os.Getpid()] != 0 {
		t.Errorf("%d connections that the watcher opened are counted, %v", got[os.Getpid()], err)
	}
	if slices.Contains([]int{1}, got[1<<30]) {
		t.Errorf("a process that is not there holds connections")
	}
}

func pid() string {
	return strconv.Itoa(os.Getpid())
}

// What a yardstick measured before a phase is not in the phase's lines, and what it measured within is, once.
func TestWorkOfAPhase(t *testing.T) {
	var got lines
	news := []int64{9, 8} // of before
	work := func() [][]int64 {
		out := [][]int64{news}
		news = nil
		return out
	}
	s := Start(t.Context(), time.Hour, []Source{{Tier: "yardstick", Process: self{}, Work: work}}, nil, got.put)
	s.Phase(4)
	news = []int64{1, 2, 3}
	s.Phase(-1)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	in := got.of("self-1", 4)
	if len(in) != 2 || len(in[0].WorkNS[0]) != 0 || !slices.Equal(in[1].WorkNS[0], []int64{1, 2, 3}) {
		t.Errorf("%+v", in)
	}
}
