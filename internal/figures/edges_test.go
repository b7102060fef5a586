package figures

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
	"bakeoff/internal/threshold"
	"bakeoff/internal/verdict"
)

// What the figures say at the edges: of nothing, of one, of what is damaged, and on either side of each bound.

func TestPercentilesByTheirPercent(t *testing.T) {
	p := PhaseTarget{Response: spreadPercentiles([][]Percentile{percentiles(nil, false)})}
	for _, want := range Percents() {
		if got := p.Percentile(want); got.P != want {
			t.Errorf("p%v is p%v", want, got.P)
		}
	}
	if got := percentileAt(98); got != -1 {
		t.Errorf("p98 is number %d", got)
	}
}

// A plan that cannot be read is an error; the wall time is that of the clock where the run does not say it.
func TestPlansAndWallTimes(t *testing.T) {
	for plan, ok := range map[string]bool{`{"delta":"5%"}`: true, `{"delta":"often"}`: false, `{"delta":5}`: false, `{"blocks":"two"}`: false, `{"objective":{"p99":"soon"}}`: false} {
		r := recordtest.Of(1, "a")
		r.ClosedS, r.OpenS, r.Head.Plan, r.Head.Wall = 1, 0, json.RawMessage(plan), 0
		w := r.Begin(t)
		r.Whole(t, w)
		check(t, w.Update(func(run *record.Run) { run.Ended = recordtest.Epoch().Add(50 * time.Second) }))
		s, err := Build(must[*record.Reader](t)(record.Open(w.Dir())))
		if (err == nil) != ok {
			t.Errorf("%s: %v", plan, err)
		}
		if ok && (s.Time.WallS != 50 || s.Time.Useful != 1.0/50 || s.margin != 0.05) {
			t.Errorf("%+v, margin %v", s.Time, s.margin)
		}
		check(t, w.Close())
	}
	s := &Summary{Trials: []Trial{{Block: 1}}}
	if s.shares() != nil {
		t.Error("shares of no time")
	}
}

// Values of a capacity: a rate, or in words why there is none, and what bounds it.
func TestValuesOfACapacity(t *testing.T) {
	c := &Capacity{Targets: []CapacityTarget{{Target: "a", Values: []CapacityValue{
		{1, capacity.Value{Kind: capacity.Rate, Rate: 70}},
		{2, capacity.Value{Kind: capacity.NotBelow, Rate: 80}},
		{3, capacity.Value{Kind: capacity.NotAbove, Rate: 60}},
		{4, capacity.Value{Kind: capacity.NoStages}},
	}}}}
	for block, want := range map[int]string{
		1: "", 2: "every stage met the objective: its capacity is at least 80/s", 3: "the stage with the lowest rate did not meet the objective: its capacity is below 60/s",
		4: "the agents could keep no rate: nothing is known of its capacity", 5: "it has no stages",
	} {
		value, why := c.value("a", block)
		if why != want || value != map[int]float64{1: 70, 2: 80, 3: 60}[block] {
			t.Errorf("block %d: %v, %q", block, value, why)
		}
	}
	if value, why := c.value("b", 1); value != 0 || why != "it has no stages" {
		t.Errorf("another target: %v, %q", value, why)
	}
	compared := Labelled{Summary: &Summary{Capacity: c, Verdict: &Verdict{Values: []Value{{1, "a", 70}, {1, "b", 50}}}}}
	if a, b := values(compared, "a"), values(compared, "b"); a != nil || !slices.Equal(b, []float64{50}) {
		t.Errorf("compared with other runs: %v and %v, want those of b alone", a, b)
	}
	if got := c.Targets[0].bounded(); !slices.Equal(got, []float64{70, 80, 60}) {
		t.Errorf("bounded %v", got)
	}
	if got := c.Targets[0].known(); !slices.Equal(got, []float64{70}) {
		t.Errorf("known %v", got)
	}
	for o, want := range map[objective]float64{{P90: 1}: 90, {P95: 2}: 95, {P99: 3}: 99} {
		if percent, bound := o.bound(); percent != want || bound != time.Duration(o.P90+o.P95+o.P99) {
			t.Errorf("%+v: p%v %v", o, percent, bound)
		}
	}
	var none CapacityTarget
	if none.value(nil, nil, 3); len(none.Load) != 0 || none.Load == nil || none.Estimate.Known() || none.Lower != 0 || none.Upper != 0 {
		t.Errorf("%+v", none)
	}
	s := &Summary{Targets: named(1, "a", "b"), Capacity: &Capacity{}, Found: &record.Pilot{Capacity: map[string]capacity.Result{"a": {Outcome: capacity.Found}, "b": {Outcome: capacity.AtLeast}}}}
	if s.withoutBlocks() != 1 || s.inBlocks("b") || !s.inBlocks("a") {
		t.Errorf("%d are in no block", s.withoutBlocks())
	}
	s.Trials = []Trial{{Stages: []StageFigures{{PhaseFigures: PhaseFigures{DurationS: 99}}}}, {Used: true, Stages: []StageFigures{{PhaseFigures: PhaseFigures{DurationS: 3}}, {PhaseFigures: PhaseFigures{DurationS: 4}}}}}
	if got := s.length(); got != 7*time.Second {
		t.Errorf("stages of %v", got)
	}
	if got := new(Summary).length(); got != 0 {
		t.Errorf("no trial: %v", got)
	}
	if _, found := s.SearchAgain("a"); found {
		t.Error("a search without a pilot")
	}
}

