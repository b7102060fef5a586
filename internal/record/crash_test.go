package record

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var errKilled = errors.New("killed here")

// A cut stops every file operation from the k-th on, as SIGKILL would; with
// torn, half of the k-th still happens when it is a write. With power, what was not made durable is
// lost as well.
type cut struct {
	k     int
	torn  bool
	power bool

	n       int
	steps   []string          // kinds of the operations, the cut one included
	written map[string]int64  // bytes of each file
	durable map[string]int64  // of those, the ones synced
	names   map[string]func() // undoes a change of a name that its folder was not synced after
}

func (c *cut) disk() *disk {
	c.written, c.durable, c.names = map[string]int64{}, map[string]int64{}, map[string]func(){}
	return &disk{before: c.before}
}

func (c *cut) before(s operation) (int, error) {
	c.n++
	if c.k == 0 || c.n <= c.k {
		c.steps = append(c.steps, s.kind)
	}
	if c.k > 0 && c.n >= c.k {
		allow := 0
		if c.n == c.k && c.torn {
			allow = s.size / 2
			c.written[s.path] += int64(allow)
		}
		return allow, errKilled
	}
	c.note(s)
	return s.size, nil
}

// note keeps what a power cut would undo.
func (c *cut) note(s operation) {
	switch s.kind {
	case "create":
		c.written[s.path], c.durable[s.path] = 0, 0
		if _, err := os.Lstat(s.path); err != nil {
			c.names[s.path] = func() { os.RemoveAll(s.path) }
		}
	case "append":
		if info, err := os.Stat(s.path); err == nil && c.written[s.path] == 0 {
			c.written[s.path], c.durable[s.path] = info.Size(), info.Size()
		}
	case "mkdir":
		if _, err := os.Lstat(s.path); err != nil {
			c.names[s.path] = func() { os.RemoveAll(s.path) }
		}
	case "write":
		c.written[s.path] += int64(s.size)
	case "sync":
		c.durable[s.path] = c.written[s.path]
	case "rename":
		c.noteRename(s.path)
	case "syncdir":
		for path := range c.names {
			if filepath.Dir(path) == s.path {
				delete(c.names, path)
			}
		}
	}
}

// noteRename keeps the old content of a file that a temporary one replaces.
func (c *cut) noteRename(from string) {
	to := strings.TrimSuffix(strings.Replace(from, "/.", "/", 1), ".tmp")
	if to == from {
		return // a folder moved aside
	}
	c.written[to], c.durable[to] = c.written[from], c.durable[from]
	delete(c.written, from)
	delete(c.names, from)
	old, err := os.ReadFile(to)
	c.names[to] = func() {
		if err != nil {
			os.Remove(to)
			return
		}
		os.WriteFile(to, old, fileMode)
	}
}

// happen applies what the power cut loses.
func (c *cut) happen(t *testing.T) {
	t.Helper()
	if !c.power {
		return
	}
	for path, undo := range c.names {
		undo()
		delete(c.written, path)
	}
	for path, n := range c.written {
		if _, err := os.Stat(path); err == nil && c.durable[path] < n {
			check(t, os.Truncate(path, c.durable[path]))
		}
	}
}

// operations counts the file operations of a story.
func operations(t *testing.T, root string) []string {
	t.Helper()
	c := &cut{}
	s := &story{disk: c.disk()}
	check(t, s.begin(root))
	return c.steps
}

// worth reports whether a cut at an operation of this kind, the n-th, is tried: inside a write only
// writes; a power cut, which is dear, at every second unless the counts are full.
func (c *cut) worth(kind string, n int) bool {
	if c.torn {
		return kind == "write"
	}
	return !c.power || long() || n%2 == 0
}

func long() bool { return os.Getenv("BAKEOFF_LONG") == "1" }

// survived checks what is left after a cut: every trial reported finished is
// there and right, nothing is damaged. It reports whether there is a run at all.
func survived(t *testing.T, s *story) bool {
	t.Helper()
	r, err := Open(s.dir)
	if err != nil {
		if !errors.Is(err, ErrNoRun) {
			t.Fatalf("open: %v", err)
		}
		if len(s.finished) > 0 {
			t.Fatalf("%v were finished, but: %v", s.finished, err)
		}
		return false
	}
	for _, p := range r.Problems() {
		if !strings.Contains(p.What, "torn end") && !strings.Contains(p.What, "read from events.jsonl instead") {
			t.Errorf("problem: %s", p)
		}
	}
	have := states(r, Finished) // more than was reported, where it was cut between the two
	at := -1
	for _, folder := range s.finished {
		i := slices.Index(have, folder)
		if i <= at {
			t.Fatalf("reported finished: %v, read: %v", s.finished, have)
		}
		at = i
	}
	for _, trial := range r.Trials() {
		if trial.State == Finished {
			check(t, sameTrial(trial))
		}
	}
	return true
}

