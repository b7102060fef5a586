package export

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// naming says what the parts of a run are called in a collector.
type naming struct {
	run    string // name of the run directory
	plan   []planPhase
	labels map[string]string          // target to what is asked, such as "GET /demo"
	names  map[string]map[string]bool // values of tags that a server chose, by kind
	omit   func()                     // is called for each sample that has no name of its own; nil: nobody counts
}

// planPhase is what a point says of a phase while its trial is under way.
type planPhase struct {
	Name        string `json:"name"`
	Model       string `json:"model"`
	Connections int    `json:"connections"`
}

// Numbers of the phases that no plan names.
const (
	warmupPhase = 0
	pilotPhase  = 1000
)

// newNaming is that of a run directory's name and its head.
func newNaming(name string, run record.Run) naming {
	var plan struct {
		Phases  []planPhase `json:"phases"`
		Targets []struct {
			Name string `json:"name"`
			URL  string `json:"url"`
		} `json:"targets"`
	}
	_ = json.Unmarshal(run.Plan, &plan) // a plan of other times has phases without names
	n := naming{run: name, plan: plan.Phases, labels: map[string]string{}, names: map[string]map[string]bool{}}
	for _, t := range plan.Targets {
		if t.URL != "" {
			n.labels[t.Name] = "GET " + pathOf(t.URL)
		}
	}
	return n
}

// kindOf says what a phase is for.
func kindOf(number int) string {
	switch {
	case number == warmupPhase:
		return "warmup"
	case number >= pilotPhase:
		return "pilot"
	}
	return "measured"
}

// phase is what the plan says of a phase; the warm-up has the connections of the first one, the pilot those of
// the first closed one.
func (s *naming) phase(number int) planPhase {
	kind := kindOf(number)
	switch {
	case kind == "measured" && number <= len(s.plan) && s.plan[number-1].Name != "":
		return s.plan[number-1]
	case kind == "measured":
		return planPhase{Name: "phase " + strconv.Itoa(number)}
	}
	out := planPhase{Name: kind}
	if len(s.plan) > 0 {
		out.Connections = s.plan[0].Connections
	}
	if i := slices.IndexFunc(s.plan, func(p planPhase) bool { return p.Model == "closed" }); kind == "pilot" && i >= 0 {
		out.Connections = s.plan[i].Connections
	}
	return out
}

// named reports whether a name that a server chose may be the value of a tag: whether it is among the first of its kind.
// Others would be points of one name that overwrite each other: they are left out and counted.
func (s *naming) named(kind, name string) bool {
	if s.few(kind, name) == name {
		return true
	}
	if s.omit != nil {
		s.omit()
	}
	return false
}

// few is a name that a server chose, or stats.Other where there are too many of its kind already.
func (s *naming) few(kind, name string) string {
	known := s.names[kind]
	if known == nil {
		known = map[string]bool{}
		s.names[kind] = known
	}
	if !known[name] && len(known) >= mostNames {
		return stats.Other
	}
	known[name] = true
	return name
}

// calendar gives lines of earlier versions the time at which they began.
type calendar struct {
	starts func() map[string]map[int]time.Time // of phases, by folder and number; nil: nobody knows
	old    map[string]map[int]time.Time        // what starts has given
}

// timed gives a line its time by the start of its phase, where it has none; false where nothing says it.
func (c *calendar) timed(folder string, l *record.Load) bool {
	if !l.At.IsZero() {
		return true
	}
	if c.old == nil && c.starts != nil {
		c.old = c.starts()
	}
	start := c.old[folder][l.Phase]
	l.At = start.Add(l.Begin)
	return !start.IsZero()
}

// startsOf are the starts of the phases of finished trials, for lines from before they had a time of their own.
func startsOf(dir string) map[string]map[int]time.Time {
	out := map[string]map[int]time.Time{}
	r, err := record.Open(dir)
	if err != nil {
		return out
	}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			continue
		}
		out[state.Folder] = map[int]time.Time{}
		for _, p := range trial.Phases {
			if p.Turns == nil {
				out[state.Folder][p.Number] = p.Started
			}
		}
	}
	return out
}
