package gate

import (
	"errors"
	"iter"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Each bound from both sides, and what is said where nothing was measured.

// split is a histogram of n values, all but a few of them low.
func split(low, high time.Duration, n, few int64) *stats.Histogram {
	h := stats.NewHistogram()
	h.RecordN(low, n-few)
	h.RecordN(high, few)
	return h
}

// Lateness and its bound are those at the 99th percentile: what the slowest hundredth did counts for neither.
func TestLatenessBound(t *testing.T) {
	for name, c := range map[string]struct {
		h           Health
		late, bound time.Duration
	}{
		"not measured":   {Health{Service: allOf(time.Second)}, 0, ms},
		"no service":     {Health{Lateness: allOf(time.Second)}, 0, ms},
		"a few are late": {Health{Lateness: split(ms, time.Second, 1000, 5), Service: allOf(ms)}, ms, ms},
		"many are late":  {Health{Lateness: split(ms, time.Second, 1000, 15), Service: allOf(ms)}, time.Second, ms},
		"a few are slow": {Health{Lateness: allOf(ms), Service: split(ms, time.Second, 1000, 5)}, ms, ms},
		"many are slow":  {Health{Lateness: allOf(ms), Service: split(ms, time.Second, 1000, 15)}, ms, 100 * ms},
	} {
		late, bound := c.h.LatenessBound()
		if far(late, c.late) || far(bound, c.bound) {
			t.Errorf("%s: %v, at most %v, want %v and %v", name, late, bound, c.late, c.bound)
		}
	}
}

// far reports whether two times differ by more than a histogram rounds.
func far(a, b time.Duration) bool { return (a - b).Abs() > b/100 }

// Only what an agent did too late may be the doing of a disturbed machine; what it lacked is not.
func TestLimitsInTime(t *testing.T) {
	for cause, inTime := range map[string]bool{
		record.CauseDescriptors: false, record.CausePorts: false, record.CauseMemory: false, record.CausePermit: true, record.CauseLoop: true,
	} {
		found := Health{Model: "closed", Planned: 100, Lost: map[string]int64{cause: 2}}.Limited()
		if len(found) != 1 || found[0].InTime != inTime {
			t.Errorf("%s: %+v", cause, found)
		}
	}
	for lost, limited := range map[int64]bool{0: false, 1: true} {
		if found := (Health{Lost: map[string]int64{record.CausePorts: lost}}).Limited(); (len(found) > 0) != limited {
			t.Errorf("%d lost, none planned: %+v", lost, found)
		}
	}
	found := Health{Model: open, Planned: 100, Lateness: allOf(time.Second), Service: allOf(ms)}.Limited()
	if len(found) != 1 || !found[0].InTime {
		t.Errorf("late: %+v", found)
	}
}

// What took half of a hundredth of the time counts, and a loop that was busy in half of the windows.
func TestBoundsOfCauses(t *testing.T) {
	busy := stats.Window{Resources: &stats.Resources{LoopCPU: []int64{92e7}, LoopWait: []int64{0}}}
	still := func(d time.Duration) stats.Window {
		return stats.Window{Resources: &stats.Resources{Stopped: int64(d)}}
	}
	var one Strain
	alone := busy
	alone.Length = time.Second
	one.Add(alone)
	for name, c := range map[string]struct {
		s    Strain
		want string
	}{
		"just enough":          {windows(still(50 * ms)), "stopped"},
		"a little less":        {windows(still(49 * ms)), "unknown"},
		"busy for half of it":  {windows(slices.Repeat([]stats.Window{busy}, 5)...), "loop"},
		"busy for less of it":  {windows(slices.Repeat([]stats.Window{busy}, 4)...), "unknown"},
		"busy in its only one": {one, "loop"},
		"just not busy":        {windows(slices.Repeat([]stats.Window{{Resources: &stats.Resources{LoopCPU: []int64{89e7}, LoopWait: []int64{0}}}}, 10)...), "unknown"},
	} {
		if cause, text := c.s.cause(); cause != c.want {
			t.Errorf("%s: %s: %s, want %s", name, cause, text, c.want)
		}
	}
	s := windows(
		stats.Window{Resources: &stats.Resources{Descriptors: 7, DescriptorLimit: 64}}, stats.Window{Resources: &stats.Resources{Descriptors: 9, Ports: 3}},
	)
	if most := s.Most(); most.Descriptors != 9 || most.DescriptorLimit != 64 || most.Ports != 3 {
		t.Errorf("%+v", most)
	}
	var none Strain
	none.Add(stats.Window{Resources: &stats.Resources{LoopCPU: []int64{1}, LoopWait: []int64{0}}}) // of no length
	if cause, text := none.cause(); cause != record.CauseUnknown {
		t.Errorf("a window of no length: %s: %s", cause, text)
	}
}

// Stages stay 5 % below the rate from which on the agents may be the limit; without a calibration there is no bound.
func TestUsableCeiling(t *testing.T) {
	for ceiling, want := range map[float64]float64{0: math.Inf(1), -1: math.Inf(1), 0.5: 0.3325, 1000: 665} {
		if got := UsableCeiling(ceiling); got != want && math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", ceiling, got, want)
		}
	}
	p := phaseOf(seen(1000), windowOf(stats.Books{Planned: 1000, Sent: 1000, OK: 1000}))
	if p.CeilingS = 0.5; len(p.Judge(nil).Warnings) != 1 {
		t.Errorf("a ceiling of 0.5/s: %+v", p.Judge(nil))
	}
}

