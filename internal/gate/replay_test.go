package gate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// window is a second in which each of n requests took 5 ms and was taken up late by so much.
func window(n int64, late time.Duration) stats.Window {
	w := stats.Window{
		Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: n}, InFlight: new(0.005 * float64(n)),
		Lateness: stats.NewHistogram(), Service: stats.NewHistogram(), Response: stats.NewHistogram(),
		Resources: &stats.Resources{Cores: 2, Stopped: int64(late)},
	}
	w.Lateness.RecordN(late, n)
	w.Service.RecordN(5*time.Millisecond, n)
	w.Response.RecordN(5*time.Millisecond+late, n)
	return w
}

// spoilt are the phases of one trial: each breaks another rule, and one was cut short.
func spoilt() (phases []record.Phase, windows []stats.Window) {
	add := func(name string, reads int64, unjudged bool, w stats.Window) {
		phases = append(phases, record.Phase{
			Number: len(phases) + 1, Name: name, Model: "open", DurationS: 1, Unjudged: unjudged,
			Witness: record.Witness{DatabaseReads: reads, BalancerTotal: 1000},
		})
		windows = append(windows, w)
	}
	add("good", 1000, false, window(1000, 0))
	add("late", 1000, false, window(1000, 3*time.Millisecond))
	lost := window(1000, 0)
	lost.Books.OK--
	add("books", 1000, false, lost)
	add("witness", 999, false, window(1000, 0))
	little := window(1000, 0)
	little.InFlight = new(7.5)
	add("little", 1000, false, little)
	wrong := window(1000, 0)
	wrong.Books.OK, wrong.Books.Bad, wrong.Outcomes = 900, 100, map[string]int64{"wrong id": 60, "status 500": 40}
	add("wrong", 1000, false, wrong)
	add("late and stolen", 1000, false, window(1000, 3*time.Millisecond))
	add("cut", 0, true, window(500, 0))
	return phases, windows
}

// A reader of the record finds the reasons and warnings that the run found, word for word, and no others.
func TestReplay(t *testing.T) {
	began := time.Now()
	writer, err := record.Create(t.TempDir(), record.Run{Name: "replay"}, []byte("name: replay\n"), []byte("name: replay\n"), began)
	must(t, err)
	rest := record.Baseline{At: began, Disturbance: record.Disturbance{Foreign: 0.02, Steal: 0.01}}
	must(t, writer.Update(func(run *record.Run) { run.Baselines = []record.Baseline{rest} }))
	lines, err := writer.BeginTrial(1, 1, "django", 1)
	must(t, err)
	trial := record.Trial{
		Format: record.FormatVersion, Block: 1, Position: 1, Target: "django", Attempt: 1, Status: record.Invalid,
		Started: began.Add(time.Second), Ended: began.Add(time.Minute),
	}
	at, others, steal := began, time.Duration(0), time.Duration(0)
	phases, windows := spoilt()
	for i, p := range phases {
		live := gate.NewPhase(p)
		put := func(s record.Series) {
			s.At, s.Phase = at, p.Number
			must(t, lines.Series(s))
			live.Series(s)
		}
		host := func() {
			put(record.Series{Tier: "host", Name: "host", Values: map[string]float64{
				"cpus": 2, "user_ns": float64(others), "steal_ns": float64(steal), "idle_ns": 2*float64(at.Sub(began)) - float64(others+steal),
			}})
		}
		host()
		at = at.Add(time.Second)
		others += time.Duration(i+1) * 60 * time.Millisecond // from 3 % of two CPUs to 21 %
		steal += time.Duration(i) * 30 * time.Millisecond    // up to 9 %
		host()
		must(t, lines.Load(record.Load{Agent: 1, Epoch: 1, Sequence: int64(i + 1), Phase: p.Number, Window: windows[i]}))
		live.Load(1, windows[i])
		trial.Phases = append(trial.Phases, p)
		if !p.Unjudged {
			found := live.Judge(&rest)
			trial.Reasons = append(trial.Reasons, found.Reasons...)
			trial.Warnings = append(trial.Warnings, found.Warnings...)
		}
	}
	must(t, lines.Finish(trial))
	must(t, writer.Finish(record.Complete, ""))

	reader, err := record.Open(writer.Dir())
	must(t, err)
	state := reader.Trials()[0]
	kept, err := state.Trial()
	must(t, err)
	got, err := gate.Replay(kept, state.Loads(), state.Series(), gate.Baseline(reader.Run(), kept.Started))
	must(t, err)
	if diff := cmp.Diff(trial.Reasons, got.Reasons); diff != "" {
		t.Errorf("reasons: -recorded +computed\n%s", diff)
	}
	if diff := cmp.Diff(trial.Warnings, got.Warnings); diff != "" {
		t.Errorf("warnings: -recorded +computed\n%s", diff)
	}
	for _, code := range []string{"books", "witness", "littles-law", "wrong-answers", "generator-limited", "disturbed-host"} {
		if !gate.Decides(code) || !slices.ContainsFunc(got.Reasons, func(r record.Reason) bool { return r.Code == code }) {
			t.Errorf("no phase broke the rule of %s: %+v", code, got.Reasons)
		}
	}
	if len(got.Warnings) == 0 {
		t.Error("nothing was worth a warning")
	}
}

// The last baseline before a trial counts for it; without one what others did is not judged.
func TestBaseline(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	run := record.Run{Baselines: []record.Baseline{{At: at, Seconds: 1}, {At: at.Add(time.Hour), Seconds: 2}}}
	for after, want := range map[time.Duration]float64{0: 1, time.Minute: 1, time.Hour: 2, 2 * time.Hour: 2} {
		if got := gate.Baseline(run, at.Add(after)); got == nil || got.Seconds != want {
			t.Errorf("after %v: %+v", after, got)
		}
	}
	if got := gate.Baseline(run, at.Add(-time.Second)); got != nil {
		t.Errorf("before the first: %+v", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A real run of format 1, of when neither the baseline nor Little's law was looked at, is as good as it was said to be.
func TestReplayOfARealRun(t *testing.T) {
	reader, err := record.Open("../record/testdata/format-1")
	must(t, err)
	phases := 0
	for _, state := range reader.Trials() {
		trial, err := state.Trial()
		must(t, err)
		if gate.Baseline(reader.Run(), trial.Started) != nil {
			t.Error("format 1 has no baseline")
		}
		got, err := gate.Replay(trial, state.Loads(), state.Series(), nil)
		must(t, err)
		if trial.Status != record.Valid || len(got.Reasons)+len(got.Warnings) > 0 {
			t.Errorf("trial %d of %s was %s: %+v", trial.Block, trial.Target, trial.Status, got)
		}
		got, err = gate.Replay(trial, state.Loads(), state.Series(), &record.Baseline{})
		must(t, err)
		for _, r := range got.Reasons {
			if r.Code != record.CodeDisturbedHost { // the machine was shared by several people
				t.Errorf("trial %d of %s: %+v", trial.Block, trial.Target, r)
			}
		}
		phases += len(trial.Phases)
	}
	if phases < 4 {
		t.Errorf("only %d phases", phases)
	}
}
