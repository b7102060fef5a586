package load

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/gate"
	"bakeoff/internal/load/loadtest"
)

// stallRun is a constant-rate run in which a server holds all answers once.
type stallRun struct {
	stall, duration time.Duration
	rate            float64
}

// theStall is the run of this subject's tests. The long one plans 102,000
// arrivals, enough for a p99.9.
func theStall() stallRun {
	if long() {
		return stallRun{2 * time.Second, time.Minute, 1700}
	}
	return stallRun{500 * ms, 10 * time.Second, 1050} // 10,000 requests are needed for a p99
}

// aside lets the short tests run at the same time as others; the long ones have the machine to themselves.
func aside(t *testing.T) {
	if !long() {
		t.Parallel()
	}
}

// judged makes a run and judges it, unless the machine itself stood still for longer than it may: then the run says nothing about
// the engine, and another is made, up to this number.
func judged(t *testing.T, tries int, most time.Duration, run func(t *testing.T, w *loadtest.Witness) (judge func())) {
	t.Helper()
	for range tries {
		w := loadtest.Watch(t)
		judge := run(t, w)
		worst, _ := w.Worst()
		if worst <= most {
			judge()
			return
		}
		t.Logf("the machine left its watch waiting for %v, that is more than %v: once more", worst, most)
	}
	t.Skipf("SKIPPED: the machine stood still for more than %v in each of %d runs", most, tries)
}

// stallShare are connections in all and agents.
type stallShare struct{ connections, agents int }

// stallShares are those of an engine: each has one of the extremes where the long tests have all.
func stallShares(e Engine) []stallShare {
	if _, plain := e.(*HTTP); plain && !long() {
		return []stallShare{{10, 1}}
	}
	if !long() {
		return []stallShare{{1000, 4}}
	}
	return []stallShare{{10, 1}, {10, 4}, {100, 1}, {100, 4}, {1000, 1}, {1000, 4}}
}

// job is the phase, over all agents.
func (s stallRun) job(url string, start time.Time, connections int) Job {
	job := openJob(connections, s.rate, s.duration, url)
	job.Start, job.Phase.Arrivals, job.Phase.CheckShare, job.Phase.Timeout = start, Constant, 0.1, 10*time.Second
	return job
}

// due says when the request for k<n> was due.
func (s stallRun) due(r *http.Request) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimPrefix(r.URL.Query().Get("name"), "k"), 64)
	return time.Duration(n / s.rate * 1e9), err == nil
}

// check holds a sum against what the server measured. Noise is kept out in three ways:
// the freeze's length and the server's speed are what they were in this very run;
// the truth of every single request is known by the server's clock; and by as much as the
// machine left a witness waiting, by so much may a figure be off.
func (s stallRun) check(t *testing.T, sum *total, freeze loadtest.Freeze, truth func(q float64) time.Duration, w *loadtest.Witness) {
	t.Helper()
	worst, usual := w.Worst()
	b := sum.Books
	if want := int64(s.rate * s.duration.Seconds()); b.Planned != want || b.OK != b.Sent || b.Dropped > want/1000+int64(s.rate*worst.Seconds()) {
		t.Errorf("books %+v, outcomes %v; %d are planned", b, sum.Outcomes, want)
	}
	for _, q := range []float64{0.99, 0.999} {
		if float64(b.Planned)*(1-q) < 99 {
			continue
		}
		got, _ := sum.Response.Quantile(q)
		formula, real := freeze.Quantile(q, s.duration), truth(q)
		t.Logf("p%v: %.4f s; by the formula %.4f s: %+.2f %%; by the server's clock %.4f s: %+.2f %%", 100*q,
			got.Seconds(), formula.Seconds(), 100*(got.Seconds()/formula.Seconds()-1), real.Seconds(), 100*(got.Seconds()/real.Seconds()-1))
		for what, want := range map[string]time.Duration{"the formula": formula, "the server's clock": real} {
			if off, most := math.Abs(float64(got-want)), 0.03*float64(want)+float64(worst); off > most {
				t.Errorf("p%v is %v, by %s %v: off by more than 3 %% and the %v for which the machine left us waiting", 100*q, got, what, want, worst)
			}
		}
	}
	service, _ := sum.Service.Quantile(0.99)
	late, _ := sum.Lateness.Quantile(0.99)
	t.Logf("frozen for %v, u %.4f; service time p99 %v; late %d, queued %d, lateness p99 %v; witness waited up to %v, p99 %v",
		freeze.Length, freeze.Load(), service, b.Late, b.Queued, late, worst, usual)
	s.valid(t, sum, usual)
}