// Connections beyond the declared ones count once they have lasted for 0.9 s; those that are just closing are allowed.
func TestLastingConnections(t *testing.T) {
	type sample struct {
		at           time.Duration
		held, opened float64
	}
	for name, c := range map[string]struct {
		declared int
		samples  []sample
		most     int
	}{
		"long enough":                 {16, []sample{{0, 17, 100}, {900 * ms, 17, 100}}, 17},
		"a little less":               {16, []sample{{0, 17, 100}, {900*ms - 1, 17, 100}}, 0},
		"the most of all":             {16, []sample{{0, 20, 100}, {time.Second, 17, 100}}, 20},
		"none is declared":            {0, []sample{{0, 1, 100}, {time.Second, 1, 100}}, 1},
		"fewer were opened than seen": {16, []sample{{0, 17, 100}, {time.Second, 17, 50}, {2 * time.Second, 17, 50}}, 17},
		"closing, the first is known": {16, []sample{{0, 20, 1}, {time.Second, 20, 900}, {2 * time.Second, 20, 1700}}, 0},
		"half of them are closing":    {16, []sample{{0, 24, 1}, {time.Second, 24, 900}, {2 * time.Second, 24, 1700}}, 0},
		"more than half":              {16, []sample{{0, 25, 1}, {time.Second, 25, 900}, {2 * time.Second, 25, 1700}}, 25},
		"as many as were opened":      {16, []sample{{0, 20, 100}, {time.Second, 20, 104}, {2 * time.Second, 20, 108}}, 0},
		"more than were opened":       {16, []sample{{0, 20, 100}, {time.Second, 20, 103}, {2 * time.Second, 20, 106}}, 20},
	} {
		d := &record.Declared{Connections: c.declared, Together: 99}
		var held connections
		for _, s := range c.samples {
			held.add(record.Series{Tier: "database", At: time.Unix(1, 0).Add(s.at), Values: map[string]float64{record.OwnConnections: s.held, "connections": s.opened}}, d)
			held.add(record.Series{Tier: "host", At: time.Unix(1, 0).Add(s.at), Values: map[string]float64{"connections": 7}}, d)
		}
		if held.most != c.most {
			t.Errorf("%s: %d, want %d", name, held.most, c.most)
		}
		p := NewPhase(record.Phase{Number: 1})
		p.Declare(d)
		p.held = held
		if refused := len(p.otherwise(stats.Totals{})) > 0; refused != (c.most > 0) {
			t.Errorf("%s: refused %v", name, refused)
		}
	}
}

