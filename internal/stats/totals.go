package stats

import "time"

// Totals is what windows add up to: those of one agent or of several, in one
// phase or a part of it. Its Window is the sum, and reaches from the earliest begin to the latest
// end; it shares nothing with the windows added. The zero value is ready for use, without a goodput.
type Totals struct {
	Window
	Windows int64         // how many were added
	Sending time.Duration // how long the phase sends; answers after that are no goodput

	inTime  int64                           // ok answers in the windows that lie wholly within Sending and are not aside
	covered time.Duration                   // up to the end of the last of those
	aside   map[time.Duration]time.Duration // length of each stretch aside by its start: it is the same for all agents
}

// Add adds a window.
func (t *Totals) Add(w Window) {
	t.join(w)
	t.Windows++
	switch {
	case w.Length == 0 || w.End() > t.Sending:
	case w.Aside:
		t.setAside(w.Begin, w.Length)
	default:
		t.inTime += w.Books.OK
		t.covered = max(t.covered, w.End())
	}
}

func (t *Totals) setAside(begin, length time.Duration) {
	if t.aside == nil {
		t.aside = map[time.Duration]time.Duration{}
	}
	t.aside[begin] = max(t.aside[begin], length)
}

// Merge adds the totals of other agents of the same phase.
func (t *Totals) Merge(o Totals) {
	if o.Windows == 0 {
		return
	}
	t.join(o.Window)
	t.Windows += o.Windows
	t.inTime += o.inTime
	t.covered = max(t.covered, o.covered)
	for begin, length := range o.aside {
		t.setAside(begin, length)
	}
}

// join adds to the sum. The first window says what is measured.
func (t *Totals) join(w Window) {
	if t.Windows == 0 {
		t.Begin, t.Length, t.Aside = w.Begin, w.Length, w.Aside
		t.Response, t.Service, t.Lateness = emptyLike(w.Response), emptyLike(w.Service), emptyLike(w.Lateness)
		if w.InFlight != nil {
			t.InFlight = new(float64)
		}
		if w.Resources != nil {
			t.Resources = &Resources{}
		}
	}
	t.Window.Merge(w)
}

// Goodput is the number of correct answers received per second of the phase's
// sending time. Answers that come after sending has ended do not count: they took
// longer than the time they would be divided by. A window that reaches beyond the end is left out
// with its time; where every window does, all answers count. 0 where Sending is not known.
func (t *Totals) Goodput() float64 {
	over := min(t.covered, t.Sending)
	for begin, length := range t.aside {
		if begin < t.covered {
			over -= length
		}
	}
	switch {
	case over > 0:
		return float64(t.inTime) / over.Seconds()
	case t.Sending > 0:
		return float64(t.Books.OK) / t.Sending.Seconds()
	}
	return 0
}

// Exact returns an error naming the equation of the books that does not hold.
func (t *Totals) Exact() error { return t.Books.Exact() }
