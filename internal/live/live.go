// Package live is a run as it grows. It takes what record.Follow yields and keeps what a person who watches wants to
// see: what is under way, the load on each target second by second, what the agents lacked, and what each tier
// used. A page and a terminal show it; both get the same numbers.
//
// Its memory is bounded whatever the length of a run: numbers are kept of the newest blocks, histograms of the newest
// seconds only. It refuses to give a percentile that too few requests support, and it judges nothing: what may be
// claimed is the business of figures. It reads no file and knows no clock.
package live

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/threshold"
)

// Bounds of what is kept.
const (
	mostPoints   = 100_000 // of all blocks: the oldest blocks give way
	mostBins     = 1200    // of one phase of one trial: longer ones are divided more coarsely
	mostSeconds  = 1200    // of the tiers
	mostProblems = 20
	openBins     = 3 // newest points of a phase that keep their histograms
	mostReplicas = 64
)

// Percents are the percentiles of every point.
func Percents() []float64 { return []float64{50, 90, 95, 99, 99.9} }

// Head is what is said of a run at its beginning, and again when it is resumed.
type Head struct {
	Name    string    `json:"name"`
	Primary string    `json:"primary"`
	Started time.Time `json:"started"`
	Targets []string  `json:"targets"` // in plan order
	Blocks  int       `json:"blocks"`
	Trials  int       `json:"trials"` // planned, the pilot's included
	Agents  int       `json:"agents"`
	Phases  []Phase   `json:"phases"` // number, name; the warm-up is 0
	// Objectives are the thresholds of the plan on a percentile.
	Objectives []Objective `json:"objectives,omitempty"`
	Cores      int         `json:"cores"` // of the machine; 0: not known
	Short      bool        `json:"short,omitempty"`
}

// Phase is a phase as the plan has it.
type Phase struct {
	Number    int     `json:"number"`
	Name      string  `json:"name"`
	Model     string  `json:"model"`
	DurationS float64 `json:"duration_s,omitempty"` // 0: not known
	Rate      float64 `json:"rate,omitempty"`
	Stage     bool    `json:"stage,omitempty"` // of a search for a capacity, or of a block: each target has a rate of its own

	aside bool // it is no lookups through what is before the replicas: nothing is decided by it
}

// stageKey is a stage of a trial.
type stageKey struct {
	block, attempt int
	target         string
	number         int
}

// Objective is a time that a percentile is to be below.
type Objective struct {
	Text    string  `json:"text"`
	Phase   string  `json:"phase,omitempty"`  // empty: every phase
	Target  string  `json:"target,omitempty"` // empty: every target
	P       float64 `json:"p"`
	Seconds float64 `json:"seconds"`
}

// Now is what is under way.
type Now struct {
	At       time.Time `json:"at"` // of the last event
	Status   string    `json:"status"`
	Live     bool      `json:"live"` // a process writes the run
	Block    int       `json:"block"`
	Blocks   int       `json:"blocks"`
	Trial    int       `json:"trial"`
	Trials   int       `json:"trials"`
	Attempt  int       `json:"attempt,omitempty"`
	Target   string    `json:"target,omitempty"`
	Text     string    `json:"text"`
	Since    time.Time `json:"since"`              // when the step began
	ExpectS  float64   `json:"expect_s,omitempty"` // 0: not known
	Finished int       `json:"finished"`           // places of the plan that are settled: a trial of them is over, valid or not
	Judged   int       `json:"judged"`             // trials that are valid or invalid, repeated ones included
	Refused  int       `json:"refused"`            // trials that are invalid
	// Ends is when the run will end if every block takes as long as those that are over; zero: not known.
	Ends time.Time `json:"ends,omitzero"`
	Last *Last     `json:"last,omitempty"` // nil: no load yet
}

// Last is the newest whole second of load.
type Last struct {
	Target string `json:"target"`
	Phase  int    `json:"phase"`
	Open   bool   `json:"open"` // requests are due at the times of a schedule: what is offered says something
	Point
	// SoFar are the percentiles of the phase so far; like those of the point null where too few requests support them, and like
	// those with what is among time-outs.
	SoFar     []*float64 `json:"so_far"`
	SoFarOver []bool     `json:"so_far_over,omitempty"`
}

// State is what is known of a run. It is for one goroutine at a time.
type State struct {
	head    Head
	now     Now
	trials  map[string]*trial // by folder
	order   []*trial          // as they began
	points  int
	tiers   tiers
	agents  map[int]*Agent
	damage  []string
	damaged int // problems, those left out too
	begun   time.Time
	open    map[string]bool // trials under way
	stages  map[stageKey]Phase
	last    *bin

	changed struct{ head, damage bool }
}

// New is the state of a run before anything is known of it.
func New() *State {
	return &State{trials: map[string]*trial{}, agents: map[int]*Agent{}, open: map[string]bool{}, stages: map[stageKey]Phase{}, tiers: newTiers(), now: Now{Status: record.Incomplete}}
}