// Connections that have been open for a second are held against the declared ones alone, however many others are opened and closed:
// only a request that was cut allows one more.
func TestConnectionsByAge(t *testing.T) {
	for _, c := range []struct {
		own     bool
		lasting []float64
		cut     int64
		refused bool
	}{
		{true, []float64{16, 16, 16}, 0, false},
		{true, []float64{0, 17, 0}, 0, true},
		{true, []float64{0, 17, 0}, 1, false},
		{true, []float64{18, 17, 0}, 1, true},
		{false, []float64{48, 48}, 0, false},
		{false, []float64{49, 0}, 0, true},
	} {
		p := NewPhase(record.Phase{Number: 1})
		p.Declare(&record.Declared{Connections: 16, Together: 48})
		for i, n := range c.lasting {
			values := map[string]float64{record.TargetConnections: 90, record.TargetLasting: n, "connections": float64(1000 * i)}
			if c.own {
				values[record.TargetLasting], values[record.OwnConnections], values[record.OwnLasting] = 48, 24, n
			}
			p.Series(record.Series{Phase: 1, Tier: "database", At: time.Unix(int64(i), 0), Values: values})
		}
		if found := p.otherwise(stats.Totals{Window: stats.Window{Books: stats.Books{Timeout: c.cut}}}); (len(found) > 0) != c.refused {
			t.Errorf("%+v: %+v", c, found)
		}
	}
}

// Five lines are allowed whatever was answered, and one execution of a prepared statement is enough.
func TestBoundsOfDeclared(t *testing.T) {
	for _, c := range []struct {
		answers, lines int64
		refused        bool
	}{{0, 5, false}, {0, 6, true}, {500, 5, false}, {500, 6, true}, {600, 6, false}, {600, 7, true}} {
		p := NewPhase(record.Phase{Witness: record.Witness{LogLines: &c.lines}})
		p.Declare(&record.Declared{Protocol: "text"})
		if found := p.otherwise(stats.Totals{Window: stats.Window{Books: stats.Books{Sent: c.answers, OK: c.answers}}}); (len(found) > 0) != c.refused {
			t.Errorf("%+v: %+v", c, found)
		}
	}
	for _, c := range []struct {
		declared        string
		reads, executed int64
		right           bool
	}{{"prepared", 0, 0, true}, {"prepared", 1, 0, false}, {"prepared", 1, 1, true}, {"text", 1, 0, true}, {"text", 1, 1, false}, {"", 1, 1, true}} {
		if text := protocol(c.declared, c.reads, map[string]int64{"stmt_execute": c.executed}); (text == "") != c.right {
			t.Errorf("%+v: %q", c, text)
		}
	}
}

// A machine is not quiet yet while others use 5 % more than at rest, or the host takes half of what refuses a phase; where the
// user agreed to share it, it is never awaited.
func TestRestless(t *testing.T) {
	for _, c := range []struct {
		rest record.Baseline
		d    record.Disturbance
		want string
	}{
		{record.Baseline{}, record.Disturbance{}, ""},
		{record.Baseline{}, record.Disturbance{Steal: 0.024}, ""},
		{record.Baseline{}, record.Disturbance{Steal: 0.026}, "the host of this virtual machine took 2.6 % of its CPU time away"},
		{record.Baseline{Disturbance: record.Disturbance{Steal: 0.02}}, record.Disturbance{Steal: 0.044}, ""},
		{record.Baseline{Disturbance: record.Disturbance{Steal: 0.02}}, record.Disturbance{Steal: 0.046}, "the host of this virtual machine took 4.6 % of its CPU time away (2.0 % at rest)"},
		{record.Baseline{}, record.Disturbance{Foreign: 0.07}, "other programs used 7.0 %"},
		{record.Baseline{}, record.Disturbance{Foreign: 0.04}, ""},
		{record.Baseline{WarnOnly: true}, record.Disturbance{Foreign: 0.9, Steal: 0.9}, ""},
	} {
		got := Restless(c.rest, c.d)
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v, %+v: %q, want %q", c.rest, c.d, got, c.want)
		}
	}
}