// valid checks that the trial stays valid: the target stalled, not we. Lateness
// is no verdict on us where the machine left the witness waiting as well.
func (s stallRun) valid(t *testing.T, sum *total, usual time.Duration) {
	t.Helper()
	for _, why := range (gate.Health{Model: Open, Planned: sum.Books.Planned, Lost: sum.Lost, Lateness: sum.Lateness, Service: sum.Service}).Limited() {
		if strings.HasPrefix(why.Text, "lateness") && usual > lateAfter/4 {
			t.Logf("%s, and the witness waited %v at p99", why.Text, usual)
			continue
		}
		t.Errorf("the generator accuses itself: %s", why.Text)
	}
}

// A real stall of a real server shows in full, however many connections and agents.
func TestStallHonesty(t *testing.T) {
	aside(t)
	s := theStall()
	onPlain(t, func(t *testing.T, e Engine) {
		aside(t)
		for _, c := range stallShares(e) {
			t.Run(fmt.Sprintf("%d connections %d agents", c.connections, c.agents), func(t *testing.T) {
				aside(t)
				judged(t, 3, s.stall/5, func(t *testing.T, w *loadtest.Witness) func() {
					server := (&loadtest.Freezer{After: s.duration / 3, Length: s.stall, Due: s.due}).Start(t)
					start := time.Now().Add(100 * ms)
					server.Begin(start)
					sum := collectAll(t, e, c.agents, s.job(server.URL(), start, c.connections))
					return func() {
						if got := server.Requests(); got != sum.Books.Sent {
							t.Errorf("the server answered %d requests, %d were sent", got, sum.Books.Sent)
						}
						s.check(t, &sum, server.Freeze(s.rate), server.Truth, w)
					}
				})
			})
		}
	})
}

// echoPath asks nginx for what it logs.
type echoPath struct{ echoWork }

func (echoPath) AppendTarget(dst []byte, _, n uint64) []byte {
	return fmt.Appendf(dst, "/echo?name=k%d", n)
}

// So does that of a real nginx that is stopped and continued. Its log is the
// witness: it has the moment of each answer to the millisecond.
func TestStallOfNginx(t *testing.T) {
	aside(t)
	s, shares := theStall(), []stallShare{{100, 1}}
	if long() {
		shares = []stallShare{{10, 1}, {1000, 4}}
	}
	onPlain(t, func(t *testing.T, e Engine) {
		aside(t)
		if _, plain := e.(*HTTP); plain && !long() {
			t.Skip("SKIPPED: BAKEOFF_LONG is not set") // its stall is that of TestStallHonesty
		}
		for _, c := range shares {
			t.Run(fmt.Sprintf("%d connections %d agents", c.connections, c.agents), func(t *testing.T) {
				aside(t)
				nginx := loadtest.StartNginx(t)
				start := time.Now().Add(100 * ms)
				job := s.job(nginx.URL, start, c.connections)
				job.Workload = echoPath{}
				w := loadtest.Watch(t)
				var from, to time.Time
				var stopped sync.WaitGroup
				stopped.Go(func() { from, to = nginx.Freeze(t, start.Add(s.duration/3), s.stall) })
				sum := collectAll(t, e, c.agents, job)
				stopped.Wait()
				answers := nginx.Answers(t, sum.Books.Sent)
				if got := int64(len(answers)); got != sum.Books.Sent {
					t.Errorf("nginx logged %d requests, %d were sent", got, sum.Books.Sent)
				}
				freeze, truth := loadtest.FrozenNginx(answers, start, from, to, s.rate)
				s.check(t, &sum, freeze, truth, w)
			})
		}
	})
}
