package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// progress shows what a run is doing: one line that is drawn over on a
// terminal, plain lines elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	now      func() time.Time
	began    time.Time

	mu      sync.Mutex
	current record.Progress
	since   time.Time
	printed time.Time // when the last line was, elsewhere than on a terminal
	done    chan struct{}
	stopped chan struct{}
}

func newProgress(w io.Writer, now func() time.Time) *progress {
	p := &progress{w: w, now: now, began: now(), done: make(chan struct{}), stopped: make(chan struct{})}
	if file, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(file.Fd()))
	}
	go p.tick()
	return p
}

// show prints what happens now.
func (p *progress) show(e record.Progress) { p.showAt(e, p.now()) }

// passingEvery is how often passing texts become a line elsewhere than on a terminal.
const passingEvery = 10 * time.Second

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
		fmt.Fprintf(p.w, "\r\033[K%s\n", line)
		p.current = record.Progress{}
	case p.terminal:
		p.draw()
	case !e.Passing || at.Sub(p.printed) >= passingEvery:
		fmt.Fprintln(p.w, line)
		p.printed = at
	}
}

// tick redraws the line once a second, so that waiting is seen to go on.
func (p *progress) tick() {
	defer close(p.stopped)
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-t.C:
			p.mu.Lock()
			if p.terminal && p.current.Text != "" {
				p.draw()
			}
			p.mu.Unlock()
		}
	}
}

func (p *progress) draw() {
	line := show.Clock(p.now().Sub(p.began)) + " " + text(p.current)
	if p.current.Expect > 0 {
		line += " " + show.Bar(p.now().Sub(p.since), p.current.Expect)
	}
	fmt.Fprintf(p.w, "\r\033[K%s", show.Cut(line, show.Columns(p.w)-1))
}

// clear removes the line, so that something else can be printed.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprint(p.w, "\r\033[K")
	}
}

// close ends the drawing.
func (p *progress) close() {
	close(p.done)
	<-p.stopped
	p.clear()
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
		parts = append(parts, e.Target)
	}
	if e.Target != "" && e.Attempt > 1 {
		parts = append(parts, fmt.Sprintf("attempt %d", e.Attempt))
	}
	return strings.Join(append(parts, show.Inert(e.Text)), ", ")
}
