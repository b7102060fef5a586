package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/fleet"
	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/venue"
)

// How long the controller waits for a database to come to rest, and when a round counts.

// tally is a database that says what a test sets: on its n-th look, from 1.
type tally struct {
	venue.Database
	reads    func(n int) int64
	busy     func(n int) bool // a statement runs
	balancer int64
	fails    error
	looks    int
	asked    int
	ended    []string
}

// front is what counts before the replicas, and their logs.
type front struct {
	venue.Deployed
	requests int64
}

func (f front) Requests(context.Context) (int64, error) { return f.requests, nil }
func (f front) LogLines() (int64, error)                { return 7, nil }

func (c *tally) Counters(context.Context) (database.Counters, error) {
	c.looks++
	return database.Counters{Reads: c.reads(c.looks)}, c.fails
}

func (c *tally) Busy(context.Context) ([]database.Session, error) {
	if c.asked++; c.busy == nil || !c.busy(c.asked) {
		return nil, c.fails
	}
	return []database.Session{{User: "theirs", Statement: "SELECT SLEEP"}, {User: "nobody", Statement: "SELECT 1"}}, c.fails
}

func (c *tally) End(_ context.Context, all []database.Session) error {
	for _, one := range all {
		c.ended = append(c.ended, one.User)
	}
	return nil
}

// of is a target whose database and balancer these are.
func (c *tally) of(p *plan.Plan) *replicated {
	s := newRecipes(&Options{Plan: p})
	s.db = c
	return &replicated{stage: s, at: front{requests: c.balancer}}
}

