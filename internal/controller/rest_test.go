package controller

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/record"
)

// What others do before any load, and what a repeat waits for, is said.
func TestRestlessMachinesAreNamed(t *testing.T) {
	for _, turns := range []string{"", "turns: 250ms\n"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.foreign = func(at time.Duration) time.Duration { return at/2 + max(0, at-4*time.Second)/2 } // half of the core, then all
			w.script["flask"] = []act{{fails: before}}
			_, _ = Run(t.Context(), w.options(t, "blocks: 1\n"+turns+twoTargets+closedOnly)) // what becomes of the trials is another test's
			resting, waiting := 0, 0
			for _, e := range w.events {
				if strings.HasPrefix(e.Text, "before any load, other programs used 50.0 %") {
					if resting++; !e.Lasting {
						t.Errorf("%q does not stay", e.Text)
					}
				}
				if strings.HasPrefix(e.Text, "waiting for a quieter machine: other programs used ") {
					waiting++
				}
			}
			if resting != 1 || waiting == 0 {
				t.Errorf("turns %q: said %d times at rest and %d times before repeats", turns, resting, waiting)
			}
		})
	}
}

// A machine that could not be sampled is not one that nobody used: at rest it is looked at again, and a phase is valid with a warning.
// The look that counts is the quietest of those that saw anything, and how many there were is recorded.
func TestUnwatchedMachines(t *testing.T) {
	until := func(end time.Duration) func(time.Duration) bool {
		return func(at time.Duration) bool { return at < end }
	}
	for name, c := range map[string]struct {
		blind   func(time.Duration) bool
		foreign func(time.Duration) time.Duration
		looks   int
		watched bool
		rest    float64
		warned  bool
	}{
		"seen":              {nil, nil, 1, true, 0, false},
		"not at first":      {until(500 * time.Millisecond), nil, 2, true, 0, false},
		"never at rest":     {until(3500 * time.Millisecond), nil, 3, false, 0, false},
		"busy, then unseen": {func(at time.Duration) bool { return at > 1500*time.Millisecond && at < 3500*time.Millisecond }, between(0, time.Hour, 0.5), 3, true, 0.5, false},
		"the end of a load": {func(at time.Duration) bool { return at > 9*time.Second }, nil, 1, true, 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.blind, w.foreign = c.blind, c.foreign
			dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
			wantList(t, name, trialsOf(t, dir), "1-1-flask valid")
			rests := runOf(t, dir).Baselines
			if len(rests) != 1 || rests[0].Looks != c.looks || rests[0].Watched() != c.watched || rests[0].Foreign != c.rest {
				t.Errorf("%s: baselines %+v", name, rests)
			}
			if said := w.texts(true)["it is not known whether others use the machine at rest: it could not be sampled"]; (said == 1) == c.watched {
				t.Errorf("%s: said %d times", name, said)
			}
			warnings := warningsOf(t, dir)
			if (len(warnings) == 1) != c.warned || c.warned && warnings[0].Code != record.CodeNotWatched {
				t.Errorf("%s: %+v", name, warnings)
			}
			replayed(t, dir)
		})
	}
}

// In turns everything is sampled once a second of each target's own time.
func TestSamplesInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		conducted(t, w.options(t, "blocks: 1\n"+threeTurns+closedOnly))
		if len(w.every) != 2 || w.every[0] != time.Second || w.every[1] != 3*time.Second {
			t.Errorf("samples every %v, want 1 s at rest and 3 s with three targets", w.every)
		}
	})
}

// Servers under test may run on this machine that the run did not start: those at its own addresses, and what is external.
func TestMixedMachines(t *testing.T) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.9]:80": true, "192.0.2.1:80": false, "127.0.0.1": false, "": false, "name:80": false,
	} {
		if got := onThisMachine(address); got != want {
			t.Errorf("%q is on this machine: %v", address, got)
		}
	}
	for _, one := range own {
		if prefix, err := netip.ParsePrefix(one.String()); err == nil && !onThisMachine(netip.AddrPortFrom(prefix.Addr(), 80).String()) {
			t.Errorf("%v is not on this machine", one)
		}
	}
	for name, c := range map[string]struct {
		rec  record.Run
		want bool
	}{
		"nothing":                  {record.Run{Targets: []record.TargetInfo{{Address: "127.0.0.1:1"}}}, false},
		"a server here":            {record.Run{Targets: []record.TargetInfo{{Kind: record.KindURL, Address: "192.0.2.1:1"}, {Kind: record.KindURL, Address: "127.0.0.1:1"}}}, true},
		"a server elsewhere":       {record.Run{Targets: []record.TargetInfo{{Kind: record.KindURL, Address: "192.0.2.1:1"}}}, false},
		"another's database":       {record.Run{Database: record.DatabaseInfo{Kind: "external"}}, true},
		"another's balancer":       {record.Run{Balancer: record.BalancerInfo{Kind: "external"}}, true},
		"a database of the run's ": {record.Run{Database: record.DatabaseInfo{Kind: "private"}, Balancer: record.BalancerInfo{Kind: "nginx"}}, false},
	} {
		c.rec.Name = "mixed"
		w, err := record.Create(t.TempDir(), c.rec, nil, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := (&run{writer: w}).mixed(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
