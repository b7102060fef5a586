package stats

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// sample is one duration, or a bound of a censored one.
type sample struct {
	d        time.Duration
	censored bool
}

func anySamples(t *rapid.T, name string) []sample {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sample {
		exponent := rapid.Float64Range(0, 11.3).Draw(t, "exponent")
		return sample{time.Duration(math.Pow(10, exponent)), rapid.IntRange(0, 9).Draw(t, "kind") == 0}
	}), 0, 200).Draw(t, name)
}

func histogramOf(samples []sample) *Histogram {
	h := NewHistogram()
	for _, s := range samples {
		if s.censored {
			h.RecordOver(s.d)
		} else {
			h.Record(s.d)
		}
	}
	return h
}

// same compares what two histograms can say, by their files.
func same(t interface{ Fatalf(string, ...any) }, what string, a, b *Histogram) {
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if string(x) != string(y) {
		t.Fatalf("%s: %s is not %s", what, x, y)
	}
}

func TestMergeIsLosslessAndOrderFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anySamples(t, "a"), anySamples(t, "b"), anySamples(t, "c")
		whole := histogramOf(slices.Concat(a, b, c))

		left := histogramOf(a)
		left.Merge(histogramOf(b))
		left.Merge(histogramOf(c))
		same(t, "(a+b)+c", left, whole)

		bc := histogramOf(b)
		bc.Merge(histogramOf(c))
		right := histogramOf(a)
		right.Merge(bc)
		same(t, "a+(b+c)", right, whole)

		turned := histogramOf(c)
		turned.Merge(histogramOf(b))
		turned.Merge(histogramOf(a))
		same(t, "(c+b)+a", turned, whole)
		if whole.Count() != int64(len(a)+len(b)+len(c)) {
			t.Fatalf("%d samples, counted %d", len(a)+len(b)+len(c), whole.Count())
		}
	})
}

func TestMergeLeavesItsArgument(t *testing.T) {
	a, b := histogramOf([]sample{{1e6, false}, {2e6, true}}), histogramOf([]sample{{3e6, false}, {2e6, true}, {1e6, true}})
	before, _ := json.Marshal(b)
	a.Merge(b)
	a.Record(5e6)
	a.RecordOver(2e6)
	if after, _ := json.Marshal(b); string(after) != string(before) {
		t.Errorf("merged histogram changed from %s to %s", before, after)
	}
	a.Merge(nil)
	if a.Count() != 7 {
		t.Errorf("count %d, want 7", a.Count())
	}
}

func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histogramOf(anySamples(t, "samples"))
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		var back Histogram
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		same(t, "round trip", &back, h)
		if back.Count() != h.Count() || back.Over() != h.Over() || back.Clamped() != h.Clamped() {
			t.Fatalf("counts changed: %d %d %d, were %d %d %d", back.Count(), back.Over(), back.Clamped(), h.Count(), h.Over(), h.Clamped())
		}
	})
}

// The file holds what any HDR library reads: V2, compressed, base64.
func TestFileIsHDRV2(t *testing.T) {
	h := histogramOf([]sample{{1500, false}, {2e6, false}, {2e6, false}, {119e9, false}})
	text, _ := json.Marshal(h)
	var p struct{ HDR string }
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	dense, err := hdrhistogram.Decode([]byte(p.HDR))
	if err != nil {
		t.Fatal(err)
	}
	if dense.TotalCount() != 4 || dense.Max() != int64(h.Max()) || dense.Min() != int64(h.Min()) {
		t.Errorf("dense histogram has %d samples from %d to %d", dense.TotalCount(), dense.Min(), dense.Max())
	}
}

// Our encoder says what the library's does, whatever the values.
func TestEncodingIsTheLibrarys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histogramOf(anySamples(t, "samples"))
		h.RecordN(time.Duration(rapid.Int64Range(0, highest).Draw(t, "value")), rapid.Int64Range(1, 1<<50).Draw(t, "count"))
		ours, err := h.encode()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := h.hdr.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if a, b := inflate(t, ours), inflate(t, string(theirs)); a != b {
			t.Fatalf("%x is not %x", a, b)
		}
	})
}

// inflate returns the inner header and payload, and the outer cookie.
func inflate(t *rapid.T, text string) string {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(bytes.NewReader(raw[8:]))
	if err != nil {
		t.Fatal(err)
	}
	inner, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw[:4]) + string(inner)
}

func TestFilesThatCannotBe(t *testing.T) {
	for _, text := range []string{
		`{"over": -1}`, `{"over": 1, "bounds": [[5, 2]]}`, `{"over": 1, "bounds": [[-5, 1]]}`, `{"over":2,"bounds":[[1,3],[2,-1]]}`,
		`{"clamped": -1}`, `{"over": 1, "bound_ns": -3}`, `{"hdr": "!"}`, `{"hdr": "AAAA"}`, `{"hdr": 7}`, `[]`,
	} {
		var h Histogram
		if err := json.Unmarshal([]byte(text), &h); err == nil {
			t.Errorf("%s was read as a histogram of %d samples", text, h.Count())
		}
	}
}

