package live

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// followed is a run as far as it has come.
func followed(t *testing.T, dir string) *State {
	t.Helper()
	s := New()
	for item, err := range record.Follow(t.Context(), dir, record.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Take(item); item.Pause != nil {
			break
		}
	}
	return s
}

// second is what the lines of a record say of one second of a phase of a trial, added up without this package.
type second struct {
	planned, ok, failed int64
	times               *stats.Histogram
}

// added are the lines of a trial by phase and second.
func added(t *testing.T, state record.TrialState) map[[2]int]*second {
	t.Helper()
	out := map[[2]int]*second{}
	for l, err := range state.Loads() {
		if err != nil {
			t.Fatal(err)
		}
		key := [2]int{l.Phase, int(l.Begin.Seconds())}
		one := out[key]
		if one == nil {
			one = &second{times: stats.NewHistogram()}
			out[key] = one
		}
		one.planned += l.Books.Planned
		one.ok += l.Books.OK
		one.failed += l.Books.Bad + l.Books.Timeout + l.Books.Error + l.Books.Dropped
		if l.Phase == 2 { // the open one
			one.times.Merge(l.Response)
		} else {
			one.times.Merge(l.Service)
		}
	}
	return out
}

// planned gives a run of recordtest the phases that it has in a plan.
func planned(r *recordtest.Run) *recordtest.Run {
	r.Plan("throughput", `"agents":{"count":2},"phases":[{"name":"closed","model":"closed","duration":"4s"},{"name":"open","model":"open","duration":"4s","rate":600}]`)
	return r
}

// Every point of every block is what the lines of the record add up to, and there is one for every second of every trial.
func TestPointsAreThoseOfTheRecord(t *testing.T) {
	r := planned(recordtest.Demo())
	r.Change = func(tr *record.Trial) {
		if tr.Block == 2 && tr.Target == "flask" {
			tr.Status, tr.Reasons = record.Invalid, []record.Reason{{Code: record.CodeAgentLost, Text: "silent"}}
		}
	}
	dir := r.Write(t)
	s := followed(t, dir)
	reader, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, trial := range reader.Trials() {
		lines := added(t, trial)
		u := s.Block(trial.Block)
		for _, series := range u.Series {
			if series.Target != trial.Target {
				continue
			}
			for _, p := range series.Points {
				want := lines[[2]int{series.Phase.Number, int(p.S)}]
				if want == nil {
					t.Fatalf("%s has a point at %g s of phase %d, the record none", trial.Target, p.S, series.Phase.Number)
				}
				delete(lines, [2]int{series.Phase.Number, int(p.S)})
				compared++
				p50 := want.times.Percentile(50)
				if p.OK != float64(want.ok) || p.Offered != float64(want.planned) || p.NotOK != float64(want.failed)/float64(want.ok+want.failed) || p.Requests != want.times.Count() ||
					(p.Times[0] == nil) != (p50.Needs > 0) || p.Times[0] != nil && *p.Times[0] != p50.Value.Seconds() {
					t.Errorf("%s, block %d, phase %d, %g s: %+v, the record has %+v", trial.Target, trial.Block, series.Phase.Number, p.S, p, want)
				}
			}
			if want := trial.Target == "flask" && trial.Block == 2; (series.Status == record.Invalid) != want {
				t.Errorf("%s of block %d is %q", trial.Target, trial.Block, series.Status)
			}
		}
		if len(lines) > 0 {
			t.Errorf("%s, block %d: %d seconds have no point", trial.Target, trial.Block, len(lines))
		}
	}
	if compared != 3*3+3*3*8 {
		t.Errorf("%d points were compared", compared)
	}
	now := s.Now()
	if now.Finished != 12 || now.Judged != 12 || now.Refused != 1 || now.Status != record.Complete || now.Live {
		t.Errorf("now: %+v", now)
	}
}

