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

// sliced is what a book knows of the slice under way. The current window is, one after the other,
// the one aside, the counted one, and the one aside again.
type sliced struct {
	runIn, end int64        // when the counted time begins and ends
	other      stats.Window // the one of the two that is not current
	part       int          // 0 is the run-in, 1 the counted time, 2 what comes after it
	unloaded   time.Duration
}

// begin begins a slice; the one before must be over.
func (b *book) begin(s Slice) {
	if b.slice == nil {
		b.slice = &sliced{}
	}
	counted := stats.Window{Begin: s.Begin + s.RunIn, Length: s.Length - s.RunIn}
	b.slice.runIn, b.slice.end, b.slice.other, b.slice.part = int64(counted.Begin), int64(counted.End()), counted, 0
	b.window = stats.Window{Begin: s.Begin, Length: s.RunIn, Aside: true}
	b.used, b.since = b.measure(), int64(s.Begin)
}

// turnTo makes the window current in which now lies.
func (b *book) turnTo(now int64) {
	for _, edge := range []int64{b.slice.runIn, b.slice.end}[min(b.slice.part, 2):] {
		if now < edge {
			break
		}
		b.integrate(edge)
		b.settle()
		b.window, b.slice.other = b.slice.other, b.window
		b.slice.part++
	}
	b.integrate(now)
}

// extend moves the end of the slice under way.
func (b *book) extend(end time.Duration) {
	b.slice.end = int64(end)
	counted := &b.slice.other
	switch b.slice.part {
	case 2: // what came since it had ended is booked aside
		b.settle()
		b.window, b.slice.other = b.slice.other, b.window
		b.slice.part, counted = 1, &b.window
	case 1:
		counted = &b.window
	}
	counted.Length = end - counted.Begin
}

// over ends the slice and returns its windows: the one aside, where it holds anything, and the counted
// one. last unloads the histograms whatever their age.
func (b *book) over(now int64, last bool) []stats.Window {
	b.turnTo(now)
	b.settle()
	aside, counted := b.window, b.slice.other
	if b.slice.part == 1 {
		aside, counted = counted, aside
	}
	for _, w := range []*stats.Window{&aside, &counted} {
		w.Response, w.Service, w.Lateness = stats.NewHistogram(), stats.NewHistogram(), stats.NewHistogram()
		if w.InFlight == nil {
			w.InFlight = new(float64)
		}
	}
	if last || counted.End()-b.slice.unloaded >= unloadEvery {
		b.unload(&counted)
		b.slice.unloaded = counted.End()
	}
	return []stats.Window{aside, counted}
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
