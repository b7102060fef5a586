package plan

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"bakeoff/internal/dataset"
)

// small is a plan of that many targets, and few blocks.
func small(t *testing.T, targets int, more string) *Plan {
	t.Helper()
	var names []string
	for i := range targets {
		names = append(names, string(rune('a'+i)))
	}
	return load(t, fmt.Sprintf(`
name: small
blocks: 5
targets: [%s]
phases: [{model: closed, connections: 8, duration: 2s}]
%s`, strings.Join(names, ", "), more))
}

func load(t *testing.T, text string) *Plan {
	t.Helper()
	p, err := Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func loadShipped(t *testing.T, file string) *Plan {
	t.Helper()
	p, err := Load(file, shipped(t)[file])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTags wants the same key in YAML and in JSON, for every field. Empty structs are left out by
// omitzero in JSON, by omitempty in YAML.
func TestTags(t *testing.T) {
	fields := 0
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			fields++
			if f.Tag.Get("yaml") == "" || f.Tag.Get("yaml") != strings.ReplaceAll(f.Tag.Get("json"), "omitzero", "omitempty") {
				t.Errorf("%s.%s: yaml %q, json %q", typ, f.Name, f.Tag.Get("yaml"), f.Tag.Get("json"))
			}
			inner := f.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if _, text := reflect.New(inner).Interface().(encoding.TextUnmarshaler); inner.Kind() == reflect.Struct && !text {
				walk(inner)
			}
		}
	}
	walk(reflect.TypeFor[Plan]())
	if fields < 50 {
		t.Errorf("%d fields seen", fields)
	}
}