// What is not seen is named from half of what others used on; what was there at rest, from a thousandth and from one page on.
func TestWordsOfDisturbances(t *testing.T) {
	for seen, named := range map[float64]bool{0.12: false, 0.09: true} {
		if got := Strangers(record.Baseline{}, record.Disturbance{Foreign: 0.2, Seen: seen}); (got != "") != named {
			t.Errorf("%v of 0.2 are seen: %q", seen, got)
		}
	}
	for share, said := range map[float64]bool{0: false, 0.0009: false, 0.0015: true} {
		if got := atRest(share); strings.Contains(got, "at rest") != said {
			t.Errorf("%v: %q", share, got)
		}
	}
	for pages, want := range map[float64]string{0: "", 0.9: "", 1.4: " (1 at rest)"} {
		if got := atRestCount(pages); got != want {
			t.Errorf("%v: %q", pages, got)
		}
	}
	if found := disturbed(record.Baseline{Mixed: true}, record.Disturbance{Foreign: 1.5}, maxSteal); len(found) != 1 || found[0].refuse {
		t.Errorf("servers under test among the strangers: %+v", found)
	}
}

// hostOf is a host over so long, of whose counters these are the last values; they began at 0.
func hostOf(long time.Duration, own time.Duration, last map[string]float64) *Host {
	var h Host
	first := map[string]float64{}
	for name := range last {
		first[name] = 0
	}
	at := time.Unix(1_000_000, 0)
	h.Add(record.Series{Tier: "target", Name: "a-1"})
	h.Add(record.Series{Tier: "host", At: at, Values: first})
	h.Add(record.Series{Tier: "target", Name: "a-1", CPUNS: int64(own)})
	h.Add(record.Series{Tier: "host", At: at.Add(long), Values: last})
	return &h
}

