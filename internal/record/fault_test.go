//go:build linux

package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var errOnce = errors.New("failed once")

// failing is a disk whose operation k fails; a write fails behind its first half. Everything else is done. n counts the operations.
func failing(k int, n *int, kinds *[]string) *disk {
	return &disk{before: func(o operation) (int, error) {
		if *n++; kinds != nil {
			*kinds = append(*kinds, o.kind)
		}
		if *n == k {
			return o.size / 2, errOnce
		}
		return o.size, nil
	}}
}

// faultRun is a run with a trial that is finished and one that is abandoned; what it opened is closed also where it fails.
func faultRun(d *disk, root string) (dir string, err error) {
	w, err := create(d, root, smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return w.Dir(), faultTrials(w)
}

func faultTrials(w *Writer) error {
	for i, p := range []Place{{1, 1, "b"}, {1, 2, "a"}} {
		if err := errors.Join(w.Progress(Progress{Text: "starting"}), w.Update(func(r *Run) { r.Measured++ })); err != nil {
			return err
		}
		t, err := w.BeginTrial(p.Block, p.Position, p.Target, 1)
		if err != nil {
			return err
		}
		if err := faultTrial(t, p, i == 0); err != nil {
			return errors.Join(err, t.Abandon("failed"))
		}
	}
	return w.Finish(Aborted, "over")
}

func faultTrial(t *TrialWriter, p Place, finish bool) error {
	if err := errors.Join(os.WriteFile(filepath.Join(t.LogDir(), "target.log"), nil, fileMode), t.Series(serie(p))); err != nil {
		return err
	}
	for _, l := range loads(p) {
		if err := t.Load(l); err != nil {
			return err
		}
	}
	if err := errors.Join(t.Series(serie(p)), t.Intact(), t.Series(serie(p))); err != nil {
		return err
	}
	if finish {
		return t.Finish(Trial{Status: Valid})
	}
	return t.Abandon("no reason")
}

// heldIn are the files below a folder that this process holds open.
func heldIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	check(t, err)
	for _, fd := range fds {
		if name, err := os.Readlink(fd); err == nil && strings.HasPrefix(name, dir+"/") {
			names = append(names, name)
		}
	}
	return names
}

// temporaries are the files below a folder that are not complete.
func temporaries(t *testing.T, dir string) (names []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".tmp") {
			names = append(names, path)
		}
		return err
	}))
	return names
}

// Whichever operation of a run fails, once, its error is returned; nothing stays open or half replaced, and the run can be read: a
// finished trial is whole, and no line is torn.
func TestEveryFailureIsReported(t *testing.T) {
	root, n, kinds := memory(t), 0, []string(nil)
	_, err := faultRun(failing(0, &n, &kinds), filepath.Join(root, "count"))
	check(t, err)
	if len(kinds) < 60 || !slices.Contains(kinds, "allocate") || !slices.Contains(kinds, "syncdir") || !slices.Contains(kinds, "close") {
		t.Fatalf("only the operations %q are counted", kinds)
	}
	for k := range kinds {
		at := filepath.Join(root, "run")
		what := fmt.Sprintf("operation %d of %d, %s", k+1, len(kinds), kinds[k])
		n = 0
		dir, err := faultRun(failing(k+1, &n, nil), at)
		if !errors.Is(err, errOnce) {
			t.Errorf("%s fails, and the run ends with %v", what, err)
		}
		if held, left := heldIn(t, at), temporaries(t, at); len(held)+len(left) > 0 {
			t.Errorf("%s fails: open %q, left %q", what, held, left)
		}
		if dir != "" {
			r := mustOpen(t, dir)
			if p := r.Problems(); len(p) > 0 {
				t.Errorf("%s fails: problems %v", what, p)
			}
			for _, trial := range r.Trials() {
				if trial.State == Damaged {
					t.Errorf("%s fails: %s is damaged", what, trial.Folder)
				}
			}
		}
		check(t, os.RemoveAll(at))
	}
}

