package controller

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/target"
)

// What is missing is named, with each package once.
func TestMissingIsNamed(t *testing.T) {
	e := &MissingError{[]target.Need{{What: "gcc", Package: "gcc"}, {What: "python"}, {What: "g++", Package: "gcc"}, {What: "nginx", Package: "nginx-light"}}}
	if got := e.Packages(); !slices.Equal(got, []string{"gcc", "nginx-light"}) {
		t.Errorf("packages %q", got)
	}
	wantError(t, e, "missing on this machine: gcc, python, g++, nginx")
}

// What who loads needs and refuses counts before anything is started, for recipes and for running servers.
func TestPreflightAsksWhoLoads(t *testing.T) {
	const running = "targets: [{name: a, kind: url, url: \"http://127.0.0.1:1/\"}]\nwarmup: 0s\n"
	for _, lines := range []string{oneTarget, running} {
		o := newWorld().options(t, oneTarget+closedOnly)
		var err error
		if o.Plan, err = plan.Load("test.yaml", []byte("name: test\n"+lines+closedOnly)); err != nil {
			t.Fatal(err)
		}
		wantError(t, Preflight(t.Context(), o))
		if missing, err := Missing(t.Context(), o); err != nil || len(missing) > 0 {
			t.Errorf("missing %v, %v", missing, err)
		}
		o.Needs = func(context.Context, *plan.Plan) []target.Need { return []target.Need{{What: "java"}} }
		err = Preflight(t.Context(), o)
		if _, is := errors.AsType[*MissingError](err); !is {
			t.Errorf("%T", err)
		}
		wantError(t, err, "missing on this machine: java")
		if missing, err := Missing(t.Context(), o); err != nil || len(missing) != 1 {
			t.Errorf("missing %v, %v", missing, err)
		}
		o.Refuses = func(_ *plan.Plan, dir string) []plan.Finding {
			return []plan.Finding{{Path: "phases[0].duration", Text: "is too short in " + dir}}
		}
		o.PlanDir, o.PlanName, o.PlanGiven = "here", "my.yaml", nil
		wantError(t, Preflight(t.Context(), o), "phases[0].duration: is too short in here")
		o.PlanGiven = []byte("name: test\n" + lines + closedOnly)
		err = Preflight(t.Context(), o)
		if _, is := errors.AsType[*PlanError](err); !is {
			t.Errorf("%T", err)
		}
		wantError(t, err, "my.yaml:4:", "is too short in here")
	}
}

// Names that a plan has wrong are located in its file; what is wrong in a recipe is not.
func TestUnknownNamesAreLocated(t *testing.T) {
	const lines = "targets:\n  - flsk\n  - {recipe: fastapi, variant: asyncmi}\n"
	o := planOf(t, lines)
	o.PlanName, o.PlanGiven = "my.yaml", []byte("name: test\n"+lines+closedOnly)
	_, err := o.resolve()
	wantError(t, err, "my.yaml:3:", `"flsk"`, "did you mean flask", "my.yaml:4:", `"asyncmi"`)
	if _, is := errors.AsType[*PlanError](err); !is {
		t.Errorf("%T", err)
	}
	for err, want := range map[error]bool{nil: false, errors.New("no such folder"): true} {
		if f, located := finding(2, err); located != want || located && f != (plan.Finding{Path: "targets[2].recipe", Text: "no such folder"}) {
			t.Errorf("%v: %+v, %v", err, f, located)
		}
	}
}

// Where a machine's look at itself is cut short nothing is missing: the run was interrupted.
func TestPreflightInterrupted(t *testing.T) {
	w := newWorld()
	w.lacking = []target.Need{{What: "nginx"}}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrInterrupted)
	if err := Preflight(ctx, w.options(t, oneTarget+closedOnly)); !errors.Is(err, ErrInterrupted) {
		t.Errorf("%v", err)
	}
}

// An external balancer is given one port for each replica, and another kind needs none.
func TestPortsOfReplicas(t *testing.T) {
	for lines, words := range map[string][]string{
		"balancer: {kind: external, url: \"http://127.0.0.1:8080\", replica_ports: [9001, 9002, 9003]}\n": nil,
		"balancer: {kind: direct}\n": nil,
		"":                           nil,
	} {
		o := planOf(t, lines+"targets: [flask]\n")
		entrants, err := o.resolve()
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, o.ports(entrants), words...)
	}
}