// Every figure of a host, by what its counters grew.
func TestFiguresOfAHost(t *testing.T) {
	if h := new(Host); h.Cores() != 0 || !reflect.DeepEqual(h.Disturbance(), record.Disturbance{}) {
		t.Errorf("of nothing: %v cores, %+v", h.Cores(), h.Disturbance())
	}
	if got := hostOf(time.Second, 0, map[string]float64{"user_ns": 2e9, "cpus": 1}).Cores(); got != 1 {
		t.Errorf("%v cores, want the one that is said", got)
	}
	if got := hostOf(time.Second/2, 0, map[string]float64{"user_ns": 1e9}).Cores(); got != 2 {
		t.Errorf("%v cores, want 2: a second of CPU time passed in half a second", got)
	}
	h := hostOf(10*time.Second, 4*time.Second, map[string]float64{
		"user_ns": 5e9, "nice_ns": 1e9, "system_ns": 3e9, "idle_ns": 6e9, "iowait_ns": 1e9, "irq_ns": 1e9, "softirq_ns": 2e9, "steal_ns": 1e9,
		"kernel_threads_ns": 2e9, "throttled_ns": 1e8, "swap_in_pages": 50, "pressure_memory_ns": 5e8, "pressure_io_ns": 2e9, "quota_cores": 0.5, "cpus": 2,
	})
	// Of 20 s that passed others used 5+1+3-2 s less our 4: interrupts are accounted apart.
	want := record.Disturbance{
		Foreign: 0.15, Steal: 0.05, Throttled: 0.01, QuotaUsed: 0.8, SwapIn: 5, Memory: 0.05, IO: 0.2, CPUTimeNS: 20e9, Seen: 0.15,
	}
	if got := h.Disturbance(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	for irq, foreign := range map[float64]float64{0.06e9: 0.1, 0.04e9: 0.204} { // more than 5 % of softirq time: they are apart
		h := hostOf(10*time.Second, 0, map[string]float64{"user_ns": 1e9, "idle_ns": 8e9 - irq, "irq_ns": irq, "softirq_ns": 1e9})
		if got := h.Disturbance().Foreign; math.Abs(got-foreign) > 1e-9 {
			t.Errorf("%v of 1e9 are hard interrupts: others used %v", irq, got)
		}
	}
	if d := hostOf(10*time.Second, 0, map[string]float64{"user_ns": 1e9, "strangers_ns": 5e8}).Disturbance(); d.Seen != 0.5 {
		t.Errorf("seen %v, want half of all", d.Seen)
	}
	if d := hostOf(0, 0, map[string]float64{"user_ns": 1e9}).Disturbance(); d.CPUTimeNS != 0 {
		t.Errorf("in no time: %+v", d)
	}
}

// One statement that is no lookup explains one more than the requests, and one row that was read otherwise is too much.
func TestOneIsEnough(t *testing.T) {
	clean := stats.Totals{Window: stats.Window{Books: stats.Books{Planned: 100, Sent: 100, OK: 100}, Hits: 60, Misses: 40}}
	for name, c := range map[string]struct {
		change func(*record.Witness)
		want   int
	}{
		"one commit, one more": {func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(101)), map[string]int64{"commit": 1}
		}, 0},
		"one prepare, one more": {func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(101)), map[string]int64{"stmt_prepare": 1}
		}, 1},
		"less than none, one more": {func(w *record.Witness) {
			w.Statements, w.DatabaseOthers = new(int64(101)), map[string]int64{"commit": -1}
		}, 1},
		"one by another index":    {func(w *record.Witness) { w.RowsByOther = new(int64(1)) }, 1},
		"one range":               {func(w *record.Witness) { w.Ranges = new(int64(1)) }, 1},
		"index reads not counted": {func(w *record.Witness) { w.Lookups = nil }, 0},
		"statements not counted":  {func(w *record.Witness) { w.Statements = nil }, 0},
		"empty ones not counted":  {func(w *record.Witness) { w.Empty = nil }, 0},
		"reads not counted":       {func(w *record.Witness) { w.DatabaseReads, w.Lookups = NotCounted, nil }, 0},
		"other rows not counted":  {func(w *record.Witness) { w.RowsByOther, w.Ranges = nil, nil }, 0},
	} {
		p := NewPhase(record.Phase{Witness: counted(c.change)})
		if found := p.lookups(clean); len(found) != c.want {
			t.Errorf("%s: %+v", name, found)
		}
	}
	// The target draws the keys: whether they exist is not known, and rows and empty answers are no evidence.
	p := NewPhase(record.Phase{Witness: counted(func(w *record.Witness) { w.RowsByName, w.Empty = new(int64(3)), new(int64(3)) })})
	drawn := clean
	drawn.Hits, drawn.Misses = 0, 0
	if found := p.lookups(drawn); len(found) > 0 {
		t.Errorf("drawn by the target: %+v", found)
	}
	// Two were cut, and may or may not have been looked up: the words name both bounds.
	cut := stats.Totals{Window: stats.Window{Books: stats.Books{Planned: 100, Sent: 100, OK: 98, Timeout: 2}, Hits: 58, Misses: 40}}
	p = NewPhase(record.Phase{Witness: counted(func(w *record.Witness) { w.RowsByName = new(int64(61)) })})
	if found := p.lookups(cut); len(found) != 1 || !strings.Contains(found[0].Text, "not within 58 and 60 for 58 answers whose key exists") {
		t.Errorf("%+v", found)
	}
}

// The first class of a wrong body is named, whatever other classes there are.
func TestClassesOfWrongBodies(t *testing.T) {
	for want, outcomes := range map[string]map[string]int64{
		"; not json":      {"connection reset": 4, "not json": 1, "wrong id": 1},
		"; wrong id: odd": {"refused": 3, "wrong id": 1, "wrong name": 1},
		"":                {"refused": 3, "wrongly cut": 1},
	} {
		w := stats.Window{Wrong: 1, Checked: 9, Outcomes: outcomes, Examples: map[string]string{"wrong id": "odd", "refused": "no"}}
		text := wrong(stats.Totals{Window: w})[0].Text
		if text != "1 answer with a wrong body (none may be), of 9 checked"+want {
			t.Errorf("%q, want %q", text, want)
		}
	}
}

