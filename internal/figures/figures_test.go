package figures

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with testdata/name, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		check(t, os.MkdirAll("testdata", 0o755))
		check(t, os.WriteFile(path, got, 0o644))
	}
	want := must[[]byte](t)(os.ReadFile(path))
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// build computes the figures of a run directory.
func build(t *testing.T, dir string) *Summary {
	t.Helper()
	return must[*Summary](t)(Build(must[*record.Reader](t)(record.Open(dir))))
}

// open reads what was written.
func open(t *testing.T, w *record.Writer) *Summary {
	t.Helper()
	return build(t, w.Dir())
}

// one is a run of one target and one block, with what a pilot found.
func one() *recordtest.Run {
	r := recordtest.Of(1, "django")
	r.Rate = func(_ string, block int) int { return 1000 + 10*block }
	r.Head.Pilot = recordtest.Demo().Head.Pilot
	return r
}

// summary.json of a run of one target and one block, so that the file can be read.
func TestSummaryJSON(t *testing.T) {
	s := one()
	w := s.Begin(t)
	s.Trial(t, w, 1, 1, "django", 1, nil)
	check(t, w.Update(func(r *record.Run) { r.Ended = recordtest.Epoch().Add(4 * time.Minute) }))
	check(t, w.Finish(record.Complete, ""))
	golden(t, "one.json", append(must[[]byte](t)(json.MarshalIndent(open(t, w), "", " ")), '\n'))
}

// What is in no statistic changes no statistic: the pilot, invalid, aborted, damaged and unfinished trials.
func TestOnlyValidTrialsCount(t *testing.T) {
	want, got := build(t, recordtest.Plain(t)), build(t, recordtest.Spoiled(t))
	if diff := cmp.Diff(want.Phases, got.Phases); diff != "" {
		t.Errorf("figures (-only valid trials +all):\n%s", diff)
	}
	type left struct {
		block            int
		target           string
		attempt          int
		status, repeated string
	}
	var out []left
	for _, u := range got.Unusable {
		out = append(out, left{u.Block, u.Target, u.Attempt, u.Status, u.Repeated})
	}
	if diff := cmp.Diff([]left{
		{2, "django", 1, "invalid", "valid in attempt 2"},
		{3, "flask", 1, "damaged", "not repeated"},
		{3, "fastapi", 1, "unfinished", "not repeated"},
		{3, "django", 1, "aborted", "not repeated"},
	}, out, cmp.AllowUnexported(left{})); diff != "" {
		t.Errorf("in no statistic (-want +got):\n%s", diff)
	}
	if got.Run.Planned != 9 || got.Run.Finished != 6 || len(got.Pilot) != 3 {
		t.Errorf("%d planned, %d finished, %d of the pilot", got.Run.Planned, got.Run.Finished, len(got.Pilot))
	}
}

// Every figure of one phase, against a second way of computing it.
func TestFigures(t *testing.T) {
	s := one()
	w := s.Begin(t)
	s.Trial(t, w, 1, 1, "django", 1, nil)
	check(t, w.Finish(record.Complete, ""))
	r := must[*record.Reader](t)(record.Open(w.Dir()))
	state := r.Trials()[0]
	pooled := stats.NewHistogram()
	for l, err := range state.Loads() {
		check(t, err)
		if l.Phase == 1 {
			pooled.Merge(l.Service)
		}
	}
	summary := must[*Summary](t)(Build(r))
	f := summary.Trials[0].Phases[0]
	p := summary.Phases[0].Targets[0]
	// 1010 per second for 4 s by two agents; replicas use 0.4 cores each, for 4 s.
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("planned", float64(f.Books.Planned), 4040)
	near("goodput", f.Goodput, 1010)
	near("offered", f.Offered, 1010)
	near("p50", f.Service[0].Seconds, pooled.Percentile(50).Value.Seconds())
	near("p95", f.Service[2].Seconds, pooled.Percentile(95).Value.Seconds())
	near("needs for p99", float64(f.Service[3].Needs), 10000)
	near("has for p99", float64(f.Service[3].Has), 4040)
	near("cores of the target", p.Tier("target").Cores.Median, 0.8)
	near("CPU per answer", p.Tier("target").PerReqS.Median, 0.8*4/4040)
	near("memory of the target", p.Tier("target").Memory.Median, 180e6)
	near("cores of the busiest worker", p.Replicas[0].WorkerCores[0].Median, 0.3)
	near("connections of the busiest worker", p.Replicas[0].Connections[0].Median, 10)
	near("reads per request", p.Reads.Median, 1)
	near("rollbacks per request", p.Others["rollback"].Median, 0.5)
	near("hit ratio", float64(p.Hits)/float64(p.Hits+p.Misses), 2*4*252.0/4040)
	near("share of the first replica", f.Replicas[0].Share, 2*4*253.0/4040)
	near("imbalance", f.Imbalance, 2*2*4*253.0/4040)
	near("useful time", summary.Time.Useful, 8.0/240)
}

