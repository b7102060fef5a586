package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// What the parts of a run say by themselves, at the edges of what they are given.

// A running server is asked a handful of times on two connections, and in a full check on more; one that does not answer has a reason
// of its own.
func TestServersAreChecked(t *testing.T) {
	var mu sync.Mutex
	requests, connections, status := 0, 0, http.StatusOK
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests++
		w.WriteHeader(status)
		fmt.Fprint(w, "pong")
	}))
	site.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			mu.Lock()
			connections++
			mu.Unlock()
		}
	}
	site.Start()
	defer site.Close()
	s := serversOf(t, &book{}, "targets: [{name: a, kind: url, url: \""+site.URL+"/x\", expect: {body: pong}}]\n")
	if err := s.preflight(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := s.deploy(t.Context(), launch{name: "a"})[0]
	for full, want := range map[bool][2]int{false: {2, 4}, true: {4, 20}} {
		requests, connections = 0, 0
		found, err := d.check(t.Context(), before, full)
		if err != nil || len(found.reasons) > 0 || len(found.checks) == 0 || connections != want[0] || requests != want[1] {
			t.Errorf("full %v: %d requests on %d connections, %+v, %v", full, requests, connections, found, err)
		}
	}
	mu.Lock()
	status = http.StatusTeapot
	mu.Unlock()
	if found, err := d.check(t.Context(), before, false); err != nil || len(found.reasons) != 1 || found.reasons[0].Code != record.CodeContract {
		t.Errorf("another status: %+v, %v", found, err)
	}
	site.Close()
	found, err := d.check(t.Context(), after, false)
	if err != nil || len(found.reasons) != 1 || found.reasons[0].Code != record.CodeNoAnswer || !strings.HasPrefix(found.reasons[0].Text, site.URL+"/x does not answer after the load: ") {
		t.Errorf("nobody there: %+v, %v", found, err)
	}
	var rec record.Run
	s.describe(&rec)
	if got := rec.Targets[0]; got.Name != "a" || got.Kind != record.KindURL || got.URL != site.URL+"/x" || got.Expect.Status != 200 || got.Expect.Body != "pong" || !strings.Contains(rec.Notes[0], "no second witness") {
		t.Errorf("%+v, %q", got, rec.Notes)
	}
	witness, err := d.count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := d.account(t.Context())
	if err != nil || sum.turn(t.Context(), true) != nil {
		t.Error(err)
	}
	none := record.Witness{DatabaseReads: gate.NotCounted, BalancerTotal: gate.NotCounted, Connections: gate.NotCounted}
	one, _ := witness(t.Context(), 5)
	two, _ := sum.total(t.Context())
	if fmt.Sprint(one) != fmt.Sprint(none) || fmt.Sprint(two) != fmt.Sprint(none) {
		t.Errorf("counted %+v and %+v", one, two)
	}
	if !errors.Is(d.freeze(t.Context()), venue.ErrNoFreezing) || !errors.Is(d.thaw(t.Context()), venue.ErrNoFreezing) || d.redraw(t.Context()) != nil || s.owns() {
		t.Error("a running server is held still or owned")
	}
	if got := s.overhead(); got != (plan.Overhead{Setup: time.Second, Trial: 200 * time.Millisecond, Phase: 500 * time.Millisecond, Together: 200 * time.Millisecond, Slice: 20 * time.Millisecond}) {
		t.Errorf("%+v", got)
	}
	s.o.Keep = true
	wantError(t, s.preflight(t.Context()), "--keep leaves the processes")
	s.o.Keep, s.o.Needs = false, func(context.Context, *plan.Plan) []target.Need { return []target.Need{{What: "java"}} }
	wantError(t, s.preflight(t.Context()), "missing on this machine: java")
	if got, err := s.missing(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// How a search ended is said with what else is to be known of it.
func TestCapacityInWords(t *testing.T) {
	for want, r := range map[string]capacity.Result{
		"between 90.0 and 100 requests per second":                                                                             {Outcome: capacity.Found, Lower: 90, Upper: 100},
		"between 90.0 and 100 requests per second; after an overload it met less than before":                                  {Outcome: capacity.Found, Lower: 90, Upper: 100, Hysteresis: true},
		"between 90.0 and 100 requests per second; it meets higher rates and fails at lower ones, and the lowest bound counts": {Outcome: capacity.Found, Lower: 90, Upper: 100, Inverted: true},
		"at least 90.0 requests per second, which is what the agents can be trusted with":                                      {Outcome: capacity.AtLeast, Lower: 90},
		"the objective is not met even almost without load":                                                                    {Outcome: capacity.Impossible},
		"after an overload the target twice failed at rates that it had met before":                                            {Outcome: capacity.Unrepeatable, Hysteresis: true},
		"the search came to no end": {Outcome: capacity.Unfinished},
	} {
		if got := capacityInWords(r); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
	r := &run{pilot: &record.Pilot{Capacity: map[string]capacity.Result{"a": {Outcome: capacity.AtLeast}, "b": {Outcome: capacity.Impossible}, "c": {Outcome: capacity.Found}}}}
	for name, want := range map[string]bool{"a": true, "b": true, "c": false, "d": false} {
		if r.answered(name) != want {
			t.Errorf("%s needs no blocks: %v", name, !want)
		}
	}
}

// Stages have numbers, names and lengths of their own, and are none where the plan asks for no capacity.
func TestStagesOfAPlan(t *testing.T) {
	o := newWorld().options(t, "blocks: 1\n"+twoTargets+capacityPlan)
	r := &run{o: &o}
	for _, c := range []struct {
		block, n, number int
		name             string
	}{{0, 1, 2000, plan.SearchName(1)}, {0, 3, 2002, plan.SearchName(3)}, {2, 1, 2, plan.StageName(1)}, {2, 4, 5, plan.StageName(4)}} {
		got := r.stagePhase(c.block, c.n, 80)
		if got.Number != c.number || got.Name != c.name || got.Model != load.Open || got.Rate != 80 || got.Arrivals != "poisson" || got.Connections != 256 || got.Duration != 13*time.Second {
			t.Errorf("%+v: %+v", c, got)
		}
		if s := r.stageOf(got); s == nil || s.Search != (c.block == 0) || s.Percentile != 0.99 || s.BoundS != 0.05 || s.Errors != 0.001 {
			t.Errorf("%+v: %+v", c, s)
		}
	}
	for number, want := range map[int]bool{0: false, 1: false, 2: true, 999: true, 1000: false, 1999: false, 2000: true} {
		if got := r.isStage(load.Phase{Number: number}); got != want {
			t.Errorf("phase %d: %v", number, got)
		}
	}
	plain := newWorld().options(t, "blocks: 1\n"+twoTargets+closedOnly)
	alone := &run{o: &plain}
	if alone.isStage(load.Phase{Number: 2000}) || alone.stageOf(load.Phase{Number: 2}) != nil {
		t.Error("a stage of a plan that asks for none")
	}
	if rate, more := (&trial{run: alone}).nextRate(); rate != 0 || more {
		t.Errorf("a stage at %v/s", rate)
	}
}

// A calibration holds for the ways that it was made on.
func TestWaysToTargets(t *testing.T) {
	for kind, want := range map[string]string{"direct": record.PathDirect, "nginx": record.PathNginx, "external": "", "ingress": ""} {
		r := &run{o: &Options{Plan: &plan.Plan{Balancer: plan.Balancer{Kind: kind}}}}
		if got := r.way(load.Phase{}); got != want {
			t.Errorf("%s: %q", kind, got)
		}
	}
	s := serversOf(t, &book{}, "targets: [{name: a, kind: url, url: \"https://127.0.0.1:1/\"}]\nagents: {engine: http}\n")
	if got := (&run{o: s.o}).way(load.Phase{}); got != "" {
		t.Errorf("with encryption: %q", got)
	}
}

// Clearing up has 30 s, a stop 10 s and 4 s once the user waits; a pause ends with its context.
func TestTimesToClearUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		if got := grace(ctx); got != 10*time.Second {
			t.Errorf("%v", got)
		}
		began := time.Now()
		if err := pause(ctx, time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		cancel(ErrInterrupted)
		if got := grace(ctx); got != 4*time.Second {
			t.Errorf("interrupted: %v", got)
		}
		if err := pause(ctx, time.Minute); !errors.Is(err, ErrInterrupted) {
			t.Errorf("%v", err)
		}
		late, end := teardown(ctx)
		defer end()
		if at, ok := late.Deadline(); !ok || time.Until(at) != 30*time.Second || late.Err() != nil {
			t.Errorf("%v, %v", time.Until(at), late.Err())
		}
	})
}

// clocked is a venue of some cores whose processes have used that much.
type clocked struct {
	venue.Venue
	cores int
	used  time.Duration
}

func (c *clocked) Machine() record.Machine   { return record.Machine{Cores: c.cores} }
func (c *clocked) Clock([]int) time.Duration { return c.used }

// idling is a deployment known by its processes alone.
type idling struct{ deployment }

func (idling) sources() []collect.Source {
	return []collect.Source{{Tier: "target", Process: only{name: "a-1", pid: 5}}, {Tier: "balancer", Process: only{name: "nginx", pid: 6}}}
}

// What a target uses in its own turns is not counted, on as many cores as there are, and one where that is not known.
func TestIdleShares(t *testing.T) {
	for cores, want := range map[int]float64{0: 0.5, 1: 0.5, 2: 0.25} {
		synctest.Test(t, func(t *testing.T) {
			v := &clocked{cores: cores, used: time.Hour}
			c := newIdleClock(v, &trial{d: idling{}})
			if c.share() != 0 || !slices.Equal(c.pids, []int{5}) {
				t.Errorf("in no time: %v of %v", c.share(), c.pids)
			}
			time.Sleep(2 * time.Second)
			v.used += time.Second
			end := c.turn()
			time.Sleep(time.Second)
			v.used += 5 * time.Second // in its own turn
			end()
			time.Sleep(2 * time.Second)
			v.used += time.Second
			if got := c.share(); got != want {
				t.Errorf("%d cores: %v, want %v", cores, got, want)
			}
		})
	}
}

// Containers of others in a target's pods are named once.
func TestContainersOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.containers = []string{"mesh", "logs", "mesh"}
		dir, _ := conducted(t, w.options(t, "blocks: 2\n"+oneTarget+closedOnly))
		const note = "pods of flask have containers that are not bakeoff's, whose work is measured with it: logs, mesh"
		if n := len(slices.DeleteFunc(runOf(t, dir).Notes, func(text string) bool { return text != note })); n != 1 {
			t.Errorf("said %d times: %q", n, runOf(t, dir).Notes)
		}
	})
}