// The CPU time per answer at a phase's end is that of the whole phase.
func TestCPUPerAnswer(t *testing.T) {
	s := followed(t, planned(recordtest.Of(1, "flask")).Write(t))
	for _, series := range s.Block(1).Series {
		last := series.Points[len(series.Points)-1]
		want := 2 * 0.4 * 4 / float64(series.Sum.OK) // two replicas of 0.4 cores for 4 s
		if last.CPU == nil || math.Abs(*last.CPU-want) > 1e-9 {
			t.Errorf("phase %s: %v, want %g", series.Phase.Name, last.CPU, want)
		}
	}
}

// merged is what a page has that has taken the updates.
type merged struct {
	points  map[string]Point
	seconds map[time.Time]map[string]float64
	sums    map[string]Sum
	status  map[string]string
}

func (m *merged) take(u Update) {
	if u.Whole || m.points == nil {
		*m = merged{map[string]Point{}, map[time.Time]map[string]float64{}, map[string]Sum{}, map[string]string{}}
	}
	for _, s := range u.Series {
		key, _ := json.Marshal([]any{s.Block, s.Attempt, s.Target, s.Phase.Number})
		m.sums[string(key)], m.status[string(key)] = s.Sum, s.Status
		for _, p := range s.Points {
			at, _ := json.Marshal([]any{string(key), p.S})
			m.points[string(at)] = p
		}
	}
	for _, one := range u.Seconds {
		m.seconds[one.At] = one.Cores
	}
}

// A page that has taken every change has what one gets that asks for everything, however the record came in.
func TestChangesAddUp(t *testing.T) {
	for _, every := range []int{1, 7, 50} {
		s := New()
		var page merged
		n := 0
		dir := planned(recordtest.Of(1, "flask", "django")).Write(t)
		for item, err := range record.Follow(t.Context(), dir, record.Position{}) {
			if err != nil {
				t.Fatal(err)
			}
			s.Take(item)
			if n++; n%every == 0 || item.Pause != nil {
				page.take(s.Changed())
			}
			if item.Pause != nil {
				break
			}
		}
		if again := s.Changed(); len(again.Series)+len(again.Seconds) > 0 {
			t.Errorf("what was taken has changed again: %d series, %d seconds", len(again.Series), len(again.Seconds))
		}
		var whole merged
		whole.take(s.Block(1))
		for _, pair := range [][2]any{{whole.points, page.points}, {whole.seconds, page.seconds}, {whole.sums, page.sums}, {whole.status, page.status}} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Errorf("every %d items (-everything +changes):\n%s", every, diff)
			}
		}
		if len(page.points) != 16 {
			t.Errorf("%d points", len(page.points))
		}
	}
}

// A tier has its cores in every second that its samples cover, wherever in the seconds of a clock they fall: a sampler that drifts
// has two samples in one second, or none.
func TestCoresOfASamplerThatDrifts(t *testing.T) {
	s := New()
	for _, ms := range []int64{20, 1010, 1990, 2999, 4010, 5001, 5990, 7015} {
		for i, name := range []string{"a", "b"} {
			at := recordtest.Epoch().Add(time.Duration(ms) * time.Millisecond)
			s.Take(record.Item{Trial: "1-1-flask", Series: &record.Series{At: at, Phase: 1, Tier: "database", Name: name, CPUNS: int64(i+1) * ms * 1e6}})
		}
	}
	var got []float64
	for i, one := range s.Block(1).Seconds {
		if !one.At.Equal(recordtest.Epoch().Add(time.Duration(i) * time.Second)) {
			t.Errorf("second %d is at %s", i, one.At)
		}
		got = append(got, math.Round(one.Cores["database"]*1e6)/1e6)
	}
	if want := []float64{3, 3, 3, 3, 3, 3, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("cores %v, want %v", got, want)
	}
}

