package controller

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"bakeoff/internal/dataset"
	"bakeoff/internal/driver"
	"bakeoff/internal/fleet"
	"bakeoff/internal/record"
)

const withDriver = "targets: [flask, {kind: driver}]\n"

// A driver is a target of the block without a replica: its agents ask the database under an account of its own, on the engine that lets
// a workload make its connections, and what they sent is compared with what the database counted.
func TestDriver(t *testing.T) {
	for _, turns := range []string{"", "turns: 250ms\n"} {
		for name, c := range map[string]struct {
			change func(*phaseFaked)
			want   string
		}{
			"honest": {nil, "1-%-driver valid"},
			"no lookups": {func(p *phaseFaked) {
				if p.task.Contract == driver.Contract {
					p.reads /= 2
				}
			}, "1-%-driver invalid witness"},
		} {
			t.Run(turns+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					if c.change != nil {
						w.script["database"], w.at["database"] = []act{{phase: c.change}}, 1
					}
					o := w.options(t, "blocks: 1\n"+withDriver+turns+closedOnly)
					o.Short = true
					o.Calibration = &record.Calibration{At: w.began, Engine: "native", Agents: 2, Ceilings: map[string]float64{record.PathNginx: 1000}}
					dir, _ := conducted(t, o)
					driverTrial(t, dir, c.want)
					driverTasks(t, w)
				})
			})
		}
	}
}

func driverTrial(t *testing.T, dir, want string) {
	t.Helper()
	if got := strings.Join(trialsOf(t, dir), ", "); !strings.Contains(got, strings.Replace(want, "%", "1", 1)) && !strings.Contains(got, strings.Replace(want, "%", "2", 1)) {
		t.Errorf("trials %s, want %s", got, want)
	}
	run := runOf(t, dir)
	i := slices.IndexFunc(run.Targets, func(of record.TargetInfo) bool { return of.Name == "driver" })
	if of := run.Targets[i]; of.Kind != record.KindDriver || of.Recipe != "" || of.Replicas+of.Workers != 0 || of.Protocol != "text" {
		t.Errorf("%+v", of)
	}
	at := run.Order[slices.IndexFunc(run.Order, func(p record.Place) bool { return p.Target == "driver" })]
	trial := trialOf(t, dir, "1-"+string(rune('0'+at.Position))+"-driver")
	if len(trial.Replicas) != 0 || trial.Declared.Connections != 32 || trial.Declared.Protocol != "text" || !trial.Declared.Driver {
		t.Errorf("%+v", trial)
	}
	other := trialOf(t, dir, "1-"+string(rune('0'+3-at.Position))+"-flask")
	if other.Declared.Driver {
		t.Errorf("flask is declared as %+v", other.Declared)
	}
	for _, p := range trial.Phases {
		if p.CeilingS != 0 {
			t.Errorf("phase %s is held against a ceiling of %v/s, which is that of another engine", p.Name, p.CeilingS)
		}
		if p.Witness.BalancerTotal != -1 {
			t.Errorf("phase %s: a balancer counted %d", p.Name, p.Witness.BalancerTotal)
		}
	}
}

// A driver asks as the targets do that it is compared with: it prepares its statement where all of them do.
func TestDriverProtocol(t *testing.T) {
	const text, prepared = "go-nethttp", "{recipe: go-nethttp, variant: prepared, name: p}"
	for targets, want := range map[string]string{
		text: "text", prepared: "prepared", text + ", " + prepared: "text", prepared + ", {recipe: node-fastify, settings: {PROTOCOL: prepared}}": "prepared",
	} {
		o := newWorld().options(t, "blocks: 1\ntargets: ["+targets+", {kind: driver}]\n"+closedOnly)
		e, err := o.entrant(o.Plan.Targets[len(o.Plan.Targets)-1])
		if err != nil || e.recipe.Protocol != want {
			t.Errorf("%s: %v, %v, want %s", targets, e, err, want)
			continue
		}
		d := replicated{entrant: e}
		if task, err := d.driverTask(dataset.WorkloadSpec{}, false); err != nil || strings.Contains(string(task.Workload), `"prepared":true`) != (want == "prepared") {
			t.Errorf("%s: agents get %s, %v", targets, task.Workload, err)
		}
	}
}

