package figures

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/verdict"
)

// named are targets of these names, with that many valid blocks each.
func named(valid int, names ...string) (out []Target) {
	for _, name := range names {
		out = append(out, Target{TargetInfo: record.TargetInfo{Name: name}, Valid: valid})
	}
	return out
}

// The head line says how many blocks are whole, how long each target is measured in one, on what, and which targets.
func TestHeadlines(t *testing.T) {
	for want, change := range map[string]func(s *Summary){
		"3 blocks of 10 s on 2 shared cores: a and b":         func(*Summary) {},
		"3 blocks of 10 s on 1 shared core: a and b":          func(s *Summary) { s.Machine.Cores = 1 },
		"3 blocks of 10 s on 2 cores (kubernetes): a and b":   func(s *Summary) { s.Run.Platform = "kubernetes" },
		"3 blocks of 10 s on 2 cores: a and b":                func(s *Summary) { s.Run.Platform = "" },
		"3 blocks of 10 s on 2 shared cores: a and b (short)": func(s *Summary) { s.Run.Short = true },
		"3 blocks on 2 shared cores: a and b":                 func(s *Summary) { s.Phases = nil },
		"2 of 3 blocks of 10 s on 2 shared cores: a and b":    func(s *Summary) { s.Trials[3].Used = false },
		"0 of 3 blocks of 10 s on 2 shared cores":             func(s *Summary) { s.Targets = nil },
		"3 blocks of 10 s on a machine that is not known: a and b": func(s *Summary) {
			s.Run.Platform = record.PlatformImported
		},
		"3 blocks of 10 s of 2 running servers on 2 shared cores: a and b": func(s *Summary) {
			for i := range s.Targets {
				s.Targets[i].Kind, s.Targets[i].Address = record.KindURL, "127.0.0.1:80"
			}
		},
	} {
		s := &Summary{Run: Facts{Blocks: 3, Platform: "local"}, Machine: record.Machine{Cores: 2}, Targets: named(3, "a", "b"), Phases: []Phase{{DurationS: 4}, {DurationS: 6}}}
		for block := range 3 {
			for _, name := range []string{"a", "b"} {
				s.Trials = append(s.Trials, Trial{Block: block + 1, Target: name, Used: true})
			}
		}
		change(s)
		if got := headline(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What a reader must know before any figure: each mark where it is due, and no other.
func TestMarks(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *Summary)
		live   bool
		marks  []string // how each begins
		shown  int      // of the marks, that are no caveats as tables show them
	}{
		{"none", func(*Summary) {}, false, nil, 0},
		{"imported", func(s *Summary) { s.Run.Platform = record.PlatformImported }, false, []string{"IMPORTED: "}, 0},
		{"short", func(s *Summary) { s.Run.Short = true }, false, []string{"SHORT: "}, 0},
		{"search", func(s *Summary) { s.Run.Search = "stage 1 of 3" }, false, []string{"SEARCH, stage 1 of 3: these figures choose a setting"}, 0},
		{"shared", func(s *Summary) { s.Run.Shared = true }, false, []string{"SHARED MACHINE: "}, 0},
		{"under way", func(s *Summary) { s.Run.Status = record.Incomplete }, true, []string{"UNDER WAY: 3 of 4 trials finished so far"}, 0},
		{"killed", func(s *Summary) { s.Run.Status = record.Incomplete }, false, []string{"INCOMPLETE: the run was killed; 3 of 4 trials finished"}, 0},
		{"aborted", func(s *Summary) { s.Run.Status, s.Run.Reason = record.Aborted, "interrupted" }, false, []string{"ABORTED: interrupted; 3 of 4 trials finished"}, 0},
		{"aborted for no reason", func(s *Summary) { s.Run.Status = record.Aborted }, false, []string{"ABORTED: no reason given; "}, 0},
		{"unfair", func(s *Summary) { s.Run.AllowUnfair = "why" }, false, []string{"UNFAIR BY PLAN: differences between targets were allowed: why"}, 0},
		{"not counted", func(s *Summary) { s.Database.Uncounted = []string{"rows", "statements"} }, false, []string{"LOOKUPS NOT PROVEN: the database server does not count, for each answer, rows; statements"}, 0},
		{"one account", func(s *Summary) { s.Database.AccountReason = "no right" }, false, []string{"ONE DATABASE ACCOUNT for all trials: what a trial leaves in the database may reach the next one; no right"}, 0},
		{"one account of others", func(s *Summary) { s.Database.AccountReason, s.Database.Kind = "no right", "external" }, false, []string{
			"ONE DATABASE ACCOUNT for all trials: what a trial leaves in the database may reach the next one, and a target that reads in bakeoff_moves",
		}, 0},
		{"nothing moves", func(s *Summary) { s.Database.MovesReason = "not ours" }, false, []string{"NO ROWS CHANGED during the phases: "}, 0},
		{"nothing moves in some", func(s *Summary) {
			s.still = map[string][]string{"JMeter asks for the keys": {"one", "two"}, "the target draws the keys": {"x"}}
		}, false, []string{
			"NO ROWS CHANGED in phases one and two: a target that answers from a copy of the table is found by fewer checks; JMeter asks for the keys",
			"NO ROWS CHANGED in phase x: ",
		}, 0},
		{"nothing moves in any", func(s *Summary) { s.still, s.Database.MovesReason = map[string][]string{"not ours": {"x"}}, "not ours" }, false, []string{"NO ROWS CHANGED during the phases: "}, 0},
		{"not at rest", func(s *Summary) { s.Baselines = []record.Baseline{{}, {Disturbance: record.Disturbance{Foreign: 0.5}}} }, false, []string{"NOT AT REST: before anything was loaded, other programs used 50.0 %"}, 0},
		{"not watched", func(s *Summary) {
			s.Baselines = []record.Baseline{{}, {Seconds: 10, Disturbance: record.Disturbance{CPUTimeNS: 1}}, {Seconds: 10}}
			unseen := []record.Reason{{Code: record.CodeNotWatched}}
			s.Trials = []Trial{{Used: true, Warnings: unseen}, {Used: true}, {Warnings: unseen}, {Used: true, Warnings: unseen}}
		}, false, []string{"NOT WATCHED: it is not known whether others used the machine before anything was loaded, and in 2 trials"}, 0},
		{"one not watched", func(s *Summary) {
			s.Trials = []Trial{{Used: true, Warnings: []record.Reason{{Code: record.CodeNotWatched}}}}
		}, false, []string{"NOT WATCHED: it is not known whether others used the machine in 1 trial"}, 0},
		{"too few", func(s *Summary) { s.Targets[1].Valid = 1 }, false, []string{"b has a valid trial in 1 of 2 blocks"}, 1},
		{"damaged", func(s *Summary) { s.Problems = []record.Problem{{File: "x"}} }, false, []string{"DAMAGED: 1 problem in the run directory, listed below; "}, 0},
		{"another table", func(s *Summary) { s.Database.DigestAtFill, s.Database.DigestAtEnd = "1", "2" }, false, []string{"TABLE CHANGED: "}, 0},
		{"the same table", func(s *Summary) { s.Database.DigestAtFill, s.Database.DigestAtEnd = "1", "1" }, false, nil, 0},
		{"a table that was not read back", func(s *Summary) { s.Database.DigestAtFill = "1" }, false, nil, 0},
		{"a table that was not filled", func(s *Summary) { s.Database.DigestAtEnd = "1" }, false, nil, 0},
	} {
		s := &Summary{Run: Facts{Blocks: 2, Planned: 4, Finished: 3, Platform: "local", Status: record.Complete}, Targets: named(2, "a", "b")}
		c.change(s)
		s.mark(c.live)
		if len(s.Marks) != len(c.marks) || len(s.Caveats) != len(c.marks)-c.shown {
			t.Errorf("%s: %q, caveats %q", c.name, s.Marks, s.Caveats)
			continue
		}
		for i, want := range c.marks {
			if !strings.HasPrefix(s.Marks[i], want) {
				t.Errorf("%s: %q, want %q", c.name, s.Marks[i], want)
			}
		}
	}
}

// What makes figures doubtful themselves comes before what they only lack a proof of: a screen shows three marks.
func TestOrderOfMarks(t *testing.T) {
	s := &Summary{Run: Facts{Blocks: 4, Planned: 8, Finished: 8, Platform: "local", Status: record.Complete, AllowUnfair: "why", ChecksLeftOut: []string{"moves: off"}}, Targets: named(4, "a", "b")}
	s.Database = record.DatabaseInfo{Uncounted: []string{"rows"}, AccountReason: "no right", MovesReason: "not ours", DigestAtFill: "1", DigestAtEnd: "2"}
	s.Baselines = []record.Baseline{{Seconds: 10, Disturbance: record.Disturbance{Foreign: 0.5, CPUTimeNS: 1}}}
	s.Trends = []gate.Trend{{Target: "a", Phase: "closed", Model: "closed", Change: gate.Change{Blocks: 4, Ratio: 1.2, Low: 1.1, High: 1.3}}}
	s.mark(false)
	var got []string
	for _, mark := range s.Caveats {
		name, _, _ := strings.Cut(mark, ": ")
		got = append(got, name)
	}
	want := []string{
		"TABLE CHANGED", "NOT AT REST", "NOT STEADY", "UNFAIR BY PLAN", "CHECKS LEFT OUT by the plan (trust)", "LOOKUPS NOT PROVEN",
		"ONE DATABASE ACCOUNT for all trials", "NO ROWS CHANGED during the phases",
	}
	if !slices.Equal(got, want) || !s.Unsteady() {
		t.Errorf("%q, want %q", got, want)
	}
}

// A curve goes from the fastest answer to the highest percentile that enough samples support, with every percentile shown on it.
func TestCurves(t *testing.T) {
	if got := curve(stats.NewHistogram()); got != nil {
		t.Errorf("of no answers: %v", got)
	}
	h := stats.NewHistogram()
	for i := range 20_000 {
		h.Record(time.Duration(i+1) * time.Microsecond)
	}
	got := curve(h)
	last := got[len(got)-1]
	if first := got[0]; first.P != 0 || first.Seconds > 2e-6 || last.P < 99 || last.P > 99.5 || len(got) < 2*perNine || len(got) > 3*perNine {
		t.Errorf("%d points from %+v to %+v", len(got), first, last)
	}
	for i, p := range got {
		if want := p.P / 100 * 0.02; math.Abs(p.Seconds-want) > 0.01*want+2e-6 || i > 0 && p.P <= got[i-1].P {
			t.Errorf("point %d: %+v, want %v s", i, p, want)
		}
	}
	for _, p := range []float64{50, 90, 95, 99} {
		if !slices.ContainsFunc(got, func(c CurvePoint) bool { return math.Abs(c.P-p) < 1e-9 }) {
			t.Errorf("p%v is not on the curve", p)
		}
	}
	many := stats.NewHistogram()
	many.RecordN(time.Millisecond, 1e9)
	if last := curve(many); last[len(last)-1].P > 99.9991 {
		t.Errorf("of very many answers up to %+v", last[len(last)-1])
	}
	before := len(got)
	for range 10_000 { // a third are time-outs
		h.RecordOver(time.Second)
	}
	if got := curve(h); len(got) >= before || got[len(got)-1].P > 67 || got[len(got)-1].P < 50 {
		t.Errorf("with time-outs: %d points up to %+v", len(got), got[len(got)-1])
	}
}

// Whether the first of a ranking is ahead in a block is counted where another one has a value too; which is better depends on the unit.
func TestAheadInBlocks(t *testing.T) {
	values := []Value{{1, "a", 10}, {1, "b", 9}, {1, "c", 8}, {2, "a", 10}, {2, "b", 10}, {3, "a", 9}, {3, "c", 10}, {4, "a", 1}, {5, "b", 1}, {6, "c", 9}, {6, "a", 10}, {6, "b", 11}}
	for unit, want := range map[string][2]int{UnitAnswers: {1, 4}, UnitSeconds: {1, 4}} {
		v := &Verdict{Unit: unit, Values: values}
		v.Targets = []verdict.Target{{Name: "a"}, {Name: "b"}, {Name: "c"}}
		if blocks, of := v.Ahead(); [2]int{blocks, of} != want {
			t.Errorf("%s: %d of %d, want %v", unit, blocks, of, want)
		}
	}
}

// While a run is under way values and intervals are known, and nothing is claimed; where there is a verdict, or nobody to compare
// with, there is no standing.
func TestStandings(t *testing.T) {
	s := &Summary{Run: Facts{Blocks: 7, Primary: throughput}, Targets: named(7, "a", "b"), Phases: []Phase{{Number: 1, Name: "closed", Model: "closed"}}}
	for block := range 7 {
		for i, name := range []string{"a", "b"} {
			s.Trials = append(s.Trials, Trial{Block: block + 1, Target: name, Position: i + 1, Attempt: 1, Used: true, Phases: []PhaseFigures{{Number: 1, Goodput: 100 + float64(10*i+block%2)}}})
		}
	}
	if err := s.judge(true); err != nil || s.Verdict != nil || !strings.HasPrefix(s.NoVerdict, "the run is under way") {
		t.Errorf("%v, %+v, %q", err, s.Verdict, s.NoVerdict)
	}
	v, err := s.Standing()
	if err != nil || v == nil || v.Head != "" || len(v.Values) != 14 || v.Unit != UnitAnswers || v.Phase != "closed" || v.Values[1] != (Value{1, "b", 110}) {
		t.Errorf("%v: %+v", err, v)
	}
	for name, change := range map[string]func(s *Summary){
		"short": func(s *Summary) { s.Run.Short = true }, "one target": func(s *Summary) { s.Targets = s.Targets[:1] },
		"no phase": func(s *Summary) { s.Phases = nil }, "a verdict": func(s *Summary) { s.Verdict = v },
	} {
		other := *s
		change(&other)
		if got, err := other.Standing(); got != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if s.NoVerdict = ""; s.judge(false) != nil || s.Verdict == nil || s.Verdict.Head == "" || s.NoVerdict != "" {
		t.Errorf("%+v, %q", s.Verdict, s.NoVerdict)
	}
	s.Phases, s.Verdict = nil, nil
	if err := s.judge(false); err != nil || !strings.HasPrefix(s.NoVerdict, "no trial has a phase") {
		t.Errorf("%v, %q", err, s.NoVerdict)
	}
}

// The trial that counts is the last valid one of its place; what is not used is named, with what became of its place.
func TestWhichTrialCounts(t *testing.T) {
	trial := func(block int, target string, attempt int, status string) Trial {
		return Trial{Block: block, Target: target, Attempt: attempt, Status: status}
	}
	s := &Summary{Trials: []Trial{
		trial(1, "a", 1, record.Valid), trial(1, "a", 2, record.Valid), trial(1, "b", 2, record.Valid), trial(1, "b", 1, record.Invalid),
		trial(2, "a", 1, record.Invalid), trial(2, "a", 2, record.Invalid), trial(2, "b", 1, record.TrialAborted),
	}, Pilot: []Trial{trial(0, "a", 1, record.Valid), trial(0, "b", 1, record.Invalid)}}
	b := builder{s: s}
	b.choose()
	var used, left []string
	for i, one := range s.Trials {
		if one.Used {
			used = append(used, string(rune('0'+i)))
		}
	}
	for _, u := range s.Unusable {
		left = append(left, u.Target+" "+u.Status+": "+u.Repeated)
	}
	if strings.Join(used, " ") != "1 2" || s.Run.Finished != 3 {
		t.Errorf("used %q, %d places are finished", used, s.Run.Finished)
	}
	want := []string{
		"b invalid: not repeated", "a valid: valid in attempt 2", "b invalid: valid in attempt 2",
		"a invalid: repeated, not valid either", "b aborted: not repeated", "a invalid: not repeated",
	}
	if !slices.Equal(left, want) {
		t.Errorf("left\n%s\nwant\n%s", strings.Join(left, "\n"), strings.Join(want, "\n"))
	}
}

// Replicas and their workers are compared by rank, tiers are sums of their members, and memory is proportional where that is known.
func TestTiersAndReplicas(t *testing.T) {
	block := func(cores float64, pss int64, conns ...int) PhaseFigures {
		return PhaseFigures{
			Resources: []Resource{
				{Tier: "target", Name: "a-1", Cores: cores, PerReqS: cores / 10, RSSBytes: 900, PSSBytes: pss},
				{Tier: "target", Name: "a-1/7", Cores: cores / 4, RSSBytes: 300},
				{Tier: "target", Name: "a-1/8", Cores: cores / 2, RSSBytes: 200},
				{Tier: "target", Name: "a-2", Cores: 1, PerReqS: 0.1, RSSBytes: 100, PSSBytes: pss},
				{Tier: "database", Name: "mariadb", Cores: 2, RSSBytes: 50},
			},
			Replicas: []Replica{{Name: "a-1", Share: cores / 10, Connections: conns}, {Name: "a-2"}},
			Witness:  Witness{Witness: record.Witness{DatabaseReads: 7, Connections: 3}, ReadsPerRequest: 1, OthersPerRequest: map[string]float64{"rollback": cores}},
			Response: percentiles(nil, false), Service: percentiles(nil, false),
		}
	}
	none := PhaseFigures{Witness: Witness{Witness: record.Witness{DatabaseReads: -1, Connections: -1}}, Response: percentiles(nil, false), Service: percentiles(nil, false)}
	p := overBlocks("a", false, []PhaseFigures{block(4, 80, 5, 2), block(8, 60, 9), none})
	if len(p.Tiers) != 2 || p.Tiers[0].Tier != "target" || p.Tiers[1].Tier != "database" {
		t.Fatalf("%+v", p.Tiers)
	}
	target := p.Tier("target")
	if target.Cores.Min != 5 || target.Cores.Max != 9 || target.PerReqS.Max != 0.9 || target.Memory.Max != 160 || target.Kind != "PSS" || p.Tier("database").Kind != "RSS" || p.Tier("agent").Kind != "" {
		t.Errorf("%+v", p.Tiers)
	}
	if len(p.Replicas) != 2 {
		t.Fatalf("%+v", p.Replicas)
	}
	r := p.Replicas[0]
	if r.Name != "a-1" || r.Share.Min != 0.4 || r.Share.Max != 0.8 || r.Cores.Median != 6 || r.Memory.Median != 70 || r.Kind != "PSS" || len(r.WorkerCores) != 2 ||
		r.WorkerCores[0].Max != 4 || r.WorkerCores[1].Max != 2 || r.WorkerBytes[0].Max != 300 || len(r.Connections) != 2 || r.Connections[0].Max != 9 || r.Connections[1].N != 1 {
		t.Errorf("%+v", r)
	}
	if p.Reads.N != 2 || p.ReadsTotal != 14 || p.DBConnections.N != 2 || p.Others["rollback"].N != 3 || p.Others["rollback"].Max != 8 || p.Blocks != 3 || p.Late != 0 {
		t.Errorf("%+v", p)
	}
}

// Points of time: answers, the median and the slowest time of each, over blocks, of windows that ended while load was sent.
func TestPointsOfTime(t *testing.T) {
	phase := record.Phase{Number: 1, Model: "open", DurationS: 2}
	one := newTimes(phase)
	window := func(begin, length time.Duration, ok int64, took time.Duration, aside bool) stats.Window {
		w := stats.Window{Begin: begin, Length: length, Aside: aside, Books: stats.Books{OK: ok}, Response: stats.NewHistogram(), Service: stats.NewHistogram()}
		w.Response.RecordN(took, ok)
		w.Service.RecordN(took/2, ok)
		return w
	}
	for range 2 { // two agents
		one.add(window(0, time.Second, 300, 10*time.Millisecond, false))
	}
	one.add(window(0, time.Second, 1000, time.Millisecond, true)) // aside
	one.add(window(time.Second, time.Second, 100, 40*time.Millisecond, false))
	one.add(window(1500*time.Millisecond, time.Second, 70, 90*time.Millisecond, false)) // ends after the phase
	one.add(window(2*time.Second, time.Second, 5, 5*time.Second, false))                // begins after it
	one.add(window(time.Second, 0, 9, time.Millisecond, false))                         // no time
	bins := phaseTime([]*times{one}, []int{1}).Bins
	if len(bins) != 2 || bins[0].Goodput.Median != 600 || bins[1].Goodput.Median != 100 || bins[0].Requests != 1600 || bins[1].Requests != 184 || bins[1].Slowest < 4.9 || bins[1].Slowest > 5.1 || bins[0].Slowest > 0.011 {
		t.Errorf("%+v", bins)
	}
	if m := bins[0].Median.Median; m < 0.0009 || m > 0.0011 {
		t.Errorf("median %v s", m)
	}
	phase.Model = "closed"
	closed := newTimes(phase)
	closed.add(window(0, time.Second, 300, 10*time.Millisecond, false))
	if got := phaseTime([]*times{closed}, []int{1}).Bins[0].Slowest; got > 0.0051 {
		t.Errorf("in the closed model the slowest service took %v s", got)
	}
	h := stats.NewHistogram()
	h.RecordN(time.Second, 3)
	var b Bin
	b.slowest(h)
	over := stats.NewHistogram()
	over.RecordOver(500 * time.Millisecond)
	over.RecordOver(400 * time.Millisecond)
	if b.slowest(over); b.Slowest > 0.51 || b.Slowest < 0.49 || !b.SlowestOver || b.Requests != 5 {
		t.Errorf("%+v", b)
	}
	if b.slowest(h); b.Slowest > 0.51 || !b.SlowestOver || b.Requests != 8 {
		t.Errorf("a time-out is longer than whatever ended: %+v", b)
	}
	over.RecordOver(700 * time.Millisecond)
	if b.slowest(over); b.Slowest < 0.69 || b.Requests != 11 {
		t.Errorf("%+v", b)
	}
	for whole, want := range map[time.Duration]time.Duration{time.Second: 1, mostBins * time.Second: 1, mostBins*time.Second + 1: 2, 2*mostBins*time.Second + 1: 4} {
		if got := stepFactor(whole, time.Second); got != want {
			t.Errorf("%v in points of %d s, want %d", whole, got, want)
		}
	}
}

// What a trial takes in addition to its phase, and the logarithms of parts that both have.
func TestPartsOfSplits(t *testing.T) {
	s := &Summary{Trials: make([]Trial, 3), Pilot: make([]Trial, 1), Time: Time{Steps: []record.Step{{Seconds: 30}, {Seconds: 50}}}}
	if got := s.besides(Phase{DurationS: 5}); got != 15 {
		t.Errorf("%v s", got)
	}
	if got := s.besides(Phase{DurationS: 50}); got != 0 {
		t.Errorf("%v s", got)
	}
	if got := (&Summary{Time: s.Time}).besides(Phase{}); got != 80 {
		t.Errorf("without a trial: %v s", got)
	}
	if got := logRatios(map[int]float64{0: 2, 1: 3, 2: 4}, map[int]float64{0: 1, 1: 3, 5: 1}); len(got) != 2 || math.Abs(got[0]-math.Ln2) > 1e-12 || got[1] != 0 {
		t.Errorf("%v", got)
	}
	st := stretches{}
	for _, w := range []stats.Window{
		{Begin: 0, Length: time.Second / 2, Books: stats.Books{OK: 10}},
		{Begin: 0, Length: time.Second / 2, Books: stats.Books{OK: 20}},
		{Begin: time.Second / 2, Length: time.Second / 2, Books: stats.Books{OK: 70}},
		{Begin: time.Second, Length: time.Second, Books: stats.Books{OK: 0}},
		{Begin: 2 * time.Second, Length: time.Second, Aside: true, Books: stats.Books{OK: 9}},
		{Begin: 3 * time.Second, Length: 2 * time.Second, Books: stats.Books{OK: 9}},
		{Begin: 3 * time.Second, Length: time.Second, Books: stats.Books{OK: 9}},
		{Begin: 2 * time.Second, Books: stats.Books{OK: 9}},
	} {
		st.add(w, 4*time.Second)
	}
	if got := st.rates(); len(got) != 2 || got[0] != 100 || got[3] != 9 {
		t.Errorf("%v", got)
	}
}

// Limits of a machine are named where they are known, and single values of a plan by their path.
func TestNamesOfCircumstances(t *testing.T) {
	l := record.Limits{CPUQuota: 1.5, OpenFiles: 10, Processes: 20, LocalPorts: "1-2", Backlog: "4", HugePages: "never", SMT: "on"}
	if got := limitsOf(l); got != "CPU quota 1.5, open files 10, processes 20, local ports 1-2, listen backlog 4, huge pages never, SMT on" {
		t.Errorf("%q", got)
	}
	if got := limitsOf(record.Limits{}); got != "" {
		t.Errorf("%q", got)
	}
	out := map[string]string{}
	flatten(out, "plan: ", "", map[string]any{"a": 1.5, "b": map[string]any{"c": []any{"x", true}}})
	if len(out) != 3 || out["plan: a"] != "1.5" || out["plan: b.c[0]"] != "x" || out["plan: b.c[1]"] != "true" {
		t.Errorf("%v", out)
	}
}

// CPU time is what a counter grew by, over the time of its samples; memory is the most that was seen.
func TestUsage(t *testing.T) {
	at := time.Unix(1000, 0)
	u := usage{first: record.Series{At: at, CPUNS: 100}, last: record.Series{At: at, CPUNS: 100}}
	for i, s := range []record.Series{{CPUNS: 100, RSSBytes: 5}, {CPUNS: 600, RSSBytes: 9, PSSBytes: 4}, {CPUNS: 50, RSSBytes: 7, PSSBytes: 3}, {CPUNS: 150}} {
		s.At = at.Add(time.Duration(i) * 100 * time.Nanosecond)
		u.add(s, false)
	}
	if r := u.resource(); r.Samples != 4 || r.Cores != 2 || r.RSSBytes != 9 || r.PSSBytes != 4 {
		t.Errorf("%+v", r)
	}
	once := usage{first: record.Series{At: at}, last: record.Series{At: at}}
	if once.add(record.Series{At: at, CPUNS: 5}, false); once.resource().Cores != 0 {
		t.Errorf("%+v", once.resource())
	}
}

// A sum that was counted is as it is, for certain.
func TestWhatWasCountedIsCertain(t *testing.T) {
	if e := counted([]int64{3, 0, 4}); e.Value != 7 || e.Low != 7 || e.High != 7 || e.Level != 1 {
		t.Errorf("%+v", e)
	}
}