// Take takes in one item of the record.
func (s *State) Take(i record.Item) {
	switch {
	case i.Event != nil:
		s.event(*i.Event)
	case i.Load != nil:
		s.load(i.Trial, i.Load)
	case i.Series != nil:
		s.series(i.Trial, i.Series)
	case i.Pause != nil:
		s.now.Live = i.Pause.Live
	}
}

// Damaged takes in that a part of the record cannot be read.
func (s *State) Damaged(what string) {
	s.damaged++
	if len(s.damage) < mostProblems {
		s.damage = append(s.damage, what)
	}
	s.changed.damage = true
}

// Head is what is known of the run itself.
func (s *State) Head() Head { return s.head }

// Now is what is under way.
func (s *State) Now() Now {
	now := s.now
	now.Last = s.newest()
	return now
}

func (s *State) event(e record.Event) {
	s.now.At = e.At
	switch e.Kind {
	case record.EventRun:
		s.run(e)
	case record.EventBegun:
		s.begin(e)
	case record.EventTrial:
		s.finish(e)
	case record.EventAbandoned:
		var a record.Abandoned
		if json.Unmarshal(e.Fields, &a) == nil {
			s.end(a.Folder, record.TrialAborted)
		}
	case record.EventResumed:
		s.now.Status, s.begun, s.now.Ends = record.Incomplete, time.Time{}, time.Time{}
		for folder := range s.open {
			s.end(folder, record.TrialAborted)
		}
	case record.EventFinished:
		var f struct{ Status string }
		if json.Unmarshal(e.Fields, &f) == nil && f.Status != "" {
			s.now.Status = f.Status
		}
		s.now.Target, s.now.Text, s.now.ExpectS, s.now.Ends = "", "the run has ended", 0, time.Time{}
	}
	if p, ok := e.Progress(); ok {
		s.progress(p, e.At)
	}
}

func (s *State) progress(p record.Progress, at time.Time) {
	s.now.Text, s.now.Since, s.now.ExpectS = p.Text, at, p.Expect.Seconds()
	if p.Target == "" {
		return
	}
	s.now.Block, s.now.Trial, s.now.Attempt, s.now.Target = p.Block, p.Trial, p.Attempt, p.Target
	s.now.Blocks, s.now.Trials = max(p.Blocks, s.now.Blocks), max(p.Trials, s.now.Trials)
	if p.Stage != nil {
		s.stage(p)
	}
}

// stage takes in a stage that begins. Its objective is a line of a chart.
func (s *State) stage(p record.Progress) {
	of := p.Stage
	for target, rate := range of.Rates {
		s.stages[stageKey{p.Block, p.Attempt, target, of.Phase}] = Phase{Number: of.Phase, Name: of.Name, Model: "open", DurationS: of.DurationS, Rate: rate, Stage: true}
	}
	line := Objective{Text: fmt.Sprintf("p%g <= %s", of.Percentile, show.Seconds(of.BoundS)), Phase: of.Name, P: of.Percentile, Seconds: of.BoundS}
	if !slices.Contains(s.head.Objectives, line) {
		s.head.Objectives, s.changed.head = append(s.head.Objectives, line), true
	}
}

// run takes in what run.json says.
func (s *State) run(e record.Event) {
	var fields struct{ Run record.Run }
	if json.Unmarshal(e.Fields, &fields) != nil {
		return
	}
	r := fields.Run
	s.head = Head{Name: r.Name, Started: r.Started, Trials: len(r.Order), Cores: r.Machine.Cores, Short: r.Short}
	for _, t := range r.Targets {
		s.head.Targets = append(s.head.Targets, t.Name)
	}
	for _, p := range r.Order {
		s.head.Blocks = max(s.head.Blocks, p.Block)
		if len(r.Targets) == 0 && !slices.Contains(s.head.Targets, p.Target) {
			s.head.Targets = append(s.head.Targets, p.Target)
		}
	}
	s.plan(r.Plan)
	s.now.Blocks, s.now.Trials = s.head.Blocks, s.head.Trials
	if r.Status != "" {
		s.now.Status = r.Status
	}
	s.changed.head = true
}

// plan takes in what is used of the plan as resolved; what it lacks stays unknown.
func (s *State) plan(raw json.RawMessage) {
	var p struct {
		Primary    string
		Agents     struct{ Count int }
		Thresholds []string
		Phases     []struct {
			Name, Model, Duration, Ask string
			Direct                     bool
			Rate                       float64
		}
	}
	if json.Unmarshal(raw, &p) != nil {
		return
	}
	s.head.Primary, s.head.Agents = p.Primary, p.Agents.Count
	for _, text := range p.Thresholds {
		t, err := threshold.Parse(text)
		if err == nil && t.Left.Name == "p" && t.Right == nil && strings.HasPrefix(t.Op, "<") {
			s.head.Objectives = append(s.head.Objectives, Objective{text, t.Phase, t.Left.Target, t.Left.P, t.Bound})
		}
	}
	s.head.Phases = []Phase{{Number: 0, Name: "warmup", Model: "closed"}}
	for i, one := range p.Phases {
		d, err := time.ParseDuration(one.Duration)
		if err != nil {
			d = 0
		}
		s.head.Phases = append(s.head.Phases, Phase{Number: i + 1, Name: one.Name, Model: one.Model, DurationS: d.Seconds(), Rate: one.Rate, aside: one.Ask != "" || one.Direct})
	}
}

