package figures

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// TestFollowed compares the figures of windows that were followed with those of the whole reading: also where a window is
// aside, and where one ends after the load.
func TestFollowed(t *testing.T) {
	r := recordtest.Demo()
	r.Change = func(tr *record.Trial) {
		for i := range tr.Phases {
			tr.Phases[i].DurationS -= 0.5
		}
	}
	w := r.Begin(t)
	r.Whole(t, w)
	inTurns(t, w)
	if err := w.Finish(record.Complete, ""); err != nil {
		t.Fatal(err)
	}
	read, err := record.Open(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	phases := 0
	for _, state := range read.Trials() {
		want, raw, err := readTrial(state)
		if err != nil {
			t.Fatal(err)
		}
		var followed Followed
		for l, err := range state.Loads() {
			if err != nil {
				t.Fatal(err)
			}
			followed.Add(&l)
		}
		got := followed.Trial(raw)
		for i, w := range want.Phases {
			g := got.Phases[i]
			if diff := cmp.Diff(asWritten(w), asWritten(g)); diff != "" {
				t.Errorf("%s, %s: read again and followed differ:\n%s", state.Folder, w.Name, diff)
			}
			if w.Goodput == 0 || w.Goodput >= w.Achieved {
				t.Errorf("%s, %s: no window ends after the load: goodput %v, achieved %v", state.Folder, w.Name, w.Goodput, w.Achieved)
			}
			phases++
		}
		if len(got.Phases) != len(want.Phases) || got.Status != want.Status || got.Block != want.Block {
			t.Errorf("%s: %d phases, want %d", state.Folder, len(got.Phases), len(want.Phases))
		}
	}
	if phases < 20 {
		t.Errorf("%d phases", phases)
	}
}

// inTurns writes a trial; every third of its windows is aside.
func inTurns(t *testing.T, w *record.Writer) {
	t.Helper()
	tw, err := w.BeginTrial(1, 9, "django", 2)
	if err != nil {
		t.Fatal(err)
	}
	p := record.Phase{Number: 1, Name: "closed", Model: "closed", DurationS: 8.5, TimeoutS: 10, Started: recordtest.Epoch(), Turns: &record.PhaseTurns{}}
	rng := rand.New(rand.NewPCG(1, 2))
	for second := range 9 {
		l := recordtest.Window(rng, p, second, 0, 100, []record.Replica{{Name: "django-1"}})
		l.Aside = second%3 == 0
		if err := tw.Load(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{p}}); err != nil {
		t.Fatal(err)
	}
}

// asWritten is what of a phase comes from its windows and from trial.json.
func asWritten(f PhaseFigures) map[string]any {
	return map[string]any{
		"books": f.Books, "outcomes": f.Outcomes, "witness": f.Witness, "replicas": f.Replicas, "length": time.Duration(f.DurationS * 1e9),
		"response": f.Response, "service": f.Service, "lateness": f.Lateness,
		"rates": fmt.Sprint(f.Offered, f.Achieved, f.Goodput, f.Imbalance, f.Opened, f.Checked, f.Hits, f.Misses),
	}
}
