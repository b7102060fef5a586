package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// inService are lines of a plan whose targets are behind a Service.
const inService = "kubernetes: {registry: r.example}\nbalancer: {kind: service}\n"

// Behind a balancer of the cluster's a trial is refused where right answers name no replica of it, or where shares are not as equal as the
// plan demands, and a reader of the record finds the same. The shares, the cookies and what is known of such a balancer are noted.
func TestBehindTheClustersBalancer(t *testing.T) {
	for name, c := range map[string]struct {
		by     map[string]int64 // right answers of each phase, of 1000
		within string
		want   string // code of each attempt; empty: all are valid
		note   string // empty: no trial is valid, so there is none
	}{
		"equal":          {by: map[string]int64{"pod-1": 334, "pod-2": 333, "pod-3": 333}, within: "1%", note: "flask 33.4, 33.3, 33.3 % (equal weights, within 1.0 %)"},
		"pinned, shown":  {by: map[string]int64{"pod-1": 1000}, note: "flask 100.0, 0.0, 0.0 % (not equal: up to 200.0 % from an equal share)"},
		"pinned":         {by: map[string]int64{"pod-1": 1000}, within: "50%", want: record.CodeShares},
		"unnamed":        {by: map[string]int64{"pod-1": 500, "pod-2": 499}, want: record.CodeShares},
		"somebody else":  {by: map[string]int64{"pod-1": 500, "pod-9": 500}, want: record.CodeShares},
		"a guessed name": {by: map[string]int64{"pod-1": 500, "flask-2": 500}, want: record.CodeShares},
		"by its address": {by: map[string]int64{"10.0.0.1:1": 1000}, note: "flask 100.0"},
	} {
		for _, turns := range []bool{false, true} {
			if turns && name == "equal" {
				continue // a slice has too few requests for it
			}
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.pods, w.cookies, w.dial = 3, []string{"lb", "route"}, []string{"10.0.0.9:80"}
				share := func(p *phaseFaked) {
					p.by = map[string]int64{}
					for pod, n := range c.by {
						p.by[pod] = n * p.books.OK / 1000
					}
				}
				lines := "blocks: 1\n" + inService
				if c.within != "" {
					lines = strings.Replace(lines, "service", "service, equal_within: "+c.within, 1)
				}
				targets, more := oneTarget, ""
				if turns {
					targets, more = twoTargets, "turns: 250ms\n"
				}
				for _, target := range []string{"flask", "fastapi"} {
					w.script[target] = slices.Repeat([]act{{phase: share}}, 9)
				}
				var refused []string
				if c.want != "" {
					refused = []string{"a target lacks enough valid trials"}
				}
				dir, _ := conducted(t, w.options(t, lines+more+targets+"phases: [{model: closed, connections: 16, duration: 10s}]\n"), refused...)
				got := attemptsOf(t, dir)
				if first := slices.ContainsFunc(got, func(a string) bool { return strings.Contains(a, record.CodeShares) }); first != (c.want != "") {
					t.Errorf("%s, turns %v: attempts %q", name, turns, got)
				}
				replayed(t, dir)
				notes := runOf(t, dir).Notes
				if about := slices.ContainsFunc(notes, func(note string) bool { return strings.HasPrefix(note, sharesNote) }); about != (c.note != "") {
					t.Errorf("%s, turns %v: notes %q", name, turns, notes)
				}
				wants := []string{
					"the balancer before flask sets cookies (lb, route): agents keep none", "a Service spreads connections, not requests",
				}
				if c.note != "" {
					wants = append(wants, c.note)
				}
				for _, want := range wants {
					if n := len(slices.DeleteFunc(slices.Clone(notes), func(note string) bool { return !strings.Contains(note, want) })); n != 1 {
						t.Errorf("%s, turns %v: %q is noted %d times in %q", name, turns, want, n, notes)
					}
				}
				for _, task := range w.tasks {
					if !slices.Equal(task.Dial, w.dial) {
						t.Errorf("%s: requests go to %q", name, task.Dial)
					}
				}
				for _, asked := range w.asked {
					if asked.Dial != w.dial[0] {
						t.Errorf("%s: the contract is checked at %q", name, asked.Dial)
					}
				}
			})
		}
	}
}