// The outline says what each target may open and whether they take turns, and why not.
func TestOutline(t *testing.T) {
	for lines, want := range map[string][]string{
		"targets: [flask, django]\nallow_unfair: to see what a pool is worth\n": {
			"database connections of flask: 3 replicas x 16 = 48", "database connections of django: 32 (one for each request in flight)",
		},
		"targets: [flask]\nturns: 250ms\n": {
			"database connections of flask: 3 replicas x 16 = 48", "the targets do not take turns: there is only one target",
		},
	} {
		o := planOf(t, lines)
		got, err := o.Outline()
		if err != nil {
			t.Fatal(err)
		}
		wantList(t, lines, got, want...)
	}
	const servers = "targets: [{name: a, kind: url, url: \"http://127.0.0.1:1/\", expect: {status: 204}}, {name: b, kind: url, url: \"http://127.0.0.1:2/\", expect: {body: pong}}]\n"
	for more, each := range map[string]string{
		"":               "one after another, by 2 agents, at most 2 requests at a time:",
		"turns: 250ms\n": "in turns of 250ms, by 2 agents, at most 2 requests at a time:",
		"agents: {count: 3, engine: http, http2: true}\nphases: [{model: closed, connections: 3, duration: 1s}]\n": "one after another in HTTP/2, by 3 agents, at most 3 requests at a time:",
	} {
		if !strings.Contains(more, "phases") {
			more += "phases: [{model: closed, connections: 2, duration: 1s}]\n"
		}
		p, err := plan.Load("test.yaml", []byte("name: test\n"+servers+more))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Options{Plan: p}.Outline()
		if err != nil || len(got) != 4 || got[0] != "a: requests http://127.0.0.1:1/; a right answer has status 204" ||
			got[1] != `b: requests http://127.0.0.1:2/; a right answer has status 200 and a body with "pong"` || got[2] != each {
			t.Errorf("%q: %v, %q", more, err, got)
		}
	}
}

// A folder is looked up where the plan is, unless its path is absolute.
func TestFoldersOfRecipes(t *testing.T) {
	shipped, err := filepath.Abs("../../targets")
	if err != nil {
		t.Fatal(err)
	}
	for recipe, dir := range map[string]string{"./flask": shipped, filepath.Join(shipped, "flask"): "/nowhere", "flask": "/nowhere"} {
		o := planOf(t, "targets: [{name: a, recipe: \""+recipe+"\"}]\n")
		o.PlanDir = dir
		entrants, err := o.resolve()
		if err != nil || entrants[0].plan.Name != "a" || entrants[0].recipe.Title == "" {
			t.Errorf("%s: %v", recipe, err)
		}
	}
}