// A place is settled once a trial of it is over, valid or not, and once only; one that was aborted, or is taken again, settles none.
func TestSettledPlaces(t *testing.T) {
	s := New()
	event := func(kind string, fields any) {
		raw, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		s.Take(record.Item{Event: &record.Event{At: recordtest.Epoch(), Kind: kind, Fields: raw}})
	}
	trial := func(folder, target string, attempt int, status string) record.Proof {
		p := record.Proof{Folder: folder, Block: 1, Position: 1, Target: target, Attempt: attempt, Status: status}
		event(record.EventBegun, record.Begun{Folder: folder, Block: 1, Position: 1, Target: target, Attempt: attempt})
		return p
	}
	for i, c := range []struct {
		folder, target           string
		attempt                  int
		status                   string
		settled, judged, refused int
	}{
		{"1-1-flask", "flask", 1, record.Invalid, 1, 1, 1},
		{"1-2-django", "django", 1, record.TrialAborted, 1, 1, 1},
		{"1-1-flask-2", "flask", 2, record.Valid, 1, 2, 1},
		{"1-2-django", "django", 1, record.Valid, 2, 3, 1},
	} {
		proof := trial(c.folder, c.target, c.attempt, c.status)
		event(record.EventTrial, proof)
		if now := s.Now(); now.Finished != c.settled || now.Judged != c.judged || now.Refused != c.refused {
			t.Errorf("after trial %d: %d settled, %d judged, %d refused", i+1, now.Finished, now.Judged, now.Refused)
		}
	}
	trial("1-2-django", "django", 1, "")
	if now := s.Now(); now.Finished != 1 {
		t.Errorf("a trial that is taken again leaves %d settled", now.Finished)
	}
}

// window is a second of an agent, or a part of one.
func window(agent int, begin, length time.Duration, n int64) *record.Load {
	l := &record.Load{Agent: agent, Phase: 1, Window: stats.Window{Begin: begin, Length: length, Books: stats.Books{Planned: n, Sent: n, OK: n}, Service: stats.NewHistogram()}}
	l.Service.RecordN(time.Millisecond, n)
	return l
}

// A second is not shown before every agent has given its part: its rate would be too low. An agent that is gone holds up nothing
// for long.
func TestPartsOfASecondAreNotShown(t *testing.T) {
	s := New()
	put := func(agent int, second int) {
		s.Take(record.Item{Trial: "1-1-flask", Load: window(agent, time.Duration(second)*time.Second, time.Second, 500)})
	}
	shown := func() []float64 {
		var out []float64
		for _, series := range s.Block(1).Series {
			for _, p := range series.Points {
				out = append(out, p.OK)
			}
		}
		return out
	}
	put(0, 0)
	put(1, 0)
	put(0, 1)
	if got := shown(); !slices.Equal(got, []float64{1000}) {
		t.Errorf("with half of the second second: %v", got)
	}
	put(1, 1)
	if got := shown(); !slices.Equal(got, []float64{1000, 1000}) {
		t.Errorf("with all of it: %v", got)
	}
	for second := 2; second < 8; second++ {
		put(0, second)
	}
	if got := shown(); len(got) < 5 || got[0] != 1000 {
		t.Errorf("with one agent gone: %v", got)
	}
}

// Slices of 250 ms are one point a second of the target's own time: nothing flickers while another target has its turn.
func TestSlicesAreOneSecond(t *testing.T) {
	s := New()
	for slice := range 8 {
		aside := window(0, time.Duration(slice)*250*time.Millisecond, 50*time.Millisecond, 5)
		aside.Aside = true
		s.Take(record.Item{Trial: "1-1-flask", Load: aside})
		s.Take(record.Item{Trial: "1-1-flask", Load: window(0, time.Duration(slice)*250*time.Millisecond+50*time.Millisecond, 200*time.Millisecond, 100)})
	}
	series := s.Block(1).Series
	if len(series) != 1 || len(series[0].Points) != 2 || series[0].Points[0].OK != 500 || series[0].Points[1].OK != 500 {
		t.Errorf("got %+v", series)
	}
	if got := series[0].Sum.OK; got != 840 {
		t.Errorf("%d answers in all", got)
	}
}