// driverTasks looks at what the agents were given.
func driverTasks(t *testing.T, w *world) {
	t.Helper()
	all := slices.Concat(w.tasks, w.inTurns)
	of := slices.DeleteFunc(slices.Clone(all), func(task fleet.Task) bool { return task.Target != "driver" })
	if len(of) == 0 {
		t.Fatal("the driver was not loaded")
	}
	for _, task := range of {
		spec, err := driver.ParseSpec(task.Workload)
		if err != nil {
			t.Fatal(err)
		}
		if task.Contract != driver.Contract || task.Engine != "http" || spec.User == "" || spec.Password == "" || spec.Lookup.Dataset.Rows != 1000 {
			t.Errorf("%s on %s: %v, %+v", task.Contract, task.Engine, spec, spec.Lookup)
		}
		if spec.Lookup.LengthPresent != driver.LengthPresent || spec.Lookup.LengthAbsent != driver.LengthAbsent {
			t.Errorf("lengths of right answers: %+v", spec.Lookup)
		}
	}
	for _, task := range all {
		if task.Target == "flask" && task.Engine != "native" {
			t.Errorf("flask is loaded by %s", task.Engine)
		}
	}
	if len(w.prepared) != 1 || w.at["driver"] != 0 {
		t.Errorf("prepared %q, deployed %v", w.prepared, w.at)
	}
}

// A phase that leaves the balancer out asks the replicas of the same target; what the balancer counts then refuses the trial.
func TestDirectPhase(t *testing.T) {
	const phases = "phases: [{model: closed, connections: 32, duration: 10s, pair: direct}]\n"
	for name, c := range map[string]struct {
		through int64
		want    string
	}{"direct": {0, "1-1-flask valid"}, "through the balancer": {3, "1-1-flask invalid witness"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				const replica = "127.0.0.1:1"
				w.at[replica] = 1
				w.script[replica] = []act{{phase: func(*phaseFaked) { w.requests["flask"] += c.through }}}
				o := w.options(t, "blocks: 1\n"+oneTarget+phases)
				o.Short = true
				dir, _ := conducted(t, o)
				wantList(t, "trials", trialsOf(t, dir), c.want)
				var urls [2][]string
				for _, task := range w.tasks {
					switch task.Phase.Name {
					case "closed":
						urls[0] = task.URLs
					case "closed-direct":
						urls[1] = task.URLs
					}
				}
				if !slices.Equal(urls[0], []string{"http://flask"}) || !slices.Equal(urls[1], []string{"http://" + replica}) {
					t.Errorf("asked at %q, and without the balancer at %q", urls[0], urls[1])
				}
				for _, p := range trialOf(t, dir, "1-1-flask").Phases {
					if p.Direct != (p.Name == "closed-direct") {
						t.Errorf("phase %s direct: %v", p.Name, p.Direct)
					}
				}
			})
		})
	}
}

// What a driver's agents get holds the password, and nothing of that is in the record.
func TestDriverSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := w.options(t, "blocks: 1\n"+withDriver+closedOnly)
		o.Short = true
		dir, _ := conducted(t, o)
		i := slices.IndexFunc(w.tasks, func(task fleet.Task) bool { return task.Target == "driver" })
		spec, err := driver.ParseSpec(w.tasks[i].Workload)
		if err != nil || spec.Password == "" {
			t.Fatalf("%v, %v", spec, err)
		}
		text, err := json.Marshal(runOf(t, dir))
		if err != nil || strings.Contains(string(text), spec.Password) {
			t.Errorf("the password is in run.json: %v", err)
		}
	})
}
