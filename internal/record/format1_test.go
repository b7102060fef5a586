package record

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// old is a run of format 1, as bakeoff wrote it. Its folders of agents and database, which no reader looks at, are left out.
const old = "testdata/format-1"

// A run of format 1 is proven whole, and its windows say what they said.
func TestFormat1IsRead(t *testing.T) {
	r := mustOpen(t, old)
	if r.Run().Format != 1 || r.Run().Status != Complete || len(r.Problems()) > 0 || len(r.Trials()) != 2 {
		t.Fatalf("format %d, %s, %d trials, problems %v", r.Run().Format, r.Run().Status, len(r.Trials()), r.Problems())
	}
	state := r.Trials()[1]
	trial, err := state.Trial()
	check(t, err)
	sums := map[int]*stats.Totals{}
	for _, p := range trial.Phases {
		sums[p.Number] = &stats.Totals{Sending: time.Duration(p.DurationS) * time.Second}
	}
	lines := 0
	for l, err := range state.Loads() {
		check(t, err)
		if l.Begin%time.Second != 0 || l.Length != time.Second || l.Resources == nil || l.InFlight == nil {
			t.Errorf("agent %d: a window of %v from %v on, resources %v", l.Agent, l.Length, l.Begin, l.Resources)
		}
		sums[l.Phase].Add(l.Window)
		lines++
	}
	if closed := sums[1]; closed.Books != (stats.Books{Planned: 1145, Sent: 1145, OK: 1145}) || closed.Goodput() != 568.5 || closed.Hits != 583 || closed.Service.Count() != 1145 ||
		closed.Resources.Descriptors != 15 || closed.Resources.DescriptorLimit != 20000 || closed.Resources.Stolen != 20e6 {
		t.Errorf("closed: %+v, goodput %v, resources %+v", closed.Books, closed.Goodput(), closed.Resources)
	}
	if open := sums[2]; open.Books != (stats.Books{Planned: 125, Sent: 125, OK: 125}) || open.Opened != 16 || open.Length < time.Second || open.Lateness.Count() != 125 {
		t.Errorf("open: %+v, %d opened, %v long", open.Books, open.Opened, open.Length)
	}
	series := 0
	for _, err := range state.Series() {
		check(t, err)
		series++
	}
	if lines != 12 || series < 50 {
		t.Errorf("%d lines of load, %d of series", lines, series)
	}
	if listed, err := List("testdata"); err != nil || len(listed) != 1 || listed[0].Finished != 2 || listed[0].Problem != "" {
		t.Errorf("listed: %+v, %v", listed, err)
	}
}

// Where run.json is lost, its format is read from the events too.
func TestFormat1WithoutRunJSON(t *testing.T) {
	dir := t.TempDir()
	check(t, os.CopyFS(dir, os.DirFS(old)))
	check(t, os.Remove(filepath.Join(dir, runFile)))
	r := mustOpen(t, dir)
	if r.Run().Format != 1 {
		t.Errorf("format %d", r.Run().Format)
	}
	for l, err := range r.Trials()[0].Loads() {
		check(t, err)
		if l.Length != time.Second {
			t.Errorf("a window of %v", l.Length)
		}
	}
}

// A run of format 1 that was killed is not resumed, and is left as it is.
func TestFormat1IsNotResumed(t *testing.T) {
	dir := t.TempDir()
	check(t, os.CopyFS(dir, os.DirFS(old)))
	check(t, os.Remove(filepath.Join(dir, runFile)))
	events := filepath.Join(dir, eventsFile)
	content, err := os.ReadFile(events)
	check(t, err)
	killed := bytes.Join(bytes.SplitAfter(content, []byte("\n"))[:9], nil) // before it said that it was complete
	check(t, os.WriteFile(events, killed, 0o600))
	digest := mustOpen(t, dir).Run().PlanDigest
	var refused *OldRunError
	if _, _, err := Resume(dir, digest, began); !errors.As(err, &refused) || !strings.Contains(err.Error(), "is of format 1 and this bakeoff writes format 2") {
		t.Errorf("resume: %v", err)
	}
	if content, err := os.ReadFile(events); err != nil || !bytes.Equal(content, killed) {
		t.Errorf("the refusal changed events.jsonl: %v", err)
	}
}

// personal are paths that say who made a run, and where.
var personal = regexp.MustCompile(`/(root|home|Users|work)/`)

// The run of format 1 says nothing of the machine's user that made it. No program of today writes format 1, so that -update
// puts a neutral path in the place of such a one, in trial.json alone, and seals it again.
func TestFormat1IsNeutral(t *testing.T) {
	if *update {
		renamePaths(t, old, "/srv/fixture/user/")
	}
	files := 0
	check(t, filepath.WalkDir(old, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if at := personal.FindIndex(content); at != nil {
			t.Errorf("%s: %q", path, content[at[0]:min(at[1]+40, len(content))])
		}
		files++
		return err
	}))
	if files != 17 {
		t.Errorf("%d files", files)
	}
}

// renamePaths changes paths in each trial.json of a finished run of format 1, and makes it provable again: the digest of
// trial.json is in a line of events.jsonl, that of events.jsonl in run.json, and that of run.json in its own first lines.
func renamePaths(t *testing.T, dir, to string) {
	t.Helper()
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(dir, name))
		check(t, err)
		return content
	}
	events, run := read(eventsFile), read(runFile)
	var pairs []string
	for _, trial := range mustOpen(t, dir).Trials() {
		name := filepath.Join(trialsFolder, trial.Folder, trialFile)
		was := read(name)
		now := personal.ReplaceAllLiteral(was, []byte(to))
		pairs = append(pairs, sum(was), sum(now))
		check(t, os.WriteFile(filepath.Join(dir, name), now, 0o600))
	}
	digests := strings.NewReplacer(pairs...)
	var sealed []byte
	for l := range lines(bytes.NewReader(events)) {
		check(t, l.err)
		sealed = append(sealed, frame([]byte(digests.Replace(string(l.record))))...)
	}
	check(t, os.WriteFile(filepath.Join(dir, eventsFile), sealed, 0o600))
	_, rest, _ := bytes.Cut(run, []byte(",\n  \"files\"")) // what follows the two lines of the head
	rest = append([]byte("  \"files\""), bytes.ReplaceAll(rest, []byte(sum(events)), []byte(sum(sealed)))...)
	check(t, os.WriteFile(filepath.Join(dir, runFile), append(runHead(1, sum(rest)), rest...), 0o600))
}