func TestCountsAfterAPhase(t *testing.T) {
	same := func(int) int64 { return 5 }
	more := func(n int) int64 { return int64(100 + n) }
	for _, c := range []struct {
		name     string
		reads    func(n int) int64
		balancer int64
		sent     int64
		want     time.Duration
		looks    int
	}{
		{"they agree", same, 5, 5, 0, 1},
		{"nothing counts before the replicas", same, -1, 5, 0, 1},
		{"the balancer does not agree", same, 6, 5, 500 * time.Millisecond, 2},
		{"the database does not agree", same, 6, 6, 500 * time.Millisecond, 2},
		{"the last ones come late", func(n int) int64 { return int64(min(n, 3)) }, 3, 3, time.Second, 3},
		{"they never stand still", more, 5, 5, 15500 * time.Millisecond, 32},
	} {
		synctest.Test(t, func(t *testing.T) {
			count := &tally{reads: c.reads, balancer: c.balancer}
			began := time.Now()
			got, err := count.of(&plan.Plan{}).difference(t.Context(), count0(c.balancer), c.sent)
			if took := time.Since(began); err != nil || took != c.want || count.looks != c.looks || got.DatabaseReads != c.reads(c.looks) || (got.BalancerTotal < 0) != (c.balancer < 0) || got.LogLines == nil || *got.LogLines != 7 {
				t.Errorf("%s: %+v, %v after %v and %d looks", c.name, got, err, took, count.looks)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 800*time.Millisecond, errFaked)
		defer cancel()
		began := time.Now()
		if _, err := (&tally{reads: more}).of(&plan.Plan{}).difference(ctx, count{}, 5); !errors.Is(err, errFaked) || time.Since(began) != 800*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := (&tally{reads: more, fails: errFaked}).of(&plan.Plan{}).difference(t.Context(), count{}, 5); !errors.Is(err, errFaked) {
			t.Errorf("no counts: %v", err)
		}
	})
}

// count0 is where nothing has been counted yet.
func count0(balancer int64) count {
	if balancer < 0 {
		return count{balancer: -1}
	}
	return count{}
}

func TestStatementsHaveTwoSeconds(t *testing.T) {
	off := &plan.Plan{}
	off.Trust.Statements = plan.Off
	for _, c := range []struct {
		name  string
		plan  *plan.Plan
		busy  func(n int) bool
		want  time.Duration
		asked int
		ended bool
	}{
		{"nothing runs", &plan.Plan{}, nil, 0, 1, false},
		{"it ends in time", &plan.Plan{}, func(n int) bool { return n < 201 }, 2 * time.Second, 201, false},
		{"it goes on", &plan.Plan{}, func(int) bool { return true }, 2010 * time.Millisecond, 202, true},
		{"nobody looks", off, func(int) bool { return true }, 0, 0, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			db := &tally{busy: c.busy}
			d, theirs := db.of(c.plan), &replicated{}
			d.stage.logins["theirs"], theirs.stage = theirs, d.stage
			began := time.Now()
			ended, err := d.quiet(t.Context(), "after its end")
			if took := time.Since(began); err != nil || ended != c.ended || took != c.want || db.asked != c.asked || slices.Equal(db.ended, []string{"theirs", "nobody"}) != c.ended {
				t.Errorf("%s: %v, %v after %v and %d looks; %v were ended", c.name, ended, err, took, db.asked, db.ended)
			}
			var said []string
			for _, of := range []*replicated{theirs, d} {
				for _, reason := range of.reasons() {
					said = append(said, reason.Code+" "+reason.Text)
				}
			}
			want := []string(nil)
			if c.ended {
				const text = record.CodeLeftBehind + " a statement of the target still ran in the database 2s after its end: "
				want = []string{text + "SELECT SLEEP", text + "SELECT 1"}
			}
			if !slices.Equal(said, want) || len(append(d.reasons(), theirs.reasons()...)) > 0 {
				t.Errorf("%s: %q", c.name, said)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errFaked)
		defer cancel()
		db := &tally{busy: func(int) bool { return true }}
		if ended, err := db.of(&plan.Plan{}).quiet(ctx, ""); ended || !errors.Is(err, errFaked) || len(db.ended) > 0 {
			t.Errorf("%v, %v, %v", ended, err, db.ended)
		}
		db.fails = errFaked
		d := db.of(&plan.Plan{})
		if ended, err := d.quiet(t.Context(), ""); ended || !errors.Is(err, errFaked) || d.stage.alone(t.Context()) == nil {
			t.Errorf("%v, %v", ended, err)
		}
		db.fails = nil
		if err := d.stage.alone(t.Context()); err != nil || len(db.ended) != 2 {
			t.Errorf("%v, %v", err, db.ended)
		}
	})
}

// A round counts while no agent was away for more than a twentieth of a slice; what is left out is made up for while there is time.
func TestRoundsThatCount(t *testing.T) {
	w, err := record.Create(t.TempDir(), record.Run{Name: "rounds"}, nil, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	lines, err := w.BeginTrial(1, 1, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	ts := &turns{
		block: &block{up: []*trial{{writer: lines, d: &server{}}}}, phase: load.Phase{Number: 3}, watched: []*gate.Phase{gate.NewPhase(record.Phase{Number: 3})},
		again: make([]time.Duration, 1), spans: make([]time.Duration, 1), spare: 250 * time.Millisecond,
	}
	for n, c := range []struct {
		stopped, starved time.Duration
		none, late       bool
		left, replaced   int
		again            time.Duration
	}{
		{5 * time.Millisecond, 0, false, false, 0, 0, 0},
		{2 * time.Millisecond, 3 * time.Millisecond, false, false, 0, 0, 0},
		{0, 0, true, false, 0, 0, 0},
		{2 * time.Millisecond, 3*time.Millisecond + 1, false, false, 1, 1, 100 * time.Millisecond},
		{0, 0, true, true, 2, 2, 200 * time.Millisecond},
		{time.Second, 0, false, false, 3, 2, 200 * time.Millisecond},
		{0, 0, false, false, 3, 2, 200 * time.Millisecond},
	} {
		ts.spans[0], ts.spoilt = 100*time.Millisecond, c.late
		window := stats.Window{Books: stats.Books{Sent: int64(n + 1), OK: int64(n + 1)}, Resources: &stats.Resources{Stopped: int64(c.stopped), Starved: int64(c.starved)}}
		if c.none {
			window.Resources = nil
		}
		ts.take(0, fleet.Snapshot{Agent: 0, Sequence: int64(n), Window: window})
		ts.endRound(100 * time.Millisecond)
		if ts.rec.LeftOut != c.left || ts.rec.Replaced != c.replaced || ts.again[0] != c.again || ts.spans[0] != 0 || ts.spoilt || len(ts.held) > 0 {
			t.Errorf("round %d: %+v, %v, %+v", n, ts.rec, ts.again, ts.spans)
		}
	}
	if err := errors.Join(ts.writeErr, lines.Finish(record.Trial{Block: 1, Position: 1, Target: "a", Attempt: 1, Status: record.Valid}), w.Finish(record.Complete, "")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line, err := range openRecord(t, w.Dir()).Trials()[0].Loads() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %d %v", line.Phase, line.Window.Books.OK, line.Window.Aside))
	}
	if want := "3 1 false, 3 2 false, 3 3 false, 3 4 true, 3 5 true, 3 6 true, 3 7 false"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", strings.Join(got, ", "), want)
	}
	if sum := ts.watched[0].Totals(); sum.Books.OK != 28 {
		t.Errorf("%d answers were judged", sum.Books.OK)
	}
}

// Connections are drawn again seven times in a phase, a second apart at least, by whole rounds, and only where a run-in hides it.
func TestHowOftenConnectionsAreDrawnAgain(t *testing.T) {
	for _, c := range []struct {
		model     string
		reconnect bool
		duration  time.Duration
		length    time.Duration
		want      int
	}{
		{load.Open, false, 10 * time.Second, 250 * time.Millisecond, 0},
		{load.Closed, true, 10 * time.Second, 250 * time.Millisecond, 0},
		{load.Closed, false, 8 * time.Second, 250 * time.Millisecond, 4},
		{load.Closed, false, 8 * time.Second, 251 * time.Millisecond, 4},
		{load.Closed, false, 8 * time.Second, 249 * time.Millisecond, 5},
		{load.Closed, false, 16 * time.Second, 100 * time.Millisecond, 20},
		{load.Closed, false, time.Second, 250 * time.Millisecond, 4},
		{load.Closed, false, time.Second, 5 * time.Second, 1},
	} {
		if got := roundsPerDraw(load.Phase{Model: c.model, Reconnect: c.reconnect, Duration: c.duration}, c.length); got != c.want {
			t.Errorf("%+v: after %d rounds", c, got)
		}
	}
}

// windows is a loader whose agents report two windows of four answers.
type windows struct{ Loader }

func (windows) Run(_ context.Context, _ fleet.Task, sink func(fleet.Snapshot)) (fleet.Report, error) {
	for n := range int64(2) {
		sink(fleet.Snapshot{Sequence: n, Window: stats.Window{Books: stats.Books{OK: 4}}})
	}
	return fleet.Report{}, nil
}

// notSampled is a sampler of nothing.
type notSampled struct{ venue.Sampler }

func (notSampled) Phase(int) {}

// A record that cannot be written ends the run, and what was measured until then is known all the same.
func TestRecordsThatCannotBeWritten(t *testing.T) {
	w, err := record.Create(t.TempDir(), record.Run{Name: "ended"}, nil, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	lines, err := w.BeginTrial(1, 1, "a", 1)
	if err = errors.Join(err, lines.Finish(record.Trial{Block: 1, Position: 1, Target: "a", Attempt: 1, Status: record.Valid})); err != nil {
		t.Fatal(err)
	}
	o := newWorld().options(t, oneTarget+closedOnly)
	tr := &trial{run: &run{o: &o, writer: w, loader: windows{}}, writer: lines, d: &server{}, sampler: notSampled{}, totals: map[int]stats.Totals{}}
	_, writeErr, err := tr.measure(t.Context(), fleet.Task{Phase: load.Phase{Number: 3}}, false)
	if !errors.Is(writeErr, record.ErrEnded) || err != nil || tr.totals[3].Books.OK != 8 {
		t.Errorf("%v, %v, %+v", writeErr, err, tr.totals)
	}
	ts := &turns{block: &block{up: []*trial{tr}}, phase: load.Phase{Number: 4}, watched: []*gate.Phase{gate.NewPhase(record.Phase{Number: 4})}}
	ts.take(0, fleet.Snapshot{Window: stats.Window{Books: stats.Books{OK: 4}}})
	if ts.endRound(time.Second); !errors.Is(ts.writeErr, record.ErrEnded) || ts.watched[0].Totals().Books.OK != 4 {
		t.Errorf("%v", ts.writeErr)
	}
}
