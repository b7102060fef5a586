package record

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// copyRun copies a run directory.
func copyRun(t *testing.T, from, to string) {
	t.Helper()
	check(t, os.RemoveAll(to))
	check(t, os.CopyFS(to, os.DirFS(from)))
}

// files lists the files of a run directory, relative to it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	check(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(dir, path)
			out = append(out, name)
		}
		return err
	}))
	return out
}

// wounded is a small run, one of whose files is broken over and over.
type wounded struct {
	t     *testing.T
	dir   string
	whole *Reader // as it was
	name  string  // of the file
	bytes []byte  // of it, as it was
	ended bool    // the run ended: all its files are sealed
}

// judge opens the run with the broken file and checks that the damage is
// found, that no figure differs silently, and that other trials stay readable.
func (w *wounded) judge(what string, content []byte) {
	w.t.Helper()
	check(w.t, os.WriteFile(filepath.Join(w.dir, w.name), content, 0o600))
	r, err := Open(w.dir)
	if err != nil {
		var version *VersionError
		if w.name != runFile || !errors.As(err, &version) {
			w.t.Fatalf("%s of %s: %v", what, w.name, err)
		}
		return
	}
	// The log of a run that has not ended may lack its last lines: that is how a killed run looks.
	killed := !w.ended && w.name == eventsFile && strings.HasPrefix(what, "truncation")
	if !killed && len(r.Problems()) == 0 {
		w.t.Errorf("%s of %s was not found", what, w.name)
	}
	if r.Run().Seed != w.whole.Run().Seed || !slices.Equal(r.Run().Order, w.whole.Run().Order) {
		w.t.Errorf("%s of %s: the run reads differently", what, w.name)
	}
	lost := 0
	for i, trial := range r.Trials() {
		if trial.Folder != w.whole.Trials()[i].Folder {
			w.t.Fatalf("%s of %s: trials %v", what, w.name, r.Trials())
		}
		switch mine := strings.HasPrefix(w.name, "trials/"+trial.Folder+"/"); {
		case trial.State == Finished && mine:
			w.t.Errorf("%s of %s: the trial still counts as whole", what, w.name)
		case trial.State == Finished:
			if err := sameTrial(trial); err != nil {
				w.t.Errorf("%s of %s: %v", what, w.name, err)
			}
		case !mine && w.name != eventsFile:
			w.t.Errorf("%s of %s: trial %s is %s", what, w.name, trial.Folder, trial.State)
		default:
			lost++
		}
	}
	// One bad byte costs at most the trial whose proof it lies in, two where it joins or parts two lines.
	if strings.HasPrefix(what, "flip") && lost > 2 {
		w.t.Errorf("%s of %s costs %d trials", what, w.name, lost)
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// stride passes over positions of longer files unless the counts are full.
func stride(size int) int {
	if long() {
		return 1
	}
	return 1 + size/40
}

func smallRunIn(t *testing.T, ended bool) string {
	t.Helper()
	root := memory(t)
	s := &story{disk: &disk{}}
	if ended {
		check(t, s.begin(root))
		return s.dir
	}
	w, err := create(s.disk, root, smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	check(t, err)
	for _, p := range smallOrder()[:3] {
		check(t, writeTrial(w, p, 1, Valid))
	}
	check(t, w.Close())
	return w.Dir()
}

// Every file of a run is truncated at every length and has a byte changed at
// every position (samples of both, unless the counts are full), and is removed.
func TestDamageIsFound(t *testing.T) {
	for _, ended := range []bool{true, false} {
		t.Run(fmt.Sprintf("ended=%v", ended), func(t *testing.T) {
			from := smallRunIn(t, ended)
			to := filepath.Join(memory(t), filepath.Base(from))
			tried := 0
			for _, name := range files(t, from) {
				if name == reserveFile {
					continue // holds nothing
				}
				copyRun(t, from, to)
				content, err := os.ReadFile(filepath.Join(from, name))
				check(t, err)
				w := &wounded{t: t, dir: to, whole: mustOpen(t, from), name: name, bytes: content, ended: ended}
				tried += w.all()
			}
			if tried < 500 {
				t.Errorf("only %d kinds of damage", tried)
			}
			t.Logf("%d kinds of damage", tried)
		})
	}
}

func (w *wounded) all() int {
	n := 0
	for length := 0; length < len(w.bytes); length += stride(len(w.bytes)) {
		w.judge(fmt.Sprintf("truncation at %d", length), w.bytes[:length])
		n++
	}
	for at := 0; at < len(w.bytes); at += stride(len(w.bytes)) {
		broken := bytes.Clone(w.bytes)
		broken[at] ^= 1 << (at % 8)
		w.judge(fmt.Sprintf("flip of bit %d at %d", at%8, at), broken)
		n++
	}
	w.judge("garbage at the end", append(bytes.Clone(w.bytes), "}\n"...))
	check(w.t, os.Remove(filepath.Join(w.dir, w.name)))
	if r, err := Open(w.dir); err == nil && len(r.Problems()) == 0 {
		w.t.Errorf("loss of %s was not found", w.name)
	}
	return n + 2
}

// A finished trial whose proof is damaged is run again.
func TestResumeRepeatsDamagedTrials(t *testing.T) {
	dir := smallRunIn(t, false)
	path := filepath.Join(dir, "trials", "1-1-b", loadFile)
	content, err := os.ReadFile(path)
	check(t, err)
	content[len(content)/2] ^= 1
	check(t, os.WriteFile(path, content, 0o600))
	s := &story{disk: &disk{}, dir: dir}
	w, left, err := resume(s.disk, dir, smallDigest, began)
	check(t, err)
	if diff := cmp.Diff([]Place{{1, 1, "b"}, {2, 1, "a"}, {2, 2, "b"}}, left); diff != "" {
		t.Error(diff)
	}
	check(t, s.goOn(w, left))
	complete(t, dir)
	if _, err := os.Stat(filepath.Join(dir, asideFolder, "1-1-b~1", loadFile)); err != nil {
		t.Errorf("the damaged trial was not kept aside: %v", err)
	}
}

func TestBadLineIsNamedAndPassedOver(t *testing.T) {
	dir := smallRunIn(t, false)
	path := filepath.Join(dir, "trials", "1-1-b", loadFile)
	content, err := os.ReadFile(path)
	check(t, err)
	content[len(content)/4] ^= 4 // in the first of two lines
	check(t, os.WriteFile(path, content, 0o600))
	trial := mustOpen(t, dir).Trials()[1]
	var begins []time.Duration
	var bad *LineError
	for l, err := range trial.Loads() {
		if err == nil {
			begins = append(begins, l.Begin)
		} else if !errors.As(err, &bad) {
			t.Fatal(err)
		}
	}
	if bad == nil || bad.File != path || bad.Line != 1 || !slices.Equal(begins, []time.Duration{time.Second}) {
		t.Errorf("bad line %v, the good begin at %v", bad, begins)
	}
	if _, err := trial.Trial(); err == nil || !strings.Contains(err.Error(), "load.jsonl") {
		t.Errorf("trial of a damaged folder: %v", err)
	}
}

func TestOtherFormatIsRefused(t *testing.T) {
	dir := smallRunIn(t, true)
	path := filepath.Join(dir, runFile)
	content, err := os.ReadFile(path)
	check(t, err)
	check(t, os.WriteFile(path, bytes.Replace(content, []byte(`"format": 2`), []byte(`"format": 3`), 1), 0o600))
	_, err = Open(dir)
	var version *VersionError
	if !errors.As(err, &version) || version.Has != 3 || !strings.Contains(err.Error(), "run.json is of format 3; this bakeoff reads formats 1 to 2") {
		t.Errorf("open: %v", err)
	}
}

func TestNoRun(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Join(dir, "nothing")} {
		if _, err := Open(d); !errors.Is(err, ErrNoRun) {
			t.Errorf("open %s: %v", d, err)
		}
		if _, _, err := Resume(d, smallDigest, began); !errors.Is(err, ErrNoRun) {
			t.Errorf("resume %s: %v", d, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("resume made %v, %v", left, err)
	}
}

// A seal must not lead a reader out of the trial's folder.
func TestSealsStayInside(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	check(t, os.WriteFile(outside, []byte("x"), 0o600))
	inside := filepath.Join(dir, "in")
	check(t, os.Mkdir(inside, 0o700))
	check(t, os.Symlink(outside, filepath.Join(inside, "link")))
	digest := sum([]byte("x"))
	for path, want := range map[string]string{"../outside": "leads out", "link": "not a regular file", "none": "missing"} {
		if got := (FileSeal{path, 1, digest}).proves(inside); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestFrames(t *testing.T) {
	// The check value of CRC-32C is e3069283 for these nine digits.
	if got := string(frame([]byte(`123456789`))); got != `{"crc32c":"e3069283","length":9,"record":123456789}`+"\n" {
		t.Errorf("frame is %s", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		record := []byte(`{"x":"` + rapid.StringMatching(`[a-z0-9 {}",:]*`).Draw(t, "record") + `"}`)
		line := frame(record)
		got, err := unframe(line)
		if err != nil || !bytes.Equal(got, record) {
			t.Fatalf("unframe: %s, %v", got, err)
		}
		broken := bytes.Clone(line)
		broken[rapid.IntRange(0, len(line)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if got, err := unframe(broken); err == nil {
			t.Fatalf("a changed bit was not seen: %s", got)
		}
		if _, err := unframe(line[:rapid.IntRange(0, len(line)-1).Draw(t, "length")]); err == nil {
			t.Fatal("a cut line was not seen")
		}
	})
}
