package record

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// fullWindow is a line as a busy second makes it: a thousand response times that differ, of two replicas.
func fullWindow() Load {
	rng := rand.New(rand.NewPCG(1, 2))
	times := func() *stats.Histogram {
		h := stats.NewHistogram()
		for range 1000 {
			h.Record(time.Duration(2e6 * math.Exp(rng.NormFloat64()/2)))
		}
		return h
	}
	l := exampleLoad()
	l.Response, l.Service, l.Lateness = times(), times(), times()
	l.Replicas = map[string]stats.Replica{"a-1": {Answers: 500, Service: times()}, "a-2": {Answers: 500, Service: times()}}
	return l
}

// BenchmarkReadWindows reads full lines of load.jsonl and adds them up, as a report does.
func BenchmarkReadWindows(b *testing.B) {
	w, err := Create(b.TempDir(), smallRun(), nil, nil, began)
	if err != nil {
		b.Fatal(err)
	}
	trial, err := w.BeginTrial(1, 1, "a", 1)
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		if err := trial.Load(fullWindow()); err != nil {
			b.Fatal(err)
		}
	}
	if err := trial.Finish(Trial{Status: Valid}); err != nil {
		b.Fatal(err)
	}
	r, err := Open(w.Dir())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var sum stats.Totals
	for l, err := range r.Trials()[0].Loads() {
		if err != nil {
			b.Fatal(err)
		}
		sum.Add(l.Window)
	}
	if sum.Response.Count() != int64(1000*b.N) {
		b.Error("windows are missing")
	}
}
