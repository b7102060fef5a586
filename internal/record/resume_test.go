package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestResumeRefusesAChangedPlan(t *testing.T) {
	dir := smallRunIn(t, false)
	before := files(t, dir)
	_, _, err := Resume(dir, "beef", began)
	var changed *PlanChangedError
	if !errors.As(err, &changed) || changed.Recorded != smallDigest || changed.Given != "beef" || changed.Dir != dir {
		t.Fatalf("resume: %v", err)
	}
	if diff := cmp.Diff(before, files(t, dir)); diff != "" {
		t.Errorf("a refused resume changed the directory: %s", diff)
	}
	w, _, err := Resume(dir, smallDigest, began) // and it leaves no lock behind
	check(t, err)
	check(t, w.Close())
}

func TestResumeRefusesWhileWritten(t *testing.T) {
	w, err := Create(t.TempDir(), smallRun(), nil, nil, began)
	check(t, err)
	if !mustOpen(t, w.Dir()).Live() {
		t.Error("a run being written is not live")
	}
	if _, _, err := Resume(w.Dir(), smallDigest, began); !errors.Is(err, ErrInUse) {
		t.Errorf("resume: %v", err)
	}
	check(t, w.Close())
	if mustOpen(t, w.Dir()).Live() {
		t.Error("a closed run is live")
	}
}

func TestResumeRefusesACompleteRun(t *testing.T) {
	if _, _, err := Resume(smallRunIn(t, true), smallDigest, began); !errors.Is(err, ErrComplete) {
		t.Errorf("resume: %v", err)
	}
}

// An aborted run goes on: the aborted trial is repeated, the invalid one and its valid repeat hold their place.
func TestResumeAfterAbort(t *testing.T) {
	w, err := Create(t.TempDir(), smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	check(t, err)
	check(t, writeTrial(w, Place{0, 1, "a"}, 1, Valid))
	check(t, writeTrial(w, Place{1, 1, "b"}, 1, Invalid))
	check(t, writeTrial(w, Place{1, 2, "a"}, 1, Valid))
	check(t, writeTrial(w, Place{1, 3, "b"}, 2, Valid)) // the repeat, at the end of its block
	check(t, writeTrial(w, Place{2, 1, "a"}, 1, TrialAborted))
	started, err := w.BeginTrial(2, 2, "b", 1)
	check(t, err)
	check(t, started.Abandon("interrupted"))
	check(t, w.Finish(Aborted, "interrupted"))
	dir := w.Dir()

	r := mustOpen(t, dir)
	if run := r.Run(); run.Status != Aborted || run.Reason != "interrupted" || len(r.Problems()) > 0 {
		t.Errorf("status %s (%s), problems %v", run.Status, run.Reason, r.Problems())
	}
	if diff := cmp.Diff([]string{"2-2-b"}, states(r, Unfinished)); diff != "" {
		t.Error(diff)
	}
	w, left, err := Resume(dir, smallDigest, began.Add(time.Hour))
	check(t, err)
	if diff := cmp.Diff([]Place{{2, 1, "a"}, {2, 2, "b"}}, left); diff != "" {
		t.Error(diff)
	}
	if run := w.Run(); run.Status != Incomplete || run.Reason != "" || !run.Ended.IsZero() {
		t.Errorf("resumed run is %s (%s), ended %v", run.Status, run.Reason, run.Ended)
	}
	s := &story{disk: w.disk, dir: dir}
	check(t, s.goOn(w, left))
	r = mustOpen(t, dir)
	want := []string{"0-1-a", "1-1-b", "1-2-a", "1-3-b.2", "2-1-a", "2-2-b"}
	if diff := cmp.Diff(want, states(r, Finished)); diff != "" {
		t.Error(diff)
	}
	if len(r.Problems()) > 0 || len(r.Trials()) != len(want) {
		t.Errorf("problems %v, trials %v", r.Problems(), r.Trials())
	}
	kinds := map[string]int{}
	for i, e := range eventsOf(t, dir) {
		kinds[e.Kind]++
		if e.Sequence != int64(i+1) {
			t.Errorf("event %d has the number %d", i+1, e.Sequence)
		}
	}
	if kinds[EventResumed] != 1 || kinds[EventFinished] != 2 || kinds[EventAbandoned] != 1 || kinds[EventTrial] != 7 {
		t.Errorf("events: %v", kinds)
	}
}

// A run that goes on does not hide what was damaged before.
func TestResumeKeepsTheSealOfThePlan(t *testing.T) {
	dir := smallRunIn(t, false)
	check(t, os.WriteFile(filepath.Join(dir, planFile), []byte("name: other # as given\n"), 0o600))
	w, _, err := Resume(dir, smallDigest, began)
	check(t, err)
	check(t, w.Finish(Aborted, "test"))
	problems := mustOpen(t, dir).Problems()
	if len(problems) != 1 || problems[0].File != planFile {
		t.Errorf("problems: %v", problems)
	}
}

func TestList(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	if l, err := List(root); err != nil || l != nil {
		t.Errorf("a missing folder lists %v, %v", l, err)
	}
	s := &story{disk: &disk{}}
	check(t, s.begin(root))
	w, err := Create(root, smallRun(), nil, nil, began.Add(time.Hour))
	check(t, err)
	check(t, writeTrial(w, Place{1, 1, "b"}, 1, Invalid))
	check(t, writeTrial(w, Place{1, 3, "b"}, 2, Valid))
	check(t, os.MkdirAll(filepath.Join(root, "zz-empty"), 0o700))
	l, err := List(root)
	check(t, err)
	if len(l) != 3 {
		t.Fatalf("listed %+v", l)
	}
	if d := l[0]; d.Status != Complete || d.Live || d.Finished != 5 || d.Planned != 5 || d.Name != "small" || d.Problem != "" {
		t.Errorf("complete run is listed as %+v", d)
	}
	if d := l[1]; d.Status != Incomplete || !d.Live || d.Finished != 1 {
		t.Errorf("run under way is listed as %+v", d)
	}
	if d := l[2]; !strings.Contains(d.Problem, "no run here") {
		t.Errorf("empty folder is listed as %+v", d)
	}
	check(t, w.Close())
}

// What a resumed run moved aside is no damage, neither before it is begun again nor while it is under way.
func TestMovedAsideIsNoDamage(t *testing.T) {
	dir := smallRunIn(t, false)
	w, left, err := Resume(dir, smallDigest, began)
	check(t, err)
	check(t, writeTrial(w, left[0], 1, TrialAborted))
	check(t, w.Close())
	w, _, err = Resume(dir, smallDigest, began)
	check(t, err)
	defer w.Close()
	if p := mustOpen(t, dir).Problems(); len(p) > 0 {
		t.Errorf("moved aside: %v", p)
	}
	check(t, os.WriteFile(filepath.Join(dir, trialsFolder, "1-1-b", loadFile), nil, fileMode)) // damaged
	check(t, w.Close())
	w, left, err = Resume(dir, smallDigest, began)
	check(t, err)
	for _, p := range left[:2] {
		_, err := w.BeginTrial(p.Block, p.Position, p.Target, 1)
		check(t, err)
	}
	r := mustOpen(t, dir)
	if diff := cmp.Diff([]string{"1-1-b", "2-1-a"}, states(r, Unfinished)); diff != "" || len(r.Problems()) > 0 || len(left) != 3 {
		t.Errorf("under way: problems %v, left %v\n%s", r.Problems(), left, diff)
	}
	check(t, w.Close())
}
