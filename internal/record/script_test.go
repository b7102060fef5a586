package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/stats"
)

// The small run that the tests write, break and resume: two blocks of two
// targets, each trial with two lines of load, one of series and one log.

var began = time.Date(2026, 11, 23, 6, 30, 0, 0, time.UTC)

const (
	smallDigest = "feed"
	smallGiven  = "name: small # as given\n"
	smallWhole  = "name: small\nblocks: 2\n"
)

func smallOrder() []Place {
	return []Place{{0, 1, "a"}, {1, 1, "b"}, {1, 2, "a"}, {2, 1, "a"}, {2, 2, "b"}}
}

func smallRun() Run {
	return Run{
		Bakeoff: "0.1.0", Name: "small", PlanDigest: smallDigest, Seed: 42, Platform: "local",
		Machine: Machine{CPU: "A CPU", Cores: 2}, Plan: json.RawMessage(`{"blocks":2}`), Order: smallOrder(),
	}
}

// loads are the lines of a trial's load.jsonl: a pure function of its place.
func loads(p Place) []Load {
	if made, ok := madeLoads.Load(p); ok {
		return made.([]Load)
	}
	out := makeLoads(p)
	madeLoads.Store(p, out)
	return out
}

var madeLoads sync.Map // Place to []Load; histograms are dear to make thousands of times

func makeLoads(p Place) []Load {
	var out []Load
	for second := range 2 {
		n := int64(100*p.Block + 10*p.Position + second)
		h := stats.NewHistogram()
		for i := range n * int64(1-second) { // the second line is left without, for speed
			h.Record(time.Duration(1000+i) * time.Microsecond)
		}
		out = append(out, Load{Agent: 0, Epoch: 1, Sequence: int64(second), Phase: 1, Window: stats.Window{
			Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: n}, Response: h,
		}})
	}
	return out
}

func serie(p Place) Series {
	return Series{At: began, Phase: 1, Tier: "target", Name: p.Target + "-1", CPUNS: int64(1000 * p.Block), RSSBytes: 5 << 20}
}

// writeTrial writes one trial of the small run whole.
func writeTrial(w *Writer, p Place, attempt int, status string) error {
	t, err := w.BeginTrial(p.Block, p.Position, p.Target, attempt)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.LogDir(), "target.log"), []byte("hello\n"), 0o600); err != nil {
		return err
	}
	for _, l := range loads(p) {
		if err := t.Load(l); err != nil {
			return err
		}
	}
	if err := t.Series(serie(p)); err != nil {
		return err
	}
	return t.Finish(Trial{Status: status, Nonce: "n"})
}

// story is everything that happens in a run, until something fails.
// finished holds the folders of the trials whose Finish returned without error.
type story struct {
	disk     *disk
	dir      string
	finished []string
}