// Stages of one rate are one point, without those in which an agent was the limit; a percentile among time-outs is said to be one.
func TestPointsOfLoad(t *testing.T) {
	o := recordtest.Objective()
	stage := func(rate float64, limited, over bool, took time.Duration) StageFigures {
		f := newStage(record.Phase{Number: 7, Name: "stage-1", Rate: rate, DurationS: 10, Stage: &record.Stage{Percentile: 0.99, BoundS: 0.05, Errors: 0.001, Limited: limited}})
		w := stats.Window{Length: time.Second, Books: stats.Books{Planned: 100, Sent: 100, OK: 100}, Response: stats.NewHistogram()}
		if took > 0 {
			w.Response.RecordN(took, 90)
		}
		if over {
			w.Response.RecordOver(time.Second)
			w.Response.RecordOver(time.Second)
		}
		f.totals.Add(w)
		f.batches.Add(w)
		return f
	}
	got := loads(o, []StageFigures{
		stage(200, false, false, 10*time.Millisecond), stage(100, false, true, 20*time.Millisecond), stage(200, false, false, 30*time.Millisecond),
		stage(100, true, false, 40*time.Millisecond), stage(300, false, false, 0),
	})
	if len(got) != 3 || got[0].Rate != 100 || got[1].Rate != 200 || got[2].Rate != 300 {
		t.Fatalf("%+v", got)
	}
	if got[0].Stages != 1 || !got[0].Over || got[1].Stages != 2 || got[1].Over || math.Abs(float64(got[1].Response.Value)-math.Sqrt(0.01*0.03)) > 0.003 && math.Abs(float64(got[1].Response.Value)-0.02) > 0.001 {
		t.Errorf("%+v", got)
	}
	if got[2].Stages != 1 || got[2].Response.Known() {
		t.Errorf("a stage without an answer: %+v", got[2])
	}
	if f := stage(200, true, false, time.Millisecond); !f.stage || f.Rate != 200 || !f.Limited || f.Search {
		t.Errorf("%+v", f)
	}
}

