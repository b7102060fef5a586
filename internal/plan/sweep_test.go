package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sweeping is a plan whose targets are these lines.
func sweeping(targets string) string {
	return "name: s\nphases: [{model: closed, connections: 8, duration: 2s}]\ndeployment: {replicas: 1, workers: 2, pool: 5}\n" +
		"budget: {connections: 140, workers: 7}\ntargets:\n" + targets
}

// namesOf are those of targets.
func namesOf(targets []Target) (out []string) {
	for _, t := range targets {
		out = append(out, t.Name)
	}
	return out
}

// A sweep is every combination once, the last axis changing first, with everything else of its target; the seed's 7 workers are
// one point.
func TestSweepExpands(t *testing.T) {
	p := load(t, sweeping(`
- {recipe: flask, replicas: 2, settings: {A: "1"}, sweep: {pool: [5, 20], workers: [2, 4, 7]}}
- fastapi
`))
	want := []string{"flask-w2-pool5", "flask-w2-pool20", "flask-w4-pool5", "flask-w4-pool20", "flask-w7-pool5", "flask-w7-pool20", "fastapi"}
	if got := namesOf(p.Targets); !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
	seed := Target{Name: "flask-w7-pool20", Recipe: "flask", Replicas: 2, Settings: map[string]string{"A": "1"}, Workers: 7, Pool: 20, SettingOf: "flask"}
	if diff := cmp.Diff(seed, p.Targets[5]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if fastapi := p.Targets[6]; fastapi.SettingOf != "" || fastapi.Workers != 0 {
		t.Errorf("%+v", fastapi)
	}
	q, err := Load("resolved", p.YAML())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, q, cmpopts.EquateEmpty()); diff != "" || p.Digest() != q.Digest() {
		t.Errorf("resolved (-want +got):\n%s", diff)
	}
	if s := p.Short(); s.Deployed(s.Targets[5]).Workers != 7 || s.Deployed(s.Targets[6]).Workers != 1 {
		t.Errorf("a short run has settings %+v", s.Targets)
	}
}

// Names hold the value of each axis, in what names may have.
func TestSweepNames(t *testing.T) {
	for sweep, want := range map[string]string{
		"{variant: [none, asyncmy]}":                               "x x-asyncmy",
		"{server: [gthread, none]}":                                "x-gthread x",
		"{variant: [a], server: [b], workers: [1], pool: [3]}":     "x-a-b-w1-pool3",
		`{settings: {CONN_MAX_AGE: ["0", "60"]}}`:                  "x-conn-max-age-0 x-conn-max-age-60",
		`{settings: {B: ["", "A.b c!"], A: ["1"]}, workers: [12]}`: "x-w12-a-1-b-empty x-w12-a-1-b-a-b-c",
	} {
		p := load(t, sweeping("- {name: x, recipe: flask, sweep: "+sweep+"}\n"))
		if got := strings.Join(namesOf(p.Targets), " "); got != want {
			t.Errorf("%s: %s", sweep, got)
		}
		for _, target := range p.Targets {
			if !nameText.MatchString(target.Name) {
				t.Errorf("%q is no name", target.Name)
			}
		}
	}
}

// Each setting has its own environment, over the target's.
func TestSweepSettings(t *testing.T) {
	p := load(t, sweeping("- {recipe: a, settings: {A: x}, sweep: {settings: {B: [y, z]}}}\n"))
	for i, want := range []string{"y", "z"} {
		if got := p.Targets[i].Settings; len(got) != 2 || got["A"] != "x" || got["B"] != want {
			t.Errorf("%s has %v", p.Targets[i].Name, got)
		}
	}
}

// What is wrong with a sweep is said with file, line and key. That of a whole target is shown by TestBad.
func TestSweepRefuses(t *testing.T) {
	long := strings.Repeat("x", 60)
	for targets, want := range map[string]string{
		"- {recipe: a, sweep: {worker: [1]}}":                                                  `test.yaml:6:23: targets[0].sweep.worker: unknown key`,
		"- {recipe: a, sweep: {workers: [0, 2]}}":                                              "targets[0].sweep.workers[0]: must be 1 to 256, but is 0",
		"- {recipe: a, sweep: {pool: [5, 10001]}}":                                             "targets[0].sweep.pool[1]: must be 1 to 10000, but is 10001",
		"- {recipe: a, sweep: {workers: [2, 4, 2]}}":                                           `targets[0].sweep.workers[2]: "2" is there already`,
		"- {recipe: a, sweep: {workers: []}}":                                                  "targets[0].sweep.workers: has no values",
		"- {recipe: a, sweep: {}}":                                                             "targets[0].sweep: has no axis",
		"- {recipe: a, sweep: {settings: {}}}":                                                 "targets[0].sweep.settings: names no setting",
		"- {recipe: a, workers: 2, sweep: {workers: [2]}}":                                     "targets[0].workers: is an axis of the sweep already",
		"- {recipe: a, settings: {A: x}, sweep: {settings: {A: [y]}}}":                         "targets[0].settings.A: is an axis of the sweep already",
		"- {recipe: a, sweep: {settings: {WORKERS: [x]}}}":                                     "targets[0].sweep.settings.WORKERS[0]: is set by a key of its own",
		"- {recipe: a, sweep: {variant: [A]}}":                                                 `targets[0].sweep.variant[0]: "A" is not a name`,
		"- {recipe: a, sweep: {server: [a_b]}}":                                                `targets[0].sweep.server[0]: "a_b" is not a name`,
		"- {recipe: a, setting_of: b, sweep: {workers: [2]}}":                                  "targets[0].setting_of: is given by the sweep",
		"- {recipe: a, setting_of: B}":                                                         `targets[0].setting_of: "B" is not a name`,
		"- {recipe: a, sweep: {variant: [x, none], server: [x, none]}}":                        `targets[0].sweep: makes a second target with the name "a-x"`,
		"- {recipe: a, sweep: {workers: [2]}}\n- a-w2":                                         `targets[0].sweep: makes a second target with the name "a-w2"`,
		"- {name: " + long + ", recipe: a, sweep: {workers: [12]}}":                            "is longer than 63 characters",
		"- b\n- {recipe: a, sweep: {workers: " + numbers(10) + ", pool: " + numbers(10) + "}}": "targets: sweeps make 1 of b + 100 of a: more than 100 targets",
	} {
		_, err := Load("test.yaml", []byte(sweeping(targets)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v\nwant %s", targets, err, want)
		}
	}
}

// numbers is a list of the numbers from 1.
func numbers(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint(i+1))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func TestBudgetRefuses(t *testing.T) {
	for budget, want := range map[string]string{
		"{connections: 0, workers: 1}": "budget.connections: must be 1 to 1000000, but is 0",
		"{connections: 8}":             "budget.workers: is missing",
		"{workers: 8}":                 "budget.connections: is missing",
	} {
		text := strings.Replace(sweeping("- a\n"), "{connections: 140, workers: 7}", budget, 1)
		_, err := Load("test.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", budget, err)
		}
	}
}

