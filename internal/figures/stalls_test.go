package figures

import (
	"math"
	"slices"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// windowed is a phase with windows of these lengths after each other, in seconds, each answered at a rate.
func windowed(p record.Phase, lengths []float64, rate func(i int) float64) *times {
	t := newTimes(p)
	at := time.Duration(0)
	for i, length := range lengths {
		w := stats.Window{Begin: at, Length: asDuration(length), Response: stats.NewHistogram(), Service: stats.NewHistogram()}
		w.Books.OK = int64(math.Round(rate(i) * length))
		for range w.Books.OK {
			w.Response.Record(time.Millisecond)
			w.Service.Record(time.Millisecond)
		}
		t.add(w)
		at += w.Length
	}
	return t
}

// repeated is a length that many times, some of them changed.
func repeated(n int, length float64, changed map[int]float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = length
		if l, ok := changed[i]; ok {
			out[i] = l
		}
	}
	return out
}

func sum(lengths []float64) (all float64) {
	for _, l := range lengths {
		all += l
	}
	return all
}

// openTurns is an open phase in slices of 250 ms.
func openTurns(durationS float64) record.Phase {
	return record.Phase{Number: 2, Name: "open", Model: "open", Rate: 500, DurationS: durationS, Turns: &record.PhaseTurns{SliceS: 0.25}}
}

func steadily(perS float64) func(int) float64 { return func(int) float64 { return perS } }

// A slice of the open model that was extended until it was answered is a stall although its rate is as offered; so is the last
// slice, which ends after the phase. A slice that was extended for a single slow answer is none.
func TestStallsOfExtendedSlices(t *testing.T) {
	for name, c := range map[string]struct {
		changed map[int]float64
		beyond  float64 // by which the last slice ends after the phase
		want    []Stall
	}{
		"none":            {nil, 0, nil},
		"one slow answer": {map[int]float64{4: 0.3}, 0, nil},
		"two seconds":     {map[int]float64{4: 2.25}, 0, []Stall{{Block: 3, AtS: 1, LengthS: 2.25, Rate: 500, Usual: 500, SliceS: 0.25}}},
		"in the last one": {map[int]float64{19: 1.25}, 1, []Stall{{Block: 3, AtS: 4.75, LengthS: 1.25, Rate: 500, Usual: 500, SliceS: 0.25}}},
	} {
		lengths := repeated(20, 0.25, c.changed)
		found, looked := windowed(openTurns(sum(lengths)-c.beyond), lengths, steadily(500)).stalls(3)
		if len(found) != len(c.want) || len(found) > 0 && math.Abs(found[0].Rate-c.want[0].Rate) > 5 {
			t.Errorf("%s: %+v", name, found)
		}
		for i, want := range c.want {
			got := found[i]
			got.Rate, got.Usual = want.Rate, want.Usual
			if got != want {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
		}
		if looked != (Looked{Judged: 20}) {
			t.Errorf("%s: %+v", name, looked)
		}
	}
	// A server that died: the slice is long and its rate low, and that is one stall.
	lengths := repeated(20, 0.25, map[int]float64{4: 10})
	dead := func(i int) float64 { return map[bool]float64{true: 3, false: 500}[i == 4] }
	if found, _ := windowed(openTurns(sum(lengths)), lengths, dead).stalls(1); len(found) != 1 || found[0].SliceS != 0.25 {
		t.Errorf("a dead server: %+v", found)
	}
}

// Windows in which the rate fell are one stall where they follow each other, from the first window on, and two where they do not.
func TestNeighbouringStallsAreOne(t *testing.T) {
	closed := record.Phase{Number: 1, Name: "closed", Model: "closed", DurationS: 12}
	for name, c := range map[string]struct {
		slow []int
		want []Stall
	}{
		"the first two":   {[]int{0, 1}, []Stall{{Block: 3, AtS: 0, LengthS: 2, Rate: 10, Usual: 100}}},
		"three":           {[]int{4, 5, 6}, []Stall{{Block: 3, AtS: 4, LengthS: 3, Rate: 10, Usual: 100}}},
		"one between two": {[]int{4, 6}, []Stall{{Block: 3, AtS: 4, LengthS: 1, Rate: 10, Usual: 100}, {Block: 3, AtS: 6, LengthS: 1, Rate: 10, Usual: 100}}},
	} {
		found, _ := windowed(closed, repeated(12, 1, nil), func(i int) float64 {
			return map[bool]float64{true: 10, false: 100}[slices.Contains(c.slow, i)]
		}).stalls(3)
		if !slices.Equal(found, c.want) {
			t.Errorf("%s: %+v, want %+v", name, found, c.want)
		}
	}
}

// A slice that lasts for the whole phase is a stall, and its own rate is the usual one, as there is no other.
func TestStallOfAWholePhase(t *testing.T) {
	found, looked := windowed(openTurns(4), []float64{4.4}, steadily(500)).stalls(2)
	if len(found) != 1 || !(math.Abs(found[0].Usual-500) <= 5) || found[0].LengthS != 4.4 || looked != (Looked{Judged: 1}) {
		t.Errorf("%+v, %+v", found, looked)
	}
}

// Where windows usually have fewer than 20 answers nothing is found in them, and they are counted.
func TestUnjudgedWindows(t *testing.T) {
	closed := record.Phase{Number: 1, Name: "closed", Model: "closed", DurationS: 10}
	gap := func(perS float64) func(int) float64 {
		return func(i int) float64 { return map[bool]float64{true: 0, false: perS}[i == 5] }
	}
	for perS, want := range map[float64]Looked{19: {Unjudged: 10}, 20: {Judged: 10}} {
		found, looked := windowed(closed, repeated(10, 1, nil), gap(perS)).stalls(1)
		if looked != want || len(found) != want.Judged/10 {
			t.Errorf("%v answers a window: %+v, %+v", perS, looked, found)
		}
	}
}

// Blocks whose warm-ups are of different length share one step, and nothing of the longest is piled up at the end of the first.
func TestWarmupsOfDifferentLength(t *testing.T) {
	warmup := func(windows int) *times {
		return windowed(record.Phase{Name: "warmup", Model: "closed", Warmup: true, DurationS: float64(windows)}, repeated(windows, 1, nil), steadily(100))
	}
	p := phaseTime([]*times{warmup(10), warmup(100), warmup(300)}, []int{1, 2, 3})
	if p.DurationS != 300 || p.StepS != 8 || len(p.Bins) != 38 {
		t.Fatalf("%v s in %d steps of %v s", p.DurationS, len(p.Bins), p.StepS)
	}
	var requests int64
	for i, b := range p.Bins {
		requests += b.Requests
		if want := float64(8 * i); b.AtS != want || b.Goodput.Median != 100 {
			t.Errorf("point %d at %v s: %+v", i, b.AtS, b.Goodput)
		}
	}
	if first, last := p.Bins[0], p.Bins[37]; first.Goodput.N != 3 || last.Goodput.N != 1 || last.Requests != 400 || requests != 41000 {
		t.Errorf("first %+v, last %+v, %d in all", first, last, requests)
	}
}
