package figures

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/verdict"
)

// quick is a run of short closed phases; the second target answers by so much more, and blocks differ by much
// more than that.
func quick(blocks int, more float64, targets ...string) *recordtest.Run {
	r := recordtest.Of(blocks, targets...)
	r.ClosedS, r.OpenS = 1, 0
	r.Rate = func(target string, block int) int {
		rate := 400 * float64(1+block%3) * (1 + 0.002*math.Sin(float64(block*len(target))))
		return int(rate*math.Pow(1+more, float64(slices.Index(targets, target)))/2) * 2
	}
	return r
}

// The verdict is that of the blocks' goodput, and says which figures it is from.
func TestVerdictOfThroughput(t *testing.T) {
	r := quick(7, 0.1, "slow", "fast")
	s := build(t, r.Write(t))
	v := s.Verdict
	if v == nil || s.NoVerdict != "" {
		t.Fatalf("no verdict: %s", s.NoVerdict)
	}
	var table verdict.Table
	var want []Value
	for block := 1; block <= 7; block++ {
		for _, target := range r.Targets {
			rate := float64(r.Rate(target, block))
			check(t, table.Add(verdict.Cell{Block: fmt.Sprint(block), Target: target, Value: rate}))
			want = append(want, Value{block, target, rate})
		}
	}
	if diff := cmp.Diff(want, v.Values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	same := must[verdict.Result](t)(verdict.Judge(&table, verdict.Options{Delta: 0.03, Seed: 7, Unit: UnitAnswers}))
	if diff := cmp.Diff(same, v.Result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if c, _ := v.Pair("fast", "slow"); c.Verdict != verdict.Better || v.Metric != "throughput" || v.Phase != "closed" || v.Unit != UnitAnswers || v.Head != same.Head() {
		t.Errorf("%+v", v)
	}
	data := must[[]byte](t)(json.Marshal(s))
	var back struct{ Verdict map[string]any }
	check(t, json.Unmarshal(data, &back))
	for _, key := range []string{"delta", "comparisons", "targets", "groups", "warnings", "metric", "phase", "unit", "head", "values"} {
		if back.Verdict[key] == nil {
			t.Errorf("JSON lacks verdict.%s", key)
		}
	}
}

// The margin is the plan's, and nothing else's.
func TestVerdictHasThePlansMargin(t *testing.T) {
	for text, want := range map[string]verdict.Claim{`"delta":"3%"`: verdict.Better, `"delta":"20%"`: verdict.Equivalent, "": verdict.Better} {
		r := quick(7, 0.1, "slow", "fast")
		r.Plan("throughput", text)
		v := build(t, r.Write(t)).Verdict
		if c, _ := v.Pair("fast", "slow"); c.Verdict != want {
			t.Errorf("%s: %s", text, v.Sentence(c))
		}
	}
	r := quick(1, 0.1, "slow", "fast")
	r.Plan("throughput", `"delta":"much"`)
	reader := must[*record.Reader](t)(record.Open(r.Write(t)))
	if _, err := Build(reader); err == nil || !strings.Contains(err.Error(), "delta") {
		t.Errorf("a margin that is none: %v", err)
	}
}

// An open plan is judged by each block's own p99, where it is known.
func TestVerdictOfP99(t *testing.T) {
	r := recordtest.Of(6, "django", "fastapi")
	r.ClosedS, r.OpenHz = 0, 2600
	r.Plan("p99 at rate", "")
	s := build(t, r.Write(t))
	v := s.Verdict
	if v == nil || v.Unit != UnitSeconds || v.Better != verdict.Lower || v.Phase != "open" || len(v.Values) != 12 {
		t.Fatalf("%s: %+v", s.NoVerdict, v)
	}
	for _, value := range v.Values {
		i := slices.IndexFunc(s.Trials, func(t Trial) bool { return t.Block == value.Block && t.Target == value.Target })
		if p99 := s.Trials[i].Phases[0].Response[3]; p99.P != 99 || p99.Seconds != value.Value {
			t.Errorf("%+v, but %+v", value, p99)
		}
	}
	r = recordtest.Of(6, "django", "fastapi") // 2,400 requests, where a p99 needs 10,000
	r.Plan("p99 at rate", "")
	v = build(t, r.Write(t)).Verdict
	if len(v.Values) != 0 || v.Comparisons[0].Verdict != verdict.Inconclusive || len(v.Warnings) < 12 ||
		!strings.Contains(v.Warnings[len(v.Warnings)-1].Text, "block 6 of fastapi: p99 needs 10000 requests, it has 2400") {
		t.Errorf("%+v", v)
	}
}

// A percentile that is only bounded, or not measured, is no value.
func TestComparable(t *testing.T) {
	for want, p := range map[string]Percentile{
		"": {P: 99, Seconds: 0.5, Has: 20000}, "p99 lies among time-outs: it is only known to be above 10 s": {P: 99, Seconds: 10, Over: true, Has: 20000},
		"p99 was not measured": {P: 99, Unmeasured: true}, "p99 needs 10000 requests, it has 3": {P: 99, Needs: 10000, Has: 3},
	} {
		if value, why := p.comparable(); why != want || (value != 0) != (want == "") {
			t.Errorf("%+v: %v, %q", p, value, why)
		}
	}
}

// Nothing is claimed of short runs, of runs under way, and without a phase of the primary metric.
func TestNoVerdict(t *testing.T) {
	short := quick(7, 0.5, "a", "b")
	short.Head.Short = true
	wrong := quick(7, 0.5, "a", "b")
	wrong.Plan("p99 at rate", "")
	for why, dir := range map[string]string{"a short run": short.Write(t), "no trial has a phase": wrong.Write(t)} {
		if s := build(t, dir); s.Verdict != nil || !strings.HasPrefix(s.NoVerdict, why) {
			t.Errorf("%+v, %q", s.Verdict, s.NoVerdict)
		}
	}
	live := quick(7, 0.5, "a", "b")
	w := live.Begin(t)
	live.Whole(t, w)
	if s := open(t, w); s.Verdict != nil || !strings.HasPrefix(s.NoVerdict, "the run is under way") {
		t.Errorf("%+v, %q", s.Verdict, s.NoVerdict)
	}
	check(t, w.Close())
	if s := open(t, w); s.Verdict == nil {
		t.Errorf("a run that was killed: %q", s.NoVerdict)
	}
}

// killed is the directory of a run of seven blocks whose controller was killed when that many of them were whole, and the
// digest of its plan.
func killed(t *testing.T, blocks int) (dir, digest string) {
	t.Helper()
	r := quick(7, 0.5, "a", "b")
	w := r.Begin(t)
	for _, p := range r.Head.Order {
		if p.Block <= blocks {
			r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
		}
	}
	check(t, w.Close())
	return w.Dir(), r.Head.PlanDigest
}

// ended is a run of seven blocks that ends as aborted, for a reason, when that many of them are whole.
func ended(t *testing.T, blocks int, reason string, change func(*recordtest.Run)) *Summary {
	t.Helper()
	r := quick(7, 0.5, "a", "b")
	if change != nil {
		change(r)
	}
	w := r.Begin(t)
	for _, p := range r.Head.Order {
		if p.Block <= blocks {
			r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
		}
	}
	check(t, w.Finish(record.Aborted, reason))
	return open(t, w)
}

// A run that a person stopped before its last block was whole claims nothing; one that a time limit or an error cut short does, and so
// does one that was stopped when all was measured.
func TestNoVerdictOnARunThatWasStopped(t *testing.T) {
	for _, c := range []struct {
		blocks  int
		reason  string
		claimed bool
	}{
		{6, "interrupted", false},
		{6, "interrupted\nreplica a-1 did not end", false},
		{6, "the run took longer than --max-time 5m0s", true},
		{6, "record: no space left on device", true},
		{7, "interrupted", true},
	} {
		s := ended(t, c.blocks, c.reason, func(r *recordtest.Run) { r.Plan("throughput", `"thresholds":["closed: throughput > 1/s"]`) })
		why, outcome := "stopped before its 7 blocks (bakeoff run --resume goes on)", Undecided
		if c.claimed {
			why, outcome = "", Met
		}
		if (s.Verdict != nil) != c.claimed || s.NoVerdict != why {
			t.Errorf("%d blocks, %q: %+v, %q", c.blocks, c.reason, s.Verdict, s.NoVerdict)
		}
		if got := s.Thresholds[0]; got.Outcome != outcome || (got.Why != "") == c.claimed {
			t.Errorf("%d blocks, %q: %+v", c.blocks, c.reason, got)
		}
		if !slices.ContainsFunc(s.Marks, func(m string) bool { return strings.HasPrefix(m, "ABORTED: ") }) {
			t.Errorf("%q is no mark: %q", c.reason, s.Marks)
		}
	}
	for blocks, claimed := range map[int]bool{6: false, 7: true} {
		dir, digest := killed(t, blocks)
		if s := build(t, dir); (s.Verdict != nil) != claimed {
			t.Errorf("killed after %d of 7 blocks: %+v, %q", blocks, s.Verdict, s.NoVerdict)
		}
		again, _, err := record.Resume(dir, digest, recordtest.Epoch())
		check(t, err)
		check(t, again.Finish(record.Aborted, "the run took longer than --max-time 1s"))
		if s := open(t, again); (s.Verdict != nil) != claimed {
			t.Errorf("cut short when it was resumed, after %d of 7 blocks: %+v, %q", blocks, s.Verdict, s.NoVerdict)
		}
	}
	two := ended(t, 6, "interrupted", func(r *recordtest.Run) {
		r.Targets[0], r.Targets[1] = record.Base, record.Head
		for i := range r.Head.Targets {
			r.Head.Targets[i].Name = r.Targets[i]
		}
		for i := range r.Head.Order {
			r.Head.Order[i].Target = r.Targets[r.Head.Order[i].Position-1]
		}
		r.Head.Revisions = &record.Revisions{}
	})
	if want := "no verdict: stopped before its 7 blocks (bakeoff run --resume goes on)"; two.AB == nil || two.AB.Line != want || two.AB.Claim() != "" {
		t.Errorf("two versions: %+v, want %q", two.AB, want)
	}
}

// A part of a search claims nothing; its values and how it compares are there for who searches.
func TestNoVerdictOnASearch(t *testing.T) {
	r := quick(7, 0.5, "a", "b")
	r.Head.Search = "stage 1 of 3"
	s := build(t, r.Write(t))
	if s.Verdict != nil || !strings.HasPrefix(s.NoVerdict, "a search chooses a setting: ") {
		t.Errorf("%+v, %q", s.Verdict, s.NoVerdict)
	}
	if v := must[*Verdict](t)(s.Standing()); v == nil || len(v.Values) != 14 || v.Head != "" {
		t.Errorf("%+v", v)
	}
}

// What other runs say has a form that others read, with null for what is not known.
func TestOtherRunsAsJSON(t *testing.T) {
	o := Others{Runs: 1, Ratios: []Ratios{{A: "a", B: "b", This: verdict.Number(math.NaN()), Others: []float64{1.5}, Spread: verdict.Number(math.NaN())}}}
	const want = `{"runs":1,"older":0,"left_out":0,"ratios":[{"a":"a","b":"b","this":null,"others":[1.5],"spread":null}]}`
	if got := string(must[[]byte](t)(json.Marshal(o))); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// How many machines of a cluster a run was on is a fact of it.
func TestMachinesOfARun(t *testing.T) {
	r := quick(1, 0.5, "a", "b")
	r.Head.Nodes = []record.Node{{Name: "x", BootID: "1"}, {Name: "y", BootID: "2"}, {Name: "z", BootID: "1"}}
	if n := build(t, r.Write(t)).Run.Machines; n != 2 {
		t.Errorf("%d machines, want 2", n)
	}
	if n := build(t, quick(1, 0.5, "a", "b").Write(t)).Run.Machines; n != 0 {
		t.Errorf("%d machines, want none known", n)
	}
}

// Only trials that count have a value; a block that lacks one is expected all the same.
func TestVerdictOnValidTrialsOnly(t *testing.T) {
	v := build(t, recordtest.Spoiled(t)).Verdict
	for _, value := range v.Values {
		if value.Block == 3 || value.Value > 1500 {
			t.Errorf("%+v", value)
		}
	}
	if len(v.Values) != 6 || v.Blocks != 3 {
		t.Errorf("%d values of %d blocks", len(v.Values), v.Blocks)
	}
	var missing int
	for _, w := range v.Warnings {
		if w.Code == verdict.WarnMissingCells {
			missing++
		}
	}
	if missing != 3 {
		t.Errorf("%d targets lack a block: %+v", missing, v.Warnings)
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		cores map[string]float64
		want  string
	}{
		{"none", map[string]float64{"target": 0.4, "host": 1.5}, ""},
		{"all together", map[string]float64{"target": 0.4, "database": 0.6, "host": 1.8}, limit.SharedMachine},
		{"one tier", map[string]float64{"target": 0.88, "host": 1.95}, "target"},
		{"the busier of two", map[string]float64{"target": 0.86, "database": 1.8, "host": 2}, "database"},
		{"just not", map[string]float64{"target": 0.425, "host": 1.7}, ""},
	} {
		r := quick(1, 0.1, "a")
		r.Cores = c.cores
		s := build(t, r.Write(t))
		if l := s.Limits[0]; l.Tier != c.want || l.Target != "a" || !slices.IsSortedFunc(l.Tiers, func(a, b Utilisation) int { return int(1e9 * (b.Share - a.Share)) }) {
			t.Errorf("%s: %+v", c.name, l)
		}
	}
	r := quick(1, 0.1, "a")
	r.Head.Baselines = []record.Baseline{{Cores: 1.5}} // of a quota: fewer than the machine has
	s := build(t, r.Write(t))
	for _, u := range s.Limits[0].Tiers {
		if want := map[string]float64{"target": 0.8, "host": 1.9, "database": 0.5, "agent": 0.3, "balancer": 0.1}[u.Tier] / 1.5; math.Abs(u.Share-want) > 1e-9 {
			t.Errorf("%+v, want %v", u, want)
		}
	}
}

func TestAttempts(t *testing.T) {
	s := build(t, recordtest.Spoiled(t))
	want := Attempts{Planned: 9, Run: 10, Valid: 6, Invalid: 1, Unfinished: 2, Damaged: 1, Reasons: []ReasonCount{{"agent-lost", 1}}}
	if diff := cmp.Diff(want, s.Attempts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r := quick(4, 0.1, "a")
	r.Change = func(tr *record.Trial) {
		disturbed := record.Reason{Code: record.CodeDisturbedHost, Text: "x"}
		switch tr.Block {
		case 1:
			tr.Warnings = []record.Reason{disturbed}
		case 2:
			tr.Status, tr.Reasons = record.Invalid, []record.Reason{{Code: record.CodeBooks}, disturbed, disturbed}
		case 3:
			tr.Status, tr.Reasons = record.Invalid, []record.Reason{disturbed}
		}
	}
	want = Attempts{Planned: 4, Run: 4, Valid: 2, Invalid: 2, Warned: 1, Reasons: []ReasonCount{{record.CodeDisturbedHost, 2}, {record.CodeBooks, 1}}}
	s = build(t, r.Write(t))
	if diff := cmp.Diff(want, s.Attempts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if v := s.Verdict; len(v.Values) != 2 || s.Targets[0].Valid != 2 || s.Headline != "2 of 4 blocks of 1 s on 2 shared cores: a" {
		t.Errorf("invalid trials count where they were not repeated: %s, %+v", s.Headline, v.Values)
	}
	pilot := recordtest.Demo() // one that was damaged is in no block
	w := pilot.Begin(t)
	pilot.Trial(t, w, 0, 1, "django", 1, nil)
	check(t, os.WriteFile(filepath.Join(w.Dir(), "trials", "0-1-django", "load.jsonl"), nil, 0o600))
	check(t, w.Finish(record.Complete, ""))
	if a := open(t, w).Attempts; a.Run != 0 || a.Damaged != 0 {
		t.Errorf("with a damaged pilot: %+v", a)
	}
}

// Other runs of the same plan in the folder are compared where they can be, the newest of them.
func TestOtherRuns(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	at := recordtest.Epoch()
	write := func(more float64, change func(*recordtest.Run)) string {
		at = at.Add(time.Minute)
		r := quick(2, more, "slow", "fast")
		r.Root, r.Head.Started = root, at
		r.Work = func(string, int) int64 { return int64(1e6 * (1 + more)) }
		if change != nil {
			change(r)
		}
		return r.Write(t)
	}
	write(0.5, nil) // too old
	for _, more := range []float64{0.10, 0.12, 0.14, 0.16, 0.18} {
		write(more, func(r *recordtest.Run) {
			if more == 0.12 {
				r.Head.Programs = []record.Program{{Name: "nginx", Version: "1.22", SHA256: "x"}}
			}
		})
	}
	write(2, func(r *recordtest.Run) { r.Head.PlanDigest = "another" })
	write(2, func(r *recordtest.Run) { r.Head.Machine.Fingerprint = "another" })
	write(2, func(r *recordtest.Run) { r.Head.Targets[0].Digest = "another" })
	write(2, func(r *recordtest.Run) { r.Head.Short = true })
	write(2, func(r *recordtest.Run) { r.Head.Shared = true })
	killed := quick(2, 2, "slow", "fast")
	killed.Root, killed.Head.Started = root, at.Add(time.Second)
	w := killed.Begin(t)
	killed.Whole(t, w)
	check(t, w.Finish(record.Aborted, "interrupted"))
	this := write(0.2, func(r *recordtest.Run) {
		r.Head.Programs = []record.Program{{Name: "nginx", Version: "1.24", SHA256: "y"}}
	})
	r := must[*record.Reader](t)(record.Open(this))
	o := must[Others](t)(OtherRuns(r, must[*Summary](t)(Build(r))))
	if o.Runs != 5 || o.Older != 1 || o.LeftOut != 5 || len(o.Ratios) != 1 {
		t.Fatalf("%+v", o)
	}
	if want := "another nginx (1.24, 1.22)"; !slices.Equal(o.Marks, []string{want}) {
		t.Errorf("marks %q, want %q", o.Marks, want)
	}
	got := o.Ratios[0]
	if got.A != "fast" || got.B != "slow" || math.Abs(float64(got.This)-1.2) > 0.01 || len(got.Others) != 5 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []float64{1.10, 1.12, 1.14, 1.16, 1.18} {
		if math.Abs(got.Others[i]-want) > 0.01 {
			t.Errorf("run %d: %v, want %v", i, got.Others[i], want)
		}
		if len(o.Speeds) != 5 || math.Abs(o.Speeds[i]-1.2/want) > 1e-6 { // in the order of the ratios
			t.Errorf("run %d: speeds %v, want %v", i, o.Speeds, 1.2/want)
		}
	}
	if math.Abs(float64(got.Spread)-0.0325) > 0.003 { // sd of ln 1.10, 1.12 .. 1.20
		t.Errorf("spread %v", got.Spread)
	}
}

// Runs that differ in what is in no digest are marked: the governor, an external database, and servers that nobody knows the versions of.
func TestOtherRunsAreMarked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*record.Run)
		want   []string
	}{
		"nothing":      {func(*record.Run) {}, nil},
		"the governor": {func(r *record.Run) { r.Machine.Governor = "powersave" }, []string{"another CPU governor (performance, powersave)"}},
		"the database": {func(r *record.Run) { r.Database.Version = "11" }, []string{"another database server (mariadb 10.11.6, mariadb 11)"}},
	} {
		root := filepath.Join(t.TempDir(), "runs")
		write := func(at time.Time, change func(*record.Run)) string {
			r := quick(2, 0.1, "slow", "fast")
			r.Root, r.Head.Started, r.Head.Machine.Governor = root, at, "performance"
			change(&r.Head)
			return r.Write(t)
		}
		write(recordtest.Epoch(), c.change)
		r := must[*record.Reader](t)(record.Open(write(recordtest.Epoch().Add(time.Hour), func(*record.Run) {})))
		o := must[Others](t)(OtherRuns(r, must[*Summary](t)(Build(r))))
		if o.Runs != 1 || !slices.Equal(o.Marks, c.want) {
			t.Errorf("%s: %+v, want %q", name, o, c.want)
		}
	}
	root := filepath.Join(t.TempDir(), "runs")
	var dir string
	for hour := range 2 {
		r := quick(2, 0.1, "slow", "fast")
		r.Root, r.Head.Started = root, recordtest.Epoch().Add(time.Duration(hour)*time.Hour)
		for i := range r.Head.Targets {
			r.Head.Targets[i] = record.TargetInfo{Name: r.Head.Targets[i].Name, Kind: record.KindURL, Address: "127.0.0.1:80"}
		}
		dir = r.Write(t)
	}
	r := must[*record.Reader](t)(record.Open(dir))
	o := must[Others](t)(OtherRuns(r, must[*Summary](t)(Build(r))))
	if o.Runs != 1 || !slices.Equal(o.Marks, []string{"servers whose versions are not known"}) {
		t.Errorf("%+v", o)
	}
}

// What limits a spread sits with it.
func TestSpreadsWarn(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 5: 1, 6: 0, 7: 0} {
		if got := (Spread{N: n}).Warnings(); len(got) != want {
			t.Errorf("%d values: %v", n, got)
		}
	}
}

// A repeat comes after all others, and in turns there is no first: neither has a place in its block.
func TestPlaces(t *testing.T) {
	for want, trial := range map[int]Trial{2: {Position: 2, Attempt: 1}, 0: {Position: 4, Attempt: 2}} {
		if got := trial.place(); got != want {
			t.Errorf("%+v stands at %d", trial, got)
		}
	}
	if got := (Trial{Position: 2, Attempt: 1, turns: true}).place(); got != 0 {
		t.Errorf("in turns at %d", got)
	}
	r := quick(7, 0.1, "slow", "fast")
	for i, p := range r.Head.Order { // every second block the other way round, with a gain for the first
		if p.Block%2 == 0 {
			r.Head.Order[i].Target = r.Targets[2-p.Position]
		}
	}
	rate := r.Rate
	r.Rate = func(target string, block int) int {
		if (block%2 == 0) == (target == "fast") {
			return int(1.2*float64(rate(target, block))/2) * 2
		}
		return rate(target, block)
	}
	v := build(t, r.Write(t)).Verdict
	if v.Positions == nil || v.Positions.P > 0.001 || v.Positions.Effects[0] < 1.05 {
		t.Errorf("positions: %+v", v.Positions)
	}
}

// In turns a member works in the slices of its target only; the machine, and what belongs to all, works all
// the time.
func TestCoresInTurns(t *testing.T) {
	for tier, want := range map[string]float64{"target": 1.2, "database": 1.2, "host": 0.4, "others": 0.4} {
		r := Resource{Tier: tier, Cores: 0.4}
		r.finish(&record.PhaseTurns{OnS: 4}, 12, 100)
		if math.Abs(r.Cores-want) > 1e-9 || math.Abs(r.PerReqS-0.048) > 1e-9 {
			t.Errorf("%s: %+v, want %v cores", tier, r, want)
		}
	}
	r := Resource{Tier: "target", Cores: 0.4}
	if r.finish(nil, 12, 100); r.Cores != 0.4 || math.Abs(r.PerReqS-0.048) > 1e-9 {
		t.Errorf("at a stretch: %+v", r)
	}
}
