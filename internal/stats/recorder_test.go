package stats

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A recorder is a histogram, and empty again afterwards.
func TestRecorderIsAHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRecorder()
		for range 2 {
			samples := anySamples(t, "samples")
			for _, s := range samples {
				if s.censored {
					r.RecordOver(s.d)
				} else {
					r.Record(s.d)
				}
			}
			r.Record(-1)
			r.Record(time.Hour)
			want := histogramOf(append(samples, sample{-1, false}, sample{time.Hour, false}))
			same(t, "recorder", r.Drain(), want)
		}
	})
}

func TestRecorderDoesNotAllocate(t *testing.T) {
	r := NewRecorder()
	d := time.Duration(1)
	if n := testing.AllocsPerRun(1000, func() { d = d*3%(100*time.Second) + 1; r.Record(d) }); n != 0 {
		t.Errorf("%v allocations per sample", n)
	}
}

func BenchmarkRecorder(b *testing.B) {
	r := NewRecorder()
	for i := range b.N {
		r.Record(time.Duration(1_000_000 + i%1_000_000))
	}
}

func BenchmarkHistogram(b *testing.B) {
	h := NewHistogram()
	for i := range b.N {
		h.Record(time.Duration(1_000_000 + i*7919%1_000_000))
	}
}
