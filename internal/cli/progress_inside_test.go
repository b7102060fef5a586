package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/live"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
)

// drawings are what was written to a terminal, one each.
type drawings struct{ all []string }

func (d *drawings) Write(b []byte) (int, error) {
	d.all = append(d.all, string(b))
	return len(b), nil
}

// followedState is what is known of a run.
func followedState(t *testing.T, dir string) *live.State {
	t.Helper()
	s := live.New()
	for item, err := range record.Follow(t.Context(), dir, record.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Take(item); item.Pause != nil {
			break
		}
	}
	return s
}

// However much happens, a terminal gets at most eight lines at most four times a second, none wider than it is, and no colour.
func TestTerminalIsDrawnSeldom(t *testing.T) {
	var names []string
	for _, c := range "abcdefghijkl" {
		names = append(names, strings.Repeat(string(c), 40))
	}
	r := recordtest.Of(1, names...)
	r.ClosedS, r.OpenS = 1, 0
	r.Plan("throughput", `"phases":[{"name":"closed","model":"closed","duration":"1s"}]`)
	state := followedState(t, r.Write(t))
	synctest.Test(t, func(t *testing.T) {
		var d drawings
		p := newProgress(&d, time.Now)
		p.terminal, p.state = true, state
		for i := range 1000 {
			p.show(record.Progress{Block: 1, Blocks: 1, Trial: 1, Trials: 12, Target: names[0], Text: strings.Repeat("long ", i), Expect: time.Minute})
			time.Sleep(10 * time.Millisecond)
		}
		p.show(record.Progress{Text: "this stays", Lasting: true})
		p.close()
		if n := len(d.all); n > 4*10+4 || n < 20 {
			t.Errorf("%d drawings in 10 s", n)
		}
		most := 0
		for _, text := range d.all {
			_, fresh, _ := strings.Cut(text, "this stays\n")
			if fresh == "" {
				fresh = text
			}
			fresh = strings.TrimLeft(strings.ReplaceAll(fresh, "\r\x1b[K\x1b[A", ""), "\r\x1b[K")
			lines := strings.Split(fresh, "\n")
			most = max(most, len(lines))
			for _, line := range lines {
				if w := show.Width(strings.NewReplacer("\r", "", "\x1b[K", "").Replace(line)); w > 99 {
					t.Errorf("a line of %d columns: %q", w, line)
				}
			}
			if regexp.MustCompile(`\x1b\[[0-9;]*m`).MatchString(text) {
				t.Errorf("a colour: %q", text)
			}
		}
		if most < 6 || most > mostLines {
			t.Errorf("%d lines at most", most)
		}
		if last := d.all[len(d.all)-1]; !strings.HasSuffix(last, "\r\x1b[K") {
			t.Errorf("at the end something is left: %q", last)
		}
	})
}