// Whatever the length of a run, what is kept is bounded.
func TestMemoryIsBounded(t *testing.T) {
	s := New()
	for second := range 5 * mostBins {
		s.Take(record.Item{Trial: "1-1-flask", Load: window(0, time.Duration(second)*time.Second, time.Second, 300)})
		s.Take(record.Item{Trial: "1-1-flask", Series: &record.Series{At: recordtest.Epoch().Add(time.Duration(second) * time.Second), Phase: 1, Tier: "host", Name: "host", CPUNS: int64(second) * 1e9}})
	}
	series := s.Block(1).Series
	if n := len(series[0].Points); n > mostBins || n < mostBins/4 {
		t.Errorf("%d points", n)
	}
	for _, p := range series[0].Points[:len(series[0].Points)-1] {
		if p.OK != 300 {
			t.Fatalf("a point says %g/s", p.OK)
		}
	}
	if n := len(s.tiers.seconds); n != mostSeconds {
		t.Errorf("%d seconds of the tiers", n)
	}
	open := 0
	for _, b := range s.trials["1-1-flask"].phases[1].bins {
		if b.times != nil {
			open++
		}
	}
	if open > openBins {
		t.Errorf("%d points keep their histograms", open)
	}
	for i := range 200 {
		s.Take(record.Item{Trial: "1-1-flask", Load: &record.Load{Phase: 1, Window: stats.Window{Outcomes: map[string]int64{string(rune('a' + i)): 1}}}})
	}
	if n := len(s.trials["1-1-flask"].phases[1].outcomes); n > mostReplicas+1 {
		t.Errorf("%d outcomes", n)
	}
}

// Old blocks give way.
func TestOldBlocksGiveWay(t *testing.T) {
	s := New()
	for block := 1; s.points < mostPoints && block < 200; block++ {
		folder := string(rune('0'+block%10)) + "-1-x" + string(rune('a'+block%26)) + string(rune('a'+block/26))
		for second := range 1000 {
			s.Take(record.Item{Trial: folder, Load: window(0, time.Duration(second)*time.Second, time.Second, 1)})
		}
	}
	if s.points > mostPoints {
		t.Errorf("%d points", s.points)
	}
}

// When a run ends is known once a block is over.
func TestEndIsExpected(t *testing.T) {
	s := New()
	at := recordtest.Epoch()
	event := func(kind string, fields any) {
		raw, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		s.Take(record.Item{Event: &record.Event{At: at, Kind: kind, Fields: raw}})
	}
	run := record.Run{Name: "demo"}
	for block := 1; block <= 4; block++ {
		run.Order = append(run.Order, record.Place{Block: block, Position: 1, Target: "flask"})
	}
	event(record.EventRun, map[string]any{"run": run})
	event(record.EventBegun, record.Begun{Folder: "1-1-flask", Block: 1, Position: 1, Target: "flask", Attempt: 1})
	if !s.Now().Ends.IsZero() {
		t.Error("the end is known before any block is over")
	}
	at = at.Add(time.Minute)
	event(record.EventTrial, record.Proof{Folder: "1-1-flask", Block: 1, Position: 1, Target: "flask", Attempt: 1, Status: record.Valid})
	if got := s.Now().Ends.Sub(at); got != 3*time.Minute {
		t.Errorf("with a block of a minute, 3 to go: %v", got)
	}
}