// What was not answered is said with its share and its classes.
func TestWordsOfUnanswered(t *testing.T) {
	sum := stats.Totals{Window: stats.Window{Books: stats.Books{Planned: 1000, Sent: 999, OK: 996, Bad: 1, Timeout: 1, Error: 1, Dropped: 1}}}
	p := NewPhase(record.Phase{})
	const want = "0.40 % of 1000 requests were not answered correctly (at most 0.1 %): bad 1, timeout 1, error 1, dropped 1"
	if got := p.answered(sum); len(got) != 1 || got[0].Text != want {
		t.Errorf("%+v", got)
	}
	sum.Outcomes = map[string]int64{"reset": 2}
	if got := p.answered(sum); len(got) != 1 || got[0].Text != want+" (reset 2)" {
		t.Errorf("%+v", got)
	}
	if got := p.answered(stats.Totals{}); len(got) != 1 || got[0].Text != "no request was due during the phase" {
		t.Errorf("%+v", got)
	}
	p.Phase.Stage = &record.Stage{}
	if got := p.answered(sum); got != nil {
		t.Errorf("a stage: %+v", got)
	}
}

// Both sides of Little's law may differ by 2 %, and the words name them.
func TestBoundOfLittlesLaw(t *testing.T) {
	for inFlight, text := range map[float64]string{
		5.09: "", 5.12: "the requests in flight add up to 5.12 s, the times recorded of them to 5.00 s: 2.4 % apart, at most 2.0 % is allowed", 4.91: "", 4.89: "the requests",
	} {
		w := windowOf(stats.Books{Planned: 1000, Sent: 1000, OK: 1000})
		w.InFlight = &inFlight
		sum := phaseOf(seen(1000), w).Totals()
		got := littlesLaw(sum)
		if (len(got) > 0) != (text != "") || len(got) > 0 && !strings.HasPrefix(got[0].Text, text) {
			t.Errorf("%v: %+v", inFlight, got)
		}
		if sum.Service = nil; littlesLaw(sum) != nil {
			t.Error("without service times")
		}
	}
}

func loadsOf(lines []record.Load, err error) iter.Seq2[record.Load, error] {
	return func(yield func(record.Load, error) bool) {
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
		if err != nil {
			yield(record.Load{}, err)
		}
	}
}

func seriesOf(err error) iter.Seq2[record.Series, error] {
	return func(yield func(record.Series, error) bool) {
		if yield(record.Series{Phase: 77, Tier: "host"}, nil) && err != nil {
			yield(record.Series{}, err)
		}
	}
}

// A record that cannot be read is judged no further; lines of phases that it does not have are passed over.
func TestReplayOfDamage(t *testing.T) {
	broken := errors.New("broken")
	rec := stageOf(100)
	rec.Number, rec.Witness = 2, record.Witness{DatabaseReads: NotCounted, BalancerTotal: NotCounted}
	plain := record.Phase{Number: 1, Name: "open", Model: "open", DurationS: 1, Witness: seen(1000)}
	trial := record.Trial{Phases: []record.Phase{plain, rec}, Declared: &record.Declared{Protocol: "prepared"}}
	w := windowOf(stats.Books{Planned: 1000, Sent: 1000, OK: 1000})
	late := w
	late.Lateness = allOf(time.Second)
	lines := []record.Load{{Agent: 1, Phase: 1, Window: w}, {Agent: 1, Phase: 2, Window: late}, {Agent: 1, Phase: 77, Window: late}}
	if _, err := Replay(trial, loadsOf(lines, broken), seriesOf(nil), nil); !errors.Is(err, broken) {
		t.Errorf("loads: %v", err)
	}
	if _, err := Replay(trial, loadsOf(lines, nil), seriesOf(broken), nil); !errors.Is(err, broken) {
		t.Errorf("series: %v", err)
	}
	got, err := Replay(trial, loadsOf(lines, nil), seriesOf(nil), nil)
	if err != nil || len(got.Stages) != 1 || !got.Stages[2] {
		t.Errorf("%+v, %v", got, err)
	}
	if len(got.Reasons) != 1 || got.Reasons[0].Code != record.CodeDeclared {
		t.Errorf("the protocol is declared, and nothing else is wrong: %+v", got.Reasons)
	}
}