// A mistake that shows only in a recipe is located at the value of the axis that made it, once.
func TestSweepLocates(t *testing.T) {
	text := sweeping(`
- fastapi
- recipe: flask
  sweep:
    variant: [none, wrong]
    settings: {NOT_THERE: ["0"]}
    workers: [2, 4]
`)
	p := load(t, text)
	var findings []Finding
	for i, target := range p.Targets {
		if target.Variant == "wrong" {
			findings = append(findings, Finding{Path: fmt.Sprintf("targets[%d].variant", i), Text: "unknown variant"})
		}
		if target.Settings["NOT_THERE"] != "" {
			findings = append(findings, Finding{Path: fmt.Sprintf("targets[%d].settings.NOT_THERE", i), Text: "unknown setting"})
		}
	}
	if len(findings) != 2+4 {
		t.Fatalf("%+v", findings)
	}
	err := Locate("p.yaml", []byte(text), append(findings, Finding{Path: "targets[0].recipe", Text: "unknown recipe"}))
	if err == nil {
		t.Fatal("nothing is located")
	}
	if n := strings.Count(err.Error(), ": unknown "); n != 3 {
		t.Errorf("%d mistakes:\n%v", n, err)
	}
	for _, want := range []string{
		"p.yaml:10:21: targets[1].sweep.variant[1]: unknown variant", "p.yaml:11:28: targets[1].sweep.settings.NOT_THERE[0]: unknown setting", "p.yaml:7:3: targets[0].recipe: unknown recipe",
	} {
		if strings.Count(err.Error(), want) != 1 {
			t.Errorf("no %q, or several, in\n%v", want, err)
		}
	}
}

// Settings are those of one target, whether a sweep made them or the plan names each.
func TestGroups(t *testing.T) {
	p := load(t, sweeping(`
- {recipe: flask, sweep: {workers: [2, 7], pool: [5, 20]}}
- fastapi
- {name: fastapi-more, recipe: fastapi, workers: 4, setting_of: fastapi}
- {name: alone, recipe: django}
`))
	groups := p.Groups()
	if len(groups) != 3 || !p.Swept() {
		t.Fatalf("%+v", groups)
	}
	flask, fastapi := groups[0], groups[1]
	if got := p.Axes(flask); got != "workers 2 or 7; pool 5 or 20" {
		t.Errorf("flask has %s", got)
	}
	if got := p.Label(flask, flask.Settings[3]); got != "workers 7, pool 20" {
		t.Errorf("the last is %s", got)
	}
	if got := p.Label(fastapi, fastapi.Settings[1]); got != "workers 4" || fastapi.Name != "fastapi" {
		t.Errorf("%s of %s", got, fastapi.Name)
	}
	for i, want := range []string{"flask-w2-pool5", "fastapi", "alone"} { // the deployment's 2 workers and pool of 5
		if got, found := p.Default(groups[i]); !found || got.Name != want {
			t.Errorf("the default of %s is %+v, %t", groups[i].Name, got, found)
		}
	}
}

// Where no setting is the deployment's, or it cannot be known, there is no default.
func TestNoDefault(t *testing.T) {
	for sweep, want := range map[string]string{
		"{workers: [3, 7]}": "", `{settings: {A: ["1", "2"]}}`: "", `{settings: {A: ["", "2"]}}`: "", "{variant: [a, b]}": "",
		"{variant: [a], workers: [2, 7]}": "x-a-w2", "{server: [a, none], workers: [7, 2]}": "x-w2",
	} {
		p := load(t, sweeping("- {name: x, recipe: flask, sweep: "+sweep+"}\n"))
		got, found := p.Default(p.Groups()[0])
		if found != (want != "") || got.Name != want {
			t.Errorf("%s: %q, %t", sweep, got.Name, found)
		}
	}
}

// Thresholds may name settings of a sweep, and a plan that is swept is none for bakeoff ab.
func TestSweepThresholds(t *testing.T) {
	text := sweeping("- {recipe: flask, sweep: {workers: [2, 7]}}\n") + "thresholds: [\"closed: flask-w7.throughput > flask-w2.throughput\"]\n"
	load(t, text)
	_, err := Load("test.yaml", []byte(strings.Replace(text, "flask-w7.throughput", "head.throughput", 1)))
	if err == nil || !strings.Contains(err.Error(), `"head" is no target of the plan: there is flask-w2, flask-w7`) {
		t.Error(err)
	}
}