func TestDemo(t *testing.T) {
	p := loadShipped(t, "demo.yaml")
	phase := func(name, model string, connections int, long time.Duration) Phase {
		return Phase{Name: name, Model: model, Connections: connections, Duration: Duration(long), Timeout: Duration(10 * time.Second), CheckShare: 0.1, Lookups: "client"}
	}
	open := phase("open", "open", 128, 5*time.Second)
	open.RateOfPilot, open.Arrivals = 0.6, "poisson"
	want := &Plan{
		Name: "demo", Description: p.Description, Seed: 1, Blocks: 8, Primary: Throughput, Delta: 0.03,
		Dataset:    Dataset{Rows: 1_000_000, Seed: 1, Lengths: Lengths{1, 255}, HitRatio: 0.5, Lookups: "client"},
		Database:   Database{Kind: "private"},
		Balancer:   Balancer{Kind: "nginx"},
		Agents:     Agents{Count: 2, Engine: "native"},
		Deployment: Deployment{Replicas: 3, Workers: 2, Pool: 8},
		Targets: []Target{
			{Name: "django", Recipe: "django", Settings: map[string]string{"DATABASE_BOUND": "semaphore", "GRACEFUL_TIMEOUT": "0"}},
			{Name: "flask", Recipe: "flask", Settings: map[string]string{"GRACEFUL_TIMEOUT": "0"}},
			{Name: "fastapi", Recipe: "fastapi"},
		},
		Warmup: Warmup{Duration(500 * time.Millisecond), Duration(time.Second)}, Pilot: Duration(2 * time.Second), Turns: Turns(250 * time.Millisecond),
		Phases: []Phase{phase("closed", "closed", 16, 5500*time.Millisecond), open},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(p.Description) < 20 {
		t.Errorf("description: %q", p.Description)
	}
	if n := p.InFlight(); n != 128 {
		t.Errorf("%d requests in flight", n)
	}
	if got := len(p.Trials()); got != 3+8*3 {
		t.Errorf("%d trials", got)
	}
	if got := p.Measured(); got != 252*time.Second {
		t.Errorf("%s measured", got)
	}
}

func TestSeed(t *testing.T) {
	p := loadShipped(t, "seed.yaml")
	if d := p.Deployment; d.Replicas != 3 || d.Workers != 7 {
		t.Errorf("deployment %+v", d)
	}
	if p.Dataset.Rows != 1_000_000 || p.Agents.Count != 2 {
		t.Errorf("dataset %+v, agents %+v", p.Dataset, p.Agents)
	}
	var lookups []string
	for _, ph := range p.Phases {
		lookups = append(lookups, ph.Lookups)
		if ph.Model != "closed" || ph.Connections != 1000 {
			t.Errorf("phase %+v", ph)
		}
	}
	if !slices.Equal(lookups, []string{"client", "server"}) {
		t.Errorf("lookups %q", lookups)
	}
}

// TestShipped wants of every shipped plan what a reader needs, and blocks enough for a verdict.
func TestShipped(t *testing.T) {
	for file := range shipped(t) {
		p := loadShipped(t, file)
		if p.Name+".yaml" != file {
			t.Errorf("%s holds the plan %s", file, p.Name)
		}
		if p.Description == "" {
			t.Errorf("%s has no description", file)
		}
		if len(p.AllowHosts) > 0 || p.Balancer.URL != "" || p.Database.Kind == "external" {
			t.Errorf("%s needs more than this machine", file)
		}
		n := float64(len(p.Targets))
		if need := int(math.Ceil(1 + math.Log2(n*(n-1)/2/0.05))); p.Blocks < need && file != "tiny.yaml" {
			t.Errorf("%s: %d blocks, a verdict needs %d", file, p.Blocks, need)
		}
	}
}

// TestShippedRecipes wants every recipe, variant and setting of the shipped plans to exist.
func TestShippedRecipes(t *testing.T) {
	for file := range shipped(t) {
		for _, target := range loadShipped(t, file).Targets {
			if target.Kind == KindURL || target.Driver() {
				continue
			}
			data, err := fs.ReadFile(os.DirFS("../../targets"), target.Recipe+"/target.yaml")
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			var recipe struct {
				Env      map[string]string
				Variants map[string]any
			}
			if err := yaml.Load(data, &recipe); err != nil {
				t.Fatalf("%s: %v", target.Recipe, err)
			}
			if _, known := recipe.Variants[target.Variant]; !known && target.Variant != "" {
				t.Errorf("%s: %s has no variant %s", file, target.Recipe, target.Variant)
			}
			for key := range target.Settings {
				if _, known := recipe.Env[key]; !known {
					t.Errorf("%s: %s has no setting %s", file, target.Recipe, key)
				}
			}
		}
	}
}

// TestOrders compares orders with those of a file: they must never change, on no machine.
func TestOrders(t *testing.T) {
	var b strings.Builder
	for _, seed := range []uint64{0, 1, 2, math.MaxUint64} {
		for _, targets := range []int{1, 2, 3, 5} {
			p := small(t, targets, fmt.Sprintf("seed: %d\npilot: 1s", seed))
			fmt.Fprintf(&b, "seed %d, %d targets:", seed, targets)
			for _, trial := range p.Trials() {
				if trial.Position == 1 {
					fmt.Fprintf(&b, " %d:", trial.Block)
				}
				b.WriteString(trial.Target)
			}
			b.WriteString("\n")
		}
	}
	golden(t, "testdata/orders.golden", b.String())
}

func TestTrials(t *testing.T) {
	for _, pilot := range []bool{false, true} {
		p := small(t, 4, map[bool]string{true: "pilot: 1s"}[pilot])
		byBlock := map[int][]string{}
		last := Trial{Block: -1}
		for _, trial := range p.Trials() {
			byBlock[trial.Block] = append(byBlock[trial.Block], trial.Target)
			if trial.Block == last.Block && trial.Position != last.Position+1 || trial.Block != last.Block && trial.Position != 1 || trial.Block < last.Block {
				t.Errorf("%+v follows %+v", trial, last)
			}
			last = trial
		}
		if _, there := byBlock[0]; there != pilot || last.Block != 5 {
			t.Errorf("pilot %t: blocks %v", pilot, byBlock)
		}
		for block, targets := range byBlock {
			if slices.Sort(targets); !slices.Equal(targets, []string{"a", "b", "c", "d"}) {
				t.Errorf("block %d: %q", block, targets)
			}
		}
	}
}

// TestOrderIsFair counts the six orders of three targets in blocks of many seeds, each block for itself: chi-square with
// 5 degrees of freedom stays below 20.5 (p = 0.001).
func TestOrderIsFair(t *testing.T) {
	for block := range 9 {
		counts := map[string]int{}
		for seed := range uint64(6000) {
			counts[fmt.Sprint(blockOrder(3, seed, block))]++
		}
		chi := 0.0
		for _, n := range counts {
			chi += (float64(n) - 1000) * (float64(n) - 1000) / 1000
		}
		if len(counts) != 6 || chi > 20.5 {
			t.Errorf("block %d: chi-square %.1f of %v", block, chi, counts)
		}
	}
}

// TestOrderIsBalanced counts, after every block, how often each target was in each position and right behind each
// other one.
func TestOrderIsBalanced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, seed := rapid.IntRange(1, 12).Draw(t, "targets"), rapid.Uint64().Draw(t, "seed")
		position, behind := square(k), square(k)
		for block := 1; block <= 5*k; block++ {
			order := blockOrder(k, seed, block)
			for i, target := range order {
				position[target][i]++
				if i > 0 {
					behind[target][order[i-1]]++
				}
			}
			if least, most := extremes(position, false); most-least > 1 || block%k == 0 && most != least {
				t.Fatalf("%d blocks of %d targets: each stood %d to %d times in each position", block, k, least, most)
			}
			allowed, whole := 1, k
			if k%2 == 1 {
				allowed, whole = 2, 2*k
			}
			if least, most := extremes(behind, true); k > 1 && (most-least > allowed || block%whole == 0 && most != least) {
				t.Fatalf("%d blocks of %d targets: each stood %d to %d times behind each other", block, k, least, most)
			}
		}
	})
}

