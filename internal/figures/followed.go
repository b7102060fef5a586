package figures

import (
	"slices"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Followed adds up the windows of a trial as they are recorded, so that its figures need no second reading once it has
// ended.
type Followed struct{ phases map[int]*followed }

// followed are the windows of one phase.
type followed struct {
	sum     stats.Totals
	correct []stats.Window // their times and correct answers alone: how long load was sent is known at the end
}

// Add adds a window, in the order of the record.
func (f *Followed) Add(l *record.Load) {
	if f.phases == nil {
		f.phases = map[int]*followed{}
	}
	p := f.phases[l.Phase]
	if p == nil {
		p = &followed{}
		f.phases[l.Phase] = p
	}
	p.sum.Add(l.Window)
	p.correct = append(p.correct, stats.Window{Begin: l.Begin, Length: l.Length, Aside: l.Aside, Books: stats.Books{OK: l.Books.OK}})
}

// goodput is that of windows for which only times and correct answers are kept.
func (p *followed) goodput(sending time.Duration) float64 {
	t := stats.Totals{Sending: sending}
	for _, w := range p.correct {
		t.Add(w)
	}
	return t.Goodput()
}

// Trial has the figures that come from windows and from what trial.json says: all of Build's of each measured phase but
// the drift, the time lines, and the cores and work of processes.
func (f *Followed) Trial(raw record.Trial) Trial {
	out := Trial{
		Block: raw.Block, Position: raw.Position, Target: raw.Target, Attempt: raw.Attempt,
		Status: raw.Status, Reasons: raw.Reasons, Warnings: raw.Warnings,
	}
	measured := slices.DeleteFunc(slices.Clone(raw.Phases), func(p record.Phase) bool { return p.Warmup })
	for _, p := range measured {
		one := newFigures(p)
		windows, sending := f.phases[p.Number], one.totals.Sending
		if windows != nil {
			one.totals = windows.sum
			one.totals.Sending = sending
		}
		one.finish(raw, nil)
		if windows != nil {
			one.Goodput = windows.goodput(sending)
		}
		out.Phases = append(out.Phases, one)
	}
	return out
}
