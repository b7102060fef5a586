package measure

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"bakeoff/internal/load"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// plainEvery is how much time a line stands for where there is no terminal.
const plainEvery = 5 * time.Second

// live shows how a measurement goes: one line that is drawn over each
// second on a terminal, a plain line every few seconds elsewhere.
type live struct {
	w        io.Writer
	terminal bool
	name     string // of the phase
	expect   time.Duration
	requests int64  // that are asked for; 0: as many as come within the time
	sent     int64  // so far
	since    *tally // of what is not yet shown
}

func newLive(w io.Writer) *live {
	l := &live{w: w, since: newTally(0)}
	if file, ok := w.(*os.File); ok {
		l.terminal = term.IsTerminal(int(file.Fd()))
	}
	return l
}

// begin names the phase that follows.
func (l *live) begin(name string, p load.Phase) {
	l.name, l.expect, l.requests, l.sent, l.since = name, p.Duration, p.Requests, 0, newTally(0)
	if l.terminal {
		fmt.Fprintf(l.w, "\r\033[K%s", name)
		return
	}
	fmt.Fprintf(l.w, "%s: %s\n", name, goal(p))
}

// second shows one second of all agents.
func (l *live) second(t *tally) {
	l.since.Merge(t.Totals)
	l.sent += t.Books.Sent
	passed := t.End()
	if !l.terminal && l.since.Length < plainEvery && passed < l.expect {
		return
	}
	name := l.name
	if t.Begin >= l.expect {
		name = "last answers"
	}
	line := fmt.Sprintf("%s %s  %s", show.Clock(passed), name, l.since.live())
	if l.terminal {
		bar := show.Bar(min(passed, l.expect), l.expect)
		if l.requests > 0 {
			bar = show.Bar(time.Duration(min(l.sent, l.requests)), time.Duration(l.requests))
		}
		line += "  " + bar
		fmt.Fprintf(l.w, "\r\033[K%s", show.Cut(line, show.Columns(l.w)-1))
	} else {
		fmt.Fprintln(l.w, line)
	}
	l.since = newTally(0)
}

// close removes the line, so that the result stands alone.
func (l *live) close() {
	if l.terminal {
		fmt.Fprint(l.w, "\r\033[K")
	}
}

// live is what a line says of a stretch.
func (t *tally) live() string {
	b := t.Books
	line := fmt.Sprintf("%7s/s  ok %s", show.Count(int64(float64(b.Sent)/t.Length.Seconds()+0.5)), show.Count(b.OK))
	for _, c := range []struct {
		name string
		n    int64
	}{{"bad", b.Bad}, {"timeouts", b.Timeout}, {"errors", b.Error}, {"dropped", b.Dropped}} {
		if c.n > 0 {
			line += fmt.Sprintf("  %s %s", c.name, show.Count(c.n))
		}
	}
	return line + "  " + tail(t.Response)
}

// tail is the highest percentile, up to p99, that the samples allow to give.
func tail(h *stats.Histogram) string {
	for _, p := range []float64{99, 95, 90, 50} {
		if f := h.Percentile(p); f.Needs == 0 {
			return fmt.Sprintf("%s %s%s", percentileName(p), above(f.Censored), show.Duration(f.Value))
		}
	}
	return "too few for a percentile"
}

// above marks a lower bound.
func above(censored bool) string {
	if censored {
		return "> "
	}
	return ""
}