// What a phase asks is known before anything is started, except for a rate that the pilot finds.
func TestTaskOfAPhase(t *testing.T) {
	phases := "pilot: 1s\nphases: [{name: a, model: closed, connections: 2, duration: 1s}, {name: b, model: open, rate: 50, connections: 2, duration: 1s, lookups: server}, {name: c, model: open, rate_of_pilot: 0.5, connections: 2, duration: 1s}]\n"
	planned := func(lines string) *plan.Plan {
		p, err := plan.Load("test.yaml", []byte("name: test\nseed: 9\n"+lines))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := planned("targets: [flask]\ndataset: {rows: 77}\n" + phases)
	for n, words := range map[int][]string{0: {"the plan has no phase 0"}, 4: {"the plan has no phase 4"}, 3: {"phase c: its rate is known after the pilot only"}, 1: nil, 2: nil} {
		task, err := TaskOf(t.Context(), p, n)
		wantError(t, err, words...)
		if words == nil && (task.Phase.Number != n || task.Phase.Name != p.Phases[n-1].Name || task.Seed != 9 || task.Engine != "native" || task.Contract != Contract ||
			!strings.Contains(string(task.Workload), `"rows":77`) || strings.Contains(string(task.Workload), dataset.Server) != (n == 2) || task.URLs[0] != placeholder) {
			t.Errorf("phase %d: %+v, %s", n, task, task.Workload)
		}
	}
	running := planned("targets: [{name: a, kind: url, url: \"http://127.0.0.1:81/x\"}]\n" + strings.ReplaceAll(phases, ", lookups: server", ""))
	task, err := TaskOf(t.Context(), running, 2)
	if err != nil || task.URLs[0] != "http://127.0.0.1:81" || task.Dial[0] != "127.0.0.1:81" || task.Contract != endpoint.Contract || task.Phase.Model != load.Open {
		t.Errorf("%v: %+v", err, task)
	}
	_, err = TaskOf(t.Context(), planned("targets: [{name: a, kind: url, url: \"http://192.0.2.1/\"}]\nallow_hosts: [192.0.2.1]\n"+strings.ReplaceAll(phases, ", lookups: server", "")), 1)
	wantError(t, err)
}

// A run of recipes is looked at before anything is started; of running servers nothing is known.
func TestLookAhead(t *testing.T) {
	for lines, c := range map[string]struct {
		connections int
		together    bool
		words       []string
	}{
		"targets: [flask, fastapi]\n":                         {48 + spareConnections, false, nil},
		"targets: [flask, fastapi]\nturns: 250ms\n":           {96 + spareConnections, true, nil},
		"targets: [flask]\ndatabase: {max_connections: 79}\n": {0, false, []string{"connection budget exceeded"}},
		"targets: [flask, django]\n":                          {0, false, []string{"unfair: database connections in all"}},
		"targets: [flsk]\n":                                   {0, false, []string{"flsk"}},
	} {
		got, err := LookAhead(planOf(t, lines))
		wantError(t, err, c.words...)
		if got.Connections != c.connections || got.Together != c.together || c.words == nil && (len(got.Recipes) != 2 || got.Recipes[1].Title == "") {
			t.Errorf("%q: %+v", lines, got)
		}
		if _, is := errors.AsType[*PlanError](err); is != (c.words != nil) {
			t.Errorf("%q: %T", lines, err)
		}
	}
	s := serversOf(t, &book{}, "targets: [{name: a, kind: url, url: \"http://127.0.0.1:1/\"}]\n")
	if got, err := LookAhead(*s.o); err != nil || len(got.Recipes) > 0 || got.Connections > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// The rows are loaded without a run, and the database is stopped again; running servers have none.
func TestLoadData(t *testing.T) {
	w := newWorld()
	o := w.options(t, oneTarget+closedOnly)
	info, err := LoadData(t.Context(), o)
	if err != nil || info.Rows != 1000 || info.Digest != w.rows.Digest() || info.DigestAtFill != info.Digest || info.MaxConnections != 200 || info.Vendor != "mariadb" {
		t.Errorf("%+v, %v", info, err)
	}
	wantList(t, "what happened", w.happened(""), "database starts", "database stops")
	w.filled = "1111"
	_, err = LoadData(t.Context(), o)
	wantError(t, err, "the digest of the table is 1111")
	s := serversOf(t, &book{}, "targets: [{name: a, kind: url, url: \"http://127.0.0.1:1/\"}]\n")
	s.o.Venue = w
	_, err = LoadData(t.Context(), *s.o)
	if _, is := errors.AsType[*PlanError](err); !is || !errors.Is(err, ErrNoData) {
		t.Errorf("%T: %v", err, err)
	}
}

// How statements are counted is said of a database that is somebody else's, where it needs a reason.
func TestCounterOfAnExternalDatabase(t *testing.T) {
	for kind, said := range map[string]int{"private": 0, "external": 1} {
		w := newWorld()
		w.info.Counter, w.info.CounterReason = database.ByDigest, "others use the server"
		o := w.options(t, oneTarget+closedOnly)
		o.Plan.Database.Kind = kind
		s := newRecipes(&o)
		var err error
		if s.rows, err = dataset.New(rowsOf(o.Plan)); err != nil {
			t.Fatal(err)
		}
		s.db = &table{world: w}
		if err := s.fill(t.Context()); err != nil || s.dbInfo.Kind != kind || s.dbInfo.CounterReason != "others use the server" {
			t.Errorf("%+v, %v", s.dbInfo, err)
		}
		n := 0
		for _, e := range w.events {
			if e.Lasting && e.Text == "the database's statements are counted by digest: others use the server" {
				n++
			}
		}
		if n != said {
			t.Errorf("%s: said %d times, want %d", kind, n, said)
		}
	}
}

// The server of a run has room for connections that are just closing, where each request has one of its own.
func TestRoomForClosingConnections(t *testing.T) {
	const bounded = "{recipe: django, settings: {DATABASE_BOUND: semaphore}}"
	for _, c := range []struct {
		lines          string
		inFlight, want int
	}{
		{"targets: [flask]\n", 32, 48},
		{"targets: [django]\n", 32, 32 + closingConnections},
		{"targets: [django]\n", 500, 500 + 500},
		{"targets: [" + bounded + "]\n", 500, 48 + closingConnections},
		{"targets: [flask, " + bounded + "]\n", 32, 48 + closingConnections},
		{"targets: [flask, " + bounded + "]\nturns: 250ms\n", 32, 48 + 48 + closingConnections},
	} {
		o := planOf(t, c.lines)
		o.Plan.Phases[0].Connections = c.inFlight
		entrants, err := o.resolve()
		if err != nil {
			t.Fatal(err)
		}
		if got := o.connectionsNeeded(entrants); got != c.want+spareConnections {
			t.Errorf("%q, %d in flight: %d connections, want %d", c.lines, c.inFlight, got, c.want+spareConnections)
		}
	}
}
