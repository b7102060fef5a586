package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"bakeoff/internal/capacity"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rendered is a report of all figures, and one that the run directory does not have.
func rendered(s *figures.Summary) ([]Report, error) {
	text, err := json.MarshalIndent(s, "", " ")
	return []Report{{Name: "summary.json", Text: text, Apart: "other runs: "}, {Name: "report.md", Text: text}}, err
}

// aRun is a run directory with its report; the trials are small, and one is refused.
func aRun(t *testing.T) string {
	t.Helper()
	r := recordtest.Of(2, "django", "flask")
	r.ClosedS, r.OpenS = 2, 0
	r.Root, r.Change = memory(t), withoutWarmup
	dir := r.Write(t)
	reader, err := record.Open(dir)
	check(t, err)
	s, err := figures.Build(reader)
	check(t, err)
	reports, err := rendered(s)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "summary.json"), reports[0].Text, 0o600))
	return dir
}

// withoutWarmup takes the warm-up out of a trial: the lines of these runs have none.
func withoutWarmup(trial *record.Trial) {
	trial.Phases = slices.DeleteFunc(trial.Phases, func(p record.Phase) bool { return p.Warmup })
}

// memory is a temporary folder in memory where there is one.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "bakeoff-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func audited(t *testing.T, dir string) Result {
	t.Helper()
	reader, err := record.Open(dir)
	check(t, err)
	out, err := Run(reader, rendered)
	check(t, err)
	return out
}

// A run that is as it was recorded has no finding.
func TestClean(t *testing.T) {
	out := audited(t, aRun(t))
	if len(out.Findings) > 0 || out.Trials != 4 || out.Lines == 0 || !slices.Equal(out.Reports, []string{"summary.json"}) || !slices.Equal(out.Absent, []string{"report.md"}) {
		t.Errorf("%+v", out)
	}
}

// filesOf are the files of the record and its reports, relative to the directory; not the space that is held back.
func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && e.Name() != ".reserve" {
			name, _ := filepath.Rel(dir, path)
			out = append(out, name)
		}
		return err
	}))
	return out
}

// A byte that is changed anywhere, in any file, is found, and named with its file. In files of lines, in the reports, and in
// run.json, since there is a copy of it, the line is named too.
func TestEveryFile(t *testing.T) {
	from := aRun(t)
	names := filesOf(t, from)
	for _, want := range []string{"run.json", "plan.yaml", "plan.resolved.yaml", "events.jsonl", "summary.json", "trials/1-1-django/trial.json", "trials/2-2-flask/load.jsonl", "trials/2-1-django/series.jsonl"} {
		if !slices.Contains(names, want) {
			t.Fatalf("no %s among %v", want, names)
		}
	}
	flips := 0
	for _, name := range names {
		path := filepath.Join(from, name)
		whole, err := os.ReadFile(path)
		check(t, err)
		lined := strings.HasSuffix(name, ".jsonl") || name == "summary.json" || name == "run.json"
		for at := 0; at < len(whole); at += 1 + len(whole)/12 {
			for _, bit := range []byte{1, 0x20} {
				flips++
				broken := bytes.Clone(whole)
				broken[at] ^= bit
				check(t, os.WriteFile(path, broken, 0o600))
				place := name
				if lined {
					place = fmt.Sprintf("%s:%d", name, 1+bytes.Count(whole[:at], []byte("\n")))
				}
				if found := places(t, from); !slices.Contains(found, place) {
					t.Errorf("byte %d of %s, %q, now %q: want %s among %v", at, name, whole[at], broken[at], place, found)
				}
			}
		}
		check(t, os.WriteFile(path, whole, 0o600))
	}
	if flips < 200 {
		t.Errorf("only %d bytes were changed", flips)
	}
}

// places are where findings are. A run that cannot even be opened says so with the file.
func places(t *testing.T, dir string) (out []string) {
	t.Helper()
	reader, err := record.Open(dir)
	var version *record.VersionError
	if errors.As(err, &version) { // the byte is the format's number, in the second line
		return []string{version.File + ":2"}
	}
	check(t, err)
	found, err := Run(reader, rendered)
	check(t, err)
	for _, p := range found.Findings {
		out = append(out, p.File)
	}
	return out
}