// What is drawn are the numbers of the record.
func TestTerminalShowsTheRecord(t *testing.T) {
	r := recordtest.Of(2, "flask", "django")
	r.Plan("throughput", `"agents":{"count":2},"phases":[{"name":"closed","model":"closed","duration":"4s"},{"name":"open","model":"open","duration":"4s","rate":600}]`)
	p := &progress{now: time.Now, state: followedState(t, r.Write(t))}
	text := strings.Join(p.following(80), "\n")
	for _, want := range []string{"4 of 4 trials settled", "django: 600/s answered of 600/s due", "p50 1", "not ok   0.0 %; agents: 0.0 % late", "medians  flask 1,000/s, django 1,000/s"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
}

// A stage of a search is open, although the plan has no such phase: what is due in it is drawn.
func TestTerminalShowsStages(t *testing.T) {
	r := recordtest.Of(1, "flask")
	r.Plan("capacity", `"phases":[{"name":"closed","model":"closed","duration":"4s"}]`)
	w := r.Begin(t)
	rate := func(phase int) string {
		t.Helper()
		l := recordtest.Window(rand.New(rand.NewPCG(1, 1)), record.Phase{Number: phase, Started: recordtest.Epoch()}, 0, 0, 700, []record.Replica{{Name: "flask-1"}})
		l.Books.Planned = 900
		tw, err := w.BeginTrial(1, 1, "flask", phase)
		if err == nil {
			err = errors.Join(w.Progress(record.Progress{Block: 1, Attempt: phase, Target: "flask", Text: "stage", Stage: &record.StageBegun{Phase: 2000, Name: "stage-1", DurationS: 10, Rates: map[string]float64{"flask": 900}}}), tw.Load(l))
		}
		if err != nil {
			t.Fatal(err)
		}
		p := &progress{now: time.Now, state: followedState(t, w.Dir())}
		return strings.Join(p.following(80), "\n")
	}
	if text := rate(2000); !strings.Contains(text, "flask: 700/s answered of 900/s due") {
		t.Errorf("a stage:\n%s", text)
	}
	if text := rate(1); !strings.Contains(text, "flask: 700/s answered\n") {
		t.Errorf("the closed phase:\n%s", text)
	}
}

// A time among time-outs is more than what is written, and what the load engine does not measure is no 0.
func TestTerminalMakesNothingUp(t *testing.T) {
	over, most, p50 := []bool{false, false, true, false, false}, 10.0, 0.001
	l := &live.Last{Point: live.Point{Times: []*float64{&p50, nil, &most, nil, nil}, Over: over}}
	if got := timesInWords(l); got != "p50 1.00 ms, p95 >10.0 s" {
		t.Errorf("times: %s", got)
	}
	l = &live.Last{Point: live.Point{Times: make([]*float64, 5)}, SoFar: l.Times, SoFarOver: over}
	if got := timesInWords(l); got != "p50 1.00 ms (phase so far), p95 >10.0 s (phase so far)" {
		t.Errorf("times so far: %s", got)
	}
	share := 0.0004
	if got := lateInWords(&share); got != "0.04 % late" {
		t.Errorf("a small share: %s", got)
	}
	if got := lateInWords(nil); strings.Contains(got, "%") || !strings.Contains(got, "not measured") {
		t.Errorf("not measured: %s", got)
	}
}

// Elsewhere there is one line a trial, and one for everything else that lasts or belongs to no trial.
func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, time.Now)
	steps := []string{"starting", "checking the contract before the load", "warmup: 4 connections for 1s", "closed: 4 connections for 1s", "checking the contract after the load", "stopping"}
	for attempt := 1; attempt <= 2; attempt++ {
		for _, target := range []string{"a", "b"} {
			for _, step := range steps {
				p.show(record.Progress{Block: 1, Blocks: 1, Trial: 1, Trials: 2, Attempt: attempt, Target: target, Text: step})
			}
		}
	}
	p.show(record.Progress{Block: 1, Blocks: 1, Trial: 1, Trials: 2, Target: "a", Text: "invalid: late", Lasting: true})
	p.show(record.Progress{Text: "filling the table"})
	p.close()
	if got := strings.Count(out.String(), "\n"); got != 6 || strings.Contains(out.String(), "stopping") || strings.Count(out.String(), "starting") != 4 {
		t.Errorf("%d lines:\n%s", got, &out)
	}
}

// broken is a terminal that was closed.
type broken struct{ writes int }

func (b *broken) Write([]byte) (int, error) {
	b.writes++
	return 0, errors.New("gone")
}

// What cannot be shown is not tried again, and ends nothing.
func TestClosedTerminal(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var b broken
		p := newProgress(&b, time.Now)
		p.terminal = terminal
		for range 100 {
			p.show(record.Progress{Text: "x", Lasting: true})
		}
		p.close()
		if b.writes != 1 {
			t.Errorf("%d writes", b.writes)
		}
	}
}

// A program gets every event of the record, in order.
func TestEventsAreLinesOfJSON(t *testing.T) {
	dir := recordtest.Of(1, "flask").Write(t)
	var out bytes.Buffer
	events := &eventLines{w: &out}
	if err := events.print(record.Follow(t.Context(), dir, record.Position{})); err != nil {
		t.Error(err)
	}
	next, kinds := int64(1), map[string]bool{}
	for dec := json.NewDecoder(&out); dec.More(); next++ {
		var e record.Event
		if err := dec.Decode(&e); err != nil || e.Sequence != next {
			t.Fatalf("event %d: %+v (%v)", next, e, err)
		}
		kinds[e.Kind] = true
	}
	if next != events.printed.Load()+1 {
		t.Errorf("%d events, counted are %d", next-1, events.printed.Load())
	}
	if !kinds[record.EventRun] || !kinds[record.EventTrial] || !kinds[record.EventFinished] {
		t.Errorf("kinds %v", kinds)
	}
}
