package controller

import (
	"os"
	"testing"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/venue"
)

// meter is a venue that knows nothing but how long processes have run.
type meter struct {
	venue.Venue
	used map[int]time.Duration
}

func (m *meter) Clock(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		sum += m.used[pid]
	}
	return sum
}

// tiers are a stage and its loader; only their processes are known.
type tiers struct {
	stage
	Loader
}

func (tiers) sources() []collect.Source {
	return []collect.Source{{Tier: "database", Process: only{name: "mariadbd", pid: 21}}, {Tier: "balancer"}}
}

func (tiers) Processes() []platform.Process {
	return []platform.Process{only{name: "agent-1", pid: 31}}
}

// processes is a deployment; only its processes are known.
type processes struct {
	deployment
	all []collect.Source
}

func (p processes) sources() []collect.Source { return p.all }

// Each of two targets in turns has in its series what it used itself, its share of what all use, and the rest of the run as one line:
// the sum is what the run used.
func TestSharesOfTheTiers(t *testing.T) {
	m := &meter{used: map[int]time.Duration{}}
	w, err := record.Create(t.TempDir(), record.Run{Name: "shares"}, nil, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := &run{o: &Options{Plan: &plan.Plan{}, Venue: m}, writer: w, stage: tiers{}, loader: tiers{}, speed: collect.Source{Tier: "yardstick", Process: only{name: "yardstick", pid: 41}}}
	var trials []*trial
	for i, name := range []string{"a", "b"} {
		lines, err := w.BeginTrial(1, i+1, name, 1)
		if err != nil {
			t.Fatal(err)
		}
		trials = append(trials, &trial{run: r, writer: lines, d: processes{all: []collect.Source{{Tier: "target", Process: only{name: name + "-1", pid: 51 + i}}}}})
	}
	s := newShares(r, trials)
	s.begin()
	pids := map[string]int{"controller": os.Getpid(), "mariadbd": 21, "agent-1": 31, "yardstick": 41, "a-1": 51, "b-1": 52}
	turn := func(of int, used map[string]time.Duration) {
		done := s.turn(trials[of])
		for name, d := range used {
			m.used[pids[name]] += d
		}
		done()
	}
	turn(0, map[string]time.Duration{"mariadbd": 5, "agent-1": 7, "controller": 1, "a-1": 100})
	turn(1, map[string]time.Duration{"mariadbd": 50, "agent-1": 70, "yardstick": 3, "b-1": 1000})
	turn(0, map[string]time.Duration{"mariadbd": 2})
	m.used[21] += 900 // between turns: nobody's
	for sample := range 2 {
		sampled(t, s, m, pids, time.Unix(int64(1000+sample), 0))
	}
	for i, tr := range trials {
		if err := tr.writer.Finish(record.Trial{Block: 1, Position: i + 1, Target: []string{"a", "b"}[i], Attempt: 1, Status: record.Valid}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(record.Complete, ""); err != nil {
		t.Fatal(err)
	}
	// All together are 957 of the database, 77 of the agent, 1 of the controller, 3 of the yardstick, 33 of the balancer, 1100 of the targets.
	for name, want := range map[string]map[string]int64{
		"a": {"target a-1": 100, "target a-1/9": 90, "database mariadbd": 7, "agent agent-1": 7, "controller controller": 1, "yardstick yardstick": 0, "others others": 2171 - 100 - 15, "host host": 5000, "balancer else": 33},
		"b": {"target b-1": 1000, "database mariadbd": 50, "agent agent-1": 70, "controller controller": 0, "yardstick yardstick": 3, "others others": 2171 - 1000 - 123, "host host": 5000, "balancer else": 33},
	} {
		wantSeries(t, w.Dir(), name, want)
	}
}

// sampled gives the lines of one sample, that of the host last.
func sampled(t *testing.T, s *shares, m *meter, pids map[string]int, at time.Time) {
	t.Helper()
	send := func(sink func(record.Series) error, tier, name string, cpu int64) {
		if err := sink(record.Series{At: at, Phase: 1, Tier: tier, Name: name, CPUNS: cpu, RSSBytes: 4, Values: map[string]float64{"cpus": 1}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, source := range s.sources() {
		if source.Sink != nil {
			name := source.Process.Name()
			send(source.Sink, source.Tier, name, int64(m.used[pids[name]]))
			if name == "a-1" {
				send(source.Sink, source.Tier, name+"/9", 90)
			}
		}
	}
	for tier, name := range map[string]string{"database": "mariadbd", "agent": "agent-1", "controller": "controller", "yardstick": "yardstick"} {
		send(s.line, tier, name, int64(m.used[pids[name]]))
	}
	send(s.line, "balancer", "else", 33) // of no tier that is known: it stays as it is
	send(s.line, "host", "host", 5000)
}

// wantSeries wants two samples in a target's trial, with these CPU times.
func wantSeries(t *testing.T, dir, name string, want map[string]int64) {
	t.Helper()
	count := map[string]int{}
	for _, state := range openRecord(t, dir).Trials() {
		if state.Target != name {
			continue
		}
		for line, err := range state.Series() {
			if err != nil {
				t.Fatal(err)
			}
			key := line.Tier + " " + line.Name
			count[key]++
			if wanted, known := want[key]; !known || line.CPUNS != wanted {
				t.Errorf("%s: %s used %d ns, want %d", name, key, line.CPUNS, wanted)
			}
			if rest := line.Tier == "others"; rest != (line.RSSBytes == 0) || rest != (len(line.Values) == 0) {
				t.Errorf("%s: %+v", name, line)
			}
		}
	}
	for key := range want {
		if count[key] != 2 {
			t.Errorf("%s: %d lines of %s, want 2", name, count[key], key)
		}
	}
}
