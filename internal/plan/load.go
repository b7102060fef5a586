package plan

import (
	"fmt"
	"path"
	"strings"

	"bakeoff/internal/strictyaml"
	"bakeoff/internal/verdict"
)

// Load reads a plan: strictly decoded, defaults filled in, every value
// checked. The name is used in messages. A file with mistakes gives a strictyaml.Problems
// holding all of them.
func Load(name string, data []byte) (*Plan, error) {
	doc, err := strictyaml.Parse(name, data)
	if err != nil {
		return nil, err
	}
	p := defaults()
	doc.Decode(p)
	p.fill(doc.Has)
	c := checker{plan: p, has: doc.Has, bad: doc.Bad, report: doc.Errorf}
	c.check()
	if err := doc.Err(); err != nil {
		return nil, err
	}
	p.Targets, p.Phases = p.swept(), p.paired()
	return p, nil
}

// FromText makes a target of a bare string: the recipe.
func (t *Target) FromText(text string) { t.Recipe = text }

// FromText makes an InfluxDB of a bare string: its kind.
func (i *InfluxDB) FromText(text string) { i.Kind = text }

// Folder reports whether the recipe is the path of a folder, and not a name in targets/.
func (t Target) Folder() bool {
	first, _, _ := strings.Cut(t.Recipe, "/")
	return first == "." || first == ".." || strings.HasPrefix(t.Recipe, "/")
}

// A Finding is a mistake at a path of a plan, such as "targets[1].variant", that shows only where the plan is to be used.
type Finding struct{ Path, Hint, Text string }

// Locate says where in a plan's file the findings are: as Load does, with file, line and column. The file has no other mistakes.
func Locate(name string, data []byte, findings []Finding) error {
	doc, err := strictyaml.Parse(name, data)
	if err != nil {
		return err
	}
	given := defaults()
	doc.Decode(given)
	seen := map[string]bool{}
	for _, f := range findings {
		if at := given.unpaired(given.unswept(f.Path)); !seen[at+f.Text] { // all settings with that value have it
			seen[at+f.Text] = true
			doc.Errorf(at, f.Hint, "%s", f.Text)
		}
	}
	return doc.Err()
}

// defaults is a plan in which nothing is said.
func defaults() *Plan {
	return &Plan{
		Seed:       1,
		Blocks:     7,
		Delta:      verdict.DefaultDelta,
		Dataset:    Dataset{Rows: 1_000_000, Seed: 1, Lengths: Lengths{Min: 1, Max: 255}, HitRatio: 0.5, Lookups: "client"},
		Database:   Database{Kind: "private"},
		Balancer:   Balancer{Kind: "nginx"},
		Agents:     Agents{Count: 2, Engine: "native"},
		Deployment: Deployment{Replicas: 1, Workers: 2, Pool: 8},
		Warmup:     FixedWarmup(Duration(2 * second)),
	}
}

// fill gives values to what defaults depend on, or what is in lists; has
// says which paths the plan gives itself.
func (p *Plan) fill(has func(path string) bool) {
	for i := range p.Targets {
		p.Targets[i].fill(fmt.Sprintf("targets[%d].", i), has)
	}
	if p.Running() {
		p.Dataset, p.Database, p.Balancer, p.Deployment = Dataset{}, Database{}, Balancer{}, Deployment{}
	}
	if has("kubernetes") {
		p.Kubernetes.fill(p)
	}
	p.Trust.fill()
	if p.Collect.InfluxDB.Kind == KindServer {
		p.Collect.InfluxDB.Kind = ""
	}
	if has("collect.influxdb") && !has("collect.influxdb.schema") {
		p.Collect.InfluxDB.Schema = "bakeoff"
	}
	for i := range p.Phases {
		p.Phases[i].fill(fmt.Sprintf("phases[%d].", i), has, p.Dataset.Lookups)
	}
	if p.Asks() {
		p.Objective.fill(has)
	}
	if !has("primary") {
		p.Primary = P99AtRate
		for _, phase := range p.Phases {
			if phase.Model == "closed" && !phase.Pings() && !phase.Direct {
				p.Primary = Throughput
			}
		}
	}
}

func (t *Target) fill(at string, has func(path string) bool) {
	if t.Kind == KindRecipe {
		t.Kind = "" // one way to say it, so that it has one digest
	}
	if t.Kind == KindURL && !has(at+"expect.status") {
		t.Expect.Status = 200
	}
	if !has(at + "name") {
		t.Name = t.Recipe
		if t.Driver() {
			t.Name = KindDriver
		}
		if t.Folder() {
			t.Name = path.Base(t.Recipe)
		}
	}
}

func (ph *Phase) fill(path string, has func(path string) bool, lookups string) {
	if !has(path + "name") {
		ph.Name = ph.Model
	}
	if !has(path+"connections") && ph.Model == "open" {
		ph.Connections = 256
	}
	if !has(path+"arrivals") && ph.Model == "open" {
		ph.Arrivals = "poisson"
	}
	if !has(path + "timeout") {
		ph.Timeout = Duration(10 * second)
	}
	if !has(path + "check_share") {
		ph.CheckShare = 0.1
	}
	if !has(path + "lookups") { // pings have it for their digest alone
		ph.Lookups = lookups
	}
}
