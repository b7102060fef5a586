package load

import (
	"fmt"
	"testing"
	"time"
)

// A phase of a number of requests sends them, no more and no fewer, over all agents, and ends then.
func TestNumberOfRequests(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		for _, model := range []string{Open, Closed} {
			for _, c := range []struct {
				n           int64
				agents      int
				connections int
				think       time.Duration
			}{{1, 1, 4, 0}, {37, 1, 4, 0}, {37, 3, 7, 0}, {2, 3, 6, 0}, {9, 1, 3, 20 * ms}} {
				t.Run(fmt.Sprintf("%s %d by %d", model, c.n, c.agents), func(t *testing.T) {
					t.Parallel()
					s := serverFor(t, e, &hostile{fate: fates[0].fate})
					job := openJob(c.connections, 500, time.Minute, s.url())
					job.Phase.Model, job.Phase.Requests = model, c.n
					if model == Closed {
						job.Phase.Think = c.think
					}
					began := time.Now()
					sum := collectAll(t, e, c.agents, job)
					if b := sum.Books; b.Planned != c.n || b.OK != c.n || s.requests.Load() != c.n {
						t.Errorf("books %+v, outcomes %v, the server counts %d", b, sum.Outcomes, s.requests.Load())
					}
					if took := time.Since(began); took > 20*time.Second {
						t.Errorf("it took %v", took)
					}
				})
			}
		}
	})
}

// What waits for a connection is sent before such a phase ends, and the end of its time ends it as any other.
func TestNumberOfRequestsWaits(t *testing.T) {
	t.Parallel()
	onPlain(t, func(t *testing.T, e Engine) {
		s := newHostile(t, &hostile{fate: func(s *hostile, c peer, _ int64, name string) bool {
			time.Sleep(30 * ms)
			return s.answer(c, name)
		}})
		job := openJob(1, 10_000, time.Minute, s.url())
		job.Phase.Requests, job.Phase.Timeout = 20, 10*time.Second
		began := time.Now()
		sum := collect(t, e, job)
		if b := sum.Books; b.OK != 20 || b.Queued+b.Late < 15 || time.Since(began) > 5*time.Second {
			t.Errorf("books %+v after %v", b, time.Since(began))
		}
		for _, model := range []string{Open, Closed} {
			job = openJob(1, 50, 200*ms, s.url())
			job.Phase.Model, job.Phase.Requests, job.Phase.Arrivals = model, 1000, Constant
			if b := collect(t, e, job).Books; b.Sent == 0 || b.Planned > 10 {
				t.Errorf("%s: cut by its time: %+v", model, b)
			}
		}
	})
}

func TestNumberOfRequestsIsNotSliced(t *testing.T) {
	for name, engine := range engines {
		job := openJob(1, 50, time.Second, "http://127.0.0.1:1")
		job.Phase.Requests = 1
		if s, err := engine().(Slicer).Slices(t.Context(), job); err == nil {
			s.Close()
			t.Errorf("%s takes them", name)
		}
	}
}