// Likewise where a run goes on: one with a trial that is damaged, one that was never ended, and what a killed writer left half done.
func TestEveryFailureOfResumingIsReported(t *testing.T) {
	from := smallRunIn(t, false)
	w, _, err := Resume(from, smallDigest, began)
	check(t, err)
	begun, err := w.BeginTrial(2, 1, "a", 1)
	check(t, err)
	check(t, errors.Join(begun.closeFiles(), w.Close()))
	check(t, os.WriteFile(filepath.Join(from, trialsFolder, "1-1-b", loadFile), nil, fileMode))
	check(t, os.WriteFile(temporaryName(filepath.Join(from, runFile)), []byte("half"), fileMode))
	root := memory(t)
	resumed := func(d *disk) (string, error) {
		dir := filepath.Join(root, "run")
		copyRun(t, from, dir)
		w, left, err := resume(d, dir, smallDigest, began)
		if err != nil {
			return dir, err
		}
		if len(left) != 3 {
			t.Errorf("%d places are left", len(left))
		}
		return dir, errors.Join(w.Finish(Aborted, "over"), w.Close())
	}
	n, kinds := 0, []string(nil)
	dir, err := resumed(failing(0, &n, &kinds))
	check(t, err)
	if left := temporaries(t, dir); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	for _, folder := range []string{"1-1-b~1", "2-1-a~1"} {
		if _, err := os.Stat(filepath.Join(dir, asideFolder, folder)); err != nil {
			t.Error(err)
		}
	}
	for k := range kinds {
		n = 0
		dir, err := resumed(failing(k+1, &n, nil))
		what := fmt.Sprintf("operation %d of %d, %s", k+1, len(kinds), kinds[k])
		if !errors.Is(err, errOnce) {
			t.Errorf("%s fails, and resuming ends with %v", what, err)
		}
		if held := heldIn(t, dir); len(held) > 0 {
			t.Errorf("%s fails: open %q", what, held)
		}
		if _, err := Open(dir); err != nil {
			t.Errorf("%s fails: %v", what, err)
		}
	}
}

// A run that goes on has again what is held back on the disk, and the folder of its trials.
func TestResumeMakesWhatIsMissing(t *testing.T) {
	w, err := Create(memory(t), smallRun(), nil, nil, began)
	check(t, err)
	check(t, w.Finish(Aborted, "over"))
	check(t, os.Remove(filepath.Join(w.Dir(), trialsFolder)))
	w, left, err := Resume(w.Dir(), smallDigest, began)
	check(t, err)
	if info, err := os.Stat(filepath.Join(w.Dir(), reserveFile)); err != nil || info.Size() != reserveBytes || len(left) != len(smallOrder()) {
		t.Errorf("held back %v (%v), %d places left", info, err, len(left))
	}
	check(t, writeTrial(w, left[0], 1, Valid))
	check(t, w.Finish(Complete, ""))
	if p := mustOpen(t, w.Dir()).Problems(); len(p) > 0 {
		t.Errorf("problems %v", p)
	}
}

// What a trial left under its name is kept each time that it is begun again.
func TestEachBeginningIsKept(t *testing.T) {
	w, err := Create(memory(t), smallRun(), nil, nil, began)
	check(t, err)
	defer w.Close()
	for i := range 3 {
		trial, err := w.BeginTrial(1, 1, "b", 1)
		check(t, err)
		check(t, os.WriteFile(filepath.Join(trial.LogDir(), "which"), []byte{byte('a' + i)}, fileMode))
		check(t, trial.Abandon("again"))
	}
	for i, folder := range []string{"aside/1-1-b~1", "aside/1-1-b~2", "trials/1-1-b"} {
		if got, err := os.ReadFile(filepath.Join(w.Dir(), folder, logsFolder, "which")); err != nil || string(got) != string(rune('a'+i)) {
			t.Errorf("%s has %q, %v", folder, got, err)
		}
	}
}

// Readers leave no file open, wherever they stop.
func TestReadersCloseFiles(t *testing.T) {
	dir := smallRunIn(t, false)
	everything(dir)
	for range Follow(t.Context(), dir, Position{}) {
		break
	}
	for item := range Follow(t.Context(), dir, Position{}) {
		if item.Load != nil {
			break
		}
	}
	w, _, err := Resume(dir, smallDigest, began)
	check(t, err)
	begun, err := w.BeginTrial(2, 1, "a", 1)
	check(t, err)
	check(t, begun.Load(loads(Place{2, 1, "a"})[0]))
	follows(t, dir) // one trial is under way
	check(t, errors.Join(begun.Abandon("over"), w.Close()))
	for range mustOpen(t, dir).Trials()[0].Series() {
		break
	}
	state := mustOpen(t, dir).Trials()[0]
	proof := Proof{Folder: state.Folder, Block: state.Block, Position: state.Position, Target: state.Target, Attempt: state.Attempt}
	if _, err := ReadTrial(dir, proof); err == nil {
		t.Error("a proof without a digest proves")
	}
	pipe := filepath.Join(dir, "pipe")
	check(t, syscall.Mkfifo(pipe, fileMode))
	if _, err := openRegular(pipe); err == nil || !strings.Contains(err.Error(), "pipe is not a regular file") {
		t.Errorf("%v", err)
	}
	if held := heldIn(t, dir); len(held) > 0 {
		t.Errorf("open: %q", held)
	}
}

// A reader that stops early ends what reads ahead of it.
func TestReadingAheadEnds(t *testing.T) {
	var file []byte
	for i := range 3000 {
		file = append(file, frame(fmt.Append(nil, i))...)
	}
	path := filepath.Join(t.TempDir(), "lines")
	check(t, os.WriteFile(path, file, fileMode))
	for _, most := range []int{1, 40, 3000} {
		synctest.Test(t, func(t *testing.T) {
			f, err := openRegular(path)
			check(t, err)
			defer f.Close()
			n := 0
			for d := range decodeAhead(lines(f), decode[int]) {
				check(t, d.err)
				if d.value != n || d.number != n+1 {
					t.Fatalf("line %d has %d, want %d", d.number, d.value, n)
				}
				if n++; n == most {
					break
				}
			}
			if n != most {
				t.Errorf("%d lines, want %d", n, most)
			}
		})
	}
}