// Of the thresholds of a plan those on a percentile are lines of a chart.
func TestObjectives(t *testing.T) {
	r := recordtest.Of(1, "flask")
	r.Plan("throughput", `"thresholds":["open: p99 < 50ms","closed: flask.p95 <= 0.2s","closed: throughput > 100","open: errors < 1%","open: p50 > 1ms"],"phases":[]`)
	got := followed(t, r.Write(t)).Head().Objectives
	want := []Objective{{"open: p99 < 50ms", "open", "", 99, 0.05}, {"closed: flask.p95 <= 0.2s", "closed", "flask", 95, 0.2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The medians so far are those of the report.
func TestMedians(t *testing.T) {
	r := planned(recordtest.Demo())
	r.Change = func(tr *record.Trial) {
		if tr.Block == 3 && tr.Target == "flask" {
			tr.Status, tr.Reasons = record.Invalid, []record.Reason{{Code: record.CodeAgentLost, Text: "silent"}}
		}
	}
	got, seconds := followed(t, r.Write(t)).Medians()
	want := []Median{{"django", 3, 1020, false}, {"flask", 2, 1415, false}, {"fastapi", 3, 1220, false}}
	if seconds || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A stage has its name, its rate for each target and its objective, from the event that begins it; the phase of a pilot is called so.
func TestStagesHaveNames(t *testing.T) {
	r := recordtest.Of(1, "flask", "fastapi")
	r.Head.Order = append([]record.Place{{Block: 0, Position: 1, Target: "flask"}}, r.Head.Order...)
	r.Plan("capacity", `"phases":[{"name":"closed","model":"closed","duration":"4s"}]`)
	w := r.Begin(t)
	window := func(tw *record.TrialWriter, number int) {
		t.Helper()
		l := recordtest.Window(rand.New(rand.NewPCG(1, 1)), record.Phase{Number: number, Started: recordtest.Epoch()}, 0, 0, 10, []record.Replica{{Name: "x-1"}})
		if err := tw.Load(l); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(block int, target string) *record.TrialWriter {
		t.Helper()
		tw, err := w.BeginTrial(block, 1, target, 1)
		if err != nil {
			t.Fatal(err)
		}
		return tw
	}
	say := func(block int, target string, stage record.StageBegun) {
		t.Helper()
		if err := w.Progress(record.Progress{Block: block, Attempt: 1, Target: target, Text: stage.Name, Stage: &stage}); err != nil {
			t.Fatal(err)
		}
	}
	pilot := begin(0, "flask")
	window(pilot, 1000)
	say(0, "flask", record.StageBegun{Phase: 2000, Name: "search-1", DurationS: 10, Percentile: 99, BoundS: 0.05, Rates: map[string]float64{"flask": 700}})
	window(pilot, 2000)
	one, two := begin(1, "flask"), begin(1, "fastapi")
	say(1, "flask", record.StageBegun{Phase: 2, Name: "stage-1", DurationS: 12, Percentile: 99, BoundS: 0.05, Rates: map[string]float64{"flask": 800, "fastapi": 900}})
	window(one, 2)
	window(two, 2)
	window(two, 3) // nobody has said what it is
	s := followed(t, w.Dir())
	var got []Phase
	for _, block := range []int{0, 1} {
		for _, series := range s.Block(block).Series {
			got = append(got, series.Phase)
		}
	}
	want := []Phase{
		{Number: 1000, Name: "pilot", Model: "closed"},
		{Number: 2000, Name: "search-1", Model: "open", DurationS: 10, Rate: 700, Stage: true},
		{Number: 2, Name: "stage-1", Model: "open", DurationS: 12, Rate: 800, Stage: true},
		{Number: 2, Name: "stage-1", Model: "open", DurationS: 12, Rate: 900, Stage: true},
		{Number: 3, Name: "phase 3"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Phase{})); diff != "" {
		t.Error(diff)
	}
	lines := []Objective{{Text: "p99 <= 50.0 ms", Phase: "search-1", P: 99, Seconds: 0.05}, {Text: "p99 <= 50.0 ms", Phase: "stage-1", P: 99, Seconds: 0.05}}
	if diff := cmp.Diff(lines, s.Head().Objectives); diff != "" {
		t.Error(diff)
	}
	if u := s.Changed(); u.Head == nil || len(u.Head.Objectives) != 2 {
		t.Errorf("the page is not told of the objectives: %+v", u.Head)
	}
}

// Medians are those of lookups through what is before the replicas, whatever other phases come first.
func TestMediansOfLookups(t *testing.T) {
	r := recordtest.Of(2, "flask")
	r.Plan("throughput", `"phases":[{"name":"other","model":"closed","duration":"4s","ask":"ping"},{"name":"direct","model":"closed","duration":"4s","direct":true},{"name":"closed","model":"closed","duration":"4s"}]`)
	if got, _ := followed(t, r.Write(t)).Medians(); len(got) != 1 || got[0].Blocks != 0 {
		t.Errorf("%v, want none: the third phase has no answers yet", got)
	}
}

// slow is a second of an agent in which a share of the requests timed out after 10 s, by a load engine that measures service times only.
func slow(second, n, timeouts int64) *record.Load {
	l := &record.Load{Phase: 1, Window: stats.Window{
		Begin: time.Duration(second) * time.Second, Length: time.Second, Service: stats.NewHistogram(),
		Books: stats.Books{Planned: n, Sent: n, OK: n - timeouts, Timeout: timeouts},
	}}
	l.Service.RecordN(time.Millisecond, n-timeouts)
	for range timeouts {
		l.Service.RecordOver(10 * time.Second)
	}
	return l
}

// openPhase is a run with one open phase; only its plan is known.
func openPhase(t *testing.T, more string) *State {
	t.Helper()
	r := recordtest.Of(1, "flask")
	r.Plan("p99 at rate", `"phases":[{"name":"open","model":"open","rate":300,"duration":"4s"}]`+more)
	raw, err := json.Marshal(map[string]any{"run": r.Head})
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	s.Take(record.Item{Event: &record.Event{Kind: record.EventRun, Fields: raw}})
	return s
}

// What a load engine does not measure is no 0, and its times are called service times. A part that lacks it takes it from the whole.
func TestUnmeasuredIsNotZero(t *testing.T) {
	for name, c := range map[string]struct {
		without []int64
		want    []bool // whether lateness is known, by second
	}{
		"JMeter":     {[]int64{0, 1}, []bool{false, false}},
		"one second": {[]int64{1}, []bool{true, false}},
		"our own":    {nil, []bool{true, true}},
	} {
		s := openPhase(t, "")
		for second := range int64(2) {
			for agent := range 2 {
				l := slow(second, 300, 0)
				l.Agent = agent
				if agent == 0 || !slices.Contains(c.without, second) {
					l.Lateness, l.Response, l.Books.Late = stats.NewHistogram(), l.Service, 3
					l.Lateness.RecordN(time.Millisecond, 300)
				}
				s.Take(record.Item{Trial: "1-1-flask", Load: l})
			}
		}
		u := s.Block(1)
		one := u.Series[0]
		for i, p := range one.Points {
			if known := p.Late != nil; known != c.want[i] || known && *p.Late != 0.01 {
				t.Errorf("%s, second %d: late %v", name, i, p.Late)
			}
		}
		all := len(c.without) == 0
		if (one.Sum.Late != nil) != all || one.Service == all || len(one.Points) != 2 {
			t.Errorf("%s: sum %v, service times %t, %d points", name, one.Sum.Late, one.Service, len(one.Points))
		}
		if got := u.Agents[1].Late; (got != nil) != c.want[1] || u.Agents[0].Late == nil {
			t.Errorf("%s: agent 1 is late by %v", name, got)
		}
	}
}

// A time among time-outs is a lower bound wherever it goes: in its point, in what two points are joined to, in the phase so far and in
// the medians.
func TestTimeoutsAreLowerBounds(t *testing.T) {
	s := openPhase(t, "")
	put := func(second, timeouts int64) {
		s.Take(record.Item{Trial: "1-1-flask", Load: slow(second, 12_000, timeouts)})
	}
	put(0, 240)
	u := s.Block(1)
	p := u.Series[0].Points[0]
	if want := []bool{false, false, false, true, false}; !slices.Equal(p.Over[:4], want[:4]) || *p.Times[3] != 10 || *p.Times[2] > 0.1 {
		t.Errorf("with 2 %% of time-outs: %v, times %v", p.Over, *p.Times[3])
	}
	if last := s.Now().Last; !slices.Equal(last.SoFarOver, last.Over) {
		t.Errorf("the phase so far: %v", last.SoFarOver)
	}
	ten, one := 10.0, 0.001
	exact, bound := Point{Times: []*float64{&one}}, Point{Times: []*float64{&ten}, Over: []bool{true}}
	joined := Point{Times: []*float64{&one}}
	if joined.slower(bound); !joined.Over[0] || *joined.Times[0] != 10 {
		t.Errorf("joined with a lower bound: %v", joined.Over)
	}
	if joined.slower(exact); !joined.Over[0] || *joined.Times[0] != 10 {
		t.Errorf("a lower bound joined with less: %v", joined.Over)
	}
	longer := 11.0
	if joined.slower(Point{Times: []*float64{&longer}}); joined.Over[0] || *joined.Times[0] != 11 {
		t.Errorf("a lower bound joined with more: %v %v", joined.Over, *joined.Times[0])
	}
	for second := range int64(4) {
		put(second, 9000)
	}
	raw, err := json.Marshal(record.Proof{Folder: "1-1-flask", Block: 1, Position: 1, Target: "flask", Attempt: 1, Status: record.Valid})
	if err != nil {
		t.Fatal(err)
	}
	s.Take(record.Item{Event: &record.Event{Kind: record.EventTrial, Fields: raw}})
	if got, seconds := s.Medians(); !seconds || len(got) != 1 || !got[0].Over || got[0].Value != 10 {
		t.Errorf("medians: %v", got)
	}
}

// Where one of the two blocks in the middle is a lower bound, the other one is all that is known.
func TestMedianOfLowerBounds(t *testing.T) {
	for _, c := range []struct {
		of   []middle
		want middle
	}{
		{[]middle{{3, false}, {1, false}}, middle{2, false}},
		{[]middle{{10, true}, {1, false}, {2, false}}, middle{2, false}},
		{[]middle{{10, true}, {1, false}}, middle{1, true}},
		{[]middle{{10, true}, {10, true}, {11, false}}, middle{10, true}},
	} {
		if got := median(slices.Clone(c.of)); got != c.want {
			t.Errorf("%v: %v, want %v", c.of, got, c.want)
		}
	}
}

// When the clock is set back by ten minutes, in a trial or before the next block, the tiers go on. The trials of a block have the same
// times and may come one after another: that is no clock that was set back. A process with one sample has no cores yet.
func TestClockSetBack(t *testing.T) {
	for name, folders := range map[string][2]string{"in a trial": {"1-1-flask", "1-1-flask"}, "before the next block": {"1-1-flask", "2-1-flask"}} {
		s := New()
		at := recordtest.Epoch()
		sample := func(folder string, n int, cores float64) {
			for i := range n {
				s.Take(record.Item{Trial: folder, Series: &record.Series{At: at, Phase: 1, Tier: "database", Name: "mariadb", CPUNS: int64(float64(i) * cores * 1e9)}})
				at = at.Add(time.Second)
			}
		}
		sample(folders[0], 1, 1)
		if m := s.Block(1).Members; len(m) != 1 || m[0].Cores != nil {
			t.Errorf("%s: with one sample: %+v", name, m)
		}
		sample(folders[0], mostSeconds, 1)
		at = at.Add(-10 * time.Minute)
		sample(folders[1], 20, 2)
		u := s.Block(1)
		if m := u.Members; len(m) != 1 || m[0].Cores == nil || *m[0].Cores != 2 {
			t.Errorf("%s: members: %+v", name, m)
		}
		if last := u.Seconds[len(u.Seconds)-1]; !last.At.Equal(at.Add(-2*time.Second)) || last.Cores["database"] != 2 {
			t.Errorf("%s: the last second is %v with %v, want that of %v", name, last.At, last.Cores, at.Add(-2*time.Second))
		}
	}
	s := New()
	for _, folder := range []string{"1-1-flask", "1-2-django"} {
		for second := range 60 {
			s.Take(record.Item{Trial: folder, Series: &record.Series{At: recordtest.Epoch().Add(time.Duration(second) * time.Second), Phase: 1, Tier: "target", Name: folder, CPUNS: int64(second) * 1e9}})
		}
	}
	u := s.Block(1)
	if len(u.Members) != 2 || len(u.Seconds) != 59 || u.Seconds[58].Cores["target"] != 2 {
		t.Errorf("two trials of a block, one after another: %d members, %d seconds, %v", len(u.Members), len(u.Seconds), u.Seconds[len(u.Seconds)-1].Cores)
	}
}
