package controller

import (
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/record"
)

// shares gives each of the targets that take turns its share of what the tiers use that they have in
// common: what was used while it was its turn. One sampler samples everything. Every trial gets the lines
// of its own processes as they are, those of the common tiers with its share in place of the sum, and one
// line for the rest of the run, so that what the run itself uses is whole in each trial's series.
type shares struct {
	run    *run
	trials []*trial

	mu    sync.Mutex
	tiers []*tier
	now   int     // the trial whose turn it is; -1: none's
	own   []int64 // CPU time of each trial's own processes, in the sample under way
	all   int64   // of all processes of the run, in the same
}

// tier is one process tree that the targets have in common.
type tier struct {
	key  string // as a line of it has it
	pids []int
	used []time.Duration // by each trial
}

func newShares(r *run, trials []*trial) *shares {
	s := &shares{run: r, trials: trials, own: make([]int64, len(trials)), now: -1}
	add := func(name string, pids []int) {
		s.tiers = append(s.tiers, &tier{key: name, pids: pids, used: make([]time.Duration, len(trials))})
	}
	add("controller controller", []int{os.Getpid()})
	for _, source := range r.sources() {
		if source.Process != nil {
			add(source.Tier+" "+source.Process.Name(), nil)
		}
	}
	return s
}

// begin looks up the processes again: nobody has time for that between two slices.
func (s *shares) begin() {
	at := 1
	for _, source := range s.run.sources() {
		if source.Process != nil {
			s.tiers[at].pids = source.Process.PIDs()
			at++
		}
	}
}

// turn begins a trial's turn; the function returned ends it.
func (s *shares) turn(of *trial) func() {
	i := slices.Index(s.trials, of)
	before := make([]time.Duration, len(s.tiers))
	for at, t := range s.tiers {
		before[at] = s.run.o.Venue.Clock(t.pids)
	}
	s.setTurn(i)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now = -1
		for at, t := range s.tiers {
			t.used[i] += max(0, s.run.o.Venue.Clock(t.pids)-before[at])
		}
	}
}

func (s *shares) setTurn(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = i
}

// sources are all that is sampled.
func (s *shares) sources() []collect.Source {
	var out []collect.Source
	for i, t := range s.trials {
		for _, source := range t.d.sources() {
			source.Sink = func(line record.Series) error { return s.ownLine(i, line) }
			out = append(out, source)
		}
	}
	return append(out, s.run.sources()...)
}

// ownLine is a line of a trial's own processes.
func (s *shares) ownLine(i int, line record.Series) error {
	if !strings.Contains(line.Name, "/") { // that of a worker is in its replica's
		s.own[i] += line.CPUNS
		s.all += line.CPUNS
	}
	return s.trials[i].series(line)
}

// line takes all others; that of the host is the last of a sample.
func (s *shares) line(line record.Series) error {
	if line.Tier != "host" {
		s.all += line.CPUNS
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range s.trials {
		mine := line
		if line.Tier == "host" {
			others := line
			others.Tier, others.Name, others.CPUNS = "others", "others", s.all-s.own[i]-s.used(i)
			others.RSSBytes, others.Values, others.Strangers = 0, nil, nil
			if err := t.series(others); err != nil {
				return err
			}
		} else if used, ok := s.usedOf(line, i); ok {
			mine.CPUNS = int64(used)
		}
		if line.Tier != "host" {
			mine.Values = gauges(line.Values, i == s.now && line.Tier == "database")
		}
		if err := t.series(mine); err != nil {
			return err
		}
	}
	if line.Tier == "host" {
		s.all = 0
		clear(s.own)
	}
	return nil
}

// gauges are the values of a common tier for one trial: marked where it is its turn, and without what the control group used for all.
func gauges(values map[string]float64, turn bool) map[string]float64 {
	if len(values) == 0 {
		return values
	}
	out := maps.Clone(values)
	delete(out, record.GroupVersion)
	delete(out, record.GroupCPUNS)
	if turn {
		out[record.InTurn] = 1
	}
	return out
}

// used is what all common tiers used in a trial's turns.
func (s *shares) used(i int) (sum int64) {
	for _, t := range s.tiers {
		sum += int64(t.used[i])
	}
	return sum
}

func (s *shares) usedOf(line record.Series, i int) (time.Duration, bool) {
	for _, t := range s.tiers {
		if t.key == line.Tier+" "+line.Name {
			return t.used[i], true
		}
	}
	return 0, false
}
