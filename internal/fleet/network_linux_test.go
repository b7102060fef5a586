package fleet

import (
	"net"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

// fleetIn starts agents in a network of their own. The controller is at this end of the cable.
func fleetIn(t *testing.T, n *loadtest.Network, p *processes) *Fleet {
	t.Helper()
	f := startFleet(t, 2, func(o *Options) {
		o.Platform, o.Address = p, net.JoinHostPort(n.Near, "0")
		o.Self = append(n.Enter(), o.Self...)
	})
	t.Cleanup(func() { _ = p.Close() })
	return f
}

// A real network that loses every packet of one direction, or of both: the load has ended 3 s later,
// and when the network comes back nothing is sent any more.
func TestCutNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		up, down bool // what still works
	}{{"agents are not heard", false, true}, {"agents hear nothing", true, false}, {"both", false, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := loadtest.NewNetwork(t)
			server := newWitnessAt(t, n.Listen())
			f := fleetIn(t, n, &processes{immortal: true})
			task := constantTask(server.URL, 200, time.Minute)
			task.Engine = "stubborn"
			out := run(t, f, task)
			server.await(t, 50)
			n.Deliver(c.up, c.down)
			cut := time.Now()
			r := await(t, out)
			if r.err != nil || len(r.report.Lost) != 2 {
				t.Fatalf("error %v, lost %+v, books %+v", r.err, r.report.Lost, r.report.Totals().Books)
			}
			for _, lost := range r.report.Lost {
				if took := r.returned.Sub(lost.LastSign); took > 3*time.Second {
					t.Errorf("agent %d: given up %s after its last sign of life", lost.Agent, took)
				}
				t.Logf("agent %d, %v after the cut: %s", lost.Agent, lost.LastSign.Sub(cut).Round(time.Millisecond), lost.Why)
			}
			server.quiet(t, r.report.Lost)
			n.Deliver(true, true)
			for _, p := range f.Processes() {
				select {
				case <-p.Done():
				case <-time.After(10 * time.Second):
					t.Errorf("%s did not end", p.Name())
				}
			}
			server.quiet(t, r.report.Lost)
		})
	}
}

// quiet checks that no request came later than 3 s after the last sign of life of every lost agent.
func (w *witness) quiet(t *testing.T, lost []Lost) {
	t.Helper()
	sign := lost[0].LastSign
	for _, l := range lost {
		if l.LastSign.After(sign) {
			sign = l.LastSign
		}
	}
	time.Sleep(time.Until(sign.Add(3 * time.Second)))
	before, _ := w.seen()
	time.Sleep(300 * time.Millisecond)
	if after, last := w.seen(); after != before || last.Sub(sign) > 3*time.Second {
		t.Errorf("a request came %s after the last sign of life, %d later", last.Sub(sign), after-before)
	}
}

// heard waits for a line of each agent and returns how long after the moment the last of them came.
func (f *Fleet) heard(since time.Time) time.Duration {
	for _, s := range f.slots {
		for signed := since; !signed.After(since) && time.Since(since) < 5*time.Second; time.Sleep(time.Millisecond) {
			s.session.mu.Lock()
			signed = s.session.last
			s.session.mu.Unlock()
		}
	}
	return time.Since(since)
}

// TCP tries again after 0.2, 0.6 and 1.4 s: after a second without a network the silence has lasted for up to 1.7 s, which
// leaves 0.3 s until agents are lost. A busy machine takes longer, so that only the long tests have the whole second.
func TestNetworkGoneForAMoment(t *testing.T) {
	t.Parallel()
	moment := 500 * time.Millisecond
	if long() {
		moment = time.Second
	}
	for _, c := range []struct {
		name     string
		up, down bool // what still works
	}{{"up", false, true}, {"down", true, false}, {"both", false, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := loadtest.NewNetwork(t)
			server := newWitnessAt(t, n.Listen())
			f := fleetIn(t, n, &processes{})
			out := run(t, f, constantTask(server.URL, 100, 3*time.Second))
			server.await(t, 20)
			n.Deliver(c.up, c.down)
			cut := time.Now()
			time.Sleep(time.Until(cut.Add(moment)))
			n.Deliver(true, true)
			t.Logf("the agents were heard again %v after the network was back", f.heard(time.Now()).Round(time.Millisecond))
			r := await(t, out)
			if want := (stats.Books{Planned: 300, Sent: 300, OK: 300}); r.err != nil || len(r.report.Lost) > 0 || r.books != want {
				t.Errorf("error %v, lost %+v, books %+v", r.err, r.report.Lost, r.books)
			}
		})
	}
}