// Shares are those of the right answers in the measured phases of all valid trials, in place of what was said before; the pilot, warm-ups
// and phases without the balancer do not count.
func TestNoteOfShares(t *testing.T) {
	answers := func(first, second int64) stats.Totals {
		return stats.Totals{Window: stats.Window{Replicas: map[string]stats.Replica{"flask-1": {Answers: first + 7, Errors: 7}, "flask-2": {Answers: second}}}}
	}
	sums := map[int]stats.Totals{1: answers(60, 40), 2: answers(10, 30), 3: answers(500, 0)}
	totals := func(p record.Phase) (stats.Totals, error) { return sums[p.Number], nil }
	trial := record.Trial{
		Block: 1, Target: "flask", Status: record.Valid, Phases: []record.Phase{{Number: 1}, {Number: 2}, {Number: 3, Warmup: true}, {Number: 3, Direct: true}},
		Declared: &record.Declared{Shares: &record.Shares{Replicas: []string{"flask-1", "flask-2"}}},
	}
	pilot, other, invalid, aborted := trial, trial, trial, trial
	pilot.Block, other.Declared, invalid.Status, aborted.Status = 0, &record.Declared{}, record.Invalid, record.TrialAborted
	for _, of := range []*record.Trial{&pilot, &other, &invalid, &aborted} {
		of.Phases = []record.Phase{{Number: 3}}
	}
	s := spread{}
	for _, of := range []record.Trial{trial, pilot, other, invalid, aborted} {
		if err := s.add(of, totals); err != nil {
			t.Fatal(err)
		}
	}
	rec := record.Run{Notes: []string{sharesNote + "service, before", "other"}}
	s.note(&rec, "ingress")
	want := []string{
		"other", "answers of the replicas behind the ingress, right ones, over the measured phases of all valid trials: flask 50.0, 50.0 % (equal weights, within 1.0 %)",
	}
	if diff := cmp.Diff(want, rec.Notes); diff != "" {
		t.Error(diff)
	}
	rec = record.Run{Notes: []string{sharesNote + "service, before"}}
	if (spread{}).note(&rec, "nginx"); len(rec.Notes) > 0 {
		t.Errorf("%q", rec.Notes)
	}
	if err := s.add(trial, func(record.Phase) (stats.Totals, error) { return stats.Totals{}, errFaked }); !errors.Is(err, errFaked) {
		t.Error(err)
	}
}

// A trial that is refused after its load does not count, and one from before the run was resumed does.
func TestSharesOfResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.pods, w.dial = 3, []string{"10.0.0.9:80"}
		shares := func(first, second, third int64) func(*phaseFaked) {
			return func(p *phaseFaked) {
				p.by = map[string]int64{"pod-1": first * p.books.OK / 10, "pod-2": second * p.books.OK / 10, "pod-3": third * p.books.OK / 10}
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		w.script["flask"] = []act{{phase: shares(10, 0, 0), fails: after}, {phase: shares(4, 3, 3)}, {phase: func(*phaseFaked) { cancel(ErrInterrupted) }}}
		o := w.options(t, "blocks: 2\n"+inService+oneTarget+"phases: [{model: closed, connections: 16, duration: 10s}]\n")
		dir, err := Run(ctx, o)
		if !errors.Is(err, ErrInterrupted) {
			t.Fatal(err)
		}
		noted := func(want string) {
			t.Helper()
			notes := slices.DeleteFunc(runOf(t, dir).Notes, func(note string) bool { return !strings.HasPrefix(note, sharesNote) })
			if len(notes) != 1 || !strings.Contains(notes[0], want) {
				t.Errorf("%q, want %q", notes, want)
			}
		}
		noted("flask 40.0, 30.0, 30.0 %")
		w.script["flask"] = slices.Repeat([]act{{phase: shares(2, 4, 4)}}, 9)
		o.Resume = dir
		conducted(t, o)
		noted("flask 30.0, 35.0, 35.0 %")
	})
}

// A check says what is known of such a balancer beforehand.
func TestBalancerLine(t *testing.T) {
	const pins = "a Service spreads connections, not requests: each stays with one replica for as long as it is open, so shares follow the connections"
	for lines, want := range map[string][]string{
		"balancer: {kind: nginx}\n": nil,
		"balancer: {kind: service}\n": {
			"the balancer is the cluster's (service): every answer has to name its replica; shares of the replicas are shown, whatever they are", pins,
		},
		"balancer: {kind: ingress, host: flask.example, equal_within: 2%}\n": {
			"the balancer is the cluster's (ingress): every answer has to name its replica; a trial is refused where a replica's share is more than 2% from an equal one",
		},
	} {
		o := planOf(t, "targets: [flask]\nkubernetes: {registry: r.example}\n"+lines)
		got, err := o.Outline()
		if err != nil {
			t.Fatal(err)
		}
		wantList(t, lines, got[1:], want...)
	}
}