func (s *story) begin(root string) error {
	w, err := create(s.disk, root, smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	if err != nil {
		return err
	}
	s.dir = w.Dir()
	defer w.Close() // after a failure only: Finish closes
	return s.goOn(w, smallOrder())
}

func (s *story) resume() error {
	w, left, err := resume(s.disk, s.dir, smallDigest, began.Add(time.Hour))
	if err != nil {
		return err
	}
	defer w.Close()
	return s.goOn(w, left)
}

func (s *story) goOn(w *Writer, left []Place) error {
	for _, p := range left {
		if err := w.Progress(Progress{Target: p.Target, Text: "starting"}); err != nil {
			return err
		}
		if err := writeTrial(w, p, 1, Valid); err != nil {
			return err
		}
		s.finished = append(s.finished, trialFolder(p.Block, p.Position, p.Target, 1))
		if err := w.Update(func(r *Run) { r.Measured += 2 }); err != nil {
			return err
		}
	}
	return w.Finish(Complete, "")
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t *testing.T, dir string) *Reader {
	t.Helper()
	r, err := Open(dir)
	check(t, err)
	return r
}

// memory returns a folder on tmpfs where there is one: thousands of small runs need no disk.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "record")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// sameTrial compares everything read of a finished trial with what was written.
func sameTrial(s TrialState) error {
	trial, err := s.Trial()
	if err != nil {
		return err
	}
	if trial.Block != s.Block || trial.Target != s.Target || trial.Status != Valid {
		return fmt.Errorf("trial.json of %s is of %d %s %s", s.Folder, trial.Block, trial.Target, trial.Status)
	}
	i := 0
	want := loads(s.Place)
	for l, err := range s.Loads() {
		if err != nil {
			return err
		}
		if i >= len(want) || l.Books != want[i].Books || l.Response.Count() != want[i].Response.Count() || l.Response.Mean() != want[i].Response.Mean() {
			return fmt.Errorf("line %d of %s differs", i+1, s.Folder)
		}
		i++
	}
	if i != len(want) {
		return fmt.Errorf("%s has %d of %d lines", s.Folder, i, len(want))
	}
	for one, err := range s.Series() {
		if err != nil || !cmp.Equal(one, serie(s.Place)) {
			return fmt.Errorf("series of %s: %+v, %v", s.Folder, one, err)
		}
	}
	return nil
}

func states(r *Reader, state string) []string {
	var out []string
	for _, t := range r.Trials() {
		if t.State == state {
			out = append(out, t.Folder)
		}
	}
	return out
}

func TestWholeRun(t *testing.T) {
	s := &story{disk: &disk{}}
	check(t, s.begin(filepath.Join(t.TempDir(), "runs")))
	r := mustOpen(t, s.dir)
	if p := r.Problems(); len(p) > 0 || r.Live() {
		t.Fatalf("problems %v, live %v", p, r.Live())
	}
	run := r.Run()
	if run.Status != Complete || run.Measured != 10 || run.Seed != 42 || run.Format != FormatVersion || run.Ended.IsZero() {
		t.Errorf("run is %+v", run)
	}
	if diff := cmp.Diff([]string{"0-1-a", "1-1-b", "1-2-a", "2-1-a", "2-2-b"}, states(r, Finished)); diff != "" {
		t.Error(diff)
	}
	for _, trial := range r.Trials() {
		check(t, sameTrial(trial))
	}
	for name, want := range map[string]string{"plan.yaml": smallGiven, "plan.resolved.yaml": smallWhole} {
		got, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if left := r.Remaining(); len(left) > 0 {
		t.Errorf("remaining %v", left)
	}
	if _, err := os.Stat(filepath.Join(s.dir, reserveFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was held back is still there: %v", err)
	}
}

func TestSealsCoverEveryFile(t *testing.T) {
	s := &story{disk: &disk{}}
	check(t, s.begin(t.TempDir()))
	trial, err := mustOpen(t, s.dir).Trials()[0].Trial()
	check(t, err)
	var got []string
	for _, f := range trial.Files {
		got = append(got, f.Path)
	}
	if diff := cmp.Diff([]string{"load.jsonl", "logs/target.log", "series.jsonl"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNobodyElseReads(t *testing.T) {
	old := syscall.Umask(0) // the modes must not hang on it
	defer syscall.Umask(old)
	root := filepath.Join(t.TempDir(), "runs")
	w, err := Create(root, smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	check(t, err)
	check(t, writeTrial(w, Place{1, 1, "a"}, 1, Valid))
	_, err = w.BeginTrial(1, 2, "b", 1)
	check(t, err)
	seen := 0
	err = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		check(t, err)
		info, err := e.Info()
		check(t, err)
		want := os.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		seen++
		return nil
	})
	check(t, err)
	if seen < 17 {
		t.Errorf("only %d files and folders seen", seen)
	}
	check(t, w.Close())
}

func TestTwoRunsInOneSecond(t *testing.T) {
	root := t.TempDir()
	var dirs []string
	for range 3 {
		w, err := Create(root, smallRun(), nil, nil, began)
		check(t, err)
		check(t, w.Close())
		dirs = append(dirs, filepath.Base(w.Dir()))
	}
	want := []string{"20261123T063000Z-small", "20261123T063000Z-small-2", "20261123T063000Z-small-3"}
	if diff := cmp.Diff(want, dirs); diff != "" {
		t.Error(diff)
	}
}

func TestNamesThatLeaveTheFolderAreRefused(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"", "..", "a/b", "A", "a.b"} {
		run := smallRun()
		run.Name = name
		if _, err := Create(root, run, nil, nil, began); err == nil {
			t.Errorf("plan name %q was taken", name)
		}
	}
	w, err := Create(root, smallRun(), nil, nil, began)
	check(t, err)
	defer w.Close()
	for _, target := range []string{"../x", "a/b", ".."} {
		if _, err := w.BeginTrial(1, 1, target, 1); err == nil {
			t.Errorf("target name %q was taken", target)
		}
	}
}

func TestConcurrentLines(t *testing.T) {
	w, err := Create(t.TempDir(), smallRun(), nil, nil, began)
	check(t, err)
	trial, err := w.BeginTrial(1, 1, "a", 1)
	check(t, err)
	var wg sync.WaitGroup
	for agent := range 8 {
		wg.Go(func() {
			for second := range 50 {
				l := loads(Place{1, 1, "a"})[0]
				l.Agent, l.Begin = agent, time.Duration(second)*time.Second
				if err := errors.Join(trial.Load(l), trial.Series(serie(Place{1, agent, "a"})), w.Progress(Progress{Text: "note", Trial: second + 1})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	check(t, trial.Finish(Trial{Status: Valid}))
	check(t, w.Finish(Complete, ""))
	r := mustOpen(t, w.Dir())
	next := map[int]time.Duration{} // lines of one agent stay in their order
	n := 0
	for l, err := range r.Trials()[0].Loads() {
		check(t, err)
		if l.Begin != next[l.Agent] {
			t.Fatalf("agent %d: a window from %v on where one from %v on was due", l.Agent, l.Begin, next[l.Agent])
		}
		next[l.Agent] += time.Second
		n++
	}
	if n != 400 || len(r.Problems()) > 0 {
		t.Errorf("%d lines, problems %v", n, r.Problems())
	}
	i := slices.IndexFunc(eventsOf(t, r.dir), func(e Event) bool { return e.Kind == EventProgress })
	if i < 0 || string(eventsOf(t, r.dir)[i].Fields) != `{"trial":1,"text":"note"}` {
		t.Errorf("first note at %d", i)
	}
}

func TestEndedWritersRefuse(t *testing.T) {
	w, err := Create(t.TempDir(), smallRun(), nil, nil, began)
	check(t, err)
	trial, err := w.BeginTrial(1, 1, "a", 1)
	check(t, err)
	if err := trial.Finish(Trial{Status: "splendid"}); err == nil {
		t.Error("an unknown status was taken")
	}
	check(t, trial.Finish(Trial{Status: Invalid}))
	check(t, trial.Abandon("too late"))
	for what, err := range map[string]error{
		"load": trial.Load(loads(Place{})[0]), "series": trial.Series(Series{}), "finish": trial.Finish(Trial{Status: Valid}),
	} {
		if !errors.Is(err, ErrEnded) {
			t.Errorf("%s after Finish: %v", what, err)
		}
	}
	if _, err := w.BeginTrial(1, 1, "a", 1); err == nil {
		t.Error("a finished trial was begun again")
	}
	if err := w.Finish("done", ""); err == nil {
		t.Error("an unknown status was taken")
	}
	check(t, w.Finish(Aborted, "test"))
	check(t, w.Close())
	_, err = w.BeginTrial(1, 2, "b", 1)
	for what, err := range map[string]error{
		"event": w.Progress(Progress{}), "update": w.Update(func(*Run) {}), "finish": w.Finish(Complete, ""), "begin": err,
	} {
		if !errors.Is(err, ErrEnded) {
			t.Errorf("%s after Finish: %v", what, err)
		}
	}
}