// complete checks that the run was brought to its end in the stored order.
func complete(t *testing.T, dir string) {
	t.Helper()
	r := mustOpen(t, dir)
	var want []string
	for _, p := range smallOrder() {
		want = append(want, trialFolder(p.Block, p.Position, p.Target, 1))
	}
	if diff := cmp.Diff(want, states(r, Finished)); diff != "" {
		t.Error(diff)
	}
	if r.Run().Status != Complete || len(r.Problems()) > 0 || len(r.Trials()) != len(want) {
		t.Errorf("status %s, problems %v, %d trials", r.Run().Status, r.Problems(), len(r.Trials()))
	}
	for _, trial := range r.Trials() {
		check(t, sameTrial(trial))
	}
}

// dirOf finds the run that a cut may have left behind in root.
func (s *story) dirOf(root string) bool {
	found, _ := filepath.Glob(filepath.Join(root, "*-small"))
	if len(found) == 0 {
		return false
	}
	s.dir = found[0]
	return true
}

func kinds() map[string]cut {
	return map[string]cut{"between": {}, "inside a write": {torn: true}, "power cut": {power: true}, "power cut inside a write": {torn: true, power: true}}
}

// A run is stopped at each of its file operations: what is left is read, and
// resumed to the end.
func TestCutAtEveryOperation(t *testing.T) {
	root := memory(t)
	steps := operations(t, filepath.Join(root, "count"))
	if len(steps) < 150 {
		t.Fatalf("only %d operations are counted", len(steps))
	}
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			tried, left := 0, 0
			for i, step := range steps {
				if !kind.worth(step, i) {
					continue
				}
				tried++
				if cutOnce(t, filepath.Join(root, "cut"), kind, i+1) {
					left++
				}
				if t.Failed() {
					t.Fatalf("cut at operation %d of %d, %s", i+1, len(steps), step)
				}
			}
			t.Logf("%d cuts, %d left a run", tried, left)
			if tried < 20 || left < tried*8/10 {
				t.Errorf("only %d of %d cuts left a run to go on with", left, tried)
			}
		})
	}
}

// cutAt stops a run at operation k and reports whether that left anything to resume.
func cutAt(t *testing.T, root string, kind cut, k int) (s *story, left bool) {
	t.Helper()
	kind.k = k
	s = &story{disk: kind.disk()}
	if err := s.begin(root); !errors.Is(err, errKilled) {
		t.Fatalf("cut at %d: %v", k, err)
	}
	kind.happen(t)
	return s, s.dirOf(root) && survived(t, s)
}

// cutOnce reports whether the cut at operation k left a run; it was resumed then.
func cutOnce(t *testing.T, root string, kind cut, k int) bool {
	t.Helper()
	defer os.RemoveAll(root)
	s, left := cutAt(t, root, kind, k)
	if !left {
		return false
	}
	if long() || kind.torn || k%3 == 0 { // reading is tried after each, going on, which is dear, after samples
		goOnToTheEnd(t, s)
	}
	return true
}

func goOnToTheEnd(t *testing.T, s *story) {
	t.Helper()
	s.disk = &disk{}
	err := s.resume()
	if errors.Is(err, ErrComplete) && mustOpen(t, s.dir).Run().Status == Complete {
		err = nil
	}
	check(t, err)
	complete(t, s.dir)
}

// A run that was stopped is stopped again, at each operation of going on.
func TestCutWhileResuming(t *testing.T) {
	root := memory(t)
	all := len(operations(t, filepath.Join(root, "count")))
	first := []int{all * 3 / 4}
	if long() {
		first = nil
		for k := 20; k < all; k += 9 {
			first = append(first, k)
		}
	}
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			tried, used := 0, 0
			for _, k := range first {
				if !leavesRun(t, filepath.Join(root, "once"), kind, k) {
					continue
				}
				used++
				for j := 1; ; j++ {
					done, worth := cutTwice(t, filepath.Join(root, "again"), kind, k, j)
					if done {
						break
					}
					if t.Failed() {
						t.Fatalf("cut at %d, then at %d", k, j)
					}
					if worth {
						tried++
					}
				}
			}
			t.Logf("%d first cuts, %d second ones", used, tried)
			if tried < 10*used || used < len(first)*8/10 {
				t.Errorf("only %d second cuts after %d of %d first ones", tried, used, len(first))
			}
		})
	}
}

// leavesRun reports whether a cut at operation k leaves anything to resume.
func leavesRun(t *testing.T, root string, kind cut, k int) bool {
	t.Helper()
	defer os.RemoveAll(root)
	_, left := cutAt(t, root, kind, k)
	return left
}

// cutTwice cuts at operation k, and again at operation j of going on. It reports whether going on came to its end
// before that, and whether the second cut was worth trying to go on after.
func cutTwice(t *testing.T, root string, kind cut, k, j int) (done, worth bool) {
	t.Helper()
	defer os.RemoveAll(root)
	first, second := kind, kind
	first.k, second.k = k, j
	s := &story{disk: first.disk()}
	if err := s.begin(root); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	first.happen(t)
	if !s.dirOf(root) {
		t.Fatalf("nothing left after a cut at %d", k)
	}
	s.disk = second.disk()
	err := s.resume()
	if err == nil {
		complete(t, s.dir)
		return true, false
	}
	if !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	if !second.worth(second.steps[j-1], j) {
		return false, false
	}
	second.happen(t)
	if !survived(t, s) {
		t.Fatalf("nothing left after a second cut at %d", j)
	}
	goOnToTheEnd(t, s)
	return false, true
}