// Why targets take no turns, in the order in which it is looked at.
func TestWhyNoTurns(t *testing.T) {
	two := []plan.Target{{Name: "a"}, {Name: "b"}}
	for want, c := range map[string]struct {
		p       plan.Plan
		noTurns error
	}{
		"": {plan.Plan{Turns: 1, Targets: two}, nil}, "the plan asks for none": {plan.Plan{Targets: two}, nil}, "faked": {plan.Plan{Turns: 1, Targets: two}, errFaked},
		"there is only one target": {plan.Plan{Turns: 1, Targets: two[:1]}, nil}, "a JVM cannot change its target": {plan.Plan{Turns: 1, Targets: two, Agents: plan.Agents{Engine: plan.JMeter}, Phases: []plan.Phase{{}}}, errFaked},
		"an external balancer expects": {plan.Plan{Turns: 1, Targets: two, Balancer: plan.Balancer{ReplicaPorts: []int{1}}}, nil},
	} {
		err := (&Options{Plan: &c.p, noTurns: c.noTurns}).inTurns()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// What is missing is named once for each package; what a check found is that of the first replica that says it.
func TestWordsOfOthers(t *testing.T) {
	missing := &MissingError{[]target.Need{{What: "nginx", Package: "nginx-light"}, {What: "a kernel"}, {What: "njs", Package: "nginx-light"}, {What: "mariadbd", Package: "mariadb-server"}}}
	if got := missing.Packages(); !slices.Equal(got, []string{"nginx-light", "mariadb-server"}) || missing.Error() != "missing on this machine: nginx, a kernel, njs, mariadbd" {
		t.Errorf("%q, %v", got, missing)
	}
	checks := []record.Check{{Name: "a", Detail: "2 of 2 right"}, {Name: "b", Detail: "1 of 1 right; other"}, {Name: "a", Detail: "1 of 1 right; text; more"}}
	for name, want := range map[string]string{"a": "text; more", "b": "other", "c": "not looked at"} {
		if got := detailOf(checks, name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for want, phases := range map[contract.Connections][]bool{contract.Kept: {false, false}, contract.Closed: {true, true}, contract.KeptAndClosed: {true, false, true}} {
		p := &plan.Plan{}
		for _, reconnect := range phases {
			p.Phases = append(p.Phases, plan.Phase{Reconnect: reconnect})
		}
		if got := connectionsOf(p); got != want {
			t.Errorf("%v: %v, want %v", phases, got, want)
		}
	}
	for want, sums := range map[string][]string{"it 5": {"5"}, "all that started together 5 and 6": {"5", "6"}} {
		if got := givenTo(sums); got != want {
			t.Errorf("%q", got)
		}
	}
	for want, p := range map[string]load.Phase{
		"a: 100/s for 3s": {Name: "a", Model: load.Open, Rate: 100, Duration: 3 * time.Second}, "b: 8 connections for 1s": {Name: "b", Model: load.Closed, Connections: 8, Duration: time.Second},
	} {
		if got := describe(p); got != want {
			t.Errorf("%q", got)
		}
	}
	v := Findings{Checks: []record.Check{{OK: true}}}
	for want, change := range map[bool]func(*Findings){true: func(*Findings) {}, false: func(f *Findings) { f.Error = "x" }} {
		one := v
		if change(&one); one.OK() != want {
			t.Errorf("%+v", one)
		}
	}
	if (Findings{}).OK() || (Findings{Checks: []record.Check{{OK: true}, {}}}).OK() {
		t.Error("nothing, or a check that failed, is taken as right")
	}
}

// A stage that cannot be begun, a target that does not come back after one, and a pilot that cannot be kept end the run by name.
func TestTargetsThatDoNotRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{}
		bad := &trial{rec: record.Trial{Target: "a"}, d: unwell{}}
		began := time.Now()
		if err := r.cool(t.Context(), bad); !errors.Is(err, errFaked) || err.Error() != "a after a stage: faked" || time.Since(began) != plan.Coolest {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began = time.Now()
		if err := r.cool(ctx, bad); err != nil || time.Since(began) > 0 {
			t.Errorf("interrupted: %v after %v", err, time.Since(began))
		}
	})
}

type unwell struct{ deployment }

func (unwell) recovered(context.Context) error { return errFaked }

// clinging is a database with connections that do not close.
type clinging struct {
	venue.Database
	open int
}

func (d *clinging) ConnectionCount(context.Context) (int, error) { return d.open, nil }
func (d *clinging) Connections(context.Context) (map[string]int, error) {
	return map[string]int{"a": d.open}, nil
}

// Connections have a second to close; those that are there are no reason to wait.
func TestConnectionsHaveTimeToClose(t *testing.T) {
	for _, own := range []string{"a", ""} {
		for open, want := range map[int]time.Duration{7: 0, 8: 1100 * time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				p := &plan.Plan{}
				s := &recipes{o: &Options{Plan: p}, db: &clinging{open: p.InFlight() + open}}
				d := &replicated{stage: s, entrant: &entrant{recipe: &target.Recipe{}}, ownUser: own}
				began, err := time.Now(), error(nil)
				if own == "" {
					err = s.withinBudget(t.Context(), 7, []*replicated{d})
				} else {
					s.db = &clinging{open: p.InFlight() + open - 7}
					err = errors.Join(s.countOpen(t.Context(), []*replicated{d}), d.tooMany())
				}
				if took := time.Since(began); took != want || errors.Is(err, errConnections) != (want > 0) || d.open != p.InFlight()+open-7 {
					t.Errorf("%q has opened %d: %v after %v, want %v", own, d.open, err, took, want)
				}
			})
		}
	}
}

// Connections in the middle of a phase are not waited for once it has ended, and only in the last phase counted at all.
func TestPhasesThatEndEarly(t *testing.T) {
	for _, last := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			(&trial{}).countHalfway(t.Context(), load.Phase{Duration: time.Minute}, last)()
			if took := time.Since(began); took > 0 {
				t.Errorf("last %v: waited %v", last, took)
			}
		})
	}
}