// On one core nothing is decoded before it is asked for; otherwise lines are, ahead of who asks. Both yield the same, bad lines too.
func TestOneCoreDecodesWhatIsAsked(t *testing.T) {
	var file []byte
	for i := range 300 {
		text := fmt.Append(nil, i)
		if i == 7 {
			text = []byte("bad")
		}
		file = append(file, frame(text)...)
	}
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, loadFile), file, fileMode))
	var want []string
	for _, oneCore := range []bool{false, true} {
		var calls atomic.Int64
		var got []string
		ahead := int64(0)
		for v, err := range records(TrialState{dir: dir, oneCore: oneCore}, loadFile, func(raw []byte) (int, error) {
			calls.Add(1)
			return decode[int](raw)
		}) {
			got = append(got, fmt.Sprint(v, err))
			ahead = max(ahead, calls.Load()-int64(len(got)))
		}
		if oneCore != (ahead == 0) || len(got) != 300 || !strings.Contains(got[7], ":8: ") {
			t.Errorf("on one core %t: %d lines, one is %q, up to %d decoded ahead", oneCore, len(got), got[7], ahead)
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(want, got) {
			t.Error("the lines differ")
		}
	}
}

// Every trial of a run that is opened on one core is read on one core.
func TestOpenOnOneCore(t *testing.T) {
	dir := smallRunIn(t, true)
	for _, one := range []struct {
		open    func(string) (*Reader, error)
		oneCore bool
	}{{Open, false}, {OpenOnOneCore, true}} {
		r, err := one.open(dir)
		check(t, err)
		if len(r.Trials()) == 0 || r.OnOneCore() != one.oneCore {
			t.Errorf("%d trials, on one core %t", len(r.Trials()), r.OnOneCore())
		}
		for _, state := range r.Trials() {
			if state.oneCore != one.oneCore {
				t.Errorf("trial %s is read on one core: %t", state.Folder, state.oneCore)
			}
		}
	}
}

// A file is read up to a limit, and refused beyond it.
func TestReadRegularHasALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(path, []byte("12345"), fileMode))
	if got, err := readRegular(path, 5); err != nil || string(got) != "12345" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := readRegular(path, 4); err == nil || !strings.Contains(err.Error(), "is longer than 4 bytes") {
		t.Errorf("%v", err)
	}
	if got, err := readRegular("/proc/self/cmdline", 1); err == nil || len(got) > 2 { // says that it is empty
		t.Errorf("%q, %v", got, err)
	}
}

// A follower refuses a format that it does not read, and ends at a line that is too long.
func TestFollowRefusesOtherFormats(t *testing.T) {
	dir := smallRunIn(t, true)
	var out []byte
	for _, e := range eventsOf(t, dir) {
		if e.Kind == EventRun {
			e.Fields = []byte(`{"run":{"format":3}}`)
		}
		out = append(out, frame(asJSON(t, e))...)
	}
	path := filepath.Join(dir, eventsFile)
	check(t, os.WriteFile(path, out, fileMode))
	for _, err := range Follow(t.Context(), dir, Position{}) {
		if version, is := errors.AsType[*VersionError](err); !is || version.Has != 3 {
			t.Errorf("%v", err)
		}
	}
	whole := smallRunIn(t, true)
	path = filepath.Join(whole, eventsFile)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	_, err = f.Write(append(make([]byte, maxContent+1<<20), '\n'))
	check(t, errors.Join(err, f.Close()))
	for _, err := range Follow(t.Context(), whole, Position{}) {
		if _, is := errors.AsType[*LineError](err); !is || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%v", err)
		}
	}
}

// Where all is given a follower looks four times a second.
func TestFollowLooksFourTimesASecond(t *testing.T) {
	dir := smallRunIn(t, false)
	synctest.Test(t, func(t *testing.T) {
		w, _, err := Resume(dir, smallDigest, began)
		check(t, err)
		start, seen := time.Now(), time.Duration(-1)
		go func() {
			time.Sleep(100 * time.Millisecond)
			if err := w.Progress(Progress{Text: "late"}); err != nil {
				t.Error(err)
			}
		}()
		for item, err := range Follow(t.Context(), dir, Position{}) {
			check(t, err)
			if item.Event != nil && item.Event.Kind == EventProgress {
				seen = time.Since(start)
				break
			}
		}
		if seen != 250*time.Millisecond {
			t.Errorf("an event of 100 ms is seen after %v", seen)
		}
		check(t, w.Close())
	})
}