// A stage is found as its record says in the end, with the rate and whether an agent limited it.
func TestStageFound(t *testing.T) {
	p := NewPhase(stageOf(100))
	p.Load(1, stageWindow(0, 90, 10, 0))
	rec := stageOf(120)
	rec.Stage.Limited = true
	p.Phase = rec
	if got := p.StageFound(); got.Rate != 120 || !got.Limited || !slices.Equal(got.Batches, []capacity.Batch{{Planned: 100, Answers: 100, Slow: 10}}) {
		t.Errorf("%+v", got)
	}
	b := NewBatches(rec)
	w := stageWindow(0, 90, 0, 2)
	w.Books.Bad, w.Books.Error, w.Books.Dropped = 3, 5, 7
	if b.Add(w); b.Stage().Batches[0].Failed != 2+3+5+7 {
		t.Errorf("%+v", b.Stage())
	}
}

// A long name is cut, and each row that was stale is counted.
func TestWordsOfStaleRows(t *testing.T) {
	const second = int64(time.Second)
	for length, whole := range map[int]bool{60: true, 61: false} {
		name := strings.Repeat("x", length)
		for _, c := range []struct {
			move record.Move
			seen stats.MoveSeen
		}{
			{record.Move{Kind: "deleted", ID: 7, Old: name, BegunNS: 1, DoneNS: 1}, stats.MoveSeen{Before: 1, LastBefore: 9 * second}},
			{record.Move{Kind: "inserted", ID: 7, New: name}, stats.MoveSeen{After: 1}},
			{record.Move{Kind: "inserted", ID: 7, New: name, BegunNS: 1, DoneNS: 1}, stats.MoveSeen{After: 1, FirstAfter: -9 * second}},
		} {
			text := untrue(c.move, c.seen, 0, time.Second)
			if text == "" || strings.Contains(text, name) != whole || !strings.Contains(text, "(row 7)") {
				t.Errorf("%d characters: %q", length, text)
			}
		}
	}
	late := record.Move{Kind: "deleted", Old: "a", BegunNS: 1, DoneNS: 2}
	other := late
	other.Old = "b"
	p := NewPhase(record.Phase{Moves: []record.Move{late, other, late}})
	was := stats.MoveSeen{Before: 1, LastBefore: 9 * second}
	p.Load(1, stats.Window{Moves: map[int]stats.MoveSeen{0: was, 1: was}})
	if found := p.stale(); len(found) != 1 || !strings.HasPrefix(found[0].Text, `2 rows of 3 that changed during the phase had answers that were not true at that moment: "a" (row 0)`) {
		t.Errorf("%+v", found)
	}
	if shift, doubt := p.clockOf(4); shift != 0 || doubt != 0 {
		t.Errorf("%v, %v", shift, doubt)
	}
}

