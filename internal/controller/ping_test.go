package controller

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"

	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

const pingPhases = "phases: [{name: ping, model: closed, connections: 32, duration: 10s, ask: ping}, {name: closed, model: closed, connections: 32, duration: 10s}]\n"

// A phase of pings asks every process for its text, changes no row, and is valid where the database is asked for nothing; the pilot and the
// primary metric are those of the lookups.
func TestPings(t *testing.T) {
	for name, c := range map[string]struct {
		reads int64
		want  string
	}{"honest": {0, "1-1-flask valid"}, "asks the database": {3, "1-1-flask invalid witness"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				for range 3 {
					w.script["flask"] = append(w.script["flask"], act{phase: func(p *phaseFaked) {
						if p.task.Phase.Name == "ping" {
							p.reads += c.reads
						}
					}})
				}
				o := w.options(t, "blocks: 1\n"+oneTarget+pingPhases)
				o.Short = true // an invalid trial is not repeated
				dir, _ := conducted(t, o)
				wantList(t, "trials", trialsOf(t, dir), c.want)
				i := slices.IndexFunc(w.tasks, func(task fleet.Task) bool { return task.Phase.Name == "ping" })
				var spec endpoint.Spec
				if err := json.Unmarshal(w.tasks[i].Workload, &spec); err != nil {
					t.Fatal(err)
				}
				trial := trialOf(t, dir, "1-1-flask")
				if w.tasks[i].Contract != endpoint.Contract || len(spec.Targets) != len(w.tasks[i].URLs) || spec.Targets[0][0] != "/ping" || spec.Body != trial.Nonce || spec.Body == "" || spec.Status != "200" {
					t.Errorf("%s: %+v", w.tasks[i].Contract, spec)
				}
				for _, p := range trial.Phases {
					if want := map[string]string{"ping": plan.AskPing}[p.Name]; p.Ask != want || p.Name == "ping" && len(p.Moves) > 0 {
						t.Errorf("phase %s asks %q, %d rows change", p.Name, p.Ask, len(p.Moves))
					}
				}
			})
		})
	}
	o := newWorld().options(t, oneTarget+pingPhases)
	r := &run{o: &o}
	if p := r.pilotOf(); p.Name != "closed" {
		t.Errorf("the pilot is of phase %s", p.Name)
	}
	if r.o.Plan.Primary != plan.Throughput || r.o.Plan.Pilots().Phases[0].Name != "closed" {
		t.Errorf("primary %s, of phase %s", r.o.Plan.Primary, r.o.Plan.Pilots().Phases[0].Name)
	}
}

// trialOf is a trial of a run by its folder.
func trialOf(t *testing.T, dir, folder string) record.Trial {
	t.Helper()
	read, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range read.Trials() {
		if state.Folder == folder {
			trial, err := state.Trial()
			if err != nil {
				t.Fatal(err)
			}
			return trial
		}
	}
	t.Fatalf("there is no trial %s", folder)
	return record.Trial{}
}