// rewritten is a run whose record is proven whole, although a trial in it says something else than its lines.
func rewritten(t *testing.T, change func(*recordtest.Run)) string {
	t.Helper()
	r := recordtest.Of(1, "django", "flask")
	r.ClosedS, r.OpenS, r.Root = 2, 0, memory(t)
	change(r)
	return r.Write(t)
}

// A record that was changed and sealed again does not pass: reasons that its lines do not give, and lines that give some.
func TestResealed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*record.Trial)
		want   string
	}{
		"a reason that nothing gives": {func(trial *record.Trial) {
			trial.Status, trial.Reasons = record.Invalid, []record.Reason{{Code: record.CodeWitness, Text: "phase closed: made up"}}
		}, "reasons are witness: phase closed: made up, judged again they are none"},
		"a reason that is left out": {func(trial *record.Trial) {
			for i := range trial.Phases {
				trial.Phases[i].Witness.DatabaseReads++
			}
		}, "reasons are none, judged again they are witness: phase "},
		"another's reason": {func(trial *record.Trial) {
			trial.Status, trial.Reasons = record.Invalid, []record.Reason{{Code: record.CodeContract, Text: "only the run saw it"}}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := audited(t, rewritten(t, func(r *recordtest.Run) {
				r.Change = func(trial *record.Trial) {
					withoutWarmup(trial)
					if trial.Target == "flask" {
						c.change(trial)
					}
				}
			}))
			switch {
			case c.want == "" && len(out.Findings) == 0:
			case c.want == "" || len(out.Findings) != 1 || !strings.HasPrefix(out.Findings[0].File, "trials/1-2-flask/trial.json:") || !strings.HasPrefix(out.Findings[0].What, c.want):
				t.Errorf("%+v", out.Findings)
			}
		})
	}
}

// A pipe, a device or a link in the place of a report is a finding: nobody waits for it, and nothing else is read.
func TestReportsThatAreNoFiles(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		dir := aRun(t)
		path := filepath.Join(dir, "summary.json")
		check(t, os.Remove(path))
		check(t, put(path))
		out := audited(t, dir)
		if len(out.Findings) != 1 || out.Findings[0].File != "summary.json" || !strings.Contains(out.Findings[0].What, "is not a regular file") {
			t.Errorf("%s: %+v", name, out.Findings)
		}
	}
}

// A line that comes from outside of the record is not compared, whether the report has it or not; the lines behind it keep
// their numbers.
func TestApart(t *testing.T) {
	dir := aRun(t)
	path := filepath.Join(dir, "summary.json")
	whole, err := os.ReadFile(path)
	check(t, err)
	first, rest, _ := strings.Cut(string(whole), "\n")
	check(t, os.WriteFile(path, []byte(first+"\nother runs: two of them\n"+rest), 0o600))
	if found := places(t, dir); len(found) > 0 {
		t.Errorf("%v", found)
	}
	if apart := audited(t, dir).NotAudited; len(apart) != 1 || apart[0].File != "summary.json:2" || !strings.Contains(apart[0].What, "two of them") {
		t.Errorf("what is not audited is named: %+v", apart)
	}
	third, rest, _ := strings.Cut(rest, "\n")
	check(t, os.WriteFile(path, []byte(first+"\nother runs: two of them\n"+third+" \n"+rest), 0o600))
	if found := places(t, dir); !slices.Equal(found, []string{"summary.json:3"}) {
		t.Errorf("%v", found)
	}
}

// A status that contradicts the reasons next to it, or the event that proves the trial, is found although all seals hold.
func TestStatusJudgedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*record.Trial)
		want   string
	}{
		"valid with a reason": {func(trial *record.Trial) {
			trial.Reasons = []record.Reason{{Code: record.CodeContract, Text: "only the run saw it"}}
		}, `status is "valid" although there are reasons against it: contract`},
		"invalid without one": {func(trial *record.Trial) { trial.Status = record.Invalid }, `status is "invalid" without any reason`},
		"aborted":             {func(trial *record.Trial) { trial.Status = record.TrialAborted }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := audited(t, rewritten(t, func(r *recordtest.Run) {
				r.Change = func(trial *record.Trial) {
					withoutWarmup(trial)
					if trial.Target == "flask" {
						c.change(trial)
					}
				}
			}))
			wantStatus(t, out, c.want)
		})
	}
	dir := rewritten(t, func(r *recordtest.Run) { r.Change = withoutWarmup })
	events := filepath.Join(dir, "events.jsonl")
	whole, err := os.ReadFile(events)
	check(t, err)
	check(t, os.WriteFile(events, resealed(t, whole, `"target":"flask","attempt":1,"status":"valid"`, `"target":"flask","attempt":1,"status":"invalid"`), 0o600))
	out := audited(t, dir)
	out.Findings = slices.DeleteFunc(out.Findings, func(p record.Problem) bool { return p.File == "events.jsonl" }) // its seal in run.json
	wantStatus(t, out, `status is "valid", in events.jsonl it is "invalid"`)
}

