package record

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/capacity"
)

// What this package says of files that are not what they should be, and of runs that change while they are read.

// says fails unless an error is there and has these words.
func says(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, want %q", what, err, word)
		}
	}
}

// put writes a file.
func put(t *testing.T, content string, path ...string) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(path...), []byte(content), fileMode))
}

func TestEventsAreRead(t *testing.T) {
	good := Event{Kind: EventProgress, Fields: json.RawMessage(`{"text":"x","block":2}`)}
	if p, ok := good.Progress(); !ok || p.Text != "x" || p.Block != 2 {
		t.Errorf("%+v, %v", p, ok)
	}
	for _, e := range []Event{{Kind: EventTrial, Fields: good.Fields}, {Kind: EventProgress, Fields: json.RawMessage(`{"text":5}`)}, {Kind: EventProgress}} {
		if _, ok := e.Progress(); ok {
			t.Errorf("%+v is progress", e)
		}
	}
	for fields, want := range map[string]string{`{"folder":"1-1-a"}`: "1-1-a", `{"folder":"../x"}`: "", `{"folder":5}`: "", `[]`: "", `{}`: ""} {
		if got := (Event{Fields: json.RawMessage(fields)}).folder(); got != want {
			t.Errorf("%s: %q", fields, got)
		}
	}
	l := eventLog{proofs: map[string]Proof{}}
	for _, fields := range []string{`{"folder":5}`, `{"folder":"1-1-a","block":1,"position":2,"target":"a","attempt":1}`, `{"folder":"../x"}`} {
		if err := l.note(Event{Sequence: 7, Kind: EventTrial, Fields: json.RawMessage(fields)}); err == nil || len(l.proofs) > 0 {
			t.Errorf("%s proves %v", fields, l.proofs)
		}
	}
	if l.note(Event{Sequence: 5, Kind: "another"}); l.last != 7 {
		t.Errorf("the last event is number %d", l.last)
	}
	got := (Stage{Percentile: 0.99, BoundS: 0.05, Errors: 0.001}).Objective()
	if got != (capacity.Objective{Percentile: 0.99, Bound: 50 * time.Millisecond, Errors: 0.001}) {
		t.Errorf("%+v", got)
	}
	if p, err := ParsePosition(""); err != nil || p.String() != "0" {
		t.Errorf("%v, %v", p, err)
	}
	if p, err := ParsePosition("7,1-1-a:-1:2:3,2-1-b.2:5:0:0"); err != nil || p.String() != "7,1-1-a:-1:2:3,2-1-b.2:5:0:0" || p.of("1-1-a").load != 2 || p.of("1-1-a").series != 3 || p.of("x") != nil {
		t.Errorf("%v, %v", p, err)
	}
}

func TestDamageOfRunJSON(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON": "{", "another kind": string(runHead(FormatVersion, sum([]byte("\"files\": 5}\n")))) + "\"files\": 5}\n", "another digest": string(runHead(FormatVersion, sum(nil))) + "\"files\": []}\n",
	} {
		_, err := decodeRun([]byte(content))
		says(t, name, err, "damaged: ")
	}
	var version *VersionError
	if _, err := decodeRun([]byte(`{"format":3}`)); !errors.As(err, &version) || version.Has != 3 || version.File != runFile {
		t.Errorf("%v", err)
	}
	if n := common([]byte("abcd"), []byte("abx")); n != 2 {
		t.Errorf("%d bytes are common", n)
	}
	if n := common([]byte("ab"), []byte("abx")); n != 2 {
		t.Errorf("%d bytes are common", n)
	}
	for format, want := range map[int]bool{0: false, 1: true, 2: true, 3: false} {
		if readable(format) != want {
			t.Errorf("format %d", format)
		}
	}
}

// Which line of run.json is wrong is said only where there are lines.
func TestTheLineThatIsWrong(t *testing.T) {
	w, err := Create(memory(t), smallRun(), nil, nil, began)
	check(t, err)
	check(t, errors.Join(w.Update(func(*Run) {}), w.Close()))
	for content, want := range map[string]string{"": "", "{": ":1", "?": ":1"} {
		put(t, content, w.Dir(), runFile)
		if r := mustOpen(t, w.Dir()); len(r.Problems()) != 1 || r.Problems()[0].File != runFile+want {
			t.Errorf("%q: %v", content, r.Problems())
		}
	}
	check(t, os.Remove(filepath.Join(w.Dir(), runFile)))
	if r := mustOpen(t, w.Dir()); len(r.Problems()) != 1 || r.Problems()[0] != (Problem{runFile, "missing; read from " + eventsFile + " instead"}) {
		t.Errorf("none: %v", r.Problems())
	}
}

