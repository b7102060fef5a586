package load

import (
	"context"
	"math"
	"sync"
	"testing"

	"bakeoff/internal/stats"
)

// total is the sum of a phase's windows.
type total struct{ stats.Totals }

// runJob runs a job and checks all that holds for every phase, whatever the server does.
func runJob(ctx context.Context, t testing.TB, e Engine, job Job) (total, error) {
	t.Helper()
	var sum total
	open := false
	err := e.Run(ctx, job, func(w stats.Window) {
		if open {
			t.Error("windows are emitted at the same time")
		}
		open = true
		if w.Begin != sum.End() || w.Length <= 0 {
			t.Errorf("a window of %v begins at %v, where the one before ends at %v", w.Length, w.Begin, sum.End())
		}
		sum.Add(w)
		open = false
	})
	invariants(t, job, &sum)
	return sum, err
}

// collect runs a job that must succeed.
func collect(t testing.TB, e Engine, job Job) total {
	t.Helper()
	sum, err := runJob(t.Context(), t, e, job)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// collectAll runs a job as several agents in one process.
func collectAll(t testing.TB, e Engine, agents int, job Job) total {
	t.Helper()
	sums := make([]total, agents)
	var all sync.WaitGroup
	for i := range agents {
		all.Go(func() {
			mine := job
			mine.Share = Share{i, agents}
			var err error
			if sums[i], err = runJob(t.Context(), t, e, mine); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var sum total
	for _, s := range sums {
		sum.Merge(s.Totals)
	}
	return sum
}

func invariants(t testing.TB, job Job, s *total) {
	t.Helper()
	if s.Windows == 0 {
		t.Error("no window was emitted")
		return
	}
	b := s.Books
	if err := b.Exact(); err != nil {
		t.Error(err)
	}
	var failed, whole, served int64
	for _, n := range s.Outcomes {
		failed += n
	}
	for _, n := range s.Status {
		whole += n
	}
	for _, r := range s.Replicas {
		served += r.Answers
	}
	if failed != b.Bad+b.Timeout+b.Error {
		t.Errorf("%d outcomes %v, bad + timeout + error are %d", failed, s.Outcomes, b.Bad+b.Timeout+b.Error)
	}
	if whole != b.Answered() || s.Hits+s.Misses > b.Answered() || s.Checked > b.Answered() || served > b.Answered() {
		t.Errorf("%d answers; %d statuses, %d hits, %d misses, %d checked, %d of replicas", b.Answered(), whole, s.Hits, s.Misses, s.Checked, served)
	}
	if got, want := s.Service.Count(), b.Answered()+b.Timeout; got != want {
		t.Errorf("%d service times, want %d", got, want)
	}
	if got, want := s.Response.Count(), b.Answered()+b.Timeout+b.Dropped; got != want {
		t.Errorf("%d response times, want %d", got, want)
	}
	if s.Service.Over() != b.Timeout || s.Response.Over() != b.Timeout+b.Dropped {
		t.Errorf("%d and %d censored, books %+v", s.Service.Over(), s.Response.Over(), b)
	}
	if s.Lateness.Count() < b.Sent || s.Lateness.Count() > b.Planned || b.Late+b.Queued > b.Planned {
		t.Errorf("%d lateness samples, books %+v", s.Lateness.Count(), b)
	}
	if s.BadService.Count() != b.Bad || s.BadResponse.Count() != b.Bad {
		t.Errorf("%d and %d times of %d bad answers", s.BadService.Count(), s.BadResponse.Count(), b.Bad)
	}
	if _, counted := job.Workload.(ByURL); counted && len(job.URLs) > 1 {
		var u stats.URL
		var times int64
		for _, one := range s.URLs {
			u.OK, u.Bad, u.Timeout, u.Error, times = u.OK+one.OK, u.Bad+one.Bad, u.Timeout+one.Timeout, u.Error+one.Error, times+one.Service.Count()
		}
		if u.OK != b.OK || u.Bad != b.Bad || u.Timeout != b.Timeout || u.Error != b.Error || times != b.Answered()+b.Timeout {
			t.Errorf("all URLs together: %+v with %d times, books %+v", u, times, b)
		}
	}
	if s.Unwritten > b.Timeout+b.Error {
		t.Errorf("%d unwritten of %d failed", s.Unwritten, b.Timeout+b.Error)
	}
	slack := 0.002**s.InFlight + float64(b.Sent)*2e-6
	if spent := float64(s.Service.Count()-s.Service.Over())*s.Service.Mean().Seconds() + s.ErrorTime; math.Abs(spent-*s.InFlight) > slack {
		t.Errorf("Little's law: %.6f s in flight, %.6f s of service and errors", *s.InFlight, spent)
	}
	if job.Phase.Model == Closed && b.Planned != b.Sent {
		t.Errorf("closed model: planned %d, sent %d", b.Planned, b.Sent)
	}
}
