package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"bakeoff/internal/live"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// progress shows what a run is doing: on a terminal a few lines that are drawn over, elsewhere a plain line for each
// trial and for what lasts. It uses no colour. Nobody who shows something waits for the writer, and one that fails is not written
// to again: what it shows is in the record too.
type progress struct {
	w        io.Writer
	out      *queue // to w
	terminal bool
	now      func() time.Time
	began    time.Time

	mu      sync.Mutex
	current record.Progress
	since   time.Time
	printed time.Time       // when the last line was, elsewhere than on a terminal
	trials  map[string]bool // those with a line, elsewhere than on a terminal
	state   *live.State     // of the run that is followed; nil: none is
	lines   int             // that are drawn
	drawn   time.Time       // when
	behind  bool            // something has happened since
	lost    int             // lines that had no room, since one last had
	blind   bool            // the run is not followed any more, since a panic
	done    chan struct{}
	stopped chan struct{}
}

const (
	// drawEvery is the time between two drawings on a terminal.
	drawEvery = 250 * time.Millisecond
	// passingEvery is how often passing texts become a line elsewhere than on a terminal.
	passingEvery = 10 * time.Second
	// mostLines is how many lines are drawn on a terminal.
	mostLines = 8
)

func newProgress(w io.Writer, now func() time.Time) *progress { return newScreen(w, now, false) }

// newScreen is newProgress; with patient, showing something waits for the writer, so that no line is lost.
func newScreen(w io.Writer, now func() time.Time, patient bool) *progress {
	p := &progress{
		w: w, out: newQueue(w, patient), now: now, began: now(), trials: map[string]bool{},
		done: make(chan struct{}), stopped: make(chan struct{}),
	}
	if file, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
	}
	go p.tick()
	return p
}

// show prints what happens now.
func (p *progress) show(e record.Progress) { p.showAt(e, p.now()) }

// showAt prints what happened at a time.
func (p *progress) showAt(e record.Progress, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current, p.since = e, at
	line := show.Clock(at.Sub(p.began)) + " " + text(e)
	if e.Verbatim {
		line = show.InertLines(e.Text)
	}
	switch {
	case p.terminal && e.Lasting:
		p.lay(line)
		p.current, p.behind = record.Progress{}, p.state != nil
	case p.terminal && p.now().Sub(p.drawn) < drawEvery:
		p.behind = true
	case p.terminal:
		p.draw()
	case p.worthALine(e, at):
		p.lay(line)
		p.printed = at
	}
}

// worthALine reports whether something is printed elsewhere than on a terminal: of the steps of a trial only the first.
func (p *progress) worthALine(e record.Progress, at time.Time) bool {
	switch {
	case e.Lasting:
		return true
	case e.Passing:
		return at.Sub(p.printed) >= passingEvery
	case e.Target == "" || e.Trials == 0:
		return true
	}
	key := fmt.Sprint(e.Block, " ", e.Attempt, " ", e.Target)
	seen := p.trials[key]
	p.trials[key] = true
	return !seen
}

// tick draws again when something has happened, and once a second, so that waiting is seen to go on.
func (p *progress) tick() {
	defer close(p.stopped)
	t := time.NewTicker(drawEvery)
	defer t.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-t.C:
			p.mu.Lock()
			if p.terminal && (p.behind || p.current.Text != "" && p.now().Sub(p.drawn) >= time.Second) {
				p.draw()
			}
			p.mu.Unlock()
		}
	}
}

// draw draws what is under way over what was drawn before, unless the writer is behind: then there is time.
func (p *progress) draw() {
	if p.out.waiting() {
		p.behind = true
		return
	}
	columns, rows := show.Columns(p.w)-1, mostLines
	if file, ok := p.w.(*os.File); ok {
		if _, high, err := term.GetSize(int(file.Fd())); err == nil {
			rows = max(1, min(rows, high-1))
		}
	}
	lines := p.screen(columns)
	lines = lines[:min(len(lines), rows)]
	var b strings.Builder
	b.WriteString(p.erased())
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString("\r\033[K" + show.Cut(line, columns))
	}
	if p.out.put(b.String()) {
		p.lines, p.drawn, p.behind = len(lines), p.now(), false
	}
}

// screen are the lines to draw: what is under way, and of a run that is followed how it goes.
func (p *progress) screen(columns int) []string {
	line := show.Clock(p.now().Sub(p.began)) + " " + text(p.current)
	if p.current.Expect > 0 {
		line += " " + show.Bar(p.now().Sub(p.since), p.current.Expect)
		if left := p.current.Expect - p.now().Sub(p.since); left > 0 {
			line += " " + show.Clock(left) + " left"
		}
	}
	if p.state == nil {
		return []string{line}
	}
	return append([]string{line}, p.followed(columns)...)
}

// followed is following, or nothing after a panic.
func (p *progress) followed(columns int) (lines []string) {
	defer func() {
		if cause := recover(); cause != nil {
			lines = nil
			p.unfollow(cause)
		}
	}()
	return p.following(columns)
}