// A quantile is the sample of its rank, to three digits; censored samples lie above all others.
func TestQuantileIsTheSampleOfItsRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := anySamples(t, "samples")
		if len(samples) == 0 {
			return
		}
		h := histogramOf(samples)
		q := rapid.Float64Range(0.001, 1).Draw(t, "q")
		var known, all []time.Duration
		for _, s := range samples {
			d := min(s.d, 120*time.Second)
			if s.censored {
				d = s.d
			} else {
				known = append(known, d)
			}
			all = append(all, d)
		}
		slices.Sort(known)
		slices.Sort(all)
		rank := max(int(math.Ceil(q*float64(len(samples))-1e-6)), 1)
		got, censored := h.Quantile(q)
		want := all[rank-1]
		if rank <= len(known) {
			want = known[rank-1]
		}
		if censored != (rank > len(known)) {
			t.Fatalf("rank %d of %d known: censored is %v", rank, len(known), censored)
		}
		if diff := math.Abs(float64(got - want)); diff > float64(want)/1000+1024 {
			t.Fatalf("quantile %v of %v is %v, want %v", q, samples, got, want)
		}
	})
}

func TestPercentileNeedsHundredBeyond(t *testing.T) {
	for _, c := range []struct {
		p     float64
		needs int64
	}{{50, 200}, {90, 1000}, {95, 2000}, {99, 10_000}, {99.9, 100_000}, {99.99, 1_000_000}, {100, math.MaxInt64}} {
		if got := SamplesNeeded(c.p); got != c.needs {
			t.Errorf("p%v needs %d samples, want %d", c.p, got, c.needs)
		}
	}
	h := NewHistogram()
	h.RecordN(time.Millisecond, 9_999)
	if p := h.Percentile(99); p.Needs != 10_000 || p.Has != 9_999 || p.Value != 0 {
		t.Errorf("p99 of 9,999 samples: %+v", p)
	}
	h.RecordOver(time.Second)
	if p := h.Percentile(99); p.Needs != 0 || p.Has != 10_000 || p.Censored || p.Value.Round(10*time.Microsecond) != time.Millisecond {
		t.Errorf("p99 of 10,000 samples: %+v", p)
	}
}

func TestPercentileAmongTimeouts(t *testing.T) {
	h := NewHistogram()
	h.RecordN(2*time.Millisecond, 9_800)
	for range 200 {
		h.RecordOver(10 * time.Second)
	}
	if p := h.Percentile(99); !p.Censored || p.Value != 10*time.Second {
		t.Errorf("p99 among time-outs: %+v", p)
	}
	if p := h.Percentile(95); p.Censored || p.Value > 3*time.Millisecond {
		t.Errorf("p95 below the time-outs: %+v", p)
	}
	// Few samples of a small bound do not pull the others' bound down.
	h.RecordOver(0)
	if p := h.Percentile(99); !p.Censored || p.Value != 10*time.Second {
		t.Errorf("p99 beside a small bound: %+v", p)
	}
}

func TestClampsAndResets(t *testing.T) {
	h := NewHistogram()
	h.Record(-time.Second)
	h.Record(time.Hour)
	if h.Clamped() != 1 || h.Count() != 2 || h.Min() != 0 {
		t.Errorf("clamped %d of %d, min %v", h.Clamped(), h.Count(), h.Min())
	}
	if got := h.Max().Seconds(); got < 120 || got > 120.2 {
		t.Errorf("greatest %v s, want 120", got)
	}
	h.RecordOver(1)
	h.Reset()
	if h.Count() != 0 || h.Clamped() != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Errorf("not empty after reset: %d %d %v %v", h.Count(), h.Clamped(), h.Mean(), h.Max())
	}
	if v, c := h.Quantile(0.5); v != 0 || c {
		t.Errorf("median of nothing is %v, %v", v, c)
	}
	same(t, "reset", h, NewHistogram())
}

func TestSlowerAndEach(t *testing.T) {
	h := NewHistogram()
	h.RecordN(1*time.Millisecond, 70)
	h.RecordN(60*time.Millisecond, 20)
	h.RecordOver(10 * time.Second)
	if got := h.Slower(50 * time.Millisecond); got != 21 {
		t.Errorf("%d slower than 50 ms, want 21", got)
	}
	var n int64
	for value, count := range h.Each {
		n += count
		if value > 61*time.Millisecond {
			t.Errorf("value %v never recorded", value)
		}
	}
	if n != 90 {
		t.Errorf("%d values, want 90", n)
	}
}

// A second's histogram is small: the agents send several of them every second.
func TestSmall(t *testing.T) {
	h := NewHistogram()
	for i := range 3000 {
		h.Record(time.Duration(800_000 + i*1_000))
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 8<<10 {
		t.Errorf("3,000 samples take %d bytes", len(text))
	}
}

func BenchmarkMarshal(b *testing.B) {
	h := NewHistogram()
	for i := range 3000 {
		h.Record(time.Duration(800_000 + i*i))
	}
	b.ReportAllocs()
	for range b.N {
		if _, err := json.Marshal(h); err != nil {
			b.Fatal(err)
		}
	}
}
