package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"bakeoff/internal/capacity"
)

// A plan cut down to its pilot has this number of blocks with a phase of this length.
const (
	pilotBlocks = 4
	pilotPhase  = 4 * time.Second
)

// Digest is the SHA-256 of the resolved plan as JSON, in hexadecimal.
func (p *Plan) Digest() string {
	sum := sha256.Sum256(p.canonical())
	return hex.EncodeToString(sum[:])
}

// canonical is the plan as JSON: fields in the order of the types, map keys sorted.
func (p *Plan) canonical() []byte {
	data, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("plan: a loaded plan has no JSON: %v", err))
	}
	return data
}

// YAML is the resolved plan; Load of it gives the same plan.
func (p *Plan) YAML() []byte {
	data, err := yaml.Dump(p)
	if err != nil {
		panic(fmt.Sprintf("plan: a loaded plan has no YAML: %v", err))
	}
	return data
}

// Driver reports whether the target is no server: the agents ask the database themselves.
func (t Target) Driver() bool { return t.Kind == KindDriver }

// Ranked are the targets that are compared with each other: all but a driver.
func (p *Plan) Ranked() []Target {
	return slices.DeleteFunc(slices.Clone(p.Targets), Target.Driver)
}

// Running reports whether the targets are servers that run already: nothing is
// deployed then, and there is no dataset, database, balancer or deployment.
func (p *Plan) Running() bool {
	return len(p.Targets) > 0 && !slices.ContainsFunc(p.Targets, func(t Target) bool { return t.Kind != KindURL })
}

// Engines that carry out phases.
const (
	Native = "native"
	HTTP   = "http"
	JMeter = "jmeter"
)

// EngineOf is the engine that carries out a phase.
func (p *Plan) EngineOf(ph Phase) string {
	if ph.Engine != "" {
		return ph.Engine
	}
	return p.Agents.Engine
}

// Uses reports whether an engine carries out any phase; the warm-up and the pilot have that of the first phase.
func (p *Plan) Uses(engine string) bool {
	return slices.ContainsFunc(p.Phases, func(ph Phase) bool { return p.EngineOf(ph) == engine })
}

// Encrypted reports whether a running server is asked over TLS.
func (t Target) Encrypted() bool { return strings.HasPrefix(t.URL, "https:") }

// Deployed is how a target of this plan is deployed: the deployment with the
// target's own numbers over it.
func (p *Plan) Deployed(t Target) Deployment {
	d := p.Deployment
	if t.Replicas > 0 {
		d.Replicas = t.Replicas
	}
	if t.Workers > 0 {
		d.Workers = t.Workers
	}
	if t.Pool > 0 {
		d.Pool = t.Pool
	}
	return d
}

// InFlight is the greatest number of requests in flight at one time: the most
// connections of any phase.
func (p *Plan) InFlight() int {
	most := p.Objective.Connections
	for _, ph := range p.Phases {
		most = max(most, ph.Connections)
	}
	return most
}

// Measured is the time of all measured phases of all blocks together.
func (p *Plan) Measured() time.Duration {
	var phases time.Duration
	for _, ph := range p.Phases {
		phases += time.Duration(ph.Duration)
	}
	if p.Asks() {
		phases += capacity.MostStages * time.Duration(p.Objective.Stage)
	}
	return phases * time.Duration(p.Blocks*len(p.Targets))
}

// Rest is how long the machine is watched before the first trial, while nothing is loaded: 10 s, less
// where that would be more than a tenth of what is measured, and at least 1 s.
func (p *Plan) Rest() time.Duration {
	return max(time.Second, min(10*time.Second, p.Measured()/10))
}

// Overhead is what a run costs in addition to the stretches of load that the plan names.
type Overhead struct {
	Setup    time.Duration // once: starting the database with a filled table, teardown
	Trial    time.Duration // per trial of one target by itself, such as the pilot's: start, verify, stop
	Worker   time.Duration // and for each worker process of it, since those that start at one time share the cores
	Phase    time.Duration // per phase, warm-up and pilot included: common start, last answers, counting; in turns once for all targets
	Turns    bool          // the targets of a block take turns, and start side by side
	Together time.Duration // with turns: per trial, in place of Trial; Worker counts here, too
	Slice    time.Duration // with turns: per slice, for its last answers and the switch to the next target
	Loading
}

// Loading is what a JMeter costs in addition to other engines.
type Loading struct {
	Servers time.Duration // once: the start of its servers and their own warm-up
	Master  time.Duration // per phase that it drives, warm-up and pilot included: the start and end of a JVM
	Thread  time.Duration // and for each connection of it: threads that share cores with their target begin and end slowly
}

// Expected is how long a run of the plan takes, with the caller's overheads; a warm-up that ends when it is steady counts
// with the most it may take, and so does a search for a capacity; its stages at less than 100 requests per second take longer.
func (p *Plan) Expected(o Overhead) time.Duration {
	total := o.Setup + p.Rest() + time.Duration(p.Blocks)*p.Block(o)
	if p.Pilot > 0 {
		each := o.Trial + p.warms(o) + time.Duration(p.Pilot) + p.Stretch(o, p.Phases[0]) + p.stages(capacity.MostSearch, o)
		total += p.starts(o) + time.Duration(len(p.Targets))*each
	}
	if p.Uses(JMeter) {
		total += o.Servers
	}
	return total
}

// warms is how long the warm-up of one target takes by itself.
func (p *Plan) warms(o Overhead) time.Duration {
	if p.Warmup.Most == 0 {
		return 0
	}
	return time.Duration(p.Warmup.Most) + p.Stretch(o, p.Phases[0]) // it has the engine and the connections of that phase
}

