package controller

import (
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
		want   string // code of the first attempt; empty: it is valid
		note   string
	}{
		"equal":          {by: map[string]int64{"pod-1": 334, "pod-2": 333, "pod-3": 333}, within: "1%", note: "flask 33.4, 33.3, 33.3 % (equal weights, within 1.0 %)"},
		"pinned, shown":  {by: map[string]int64{"pod-1": 1000}, note: "flask 100.0, 0.0, 0.0 % (not equal: up to 200.0 % from an equal share)"},
		"pinned":         {by: map[string]int64{"pod-1": 1000}, within: "50%", want: record.CodeShares, note: "flask 100.0"},
		"unnamed":        {by: map[string]int64{"pod-1": 500, "pod-2": 499}, want: record.CodeShares, note: "flask 50."},
		"somebody else":  {by: map[string]int64{"pod-1": 500, "pod-9": 500}, want: record.CodeShares, note: "flask 100.0"},
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
				for _, want := range []string{
					c.note, "the balancer before flask sets cookies (lb, route): agents keep none", "a Service spreads connections, not requests",
				} {
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

// Shares are those of all measured phases so far, in place of what was said before; the pilot and warm-ups do not count.
func TestNoteOfShares(t *testing.T) {
	answers := func(first, second int64) stats.Totals {
		return stats.Totals{Window: stats.Window{Replicas: map[string]stats.Replica{"flask-1": {Answers: first}, "flask-2": {Answers: second}}}}
	}
	trial := record.Trial{Block: 1, Target: "flask", Declared: &record.Declared{Shares: &record.Shares{Replicas: []string{"flask-1", "flask-2"}}}}
	s := spread{}
	s.add(trial, record.Phase{}, answers(60, 40))
	s.add(trial, record.Phase{}, answers(10, 30))
	s.add(trial, record.Phase{Warmup: true}, answers(500, 0))
	pilot, direct := trial, trial
	pilot.Block, direct.Declared = 0, &record.Declared{}
	s.add(pilot, record.Phase{}, answers(500, 0))
	s.add(direct, record.Phase{}, answers(500, 0))
	rec := record.Run{Notes: []string{sharesNote + "service, before", "other"}}
	s.note(&rec, "ingress")
	want := []string{"other", "answers of the replicas behind the ingress, over all measured phases: flask 50.0, 50.0 % (equal weights, within 1.0 %)"}
	if diff := cmp.Diff(want, rec.Notes); diff != "" {
		t.Error(diff)
	}
	rec = record.Run{}
	if (spread{}).note(&rec, "nginx"); len(rec.Notes) > 0 {
		t.Errorf("%q", rec.Notes)
	}
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