// wantStatus wants one finding, in the trial of flask; empty: none.
func wantStatus(t *testing.T, out Result, want string) {
	t.Helper()
	switch {
	case want == "" && len(out.Findings) == 0:
	case want == "" || len(out.Findings) != 1 || !strings.HasPrefix(out.Findings[0].File, "trials/1-2-flask/trial.json:") || out.Findings[0].What != want:
		t.Errorf("want %q: %+v", want, out.Findings)
	}
}

// resealed changes a record in framed lines, and gives the line the length and the checksum that fit it.
func resealed(t *testing.T, lines []byte, was, is string) []byte {
	t.Helper()
	var out []byte
	changed := 0
	for line := range bytes.Lines(lines) {
		_, rest, _ := bytes.Cut(line, []byte(`"record":`))
		raw := bytes.TrimSuffix(rest, []byte("}\n"))
		if bytes.Contains(raw, []byte(was)) {
			raw = bytes.Replace(raw, []byte(was), []byte(is), 1)
			sum := crc32.Checksum(raw, crc32.MakeTable(crc32.Castagnoli))
			line = fmt.Appendf(nil, "{\"crc32c\":\"%08x\",\"length\":%d,\"record\":%s}\n", sum, len(raw), raw)
			changed++
		}
		out = append(out, line...)
	}
	if changed != 1 {
		t.Fatalf("%d lines hold %s", changed, was)
	}
	return out
}

// What the run says of its pilot is compared with the pilot's trial.
func TestPilotChanged(t *testing.T) {
	r := recordtest.Demo()
	r.Root = memory(t)
	r.Head.Pilot.Throughput["flask"] *= 1.1
	out := audited(t, r.Write(t))
	named := func(p record.Problem) bool {
		return p.File == "run.json" && strings.Contains(p.What, "pilot's throughput of flask")
	}
	if !slices.ContainsFunc(out.Findings, named) {
		t.Errorf("%+v", out.Findings)
	}
}

// So is what it says of the search for a capacity.
func TestSearchChanged(t *testing.T) {
	r := recordtest.Demo()
	r.Root = memory(t)
	r.Head.Pilot.Capacity = map[string]capacity.Result{"flask": {Outcome: capacity.Found, Centre: 500, Lower: 480, Upper: 520}}
	out := audited(t, r.Write(t))
	named := func(p record.Problem) bool {
		return p.File == "run.json" && strings.Contains(p.What, "the search for the capacity of flask")
	}
	if !slices.ContainsFunc(out.Findings, named) {
		t.Errorf("%+v", out.Findings)
	}
}

// A stage is limited by an agent where the lines say so, and nowhere else.
func TestStageLimited(t *testing.T) {
	for limited, want := range map[bool]string{false: "", true: "limited of phase stage-1 is true, judged again it is false"} {
		r := recordtest.Of(1, "django", "flask")
		r.Root, r.ClosedS = memory(t), 0
		r.WithCapacity(map[string]float64{"django": 300, "flask": 400})
		r.Change = func(trial *record.Trial) {
			withoutWarmup(trial)
			trial.Phases[0].Stage.Limited = limited && trial.Target == "flask"
		}
		out := audited(t, r.Write(t))
		out.Findings = slices.DeleteFunc(out.Findings, func(p record.Problem) bool { return !strings.Contains(p.What, "limited of") })
		wantStatus(t, out, want)
	}
}

// A run that is being written is refused.
func TestLive(t *testing.T) {
	r := recordtest.Of(1, "django")
	w := r.Begin(t)
	defer w.Close() //nolint:errcheck // of a test
	reader, err := record.Open(w.Dir())
	check(t, err)
	if _, err := Run(reader, rendered); !errors.Is(err, ErrLive) {
		t.Errorf("%v", err)
	}
}