// Block is how long one block takes.
func (p *Plan) Block(o Overhead) (total time.Duration) {
	k := time.Duration(len(p.Targets))
	if !o.Turns {
		total = o.Trial + p.warms(o)
		for _, ph := range p.Phases {
			total += time.Duration(ph.Duration) + p.Stretch(o, ph)
		}
		total += p.stages(capacity.MostStages, o)
		return p.starts(o) + k*total
	}
	total = p.starts(o) + k*o.Together + p.rounds(o, p.Warmup.Most)
	for _, ph := range p.Phases {
		total += p.rounds(o, ph.Duration)
	}
	return total + p.stagesTogether(o)
}

// rounds is how long all targets together take for so much load on each, in turns.
func (p *Plan) rounds(o Overhead, each Duration) time.Duration {
	if each == 0 {
		return 0
	}
	slices := time.Duration(math.Ceil(float64(each) / float64(p.Turns)))
	return o.Phase + time.Duration(len(p.Targets))*(time.Duration(each)+slices*o.Slice)
}

// Stretch is what a stretch of load as in this phase costs in addition to its length.
func (p *Plan) Stretch(o Overhead, ph Phase) time.Duration {
	if p.EngineOf(ph) == JMeter {
		return o.Phase + o.Master + time.Duration(ph.Connections)*o.Thread
	}
	return o.Phase
}

// starts is how long the workers of all targets take to start, one target after another or side by side.
func (p *Plan) starts(o Overhead) (total time.Duration) {
	for _, t := range p.Targets {
		if t.Kind == "" {
			d := p.Deployed(t)
			total += time.Duration(d.Replicas*d.Workers) * o.Worker
		}
	}
	return total
}

// Short is the plan scaled for a quick look: at most 20,000 rows, 2 blocks, 1
// worker per replica, 1 s of warm-up and of pilot, 2 s per phase, pods that ask for little; connections
// and rates per worker stay (of running servers: in all), but not more than 64 connections and not fewer than agents. It
// searches for no capacity.
func (p *Plan) Short() *Plan {
	s := *p
	if p.Asks() {
		s.Primary, s.Objective = Throughput, Objective{}
	}
	s.Targets, s.Phases = slices.Clone(p.Targets), slices.Clone(p.Phases)
	s.Dataset.Rows = min(p.Dataset.Rows, 20_000)
	s.Blocks = min(p.Blocks, 2)
	s.Deployment.Workers = min(p.Deployment.Workers, 1)
	s.Warmup = FixedWarmup(min(p.Warmup.Most, Duration(second)))
	s.Pilot = min(p.Pilot, Duration(second))
	for i := range s.Targets {
		t := &s.Targets[i]
		if t.SettingOf == "" { // settings are what is to be tried
			t.Workers = min(t.Workers, 1)
		}
		t.Settings = maps.Clone(t.Settings)
	}
	for i := range s.Phases {
		s.Phases[i].shorten(max(p.Deployment.Workers, 1), max(p.Agents.Count, p.reachIn(p.Phases[i])))
	}
	s.AllowHosts, s.Thresholds = slices.Clone(p.AllowHosts), slices.Clone(p.Thresholds)
	s.Kubernetes = p.Kubernetes.short()
	s.Database.Settings = maps.Clone(p.Database.Settings)
	return &s
}

// Pilots is the plan cut down to find out how block values spread: 4 blocks of the phase that the primary metric is for, of at most 4 s. Short
// phases spread more than long ones, so what they say of the plan is on the safe side.
func (p *Plan) Pilots() *Plan {
	s := *p
	s.Blocks, s.Thresholds = pilotBlocks, nil // which may be about phases that a pilot does not have
	i := p.primary()
	s.Phases = slices.Clone(p.Phases[i : i+1])
	ph := &s.Phases[0]
	if long := Duration(pilotPhase); ph.Duration > long {
		ph.Ramp = Duration(float64(ph.Ramp) * float64(long) / float64(ph.Duration))
		ph.Duration = long
	}
	if ph.RateOfPilot == 0 {
		s.Pilot = 0
	}
	return &s
}

// primary is the number of the phase that the primary metric is for; a plan has one.
func (p *Plan) primary() int {
	model := "closed"
	if p.Primary == P99AtRate {
		model = "open"
	}
	return slices.IndexFunc(p.Phases, func(ph Phase) bool { return ph.Model == model && !ph.Pings() && !ph.Direct })
}

// reach is how many connections take every agent to every replica; 0 with a balancer, which does that itself.
func (p *Plan) reach() int {
	if p.Balancer.Kind != "direct" {
		return 0
	}
	return p.replicas() * p.Agents.Count
}

// reachIn is reach in one phase, which may leave the balancer out.
func (p *Plan) reachIn(ph Phase) int {
	if ph.Direct || ph.Pair == PairDirect {
		return p.replicas() * p.Agents.Count
	}
	return p.reach()
}

// replicas are those of the target that has the most.
func (p *Plan) replicas() int {
	most := p.Deployment.Replicas
	for _, t := range p.Targets {
		most = max(most, t.Replicas)
	}
	return most
}

// shorten scales a phase from that many workers per replica to one, with at least that many connections.
func (ph *Phase) shorten(workers, least int) {
	duration := min(ph.Duration, Duration(2*second))
	ph.Ramp = Duration(float64(ph.Ramp) * float64(duration) / float64(ph.Duration))
	ph.Duration = duration
	ph.Connections = max(min(ph.Connections/workers, 64), least)
	if ph.Rate > 0 {
		ph.Rate = max(ph.Rate/float64(workers), leastRate)
	}
}

func sortedKeys(m map[string]string) []string {
	return slices.Sorted(maps.Keys(m))
}