// The unit of a comparison is that of its metric; without a verdict there are no values.
func TestUnitsOfComparisons(t *testing.T) {
	for metric, unit := range map[string]string{throughput: UnitAnswers, p99AtRate: UnitSeconds, capacityMetric: UnitRequests} {
		one := Labelled{Label: "one", Summary: &Summary{Run: Facts{Primary: metric}, Targets: named(1, "a")}}
		got, err := Compare([]Labelled{one, one})
		if err != nil || got.Unit != unit || got.Metric != metric || len(got.Runs) != 2 || len(got.Targets) != 1 || got.Targets[0].Cells[1].Blocks != 0 {
			t.Errorf("%s: %+v, %v", metric, got, err)
		}
	}
	for name, c := range map[string]struct {
		ratio float64
		lower bool
		want  string
	}{
		"below": {0.8, false, Worse}, "below, of times": {0.8, true, Better}, "above": {1.2, false, Better}, "above, of times": {1.2, true, Worse}, "within": {1, false, AsBefore},
	} {
		var earlier []float64
		for i := range 8 { // around 100, by 3 %
			earlier = append(earlier, 100*(1+0.03*float64(i%2)))
		}
		if got := expected("a", earlier, 100*c.ratio, 1, c.lower); got.Outcome != c.want || got.Name != "a" || got.Earlier != 8 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := expected("a", nil, 100, 1, false); got.Outcome != NotComparable {
		t.Errorf("of no earlier run: %+v", got)
	}
}

// Runs that cannot be listed or read are an error or are counted, and a run that is under way is no earlier one.
func TestRunsThatCannotBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, nil, 0o600))
	s := &Summary{Targets: named(1, "a")}
	if _, err := Expect(nil, s, file); err == nil || !strings.HasPrefix(err.Error(), "figures: ") {
		t.Errorf("%v", err)
	}
	r := quick(1, 0.1, "slow", "fast")
	r.Root = t.TempDir()
	dir := r.Write(t)
	reader := must[*record.Reader](t)(record.Open(dir))
	got, err := Expect(reader, must[*Summary](t)(Build(reader)), filepath.Join(t.TempDir(), "none"))
	if err != nil || got.Earlier != 0 || got.Unread != 0 || len(got.Targets) != 2 || got.Fewest != verdict.FewestEarlier {
		t.Errorf("%+v, %v", got, err)
	}
	if others, err := OtherRuns(reader, &Summary{}); err != nil || others.Runs != 0 || others.Ratios != nil {
		t.Errorf("%+v, %v", others, err)
	}
}

// The spread of ratios between runs takes two, and ignores what is no ratio.
func TestSpreadOfRatios(t *testing.T) {
	r := Ratios{This: math.E, Others: []float64{1, 0, math.Inf(1)}}
	r.finish()
	if math.Abs(float64(r.Spread)-math.Sqrt(0.5)) > 1e-9 || !slices.Equal(r.Others, []float64{math.Inf(1), 0, 1}) {
		t.Errorf("%+v", r)
	}
	alone := Ratios{This: 2}
	if alone.finish(); !math.IsNaN(float64(alone.Spread)) {
		t.Errorf("%+v", alone)
	}
}

