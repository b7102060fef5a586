package measure

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"bakeoff/internal/stats"
)

// plainEvery is how many seconds a line stands for where there is no terminal.
const plainEvery = 5

// live shows how a measurement goes: one line that is drawn over each
// second on a terminal, a plain line every few seconds elsewhere.
type live struct {
	w        io.Writer
	terminal bool
	name     string // of the phase
	expect   time.Duration
	since    *tally // of the seconds not yet shown
	from     int    // the first of them
}

func newLive(w io.Writer) *live {
	l := &live{w: w, since: newTally()}
	if file, ok := w.(*os.File); ok {
		l.terminal = term.IsTerminal(int(file.Fd()))
	}
	return l
}

// begin names the phase that follows.
func (l *live) begin(name string, expect time.Duration) {
	l.name, l.expect, l.since, l.from = name, expect, newTally(), 0
	if l.terminal {
		fmt.Fprintf(l.w, "\r\033[K%s", name)
		return
	}
	fmt.Fprintf(l.w, "%s: %v\n", name, expect)
}

// second shows one second of all agents.
func (l *live) second(second int, t *tally) {
	l.since.merge(t)
	passed := time.Duration(second+1) * time.Second
	if !l.terminal && (second+1)%plainEvery != 0 && passed < l.expect {
		return
	}
	name := l.name
	if passed-time.Second >= l.expect {
		name = "last answers"
	}
	line := fmt.Sprintf("%s %s  %s", clock(passed), name, l.since.live(float64(second+1-l.from)))
	if l.terminal {
		line += "  " + bar(min(passed, l.expect), l.expect)
		fmt.Fprintf(l.w, "\r\033[K%s", cut(line, width(l.w)-1))
	} else {
		fmt.Fprintln(l.w, line)
	}
	l.since, l.from = newTally(), second+1
}

// close removes the line, so that the result stands alone.
func (l *live) close() {
	if l.terminal {
		fmt.Fprint(l.w, "\r\033[K")
	}
}

// live is what a line tells of so many seconds.
func (t *tally) live(seconds float64) string {
	b := t.books
	line := fmt.Sprintf("%7s/s  ok %s", number(float64(int64(float64(b.Sent)/seconds+0.5))), number(float64(b.OK)))
	for _, c := range []struct {
		name string
		n    int64
	}{{"bad", b.Bad}, {"timeouts", b.Timeout}, {"errors", b.Error}, {"dropped", b.Dropped}} {
		if c.n > 0 {
			line += fmt.Sprintf("  %s %s", c.name, number(float64(c.n)))
		}
	}
	return line + "  " + tail(t.response)
}

// tail is the highest percentile, up to p99, that the samples allow to give.
func tail(h *stats.Histogram) string {
	for _, p := range []float64{99, 95, 90, 50} {
		if f := h.Percentile(p); f.Needs == 0 {
			return fmt.Sprintf("%s %s%s", percentileName(p), above(f.Censored), span(f.Value))
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

// cut shortens a line to so many characters.
func cut(line string, limit int) string {
	if runes := []rune(line); len(runes) > limit {
		return string(runes[:max(limit, 0)])
	}
	return line
}

// span writes a duration with three digits and a unit that fits it.
func span(d time.Duration) string {
	unit, name := time.Second, "s"
	switch {
	case d == 0:
		return "0"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < 999500*time.Nanosecond:
		unit, name = time.Microsecond, "us"
	case d < 999500*time.Microsecond:
		unit, name = time.Millisecond, "ms"
	}
	v, digits := float64(d)/float64(unit), 0
	switch {
	case v < 9.995:
		digits = 2
	case v < 99.95:
		digits = 1
	}
	return fmt.Sprintf("%.*f %s", digits, v, name)
}

// clock is the time that has passed, such as 01:05.
func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// bar is a short bar of how much of the expected time is over.
func bar(passed, expected time.Duration) string {
	const cells = 20
	full := min(int(cells*passed/expected), cells)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "]"
}

// width is that of the terminal, or 100 columns.
func width(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 100
}