// unfollow ends the following of the run after a panic, and says so once. The caller holds mu.
func (p *progress) unfollow(cause any) {
	if p.blind {
		return
	}
	p.state, p.blind = nil, true
	p.lay("bakeoff: warning: the lines about the run end here, the run goes on: internal error: " + show.Inert(fmt.Sprint(cause)))
}

// following is how a run goes that is followed.
func (p *progress) following(columns int) []string {
	now := p.state.Now()
	run := fmt.Sprintf("  run      %d of %s settled", now.Finished, show.Plural(now.Trials, "trial"))
	if now.Refused > 0 {
		run += fmt.Sprintf(", %d refused", now.Refused)
	}
	if !now.Ends.IsZero() {
		run += ", about " + show.Clock(max(0, now.Ends.Sub(p.now()))) + " left"
	}
	out := []string{run}
	if last := now.Last; last != nil {
		rate := show.Number(last.OK) + "/s answered"
		if last.Open {
			rate += " of " + show.Number(last.Offered) + "/s due"
		}
		out = append(out,
			"  rate     "+show.Inert(last.Target)+": "+rate,
			"  times    "+timesInWords(last),
			"  not ok   "+show.Percent(last.NotOK)+"; agents: "+lateInWords(last.Late))
	}
	return append(out, p.medians(columns)...)
}

// lateInWords is the share of the requests that the agents took up late, where that is measured.
func lateInWords(share *float64) string {
	if share == nil {
		return "not measured whether they are late"
	}
	return show.Percent(*share) + " late"
}

// timesInWords are p50 and p95 of the last second, or of the phase so far where a second has too few requests.
func timesInWords(l *live.Last) string {
	var out []string
	for i, percent := range live.Percents() {
		if percent != 50 && percent != 95 {
			continue
		}
		name := fmt.Sprintf("p%g ", percent)
		switch {
		case l.Times[i] != nil:
			out = append(out, name+atLeast(l.Over, i)+show.Seconds(*l.Times[i]))
		case l.SoFar != nil && l.SoFar[i] != nil:
			out = append(out, name+atLeast(l.SoFarOver, i)+show.Seconds(*l.SoFar[i])+" (phase so far)")
		default:
			out = append(out, name+show.None)
		}
	}
	return strings.Join(out, ", ")
}

// atLeast is the sign of a time that falls among time-outs.
func atLeast(over []bool, i int) string {
	if i < len(over) && over[i] {
		return ">"
	}
	return ""
}

// medians are the figures of the targets so far, on at most three lines.
func (p *progress) medians(columns int) []string {
	of, seconds := p.state.Medians()
	var words []string
	for _, m := range of {
		switch {
		case m.Blocks == 0:
		case seconds:
			words = append(words, show.Inert(m.Target)+" "+atLeast([]bool{m.Over}, 0)+show.Seconds(m.Value))
		default:
			words = append(words, show.Inert(m.Target)+" "+show.Number(m.Value)+"/s")
		}
	}
	if len(words) == 0 {
		return nil
	}
	const name = "  medians  "
	lines := strings.Split(show.Wrap(strings.Join(words, ", "), max(20, columns-len(name)), ""), "\n")
	lines = lines[:min(3, len(lines))]
	for i := range lines {
		lines[i] = strings.Repeat(" ", len(name)) + lines[i]
	}
	lines[0] = name + lines[0][len(name):]
	return lines
}

// erased is what takes away the lines that are drawn.
func (p *progress) erased() string {
	return strings.Repeat("\r\033[K\033[A", max(0, p.lines-1)) + "\r\033[K"
}

// lay prints a line that stays, in the place of what is drawn; where there is no room it counts as lost.
func (p *progress) lay(line string) {
	text := line + "\n"
	if p.lost > 0 {
		text = "bakeoff: " + show.Plural(p.lost, "line") + " left out here\n" + text
	}
	if p.terminal {
		text = p.erased() + text
	}
	if !p.out.put(text) {
		p.lost++
		return
	}
	p.lines, p.lost = 0, 0
}

// clear removes the lines, so that something else can be printed.
func (p *progress) clear() {
	p.erase()
	p.out.flush()
}

func (p *progress) erase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal && p.out.put(p.erased()) {
		p.lines = 0
	}
}

// close ends the drawing.
func (p *progress) close() {
	close(p.done)
	<-p.stopped
	p.erase()
	p.out.close()
}

func text(e record.Progress) string {
	var parts []string
	switch {
	case e.Target != "" && e.Trials > 0 && e.Block == 0:
		parts = append(parts, fmt.Sprintf("[%d/%d] pilot", e.Trial, e.Trials))
	case e.Target != "" && e.Trials > 0:
		parts = append(parts, fmt.Sprintf("[%d/%d] block %d of %d", e.Trial, e.Trials, e.Block, e.Blocks))
	}
	if e.Target != "" {
		parts = append(parts, show.Inert(e.Target))
	}
	if e.Target != "" && e.Attempt > 1 {
		parts = append(parts, fmt.Sprintf("attempt %d", e.Attempt))
	}
	return strings.Join(append(parts, show.Inert(e.Text)), ", ")
}