// The level of the open model is the median of each window, weighted by its answers; a window without any has none.
func TestLevelsOfWindows(t *testing.T) {
	l := NewLevels(record.Phase{Model: "open", DurationS: 5})
	add := func(second int, answers int64, h *stats.Histogram) {
		l.Add(stats.Window{Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{OK: answers}, Response: h})
	}
	add(0, 100, split(10*ms, 100*ms, 100, 40))
	add(1, 1, allOf(20*ms))
	add(2, 0, stats.NewHistogram())
	one := stats.NewHistogram()
	one.Record(30 * ms)
	add(3, 5, one)
	l.Add(stats.Window{Begin: 4 * time.Second, Books: stats.Books{OK: 5}, Response: one}) // of no length
	got := l.logs()
	for i, want := range []float64{0.01, 0.02, 0.03} {
		if i >= len(got) || math.Abs(got[i]-math.Log(want)) > 0.01 {
			t.Fatalf("%v", got)
		}
	}
	if len(got) != 3 {
		t.Errorf("%v", got)
	}
	if d, known := drift([]float64{1, 2}); d != 0 || known {
		t.Errorf("of two windows: %v, %v", d, known)
	}
	if d, known := drift([]float64{1, 2, 4}); d != 3 || !known {
		t.Errorf("of three windows: %v, %v", d, known)
	}
	if median(nil) != 0 {
		t.Error("the median of nothing")
	}
}

// A warm-up is ready once it has passed two looks.
func TestReady(t *testing.T) {
	steady := make([]float64, EndingWindows)
	for i := range steady {
		steady[i] = 0.01 * float64(i%2)
	}
	for n, want := range map[int]bool{EndingWindows - 1: false, EndingWindows: true} {
		if got := phaseAt(steady[:n]).Ready(); got != want {
			t.Errorf("%d windows: %v", n, got)
		}
	}
	var words []string
	for s := TooShort; s <= Settled; s++ {
		words = append(words, s.String())
	}
	if want := []string{"too few windows to say", "no steady state", "a trend could not be distinguished from noise", "steady"}; !slices.Equal(words, want) {
		t.Errorf("%q", words)
	}
}

// The interval of a trend is Student's, wider the more trends there are; of too few blocks it is not known.
func TestIntervalOfATrend(t *testing.T) {
	trends := func(of int, ratios ...float64) []Trend {
		drifts := driftsOf(false, len(ratios), func(_ string, block int) float64 { return ratios[block] }, "a")
		return TrendsOf(record.Phase{Name: "open", Model: "open"}, []string{"a"}, drifts, of)
	}
	if got := trends(1, 2, 2); len(got) > 0 {
		t.Errorf("of two blocks: %+v", got)
	}
	if got := trends(1, 1.2, 1.21, 1.2); len(got) != 1 || got[0].Ratio < 1.2 {
		t.Errorf("of three blocks: %+v", got)
	}
	for of, quantile := range map[int]float64{0: 3.18245, 1: 3.18245, 5: 5.84091} {
		got := trends(of, 1.1, 1.2, 1.1, 1.2)[0] // logarithms with a mean of 0.13882 and a standard error of 0.02512
		mean := (math.Log(1.1) + math.Log(1.2)) / 2
		half := quantile * (math.Log(1.2) - math.Log(1.1)) / 2 / math.Sqrt(3)
		if math.Abs(got.Ratio-math.Exp(mean)) > 1e-4 || math.Abs(got.Low-math.Exp(mean-half)) > 1e-4 || math.Abs(got.High-math.Exp(mean+half)) > 1e-4 || got.Blocks != 4 {
			t.Errorf("one of %d: %+v", of, got)
		}
		if got.Steady != (half > mean) {
			t.Errorf("one of %d: %+v", of, got)
		}
	}
}

// A measured phase is refused for a step, with the times that the level changed by; a stage and a warm-up are not.
func TestStepsOfStages(t *testing.T) {
	levels := make([]float64, 12)
	for i := range levels {
		levels[i] = 0.001 * float64(i%2)
		if i >= 6 {
			levels[i] += 0.2
		}
	}
	p := phaseAt(levels)
	if found := p.steady(); len(found) != 1 || !strings.Contains(found[0].Text, "is 1.22 times that of the first") {
		t.Errorf("%+v", found)
	}
	p.Phase.Stage = &record.Stage{}
	if found := p.steady(); found != nil {
		t.Errorf("a stage: %+v", found)
	}
	if found := phaseAt(levels[1:]).steady(); found != nil {
		t.Errorf("eleven windows: %+v", found)
	}
}
