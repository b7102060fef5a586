package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/verdict"
)

// The program compares real versions of a shipped target here. How often it is right is counted in ab_inside_test.go, without
// processes.

// versioned makes a repository in the scene whose folder app holds two versions of go-nethttp: the first commit as it is
// shipped, the second with a change.
func (s *scene) versioned(change string) (dir string) {
	s.t.Helper()
	dir = s.path("repository")
	s.copyTarget(filepath.Join(dir, "app"))
	s.git(dir, "init", "--quiet", "--initial-branch=main")
	s.git(dir, "add", ".")
	s.git(dir, "commit", "--quiet", "-m", "as it is")
	plant(s.t, filepath.Join(dir, "app"), change)
	s.git(dir, "commit", "--quiet", "-a", "-m", "changed")
	return dir
}

// copyTarget copies the shipped target go-nethttp.
func (s *scene) copyTarget(to string) {
	s.t.Helper()
	if err := os.CopyFS(to, os.DirFS("../../targets/go-nethttp")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) git(dir string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.org"}, args...)...)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		s.t.Skip("SKIPPED: git is not installed")
	}
	if err != nil {
		s.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// plant puts a line of Go before each lookup of a copy of go-nethttp.
func plant(t *testing.T, dir, line string) {
	t.Helper()
	path := filepath.Join(dir, "main.go")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const before = "\tfound := answer{Name: name}\n"
	changed := strings.Replace(string(text), before, "\t"+line+"\n"+before, 1)
	if changed == string(text) {
		t.Fatal("go-nethttp has another text: nothing was planted")
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAB takes two commits of one target through a whole run, cut to one block, and another one whose run is killed: what
// it wrote of them is gone in either case, and the repository has not changed.
func TestAB(t *testing.T) {
	s := newScene(t)
	dir := s.versioned("_ = name")
	first, second := s.git(dir, "rev-parse", "HEAD~1"), s.git(dir, "rev-parse", "HEAD")
	s.write("p.yaml", planText("./app", 1, "warmup: 500ms", "turns: 150ms"))
	args := []string{"ab", "--share-machine", "--plan", "p.yaml", "--target", filepath.Join(dir, "app"), "HEAD~1", "main", "--json", "--markdown", "c.md", "--junit", "j.xml"}

	killed := s.start(args...)
	killed.await("preparing", 1)
	if found, err := filepath.Glob(s.path("tmp", "bakeoff-ab-*", "*", "main.go")); err != nil || len(found) != 2 {
		t.Errorf("the files of both commits: %v, %v", found, err)
	}
	killed.signal(syscall.SIGKILL)
	<-killed.done
	killed.nothingLeft(5 * time.Second)

	e := s.run(4, args...)
	e.nothingLeft(time.Second)
	s.noFiles()
	wantAll(t, "stderr", e.stderr.String(), "preparing ./base/", "preparing ./head/", "a target lacks enough valid trials: ")
	if got := s.git(dir, "status", "--porcelain") + s.git(dir, "rev-parse", "HEAD") + fmt.Sprint(strings.Count(s.git(dir, "worktree", "list"), "\n")); got != second+"0" {
		t.Errorf("the repository has changed: %s", got)
	}
	var out struct{ Run, Verdict, Line string }
	if err := json.Unmarshal([]byte(e.stdout.String()), &out); err != nil || out.Verdict != "too few valid trials" {
		t.Errorf("%v: %+v", err, out)
	}
	r, err := record.Open(out.Run)
	if err != nil {
		t.Fatal(err)
	}
	run := r.Run()
	if of := run.Revisions; of == nil || of.Base.Commit != first || of.Head.Commit != second || of.Head.Folder != "app" || of.Head.Dirty {
		t.Errorf("revisions: %+v", of)
	}
	if ts := run.Targets; len(ts) != 2 || ts[0].Name != "base" || ts[1].Name != "head" || ts[0].Digest == ts[1].Digest {
		t.Errorf("targets: %+v", ts)
	}
	if got := finished(t, r); got[record.Valid]+got[record.Invalid] < 2 {
		t.Errorf("trials: %v", got)
	}
	for name, want := range map[string]string{"c.md": "<!-- bakeoff ab -->\n### no verdict: ", "j.xml": `type="too-few-valid-trials"`} {
		text, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		wantAll(t, name, string(text), want)
	}
}

// TestLongAB compares go-nethttp with a copy of itself: the same three times, and three times with planted work, a fifth of
// what a request costs all tiers together. It is found each time, and nothing else is.
func TestLongAB(t *testing.T) {
	if !long() {
		t.Skip("SKIPPED: BAKEOFF_LONG is not set")
	}
	for i := range 3 {
		t.Run(fmt.Sprintf("same-%d", i+1), func(t *testing.T) {
			s := aloneScene(t)
			s.copyTarget(s.path("base"))
			s.copyTarget(s.path("head"))
			if got := s.compared(0); got.Claim() == verdict.Worse {
				t.Errorf("no difference: %s", got.Line)
			}
		})
		t.Run(fmt.Sprintf("planted-%d", i+1), func(t *testing.T) {
			s := aloneScene(t)
			s.copyTarget(s.path("base"))
			s.copyTarget(s.path("head"))
			rounds := s.fifth()
			plant(t, s.path("head"), fmt.Sprintf("for x, i := uint64(len(name)+1), 0; i < %d; i++ {\n\t\tif x = x*6364136223846793005 + 1442695040888963407; x == 7 {\n\t\t\treturn\n\t\t}\n\t}", rounds))
			if got := s.compared(3); got.Claim() != verdict.Worse {
				t.Errorf("a fifth more work: %s", got.Line)
			}
		})
	}
}

// compared runs bakeoff ab on the folders base and head, and returns what it says. It must end within 5 minutes.
func (s *scene) compared(status int, more ...string) *figures.AB {
	s.t.Helper()
	args := []string{"ab", "base", "head", "--share-machine", "--out", s.path("runs-" + fmt.Sprint(status))}
	began := time.Now()
	e := s.start(append(args, more...)...)
	e.wantStatus(status, 6*time.Minute)
	s.t.Logf("in %v:\n%s", time.Since(began).Round(time.Second), e.stdout)
	if took := time.Since(began); took > 5*time.Minute+15*time.Second {
		s.t.Errorf("it took %v", took)
	}
	return s.figuresOf("runs-" + fmt.Sprint(status)).AB
}

func (s *scene) figuresOf(runs string) *figures.Summary {
	s.t.Helper()
	found, err := filepath.Glob(s.path(runs, "*"))
	if err != nil || len(found) != 1 {
		s.t.Fatalf("run directories: %v, %v", found, err)
	}
	r, err := record.Open(found[0])
	if err != nil {
		s.t.Fatal(err)
	}
	summary, err := figures.Build(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return summary
}

// fifth is how many rounds of the planted loop take a fifth of the CPU time that a request takes in all tiers, as a run of one block
// has it.
func (s *scene) fifth() int {
	s.t.Helper()
	s.write("one.yaml", strings.NewReplacer("connections: 4", "connections: 16", "duration: 1s", "duration: 4s").Replace(planText("./base", 1, "warmup: 1s", "turns: 250ms")))
	s.run(4, "ab", "base", "base", "--share-machine", "--plan", "one.yaml", "--out", s.path("pilot"))
	var request float64 // seconds
	primary, _ := s.figuresOf("pilot").Primary()
	for _, tier := range primary.Targets[0].Tiers {
		if tier.Tier != "host" && tier.Tier != "controller" {
			request += tier.PerReqS.Median
		}
	}
	const rounds = 50_000_000
	began, x := time.Now(), uint64(len(s.dir))
	for range rounds {
		x = x*6364136223846793005 + 1442695040888963407
	}
	each := time.Since(began).Seconds() / rounds
	if request == 0 || x == 7 {
		s.t.Fatalf("a request takes %v s", request)
	}
	s.t.Logf("a request takes %.0f us of CPU time", 1e6*request)
	return int(0.2 * request / each)
}