func square(k int) [][]int {
	out := make([][]int, k)
	for i := range out {
		out[i] = make([]int, k)
	}
	return out
}

// extremes are the least and the greatest count, without those of a target with itself if so asked.
func extremes(counts [][]int, others bool) (least, most int) {
	least = math.MaxInt
	for i, row := range counts {
		for j, n := range row {
			if others && i == j {
				continue
			}
			least, most = min(least, n), max(most, n)
		}
	}
	return least, most
}

// TestOrderBeginsAlike: the first blocks of a longer plan are those of a shorter one.
func TestOrderBeginsAlike(t *testing.T) {
	p := small(t, 3, "pilot: 1s")
	short := p.Trials()
	p.Blocks *= 4
	if long := p.Trials(); !slices.Equal(long[:len(short)], short) {
		t.Errorf("%v does not begin as %v", long, short)
	}
}

func TestDigest(t *testing.T) {
	p := small(t, 2, "")
	golden(t, "testdata/digest.golden", p.Digest()+"\n")
	q := small(t, 2, "seed: 2")
	if p.Digest() == q.Digest() {
		t.Error("plans of two seeds have one digest")
	}
}

func TestShort(t *testing.T) {
	s := loadShipped(t, "seed.yaml").Short()
	want := []string{
		"blocks: 7 -> 2",
		"dataset.rows: 1000000 -> 20000",
		"deployment.workers: 7 -> 1",
		"phases[0].connections: 1000 -> 64",
		"phases[0].duration: 10s -> 2s",
		"phases[0].ramp: 2s -> 400ms",
		"phases[1].connections: 1000 -> 64",
		"phases[1].duration: 10s -> 2s",
		"phases[1].ramp: 2s -> 400ms",
		"pilot: 3s -> 1s",
		"warmup: 2s to 5s -> 1s",
	}
	if diff := cmp.Diff(want, Diff(loadShipped(t, "seed.yaml"), s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	demo := loadShipped(t, "demo.yaml").Short()
	if demo.Pilot != Duration(time.Second) || demo.Phases[0].Connections != 8 || demo.Phases[1].Connections != 64 {
		t.Errorf("%s", demo.YAML())
	}
	p := load(t, `
name: own
agents: {count: 3}
targets: [{recipe: a, workers: 4, pool: 3}]
phases: [{model: open, rate: 100, connections: 4, duration: 1s}]
deployment: {workers: 4}
`).Short()
	if p.Phases[0].Connections != 3 || p.Phases[0].Rate != 25 || p.Phases[0].Duration != Duration(time.Second) || p.Targets[0].Workers != 1 {
		t.Errorf("%s", p.YAML())
	}
}

func TestDiff(t *testing.T) {
	a := small(t, 2, "seed: 9007199254740993\nallow_hosts: [a.example]")
	b := small(t, 2, "seed: 9007199254740992\nwarmup: 1.5s\ndatabase: {settings: {sort_buffer_size: 1M}}\ndataset: {hit_ratio: 1}")
	b.Targets = b.Targets[:1]
	want := []string{
		"allow_hosts[0]: a.example -> not set",
		"database.settings.sort_buffer_size: not set -> 1M",
		"dataset.hit_ratio: 0.5 -> 1",
		"seed: 9007199254740993 -> 9007199254740992",
		"targets[1].name: b -> not set",
		"targets[1].recipe: b -> not set",
		"warmup: 2s -> 1.5s",
	}
	if diff := cmp.Diff(want, Diff(a, b)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := Diff(a, a); len(got) > 0 {
		t.Errorf("a plan differs from itself: %q", got)
	}
}

func TestExpected(t *testing.T) {
	o := Overhead{Setup: 100 * time.Second, Trial: 10 * time.Second, Phase: time.Second}
	// 5 blocks of 2 targets: 10 trials of 10 s, warm-up 2+1 s, phase 2+1 s; a tenth of the 20 s of phases at rest.
	if got := small(t, 2, "").Expected(o); got != 262*time.Second {
		t.Errorf("without pilot: %s", got)
	}
	// 2 pilot trials of 10 s, warm-up 2+1 s, pilot 3+1 s.
	if got := small(t, 2, "pilot: 3s").Expected(o); got != 296*time.Second {
		t.Errorf("with pilot: %s", got)
	}
	if got := small(t, 2, "warmup: 0s").Expected(o); got != 232*time.Second {
		t.Errorf("without warm-up: %s", got)
	}
	// 5 blocks: 2 targets of 3 s, 2 phases of 1 s for both, 2 x 2 x 8 slices of 250 ms with 0.1 s each, 2 x 4 s of load; 2 s at rest.
	o.Turns, o.Together, o.Slice = true, 3*time.Second, 100*time.Millisecond
	if got := small(t, 2, "turns: 250ms").Expected(o); got != 100*time.Second+2*time.Second+5*(6*time.Second+2*time.Second+3200*time.Millisecond+8*time.Second) {
		t.Errorf("in turns: %s", got)
	}
	o.Turns = false
	if got := small(t, 2, "").Expected(Overhead{}); got != 42*time.Second {
		t.Errorf("without overhead: %s", got)
	}
	// JMeter: its servers once, and a master for each warm-up, phase and pilot.
	o.Loading = Loading{Servers: 30 * time.Second, Master: 4 * time.Second}
	jmeter := "agents: {engine: jmeter}"
	if got := small(t, 2, jmeter).Expected(o); got != (262+30+10*2*4)*time.Second {
		t.Errorf("with JMeter: %s", got)
	}
	if got := small(t, 2, "pilot: 3s\n"+jmeter).Expected(o); got != (296+30+10*2*4+2*2*4)*time.Second {
		t.Errorf("with JMeter and pilot: %s", got)
	}
	if got := small(t, 2, "").Expected(o); got != 262*time.Second {
		t.Errorf("another engine: %s", got)
	}
	// Each worker process of a recipe (a driver has none), and each connection of a phase that JMeter drives.
	o = Overhead{Worker: time.Second, Loading: Loading{Thread: time.Second}}
	const mixed = "name: p\nblocks: 5\nphases: [{model: closed, connections: 8, duration: 2s}]\ntargets: [{recipe: a, replicas: 3}, {recipe: b, workers: 4}, {kind: driver}]\n"
	for text, want := range map[string]time.Duration{
		mixed: 5 * (3*2 + 4), mixed + "pilot: 1s\n": 6 * (3*2 + 4), mixed + "turns: 250ms\n": 5 * (3*2 + 4),
		"name: p\nblocks: 5\ntargets: [a]\n" + jmeter + "\nphases: [{model: closed, connections: 8, duration: 2s}]\n": 5 * (2 + 2*8),
	} {
		p := load(t, text)
		o.Turns = p.Turns > 0
		if got := p.Expected(o) - p.Expected(Overhead{Turns: o.Turns}); got != want*time.Second {
			t.Errorf("%s: %s more, want %s", text, got, want*time.Second)
		}
	}
}

// The machine is watched at rest for a tenth of what is measured, from 1 s to 10 s.
func TestRest(t *testing.T) {
	for phase, want := range map[time.Duration]time.Duration{time.Second: time.Second, 2 * time.Second: 2 * time.Second, 9 * time.Second: 9 * time.Second, time.Minute: 10 * time.Second} {
		p := small(t, 2, "")
		p.Phases[0].Duration = Duration(phase)
		if got := p.Rest(); got != want {
			t.Errorf("phases of %v: %v, want %v", phase, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1.5s": 1500 * time.Millisecond, "2m": 2 * time.Minute, "1h30m": 90 * time.Minute, "500ms": time.Second / 2, "0s": 0,
		"1h": time.Hour, "1h0m5s": time.Hour + 5*time.Second, "90s": 90 * time.Second, "20µs": 20 * time.Microsecond, "-1s": -time.Second, "10m": 10 * time.Minute,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v", text, time.Duration(d), err)
		}
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var again Duration
		if err := json.Unmarshal(data, &again); err != nil || again != d {
			t.Errorf("%s as JSON %s: %v, %v", text, data, again, err)
		}
	}
	for text, want := range map[Duration]string{
		Duration(2 * time.Minute): "2m", Duration(time.Hour): "1h", Duration(90 * time.Minute): "1h30m", Duration(10 * time.Minute): "10m",
		Duration(20 * time.Second): "20s", 0: "0s", Duration(time.Hour + time.Second): "1h0m1s", Duration(10 * time.Hour): "10h",
	} {
		if got := text.String(); got != want {
			t.Errorf("%d: %s, want %s", text, got, want)
		}
	}
	var d Duration
	if err := json.Unmarshal([]byte("5"), &d); err == nil {
		t.Error("a bare JSON number is a duration")
	}
	for _, text := range []string{"", "0", "5", "+5", "1.5", "s", "5S!", "1d", "1 s", "∞", "1e3s", strings.Repeat("9", 100) + "s"} {
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a duration", text)
		}
	}
}

func TestTargetForms(t *testing.T) {
	p := load(t, `
name: forms
targets:
  - django
  - {recipe: django, name: slow, variant: keep-connections, pool: 2}
phases: [{model: closed, connections: 8, duration: 2s, lookups: server}, {name: two, model: closed, connections: 8, duration: 2s}]
`)
	want := []Target{{Name: "django", Recipe: "django"}, {Name: "slow", Recipe: "django", Variant: "keep-connections", Pool: 2}}
	if diff := cmp.Diff(want, p.Targets); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if p.Phases[0].Lookups != "server" || p.Phases[1].Lookups != "client" {
		t.Errorf("lookups %q and %q", p.Phases[0].Lookups, p.Phases[1].Lookups)
	}
	folders := load(t, `
name: folders
targets: [./mine, ../other/yours/, {recipe: /srv/Theirs, name: theirs}]
phases: [{model: closed, connections: 8, duration: 2s}]
`)
	for i, want := range []Target{{Name: "mine", Recipe: "./mine"}, {Name: "yours", Recipe: "../other/yours/"}, {Name: "theirs", Recipe: "/srv/Theirs"}} {
		if diff := cmp.Diff(want, folders.Targets[i]); diff != "" || !folders.Targets[i].Folder() || p.Targets[0].Folder() {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if d := p.Deployed(p.Targets[1]); d != (Deployment{Replicas: 1, Workers: 2, Pool: 2}) {
		t.Errorf("deployed %+v", d)
	}
}

func TestDefaultPrimary(t *testing.T) {
	open := "name: o\ntargets: [a]\nphases: [{model: open, rate: 5, duration: 1s}"
	if p := load(t, open+"]\n"); p.Primary != P99AtRate || p.Phases[0].Connections != 256 || p.Phases[0].Arrivals != "poisson" {
		t.Errorf("%s", p.YAML())
	}
	if p := load(t, open+", {model: closed, connections: 2, duration: 1s}]\n"); p.Primary != Throughput {
		t.Errorf("primary %s", p.Primary)
	}
}

// Every shipped plan takes turns, and so every plan that is begun as a copy of one does; a plan without the key does not, and has the digest
// that it had before there was one.
func TestTurnsOfNewPlans(t *testing.T) {
	for _, name := range []string{"demo.yaml", "seed.yaml", "reference.yaml", "variants.yaml", "tiny.yaml", "two-urls.yaml", "cost.yaml"} {
		if got := loadShipped(t, name).Turns; got != Turns(250*time.Millisecond) {
			t.Errorf("%s: turns: %s", name, got)
		}
	}
	const bare = "name: bare\ntargets: [flask]\nphases: [{model: closed, connections: 8, duration: 2s}]\n"
	without, err := Load("bare.yaml", []byte(bare))
	if err != nil {
		t.Fatal(err)
	}
	off, err := Load("bare.yaml", []byte(bare+"turns: off\n"))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := Load("bare.yaml", []byte(bare+"turns: 250ms\nkeep_connections: true\n"))
	if err != nil || !kept.KeepConnections {
		t.Errorf("connections are not kept: %v", err)
	}
	if _, err := Load("bare.yaml", []byte(bare+"keep_connections: true\n")); err == nil || !strings.Contains(err.Error(), "keep_connections: needs turns") {
		t.Errorf("connections are kept without turns: %v", err)
	}
	if without.Turns != 0 || without.Digest() != off.Digest() || strings.Contains(string(without.canonical()), "turns") {
		t.Errorf("turns: %s, digests %s and %s, %s", without.Turns, without.Digest(), off.Digest(), without.canonical())
	}
}

// What a plan leaves out of its cluster is as the seed had it: requests for three nodes, and limits of the database
// alone. A short plan asks for little and limits nothing; a plan without the key keeps its digest.
func TestKubernetes(t *testing.T) {
	p := small(t, 2, "kubernetes: {registry: r.example/b, images: {b: \"o/b:2\"}, resources: {target: {limits: {cpu: 0.25}}}}\ncollect: {influxdb: managed}")
	k := p.Kubernetes
	if k.Tag != "1" || k.Spread != OnePerNode || k.Image("a") != "r.example/b/a:1" || k.Image("b") != "o/b:2" {
		t.Errorf("%+v", k)
	}
	want := Resources{
		Controller: Resource{Requests: Amounts{200, 256 * mebi}},
		Database:   Resource{Requests: Amounts{2000, 8 * gibi}, Limits: Amounts{2000, 8 * gibi}},
		Target:     Resource{Requests: Amounts{250, 512 * mebi}, Limits: Amounts{250, 0}},
		Balancer:   Resource{Requests: Amounts{250, 128 * mebi}},
		Agent:      Resource{Requests: Amounts{1000, 256 * mebi}},
		InfluxDB:   Resource{Requests: Amounts{250, 512 * mebi}},
	}
	if diff := cmp.Diff(want, k.Resources); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if names, folder := p.Images(); !slices.Equal(names, []string{"a", "b", "bakeoff", "database", "influxdb", "nginx"}) || folder {
		t.Errorf("images %q, %v", names, folder)
	}
	r := p.Short().Kubernetes.Resources
	if r.Database != (Resource{Requests: Amounts{100, 512 * mebi}}) || r.Target != (Resource{Requests: Amounts{50, 128 * mebi}}) || r.InfluxDB != (Resource{Requests: Amounts{50, 128 * mebi}}) {
		t.Errorf("short: %+v", r)
	}
	jm := small(t, 2, "kubernetes: {registry: r.example/b, resources: {jmeter: {limits: {memory: 512Mi}}}}\nagents: {engine: jmeter}\ndatabase: {kind: external, dsn_file: dsn}")
	k = jm.Kubernetes
	if want := (Resource{Requests: Amounts{1000, 512 * mebi}, Limits: Amounts{0, 512 * mebi}}); k.Resources.JMeter != want || k.Resources.Database != (Resource{}) {
		t.Errorf("%+v", k.Resources)
	}
	if controller := k.Resources.Controller.Requests; controller != (Amounts{500, gibi}) {
		t.Errorf("a controller with masters of JMeter asks for %+v", controller)
	}
	if names, _ := jm.Images(); !slices.Equal(names, []string{"a", "b", "bakeoff", "jmeter", "nginx"}) {
		t.Errorf("images %q", names)
	}
	if small(t, 2, "").Digest() != small(t, 2, "pilot: 0s").Digest() || strings.Contains(string(small(t, 2, "").YAML()), "kubernetes") {
		t.Error("the key changes plans without it")
	}
}

func TestAmounts(t *testing.T) {
	for text, want := range map[string]string{"2": "2", "0.5": "500m", "1500m": "1500m", "2000m": "2", "0.001": "1m"} {
		var c Cores
		if err := c.UnmarshalText([]byte(text)); err != nil || c.String() != want {
			t.Errorf("%s: %s, %v", text, c, err)
		}
	}
	for text, want := range map[string]string{"512Mi": "512Mi", "1024Mi": "1Gi", "1536Mi": "1536Mi", "2048Gi": "2Ti", "1Ki": "1Ki"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b.String() != want {
			t.Errorf("%s: %s, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "-1", "1.2345", "1 ", "0", "0m", "1e3", "m"} {
		if err := new(Cores).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q are cores", text)
		}
	}
	for _, text := range []string{"", "0Mi", "1", "1M", "1.5Gi", "1Pi", "9999999999Gi"} {
		if err := new(Bytes).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q are bytes", text)
		}
	}
}

// What is on by default is as if it were left out; what is not is said by name.
func TestTrust(t *testing.T) {
	all := "trust: {lookups: on, moves: on, bodies: on, salt: on, statements: on, account: own, user: own, processes: on, record: on}"
	if a, b := small(t, 1, all), small(t, 1, ""); a.Digest() != b.Digest() || len(a.Trust.Less()) > 0 {
		t.Errorf("the default said out loud: %v, digests %s and %s", a.Trust.Less(), a.Digest(), b.Digest())
	}
	less := small(t, 1, strings.NewReplacer(": on", ": off", ": own", ": shared").Replace(all))
	want := []string{"lookups: off", "moves: off", "bodies: off", "salt: off", "statements: off", "account: shared", "user: shared", "processes: off", "record: off"}
	if got := less.Trust.Less(); !slices.Equal(got, want) {
		t.Errorf("left out: %q, want %q", got, want)
	}
	if n := reflect.TypeFor[Trust]().NumField(); n != len(want) {
		t.Errorf("%d switches, %d are known", n, len(want))
	}
}

// As many rows are allowed as package dataset makes, and no more.
func TestMostRows(t *testing.T) {
	for length := 1; length <= 7; length++ {
		if got, want := mostRows(length), dataset.MostRows(length); got != want {
			t.Errorf("names of %d characters: at most %d rows, package dataset makes %d", length, got, want)
		}
	}
}
