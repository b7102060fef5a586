package load

import (
	"errors"
	"time"

	"bakeoff/internal/stats"
)

// unloadEvery is how much of a phase's time passes before the histograms of slices are handed on.
const unloadEvery = time.Second

// checkSlices refuses what only a phase in one piece can do.
func (j *Job) checkSlices() error {
	if j.Phase.Requests > 0 {
		return errors.New("load: a phase with a number of requests cannot run slice by slice")
	}
	return nil
}

// sliced is what a book knows of the slice under way.
type sliced struct {
	windows  []stats.Window // the one aside, then those of the counted time; the current one is in the book
	edges    []int64        // where each of the latter begins, and where the last one ends
	passed   int            // how many edges are behind
	unloaded time.Duration
}

// current is the place of the current window: behind the last edge it is the one aside again.
func (s *sliced) current() int { return s.passed % len(s.windows) }

// begin begins a slice; the one before must be over.
func (b *book) begin(s Slice) {
	if b.slice == nil {
		b.slice = &sliced{}
	}
	b.slice.windows = []stats.Window{{Begin: s.Begin, Length: s.RunIn, Aside: true}}
	b.slice.edges, b.slice.passed = nil, 0
	parts := time.Duration(max(s.Parts, 1))
	for i := range parts {
		from, to := s.counted(i, parts), s.counted(i+1, parts)
		b.slice.windows = append(b.slice.windows, stats.Window{Begin: from, Length: to - from})
		b.slice.edges = append(b.slice.edges, int64(from))
	}
	b.slice.edges = append(b.slice.edges, int64(s.Begin+s.Length))
	b.window = b.slice.windows[0]
	b.used, b.since = b.measure(), int64(s.Begin)
}

// counted is where part i of the counted time begins.
func (s Slice) counted(i, parts time.Duration) time.Duration {
	return s.Begin + s.RunIn + (s.Length-s.RunIn)*i/parts
}

// turnTo makes the window current in which now lies.
func (b *book) turnTo(now int64) {
	for _, edge := range b.slice.edges[b.slice.passed:] {
		if now < edge {
			break
		}
		b.integrate(edge)
		b.pass(1)
	}
	b.integrate(now)
}

// pass makes the window current that is behind that many more edges; with -1 the one before.
func (b *book) pass(edges int) {
	b.settle()
	b.slice.windows[b.slice.current()] = b.window
	b.slice.passed += edges
	b.window = b.slice.windows[b.slice.current()]
}

// extend moves the end of the slice under way. What came since it had ended is booked aside.
func (b *book) extend(end time.Duration) {
	last := len(b.slice.edges) - 1
	b.slice.edges[last] = int64(end)
	if b.slice.passed > last {
		b.pass(-1)
	}
	counted := &b.slice.windows[last]
	if b.slice.passed == last {
		counted = &b.window
	}
	counted.Length = end - counted.Begin
}

// over ends the slice and returns its windows: the one aside, where it holds anything, and those of the counted
// time. last unloads the histograms whatever their age.
func (b *book) over(now int64, last bool) []stats.Window {
	b.turnTo(now)
	b.pass(0)
	windows := b.slice.windows
	for i := range windows {
		w := &windows[i]
		w.Response, w.Service, w.Lateness = stats.NewHistogram(), stats.NewHistogram(), stats.NewHistogram()
		if w.InFlight == nil {
			w.InFlight = new(float64)
		}
	}
	counted := &windows[len(windows)-1]
	if last || counted.End()-b.slice.unloaded >= unloadEvery {
		b.unload(counted)
		b.slice.unloaded = counted.End()
	}
	return windows
}

// startOf is when a connection of the whole starts in the slice.
func (s Slice) startOf(number, connections int) int64 {
	return int64(s.Begin) + int64(s.RunIn/2)*int64(number)/int64(max(connections, 1))
}

// SliceRest is how much of a phase its slices may leave over: what rounding does, and no slice of its own.
const SliceRest = 100 * time.Microsecond

// isLast reports whether nothing is left of the phase behind the slice, which ended there.
func (s Slice) isLast(end int64, p Phase) bool {
	until := p.Duration
	if s.Until > 0 {
		until = s.Until
	}
	return until-time.Duration(end) <= SliceRest
}