// A line that is being written is no damage while somebody writes, and is once nobody does.
func TestLinesBeingWritten(t *testing.T) {
	w, err := Create(memory(t), smallRun(), nil, nil, began)
	check(t, err)
	f, err := os.OpenFile(filepath.Join(w.Dir(), eventsFile), os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteString(`{"crc`)
	check(t, errors.Join(err, f.Close()))
	if r := mustOpen(t, w.Dir()); !r.Live() || len(r.Problems()) > 0 {
		t.Errorf("live %v, %v", r.Live(), r.Problems())
	}
	check(t, w.Close())
	if r := mustOpen(t, w.Dir()); r.Live() || len(r.Problems()) != 1 || r.Problems()[0] != (Problem{eventsFile + ":2", "a torn end of 5 bytes, left out"}) {
		t.Errorf("live %v, %v", r.Live(), r.Problems())
	}
}

// What is in the place of a folder or a file is a problem, and keeps nothing else from being read.
func TestStrangeFiles(t *testing.T) {
	dir := smallRunIn(t, true)
	trials := filepath.Join(dir, trialsFolder)
	put(t, "", trials, "2-1-z")
	check(t, os.Mkdir(filepath.Join(trials, "note"), folderMode))
	check(t, os.Remove(filepath.Join(trials, "1-1-b", trialFile)))
	check(t, os.Mkdir(filepath.Join(trials, "1-1-b", trialFile), folderMode))
	r := mustOpen(t, dir)
	var found []string
	for _, p := range r.Problems() {
		found = append(found, p.String())
	}
	if len(found) != 3 || found[0] != trialsFolder+"/2-1-z: not the folder of a trial" || found[1] != trialsFolder+"/note: not the folder of a trial" || !strings.Contains(found[2], "1-1-b/"+trialFile) || !strings.Contains(found[2], "not a regular file") {
		t.Errorf("%q", found)
	}
	states := map[string]int{}
	for _, trial := range r.Trials() {
		states[trial.State]++
	}
	if states[Damaged] != 1 || states[Finished] != len(r.Trials())-1 || states[Finished] < 2 {
		t.Errorf("%v", states)
	}
	_, err := Files(dir, false)
	check(t, err) // what is damaged is none of them
	check(t, os.RemoveAll(trials))
	put(t, "", trials)
	if p := mustOpen(t, dir).Problems(); len(p) == 0 || p[0].File != trialsFolder {
		t.Errorf("%v", p)
	}
	for _, err := range Follow(t.Context(), dir, Position{}) {
		if err != nil {
			says(t, "follow", err, "record: follow ")
			break
		}
	}
	_, err = List(filepath.Join(dir, runFile))
	says(t, "a file", err, "record: list: ")
	if l, err := List(filepath.Join(dir, "none")); err != nil || l != nil {
		t.Errorf("%v, %v", l, err)
	}
	if l := Glance(trials); l.Problem == "" || l.Dir != trials || l.Name != "" {
		t.Errorf("%+v", l)
	}
	_, err = Files(t.TempDir(), false)
	says(t, "no run", err, "record: files of ")
	_, err = OpenFile(dir, "../x")
	says(t, "outside", err, "leads out of the folder")
	_, err = OpenFile(dir, "x")
	says(t, "none", err, "record: ", "no such file")
	f, err := OpenFile(dir, runFile)
	check(t, err)
	check(t, f.Close())
	events := filepath.Join(dir, eventsFile)
	check(t, os.Remove(events))
	check(t, os.Mkdir(events, folderMode))
	for _, err := range Follow(t.Context(), dir, Position{}) {
		says(t, "events.jsonl is a folder", err, "record: follow ", "not a regular file")
		if errors.Is(err, ErrNoRun) {
			t.Error(err)
		}
	}
	_, err = Open(dir)
	says(t, "events.jsonl is a folder", err, "not a regular file")
}

// What a trial's own words or seals are wrong in is named.
func TestDamageOfTrials(t *testing.T) {
	for words, c := range map[string]struct {
		format  int
		content string
	}{
		"invalid character": {2, "x"}, "is of format 2 in a run of format 1": {1, `{"format":2}`}, "missing": {2, `{"format":2,"files":[{"path":"none","size":1}]}`},
	} {
		state := TrialState{format: c.format, dir: t.TempDir()}
		state.read([]byte(c.content))
		if len(state.Damage) != 1 || !strings.Contains(state.Damage[0].What, words) {
			t.Errorf("%s: %v", words, state.Damage)
		}
	}
	dir := t.TempDir()
	put(t, "ab", dir, "file")
	for want, s := range map[string]FileSeal{
		"":                          {"file", 2, sum([]byte("ab"))},
		"missing":                   {"none", 2, ""},
		"not a regular file":        {".", 2, ""},
		"2 bytes long, sealed with": {"file", 3, ""},
		"leads out of the folder":   {"../file", 2, ""},
		"not a directory":           {"file/below", 2, ""},
		"content differs":           {"file", 2, sum([]byte("ac"))},
	} {
		got := s.proves(dir)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}

// A trial cannot be begun under a name that leads elsewhere, nor be looked at or changed once it is over; links in it are no part of it.
func TestTrialsThatAreOver(t *testing.T) {
	w, err := Create(memory(t), smallRun(), nil, nil, began)
	check(t, err)
	_, err = w.BeginTrial(1, 1, "../b", 1)
	says(t, "elsewhere", err, "not the name of a trial")
	trial, err := w.BeginTrial(1, 1, "b", 1)
	check(t, err)
	check(t, os.Symlink("/etc/passwd", filepath.Join(trial.LogDir(), "link")))
	put(t, "said", trial.LogDir(), "log")
	says(t, "another end", trial.Finish(Trial{Status: "fine"}), `cannot end as "fine"`)
	check(t, trial.Intact())
	check(t, trial.Finish(Trial{Status: Valid}))
	if err := trial.Intact(); !errors.Is(err, ErrEnded) {
		t.Errorf("intact: %v", err)
	}
	if err := trial.Finish(Trial{Status: Valid}); !errors.Is(err, ErrEnded) {
		t.Errorf("finish: %v", err)
	}
	check(t, trial.Abandon("late"))
	_, err = w.BeginTrial(1, 1, "b", 1)
	says(t, "again", err, "is finished already")
	says(t, "an event", w.event("odd", make(chan int), false), "record: event odd: ")
	says(t, "a plan", w.Update(func(r *Run) { r.Plan = json.RawMessage("{") }), "record: "+runFile)
	check(t, w.Update(func(r *Run) { r.Plan = json.RawMessage("{}") }))
	says(t, "an end", w.Finish(Incomplete, ""), "a run cannot end as")
	check(t, w.Finish(Complete, ""))
	if _, err := w.BeginTrial(2, 1, "a", 1); !errors.Is(err, ErrEnded) {
		t.Errorf("begun: %v", err)
	}
	for what, err := range map[string]error{"update": w.Update(func(*Run) {}), "progress": w.Progress(Progress{}), "finish": w.Finish(Complete, "")} {
		if !errors.Is(err, ErrEnded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r := mustOpen(t, w.Dir())
	kept, err := r.Trials()[0].Trial()
	check(t, err)
	var names []string
	for _, s := range kept.Files {
		names = append(names, s.Path)
	}
	if !slices.Equal(names, []string{loadFile, logsFolder + "/log", seriesFile}) || len(r.Problems()) > 0 {
		t.Errorf("%q, %v", names, r.Problems())
	}
	sequence := int64(0)
	for _, e := range eventsOf(t, w.Dir()) {
		if sequence++; e.Sequence != sequence {
			t.Errorf("event %d where %d is due", e.Sequence, sequence)
		}
	}
	_, err = Create(memory(t), Run{Name: "No"}, nil, nil, began)
	says(t, "a name", err, `name of the plan "No"`)
}

// A folder that is begun again has other files: those of the earlier life are let go of.
func TestFilesOfALaterLife(t *testing.T) {
	w, err := Create(memory(t), smallRun(), nil, nil, began)
	check(t, err)
	defer w.Close()
	first, err := w.BeginTrial(1, 1, "b", 1)
	check(t, err)
	f := &follower{dir: w.Dir(), ended: func() error { return nil }, yield: func(Item, error) bool { return true }, lives: map[string]life{}, open: map[string]*lineFiles{}}
	defer f.close()
	check(t, f.start())
	earlier := under{folder: "1-1-b", begun: f.lives["1-1-b"].began}
	check(t, first.Abandon("again"))
	second, err := w.BeginTrial(1, 1, "b", 1)
	check(t, err)
	check(t, f.openFiles(earlier))
	if f.open["1-1-b"] != nil {
		t.Error("the files of the second life are taken for those of the first")
	}
	check(t, f.openFiles(under{folder: "1-1-b", begun: f.lives["1-1-b"].began}))
	if open := f.open["1-1-b"]; open == nil || open.load == nil || open.series == nil {
		t.Errorf("%+v", open)
	}
	check(t, f.begin("1-1-b", earlier.begun))
	if f.at.of("1-1-b") != nil {
		t.Error("a life that is over is under way")
	}
	check(t, f.begin("", 0))
	check(t, second.Abandon("over"))
	if err := os.Truncate(filepath.Join(w.Dir(), eventsFile), 1); err != nil {
		t.Fatal(err)
	}
	if err := f.scan(); !errors.Is(err, ErrPosition) {
		t.Errorf("events that are cut: %v", err)
	}
}

// A trial that no event names is under way until one does; a position in the middle of a line is none.
func TestUnnamedTrials(t *testing.T) {
	f := &follower{lives: map[string]life{"a": {began: 5, said: true}, "b": {began: 7}}}
	for _, c := range []struct {
		trial under
		want  bool
	}{
		{under{folder: "a", begun: 5}, true},
		{under{folder: "a", begun: 6}, false},
		{under{folder: "a", begun: unnamed}, false},
		{under{folder: "b", begun: unnamed}, true},
		{under{folder: "c", begun: unnamed}, true},
		{under{folder: "c", begun: 0}, false},
	} {
		if got := f.current(c.trial); got != c.want {
			t.Errorf("%+v: %v", c.trial, got)
		}
	}
	f.note(Event{Kind: EventTrial, Fields: json.RawMessage(`{"folder":"1-1-z"}`)}, 9)
	if got := f.lives["1-1-z"]; got != (life{began: 9, ended: true}) {
		t.Errorf("%+v", got)
	}
	f.note(Event{Kind: EventBegun, Fields: json.RawMessage(`{"folder":"1-1-z"}`)}, 11)
	f.note(Event{Kind: EventAbandoned, Fields: json.RawMessage(`{"folder":"1-1-z"}`)}, 13)
	if got := f.lives["1-1-z"]; got != (life{began: 11, said: true, ended: true}) {
		t.Errorf("%+v", got)
	}
	f.note(Event{Kind: EventFinished, Fields: json.RawMessage(`{"status":"complete"}`)}, 15)
	if !f.complete {
		t.Error("not complete")
	}
	if f.note(Event{Kind: EventResumed}, 17); f.complete {
		t.Error("complete, although it goes on")
	}
	if f.note(Event{Kind: EventFinished, Fields: json.RawMessage(`{"status":"aborted"}`)}, 19); f.complete {
		t.Error("complete, although it was aborted")
	}
	f.note(Event{Kind: EventRun, Fields: json.RawMessage(`{"run":{"format":2}}`)}, 21)
	f.note(Event{Kind: EventRun, Fields: json.RawMessage(`[]`)}, 23)
	if f.format != 2 {
		t.Errorf("format %d", f.format)
	}
}

// What can be copied no further is an error that names the file, and what is too long begins again.
func TestCopiesOfOtherFiles(t *testing.T) {
	in := t.TempDir()
	put(t, "", in, "file")
	_, err := OpenCopy(filepath.Join(in, "file"))
	says(t, "a file in the way", err, "record: copy into ")
	c, err := OpenCopy(filepath.Join(in, "copy"))
	check(t, err)
	_, err = OpenCopy(c.Dir())
	if !errors.Is(err, ErrInUse) {
		t.Errorf("a second one: %v", err)
	}
	seal := FileSeal{Path: "plan.yaml", Size: 3, SHA256: sum([]byte("abc"))}
	put(t, "longer than that", temporaryName(filepath.Join(c.Dir(), seal.Path)))
	var asked []int64
	give := func(content string) func(int64, io.Writer) error {
		return func(at int64, w io.Writer) error {
			asked = append(asked, at)
			_, err := io.WriteString(w, content)
			return err
		}
	}
	check(t, c.Take(seal, give("abc")))
	if got, err := os.ReadFile(filepath.Join(c.Dir(), seal.Path)); err != nil || string(got) != "abc" || !slices.Equal(asked, []int64{0}) {
		t.Errorf("%q, %v, asked from %d", got, err, asked)
	}
	other := FileSeal{Path: "other", Size: 2, SHA256: sum([]byte("xy"))}
	put(t, "xy", temporaryName(filepath.Join(c.Dir(), other.Path)))
	if check(t, c.Take(other, give("more"))); len(asked) != 1 {
		t.Errorf("what was whole is read again from %d", asked)
	}
	says(t, "a file as a folder", c.Take(FileSeal{Path: "plan.yaml/x", Size: 1}, give("x")), `record: copy "plan.yaml/x"`)
	check(t, os.Mkdir(temporaryName(filepath.Join(c.Dir(), "third")), folderMode))
	says(t, "a folder as a file", c.Take(FileSeal{Path: "third", Size: 1}, give("x")), `record: copy "third"`)
	check(t, os.Mkdir(filepath.Join(c.Dir(), "fourth"), folderMode))
	says(t, "a folder in its place", c.Take(FileSeal{Path: "fourth", Size: 1, SHA256: sum([]byte("x"))}, give("x")), `record: copy "fourth"`)
	failed := errors.New("failed")
	fails := func(int64, io.Writer) error { return failed }
	if err := c.Take(FileSeal{Path: eventsFile, Size: 5}, fails); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if err := c.Take(FileSeal{Path: eventsFile, Size: 2, SHA256: sum([]byte("ab"))}, give("ac")); !errors.Is(err, ErrDiffers) {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(filepath.Join(c.Dir(), eventsFile)); err != nil || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
	check(t, c.Close())
	says(t, "closed twice", c.Close(), "record: copy: ")
}

// What the system refuses is said with the file or folder.
func TestTheSystemRefuses(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	check(t, err)
	check(t, f.Close())
	says(t, "lock", lock(f), "lock ")
	says(t, "allocate", allocate(f, 5), "allocate 5 bytes for ")
	_, err = Free("a\x00b")
	says(t, "free", err, "record: free space of ")
	if n, err := Free(filepath.Join(t.TempDir(), "none", "below")); err != nil || n <= 0 {
		t.Errorf("%d bytes free, %v", n, err)
	}
	d := &disk{}
	says(t, "syncDir", d.syncDir(filepath.Join(t.TempDir(), "none")), "no such file")
	full := t.TempDir()
	put(t, "", full, "file")
	says(t, "remove", d.remove(full), "not empty")
	check(t, d.remove(filepath.Join(full, "none")))
	_, err = d.create(full)
	says(t, "create", err, "is a directory")
	_, err = sealFile(filepath.Join(full, "none"), "none")
	says(t, "seal", err, "no such file")
	_, err = sealBeginning(filepath.Join(full, "file"), "file", 3)
	says(t, "the beginning of a shorter file", err, "EOF")
	_, err = sealBeginning(filepath.Join(full, "none"), "none", 3)
	says(t, "the beginning of none", err, "no such file")
	made, err := makeRunFolder(d, filepath.Join(full, "file"), "x")
	says(t, "a file as root", err, "not a directory")
	if made != "" {
		t.Errorf("made %q", made)
	}
	_, err = makeRunFolder(d, full, strings.Repeat("x", 300))
	says(t, "a long name", err, "name too long")
	if _, err := withOthers(filepath.Join(full, "none"), nil); err == nil {
		t.Error("files of no folder")
	}
}