// phaseIn is what is known of a phase of a trial.
func (s *State) phaseIn(t *trial, number int) Phase {
	if stage, ok := s.stages[stageKey{t.block, t.attempt, t.target, number}]; ok {
		return stage
	}
	known := s.phase(number)
	if t.block == 0 && known.Model == "" { // the pilot has one phase, and the warm-up before it
		known.Name, known.Model = "pilot", "closed"
	}
	return known
}

// phase is what is known of a phase of that number.
func (s *State) phase(number int) Phase {
	for _, p := range s.head.Phases {
		if p.Number == number {
			return p
		}
	}
	return Phase{Number: number, Name: "phase " + strconv.Itoa(number)}
}

func (s *State) begin(e record.Event) {
	var b record.Begun
	if json.Unmarshal(e.Fields, &b) != nil || b.Folder == "" {
		return
	}
	if b.Block > 0 && s.begun.IsZero() {
		s.begun = e.At
	}
	s.drop(b.Folder) // a second life of the folder
	s.count()
	t := s.of(b.Folder)
	t.block, t.target, t.attempt = b.Block, b.Target, b.Attempt
	s.open[b.Folder] = true
	s.now.Block = b.Block
}

// of is the trial in a folder; one that no event named is called after the folder.
func (s *State) of(folder string) *trial {
	t := s.trials[folder]
	if t == nil {
		t = &trial{folder: folder, target: folder, attempt: 1, phases: map[int]*phase{}}
		if parts := strings.SplitN(folder, "-", 3); len(parts) == 3 {
			t.block, _ = strconv.Atoi(parts[0]) // 0 where it is no number
			t.target = parts[2]
		}
		s.trials[folder] = t
		s.order = append(s.order, t)
	}
	return t
}

func (s *State) drop(folder string) {
	if t := s.trials[folder]; t != nil {
		s.forget(t)
		delete(s.trials, folder)
		s.order = slices.DeleteFunc(s.order, func(o *trial) bool { return o == t })
	}
}

func (s *State) finish(e record.Event) {
	var p record.Proof
	if json.Unmarshal(e.Fields, &p) != nil || p.Folder == "" {
		return
	}
	t := s.of(p.Folder)
	t.block, t.target, t.attempt = p.Block, p.Target, p.Attempt
	s.end(p.Folder, p.Status)
	if p.Status == record.Invalid {
		s.now.Refused++
	}
	s.count()
	s.expect(e.At)
}

// count counts the trials that are over, and the places that they hold: like a record's proof, one that was aborted holds none.
func (s *State) count() {
	held := map[record.Place]bool{}
	s.now.Judged = 0
	for _, t := range s.order {
		if t.status == "" || t.status == record.TrialAborted {
			continue
		}
		held[record.Place{Block: t.block, Target: t.target}] = true
		s.now.Judged++
	}
	s.now.Finished = len(held)
}

// expect sets when the run will end, from the blocks that are over.
func (s *State) expect(at time.Time) {
	over, left := map[int]bool{}, s.head.Blocks
	for _, t := range s.order {
		over[t.block] = true
	}
	for folder := range s.open {
		delete(over, s.trials[folder].block)
	}
	delete(over, 0)
	if len(over) == 0 || s.begun.IsZero() || left == 0 {
		return
	}
	each := at.Sub(s.begun) / time.Duration(len(over))
	s.now.Ends = at.Add(each * time.Duration(max(0, left-len(over))))
}

// end settles a trial: its histograms are let go. Each of its phases has changed, since it has another status.
func (s *State) end(folder, status string) {
	delete(s.open, folder)
	t := s.trials[folder]
	if t == nil {
		return
	}
	t.status = status
	for _, p := range t.phases {
		p.settle(0)
		if n := len(p.bins); n > 0 {
			p.bins[n-1].changed = true
		}
	}
}

// forget lets go of the points of a trial.
func (s *State) forget(t *trial) {
	for _, p := range t.phases {
		s.points -= len(p.bins)
	}
	t.phases = map[int]*phase{}
}

// bound lets go of the oldest blocks where there are too many points.
func (s *State) bound() {
	for _, t := range s.order {
		if s.points <= mostPoints {
			return
		}
		if !s.open[t.folder] {
			s.forget(t)
		}
	}
}
