package load

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// stalling answers at once, except that it holds all answers for a while, once.
// It knows when each arrival was due, and so how long its answer really took.
type stalling struct {
	start, from, to time.Time
	rate            float64
	mu              sync.Mutex
	truth           *stats.Histogram
	held            int           // answers due when the stall ends
	answered        int           // so far
	drained         time.Duration // from the end of the stall until all held answers were given
}

func (s *stalling) fate(h *hostile, c *net.TCPConn, _ int64, name string) bool {
	if now := time.Now(); now.After(s.from) && now.Before(s.to) {
		time.Sleep(s.to.Sub(now))
	}
	n, err := strconv.ParseInt(name[1:], 10, 64)
	due := s.start.Add(time.Duration(float64(n) / s.rate * 1e9))
	ok := h.answer(c, name) && err == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.truth.Record(now.Sub(due))
	if s.answered++; s.answered == s.held {
		s.drained = now.Sub(s.to)
	}
	return ok
}

// A real stall of a real server shows in full: the engine's p99 is that of the
// server's own clock, and S - (1 - u) 0.01 T where the machine is quiet, u
// being the rate over the rate at which the server answers what was held back: the
// worst hundredth of all arrivals are those of the stall's first 0.01 T.
func TestStallHonesty(t *testing.T) {
	t.Parallel()
	stall, duration, rate, exact := 500*ms, 15*time.Second, 700.0, 0.2 // within which a busy machine delays answers
	cases := []struct{ connections, agents int }{{100, 2}}
	if long() {
		stall, duration, exact = 2*time.Second, 60*time.Second, 0.03
		cases = []struct{ connections, agents int }{{10, 1}, {10, 4}, {100, 1}, {100, 2}, {100, 4}, {1000, 1}, {1000, 4}}
	}
	onAll(t, func(t *testing.T, e Engine) {
		t.Parallel()
		for _, c := range cases {
			t.Run(fmt.Sprintf("%d connections %d agents", c.connections, c.agents), func(t *testing.T) {
				t.Parallel()
				start := time.Now().Add(100 * ms)
				st := &stalling{start: start, from: start.Add(duration / 3), rate: rate, truth: stats.NewHistogram()}
				st.to = st.from.Add(stall)
				st.held = int(rate * st.to.Sub(start).Seconds())
				s := newHostile(t, &hostile{fate: st.fate})
				job := openJob(c.connections, rate, duration, s.url())
				job.Start, job.Phase.Arrivals, job.Phase.Timeout, job.Phase.CheckShare = start, Constant, 10*time.Second, 0.1
				sum := collectAll(t, e, c.agents, job)
				// What a busy machine leaves unsent at the very end is no matter here.
				if b := sum.Books; b.Planned != int64(rate*duration.Seconds()) || b.OK != b.Sent || b.Dropped > b.Planned/50 {
					t.Fatalf("books %+v, outcomes %v", sum.Books, sum.Outcomes)
				}
				st.mu.Lock()
				defer st.mu.Unlock()
				u := st.drained.Seconds() / stall.Seconds()
				formula := stall.Seconds() - (1-u)*0.01*duration.Seconds()
				truth, _ := st.truth.Quantile(0.99)
				got, _ := sum.Response.Quantile(0.99)
				service, _ := sum.Service.Quantile(0.99)
				t.Logf("p99 %v, by the server's clock %v, by the formula %.4f s (u %.3f); service time p99 %v; late %d, queued %d",
					got, truth, formula, u, service, sum.Books.Late, sum.Books.Queued)
				if math.Abs(float64(got-truth)) > exact*float64(truth) {
					t.Errorf("p99 %v is not within %v of %v", got, exact, truth)
				}
				// On a busy machine the server itself is late; the formula is held to in virtual time.
				if long() && math.Abs(got.Seconds()/formula-1) > 0.03 {
					t.Errorf("p99 %v is not within 3 %% of %.4f s", got, formula)
				}
			})
		}
	})
}