// Answers that come after sending has ended count in the books, not in the throughput.
func TestLateAnswersAreNoThroughput(t *testing.T) {
	s := one()
	w := s.Begin(t)
	tw := must[*record.TrialWriter](t)(w.BeginTrial(1, 1, "django", 1))
	phase := record.Phase{Number: 1, Name: "closed", Model: "closed", Connections: 2, DurationS: 2, TimeoutS: 10, Started: recordtest.Epoch(), Ended: recordtest.Epoch().Add(5 * time.Second)}
	for _, second := range []int{0, 1, 4} {
		check(t, tw.Load(record.Load{Phase: 1, Window: stats.Window{Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: 10, Sent: 10, OK: 10}}}))
	}
	check(t, tw.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{phase}}))
	f := open(t, w).Trials[0].Phases[0]
	if f.Goodput != 10 || f.Books.OK != 30 {
		t.Errorf("goodput %v, books %+v", f.Goodput, f.Books)
	}
	check(t, w.Close())
}

// A phase sends for as long as it lasts, to the nanosecond, whatever its duration is as a float of seconds.
func TestSendingIsWhole(t *testing.T) {
	for n := range 5000 {
		whole := time.Duration(n+1) * 1234567 * time.Nanosecond
		p := record.Phase{DurationS: whole.Seconds(), Turns: &record.PhaseTurns{SliceS: whole.Seconds()}}
		if f := newFigures(p); f.totals.Sending != whole {
			t.Fatalf("a phase of %v sends for %v", whole, f.totals.Sending)
		}
		if step := newTimes(p).step; step != whole {
			t.Fatalf("a point of %v holds windows of %v", step, whole)
		}
	}
}

// What a loader did not measure is neither 0 nor a want of requests.
func TestWhatWasNotMeasured(t *testing.T) {
	f := build(t, recordtest.Unmeasured(t)).Trials[0].Phases[0]
	if f.Agents != nil || !f.Response[0].Unmeasured || !f.Lateness[0].Unmeasured || f.Service[0].Unmeasured || f.Service[0].Seconds == 0 {
		t.Errorf("agents %+v, response %+v, lateness %+v, service %+v", f.Agents, f.Response[0], f.Lateness[0], f.Service[0])
	}
	if answered, silent := f.Replicas[0].Service[0], f.Replicas[1].Service[0]; !answered.Unmeasured || silent.Unmeasured {
		t.Errorf("replica that answered: %+v; one that did not: %+v", answered, silent)
	}
}

// Of running servers nobody but the agents counted anything.
func TestServersHaveNoWitness(t *testing.T) {
	s := build(t, recordtest.Servers(t, "127.0.0.1:8080", "[::1]:8081"))
	if p := s.Phases[0].Targets[0]; p.Reads.N != 0 || p.ReadsTotal != 0 || p.DBConnections.N != 0 {
		t.Errorf("nobody counted, but reads are %+v, %d and connections %+v", p.Reads, p.ReadsTotal, p.DBConnections)
	}
	if per := s.Trials[0].Phases[0].Witness.ReadsPerRequest; per != 0 {
		t.Errorf("%v reads per request", per)
	}
	data := must[[]byte](t)(json.Marshal(s))
	for _, no := range []string{`"database":`, `"balancer":`, `"dataset":`, `"recipe":`, `"replicas":`, `"pool":`} {
		if strings.Contains(string(data), no) {
			t.Errorf("summary.json holds %s", no)
		}
	}
}

// Servers elsewhere do not share the cores of the agents.
func TestHeadlineOfServersElsewhere(t *testing.T) {
	for want, addresses := range map[string][]string{
		"1 block of 2 s of 2 running servers, loaded from 2 cores: old and new": {"127.0.0.1:8080", "10.0.0.1:80"},
		"1 block of 2 s of 1 running server on 2 shared cores: old":             {"127.9.9.9:80"},
	} {
		if got := build(t, recordtest.Servers(t, addresses...)).Headline; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