// An agent that lasted no time has no figures; its own quota is what held it back, unless that held back the whole run.
func TestAgentsAsMembers(t *testing.T) {
	none := &spent{cpu: time.Second, throttled: time.Second, cores: 0.5}
	if got := none.member("agent 0", 2, 0, true); got != (limit.Member{Tier: limit.Generator, Name: "agent 0", Thread: limit.Unknown}) {
		t.Errorf("%+v", got)
	}
	second := func(cores float64, run, waited []time.Duration) *spent {
		return &spent{length: 2 * time.Second, cpu: 3 * time.Second, throttled: time.Second, cores: cores, run: run, waited: waited}
	}
	for name, c := range map[string]struct {
		a       *spent
		common  float64
		oneLoop bool
		want    limit.Member
	}{
		"its own quota":        {second(0.5, nil, nil), 0, true, limit.Member{CPU: 1.5, Thread: 1, Quota: 0.5, Throttled: 0.5}},
		"that of the run":      {second(0.5, nil, nil), 0.25, true, limit.Member{CPU: 1.5, Thread: 1}},
		"as many as the run":   {second(2, nil, nil), 0, true, limit.Member{CPU: 1.5, Thread: 1}},
		"no quota":             {second(0, nil, nil), 0, true, limit.Member{CPU: 1.5, Thread: 1}},
		"several threads":      {second(2, nil, nil), 0, false, limit.Member{CPU: 1.5, Thread: limit.Unknown}},
		"the busiest loop":     {second(2, []time.Duration{1e9, 18e8, 0}, []time.Duration{0, 1e8}), 0, true, limit.Member{CPU: 1.5, Thread: 0.9, Waited: 0.05}},
		"a loop without waits": {second(2, []time.Duration{1e9}, nil), 0, true, limit.Member{CPU: 1.5, Thread: 0.5}},
	} {
		c.want.Tier, c.want.Name = limit.Generator, "agent 1"
		if got := c.a.member("agent 1", 2, c.common, c.oneLoop); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if got := added([]time.Duration{1}, []int64{2, 3}); !slices.Equal(got, []time.Duration{3, 3}) {
		t.Errorf("%v", got)
	}
}

// Processes of several blocks are one member by rank: of one name where all have it, of their replica's, or of none.
func TestNamesOfJoinedMembers(t *testing.T) {
	for want, names := range map[string][]string{"a-1/7": {"a-1/7", "a-1/7"}, "a-1": {"a-1/7", "a-1/8", "a-1"}, "": {"a-1/7", "a-2/7", "a-1/7"}} {
		var same []limit.Member
		for i, name := range names {
			same = append(same, limit.Member{Name: name, CPU: float64(i), Thread: float64(2 * i), Waited: float64(3 * i), Quota: float64(4 * i), Throttled: float64(5 * i)})
		}
		middle := float64(len(names)-1) / 2
		if got := joinedMember(same); got != (limit.Member{Name: want, CPU: middle, Thread: 2 * middle, Waited: 3 * middle, Quota: 4 * middle, Throttled: 5 * middle}) {
			t.Errorf("%q: %+v", names, got)
		}
	}
	few := observed{running: 6, sampled: fewestSamples - 1}
	if got := reading([]observed{few}, 2, true); got.Running != limit.Unknown || got.Dropped != 0 || got.Stalled != 0 {
		t.Errorf("%+v", got)
	}
	enough := observed{running: 6, sampled: fewestSamples, dropped: 1, opened: 3, rate: 10, host: 1}
	if got := reading([]observed{enough}, 2, true); got.Running != 2 || got.Dropped != 0.25 || got.Stalled != 0.1 || got.Host != 0.5 {
		t.Errorf("%+v", got)
	}
}

// Pairs differ in one thing alone, and take what both have.
func TestPairsOfPhases(t *testing.T) {
	p := planned{Phases: []plannedPhase{{Name: "a-reconnect", Reconnect: true}, {Name: "ping", Reconnect: true}, {Name: "driven", Engine: "jmeter"}}}
	a, again := Phase{Name: "a", Model: "closed", Connections: 8}, Phase{Name: "a-reconnect", Model: "closed", Connections: 8}
	ping, quick := Phase{Name: "ping", Model: "closed", Connections: 8, Ask: "ping"}, Phase{Name: "quick", Model: "closed", Connections: 8, Ask: "ping"}
	with := func(p Phase, change func(*Phase)) Phase { change(&p); return p }
	for name, c := range map[string]struct {
		first, second Phase
		want          bool
	}{
		"keep-alive": {a, again, true}, "the other way": {again, a, false}, "itself": {a, a, false}, "pings with connections of their own": {again, ping, true},
		"pings that keep what lookups close": {again, quick, false}, "pings that keep": {a, quick, true}, "two pings": {ping, quick, false}, "lookups behind pings": {ping, again, false},
		"another model":           {a, with(again, func(p *Phase) { p.Model = "open" }), false},
		"more connections":        {a, with(again, func(p *Phase) { p.Connections = 9 }), false},
		"another rate":            {a, with(again, func(p *Phase) { p.Rate = 9 }), false},
		"other arrivals":          {a, with(again, func(p *Phase) { p.Arrivals = "poisson" }), false},
		"another recorded engine": {a, with(again, func(p *Phase) { p.Engine = "jmeter" }), false},
		"another planned engine":  {Phase{Name: "driven", Model: "closed", Connections: 8}, with(quick, func(p *Phase) { p.Connections = 8 }), false},
	} {
		if got := p.pair(c.first, c.second); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	open := PhaseFigures{Model: "open", Goodput: 7, Response: percentiles(nil, false)}
	for name, c := range map[string]struct {
		median Percentile
		want   float64
	}{
		"known": {Percentile{Seconds: 3}, 3}, "too few": {Percentile{Seconds: 3, Needs: 1}, 0}, "time-outs": {Percentile{Seconds: 3, Over: true}, 0}, "not measured": {Percentile{Seconds: 3, Unmeasured: true}, 0},
	} {
		if open.Response[0] = c.median; open.level() != c.want {
			t.Errorf("%s: %v", name, open.level())
		}
	}
	if open.Model = "closed"; open.level() != 7 {
		t.Errorf("closed: %v", open.level())
	}
	trial := Trial{Phases: []PhaseFigures{{Number: 3}}}
	if trial.phase(3) == nil || trial.phase(4) != nil {
		t.Error("phases by number")
	}
	b := builder{s: &Summary{Trials: []Trial{
		{Target: "t", Used: true, Phases: []PhaseFigures{{Number: 1, Model: "closed", Goodput: 10, Resources: []Resource{{Tier: "target", PerReqS: 1}, {Tier: "target", Name: "t/1", PerReqS: 5}}}, {Number: 2, Model: "closed", Goodput: 5, Resources: []Resource{{Tier: "target", PerReqS: 3}}}}},
		{Target: "t", Used: true, Phases: []PhaseFigures{{Number: 1, Model: "closed", Goodput: 10}}},
		{Target: "t", Used: true, Phases: []PhaseFigures{{Number: 1, Model: "closed"}, {Number: 2, Model: "closed", Goodput: 5}}},
		{Target: "t", Phases: []PhaseFigures{{Number: 1, Model: "closed", Goodput: 1}, {Number: 2, Model: "closed", Goodput: 1}}},
		{Target: "u", Used: true, Phases: []PhaseFigures{{Number: 1, Model: "closed", Goodput: 1}, {Number: 2, Model: "closed", Goodput: 1}}},
	}}}
	if got := b.pair(Phase{Number: 1, Name: "a"}, Phase{Number: 2, Name: "b"}, "t"); got.Ratio.N != 1 || got.Ratio.Median != 0.5 || got.PerAnswer.N != 1 || got.PerAnswer.Median != 3 || got.Phase != "a" || got.Second != "b" || got.Target != "t" {
		t.Errorf("%+v", got)
	}
}

// Lower bounds come behind everything known, among each other by their value.
func TestOrderOfBounds(t *testing.T) {
	for _, c := range []struct {
		a, b value
		want int
	}{
		{value{1, false}, value{2, false}, -1}, {value{2, false}, value{1, false}, 1}, {value{1, true}, value{1, true}, 0}, {value{9, false}, value{1, true}, -1}, {value{1, true}, value{9, false}, 1}, {value{1, true}, value{2, true}, -1},
	} {
		if got := c.a.compare(c.b); got != c.want {
			t.Errorf("%v and %v: %d", c.a, c.b, got)
		}
	}
	if got := (Spread{}).Warnings(); got != nil {
		t.Errorf("%q", got)
	}
	if got := (Spread{N: 1}).Warnings(); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if got := spread(nil); got != (Spread{}) {
		t.Errorf("%+v", got)
	}
}

// Stalls that begin at the same time are in the order of their blocks, and the ones of a slice behind those of the rate.
func TestOrderOfStalls(t *testing.T) {
	one := windowed(openTurns(4), repeated(16, 0.25, nil), steadily(1000))
	if out, looked := stallsOf([]*times{one, one}, []int{1, 2}); len(out) != 0 || looked.Judged != 32 || looked.Unjudged != 0 {
		t.Errorf("%+v, %+v", out, looked)
	}
	slow := func(i int) float64 {
		if i == 3 {
			return 400
		}
		return 1000
	}
	closed := record.Phase{Model: "closed", DurationS: 4}
	a, b := windowed(closed, repeated(16, 0.25, nil), slow), windowed(closed, repeated(16, 0.25, nil), slow)
	out, looked := stallsOf([]*times{a, b}, []int{2, 1})
	if len(out) != 2 || out[0].Block != 1 || out[1].Block != 2 || out[0].AtS != 0.75 || out[0].Rate != 400 || out[0].Usual != 1000 || out[0].LengthS != 0.25 || looked.Judged != 32 {
		t.Errorf("%+v, %+v", out, looked)
	}
	closed.DurationS = 16
	for rate, stalls := range map[float64]int{499: 1, 500: 0} { // half of what is usual is no stall
		one := windowed(closed, repeated(16, 1, nil), func(i int) float64 {
			if i == 3 {
				return rate
			}
			return 1000
		})
		if out, _ := one.stalls(1); len(out) != stalls {
			t.Errorf("%v/s: %+v", rate, out)
		}
	}
}

// A threshold of a figure that there is none of, or only a bound, is not decided, and says why.
func TestFiguresOfThresholds(t *testing.T) {
	h := stats.NewHistogram()
	for i := range 1000 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	f := PhaseFigures{Goodput: 5, Achieved: 7}
	f.totals.Service = h
	side := func(text string) threshold.Side {
		parsed, err := threshold.Parse("x: " + text + " < " + map[bool]string{true: "1", false: "1h"}[text == "rate"])
		check(t, err)
		return parsed.Left
	}
	for _, c := range []struct {
		text      string
		byService bool
		want      float64
		why       string
	}{
		{"rate", false, 7, ""},
		{"p50", true, 0.5, ""},
		{"p50", false, 0, "this time was not measured"},
		{"mean", true, 0.5, ""},
		{"min", true, 0.001, ""},
		{"max", true, 1, ""},
		{"p99.9", true, 0, "p99.9 needs 100,000 requests, it has 1,000"},
	} {
		value, over, why := f.figure(side(c.text), c.byService)
		if math.Abs(value-c.want) > 0.002 || over || why != c.why {
			t.Errorf("%s: %v, %v, %q", c.text, value, over, why)
		}
	}
	h.RecordOver(10 * time.Second)
	for text, want := range map[string]bool{"mean": true, "min": false, "max": true, "p50": false} {
		if _, over, _ := f.figure(side(text), true); over != want {
			t.Errorf("%s with a time-out: at least %v", text, over)
		}
	}
	f.totals.Service = stats.NewHistogram()
	if value, _, why := f.figure(side("p50"), true); why != "no request has a time" || value != 0 {
		t.Errorf("%v, %q", value, why)
	}
	for name, want := range map[string]int64{"errors": 100 - 60, "ok": 60, "bad": 5, "timeouts": 6, "dropped": 7, "late": 8, "queued": 9} {
		if got := countOf(stats.Books{Planned: 100, OK: 60, Bad: 5, Timeout: 6, Dropped: 7, Late: 8, Queued: 9}, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	if e := percent(verdict.Estimate{Value: 0.1, Low: 0.05, High: 0.2}); e.Value != 10 || e.Low != 5 || e.High != 20 {
		t.Errorf("%+v", e)
	}
	if e := counted([]int64{3, 4}); e.Value != 7 || e.Low != 7 || e.High != 7 || e.Level != 1 {
		t.Errorf("%+v", e)
	}
	live := &Summary{Targets: named(2, "a"), Phases: []Phase{{Number: 1, Name: "x"}}}
	check(t, live.thresholds([]string{"x: ok > 1"}, true))
	if got := live.Thresholds; len(got) != 1 || got[0].Outcome != Undecided || got[0].Why != "the run is under way" {
		t.Errorf("%+v", got)
	}
	check(t, live.thresholds([]string{"x: ok > 1"}, false))
	if got := live.Thresholds[1]; got.Outcome != Undecided || !strings.HasPrefix(got.Why, "an interval takes 2 blocks, and a has 0 valid blocks") {
		t.Errorf("%+v", got)
	}
}

// A ratio to nothing, or to what is only known to be longer, is none.
func TestRatiosOfThresholds(t *testing.T) {
	s := &Summary{Run: Facts{Blocks: 2}, Targets: named(2, "a", "b")}
	over := stats.NewHistogram()
	over.RecordOver(time.Second)
	for block := 1; block <= 2; block++ {
		a, b := PhaseFigures{Number: 1, Goodput: 6}, PhaseFigures{Number: 1, Goodput: 3 * float64(block-1), Achieved: 2}
		a.totals.Service, b.totals.Service = over, over
		s.Trials = append(s.Trials, Trial{Block: block, Target: "a", Used: true, Phases: []PhaseFigures{a}}, Trial{Block: block, Target: "b", Used: true, Phases: []PhaseFigures{b}})
	}
	p := Phase{Number: 1, Model: "closed"}
	ask := func(text string) asked {
		parsed, err := threshold.Parse("x: " + text)
		check(t, err)
		return asked{parsed, "a"}
	}
	for text, want := range map[string]string{
		"a.throughput > b.throughput": "block 1 of b: the figure is 0", "a.max > b.max": "block 1 of b: the figure is among time-outs", "a.max > b.p50": "block 1 of b: p50 needs 200 requests, it has 1",
		"a.throughput > b.rate": "",
	} {
		values, _, why := s.valuesOf(ask(text), p)
		if why != want || want == "" && !slices.Equal(values, []float64{3, 3}) {
			t.Errorf("%s: %v, %q", text, values, why)
		}
	}
	values, atLeast, why := s.valuesOf(ask("a.max > 1ms"), p)
	if len(values) != 2 || !atLeast || why != "" {
		t.Errorf("%v, %v, %q", values, atLeast, why)
	}
	s.Trials = s.Trials[:3] // b has one block
	if values, _, _ := s.valuesOf(ask("a.throughput > b.rate"), p); len(values) != 1 {
		t.Errorf("%v", values)
	}
	out := Threshold{}
	if s.decide(&out, ask("a.max < 1h"), p, 1); !math.IsInf(float64(out.High), 1) || !out.AtLeast || out.Outcome == Met {
		t.Errorf("%+v", out)
	}
}

// What is wrong with a verdict's parts is said: the margin, a value, a trial without the phase.
func TestPartsOfVerdicts(t *testing.T) {
	trial := Trial{Block: 1, Target: "a", Position: 2, Attempt: 1, Phases: []PhaseFigures{{Number: 1, Goodput: 5, Response: percentiles(nil, true)}}}
	for _, c := range []struct {
		phase int
		unit  string
		value float64
		why   string
	}{{1, UnitAnswers, 5, ""}, {2, UnitAnswers, 0, "it has no such phase"}, {1, UnitSeconds, 0, "p99 was not measured"}} {
		if value, why := trial.value(c.phase, c.unit); value != c.value || why != c.why {
			t.Errorf("%+v: %v, %q", c, value, why)
		}
	}
	if trial.place() != 2 {
		t.Errorf("place %d", trial.place())
	}
	if trial.turns = true; trial.place() != 0 {
		t.Errorf("in turns: place %d", trial.place())
	}
	s := &Summary{Run: Facts{Blocks: 1, Primary: throughput}, Targets: named(1, "a", "b"), Phases: []Phase{{Number: 1, Model: "closed"}}}
	twice := Trial{Block: 1, Target: "a", Attempt: 1, Used: true, Phases: []PhaseFigures{{Number: 1, Goodput: 5}}}
	s.Trials = []Trial{twice, twice, {Block: 1, Target: "b", Attempt: 1, Used: true}}
	var v Verdict
	v.Unit = UnitAnswers
	if _, unusable := s.table(&v, s.Phases[0]); len(unusable) != 2 || len(v.Values) != 1 || unusable[1].Code != WarnNoValue || unusable[1].Text != "block 1 of b: it has no such phase" {
		t.Errorf("%+v, %+v", unusable, v.Values)
	}
	if _, err := s.verdict(s.Phases[0], -1); err == nil || !strings.HasPrefix(err.Error(), "figures: ") {
		t.Errorf("a margin below 0: %v", err)
	}
	s.margin = -1
	if _, err := s.Standing(); err == nil {
		t.Error("a standing with a margin below 0")
	}
}

// What is not counted, differs or went wrong is a mark.
func TestMarksOfTheRest(t *testing.T) {
	s := &Summary{Run: Facts{Status: record.Incomplete, Planned: 4, Finished: 3}, Database: record.DatabaseInfo{Uncounted: []string{"x", "y"}}, Problems: []record.Problem{{File: "a"}}}
	s.mark(false)
	want := []string{
		"INCOMPLETE: the run was killed; 3 of 4 trials finished", "LOOKUPS NOT PROVEN: the database server does not count, for each answer, x; y",
		"DAMAGED: 1 problem in the run directory, listed below; damaged trials are left out",
	}
	if !slices.Equal(s.Marks, want) || len(s.Caveats) != 3 || strings.Contains(s.Caveats[2], "listed below") {
		t.Errorf("%q\n%q", s.Marks, s.Caveats)
	}
	if s = new(Summary); len(s.Marks) > 0 {
		t.Errorf("%q", s.Marks)
	}
	if s.mark(false); len(s.Marks) > 0 {
		t.Errorf("of nothing: %q", s.Marks)
	}
}

// Counters that only grow are read so: what went back adds nothing, and a span of no time has no rate.
func TestRatesOfCounters(t *testing.T) {
	at := time.Unix(1000, 0)
	u := &usage{grew: map[string]float64{}, first: record.Series{At: at}, last: record.Series{At: at}}
	if u.rate("questions") != 0 || u.resource().Cores != 0 {
		t.Error("a rate in no time")
	}
	for i, questions := range []float64{0, 10, 4, 6} {
		u.add(record.Series{At: at.Add(time.Duration(i) * time.Second / 2), CPUNS: int64(1e9 * i), Values: map[string]float64{"questions": questions, record.ThrottledNS: 3e8 * float64(i), threadsRunning: float64(i)}}, false)
	}
	if got := u.rate("questions"); got != 8 {
		t.Errorf("%v questions a second, want 12 in 1.5 s", got)
	}
	if got := u.rate(record.ThrottledNS); math.Abs(got-0.6) > 1e-9 {
		t.Errorf("throttled for %v of the time", got)
	}
	if got := u.resource(); got.Cores != 2 || got.From != fromProc {
		t.Errorf("%+v", got)
	}
	if u.running != 1 || u.sampled != 2 { // the second and the third of four, each less our own question
		t.Errorf("%v statements in %d samples", u.running, u.sampled)
	}
}

// Time is divided by what each step was, and a phase in turns used its cores in its own slices.
func TestCoresAndCosts(t *testing.T) {
	for name, c := range map[string]struct {
		tier    string
		turns   *record.PhaseTurns
		answers int64
		cores   float64
		per     float64
	}{
		"at a stretch": {"target", nil, 100, 0.5, 0.05}, "in turns": {"target", &record.PhaseTurns{OnS: 5}, 100, 1, 0.05}, "the machine": {"host", &record.PhaseTurns{OnS: 5}, 100, 0.5, 0.05},
		"others": {"others", &record.PhaseTurns{OnS: 5}, 100, 0.5, 0.05}, "no answer": {"target", nil, 0, 0.5, 0}, "one answer": {"target", nil, 1, 0.5, 5}, "turns of no time": {"target", &record.PhaseTurns{}, 100, 0.5, 0.05},
		"turns of half a second": {"target", &record.PhaseTurns{OnS: 0.5}, 100, 10, 0.05},
	} {
		r := Resource{Tier: c.tier, Cores: 0.5}
		if r.finish(c.turns, 10, c.answers); r.Cores != c.cores || math.Abs(r.PerReqS-c.per) > 1e-12 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Where a target meets the objective with most of the agents' connections in use, these may be its limit. In a stage that it misses
// they are all in use because it is too slow.
func TestConnectionsInUse(t *testing.T) {
	for says, c := range map[string]struct {
		f    StageFigures
		want float64
	}{
		"met":          {StageFigures{most: 256, Finding: capacity.Finding{Misses: 1}}, 0.78125},
		"missed":       {StageFigures{most: 256, Finding: capacity.Finding{Misses: 1.1}}, 0},
		"limited":      {StageFigures{most: 256, Limited: true}, 0},
		"of no number": {StageFigures{}, 0},
	} {
		c.f.observed.under = 200
		if got := c.f.inUse(); got != c.want {
			t.Errorf("%s: %v in use, want %v", says, got, c.want)
		}
	}
	one := verdict.MeanOf([]float64{100, 101}, 1)
	c := &Capacity{Targets: []CapacityTarget{{Target: "a", InUse: 0.71, Estimate: one}, {Target: "b", InUse: 0.7, Estimate: one}, {Target: "c", InUse: 0.9, Estimate: one}}}
	c.held(map[string]string{"c": limit.Database})
	for i, want := range []string{limit.Generator, "", limit.Database} {
		if got := c.Targets[i]; got.HeldBy != want || got.AtLeast() != (want != "") || math.IsInf(float64(got.Estimate.High), 1) != (want != "") {
			t.Errorf("%+v, want to be held by %q", got, want)
		}
	}
}

// What bounds a target that is in no block is its search, which is of block 0.
func TestCapacityBoundsOfSearch(t *testing.T) {
	for found, want := range map[capacity.Result]BlockValue{
		{Outcome: capacity.AtLeast, Lower: 900}:   {0, "a", 900, verdict.AtLeast},
		{Outcome: capacity.Impossible, Upper: 25}: {0, "a", 25, verdict.AtMost},
	} {
		if got := (CapacityTarget{Target: "a", Search: &found}).bounds(); len(got) != 1 || got[0] != want {
			t.Errorf("%+v: %+v, want %+v", found, got, want)
		}
	}
}

// A run without a verdict has no figures of blocks.
func TestBlockValuesWithoutVerdict(t *testing.T) {
	if got := (&Summary{Capacity: &Capacity{Targets: []CapacityTarget{{Target: "a", Values: []CapacityValue{{Block: 1}}}}}}).BlockValues(); got != nil {
		t.Errorf("%+v", got)
	}
}
