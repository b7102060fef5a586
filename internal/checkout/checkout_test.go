package checkout

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// repository is a git repository in a temporary folder.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIPPED: git is not installed")
	}
	r := repository{t, t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main")
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.hooksPath=/dev/null"}, args...)...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repository) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

func (r repository) commit() string {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--message", "next")
	return r.git("rev-parse", "HEAD")
}

func (r repository) find(path string) Folder {
	r.t.Helper()
	f, err := Find(r.t.Context(), filepath.Join(r.dir, path))
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Two versions of a folder are written side by side; the repository is as it was, whatever hooks and variables it has.
func TestWriteVersions(t *testing.T) {
	r := newRepository(t)
	r.write("bench/app/main", "one")
	r.write("bench/app/deep/er", "same")
	r.write("other", "not asked for")
	r.write(".gitattributes", "*.bin export-ignore\n")
	r.write("bench/app/x.bin", "kept")
	first := r.commit()
	r.write("bench/app/main", "two")
	second := r.commit()
	r.write(".git/hooks/post-index-change", "#!/bin/sh\ntouch "+r.dir+"/hooked\n")
	r.write("bench/app/main", "three, not committed")
	if err := os.Chmod(filepath.Join(r.dir, ".git/hooks/post-index-change"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := r.git("status", "--porcelain") + r.git("worktree", "list") + r.git("rev-parse", "HEAD") + content(t, filepath.Join(r.dir, ".git/index"))
	t.Setenv("GIT_DIR", "/nowhere")
	t.Setenv("GIT_INDEX_FILE", "/nowhere")

	f, at := r.find("bench/app"), t.TempDir()
	for name, want := range map[string]struct{ commit, text string }{"main~1": {first, "one"}, "HEAD": {second, "two"}} {
		commit, err := f.Commit(t.Context(), name)
		if err != nil || commit != want.commit {
			t.Fatalf("%s is %s, %v, not %s", name, commit, err, want.commit)
		}
		to := filepath.Join(at, strings.Trim(name, "~1"))
		if err := f.Write(t.Context(), commit, to); err != nil {
			t.Fatal(err)
		}
		if got := content(t, filepath.Join(to, "main")) + content(t, filepath.Join(to, "deep/er")) + content(t, filepath.Join(to, "x.bin")); got != want.text+"samekept" {
			t.Errorf("%s holds %q", name, got)
		}
		if entries, err := os.ReadDir(to); err != nil || len(entries) != 3 {
			t.Errorf("%s holds %v, %v", name, entries, err)
		}
	}
	if entries, err := os.ReadDir(at); err != nil || len(entries) != 2 {
		t.Errorf("beside the versions: %v, %v", entries, err)
	}
	os.Unsetenv("GIT_DIR")
	os.Unsetenv("GIT_INDEX_FILE")
	if got := r.git("status", "--porcelain") + r.git("worktree", "list") + r.git("rev-parse", "HEAD") + content(t, filepath.Join(r.dir, ".git/index")); got != before {
		t.Errorf("the repository has changed:\n%s\nbefore:\n%s", got, before)
	}
	if dirty, err := f.Dirty(t.Context()); err != nil || !dirty {
		t.Errorf("a changed file: dirty %v, %v", dirty, err)
	}
}

// A folder is dirty with a changed and with a new file, not with one outside it or one that is ignored.
func TestDirty(t *testing.T) {
	r := newRepository(t)
	r.write("app/main", "one")
	r.write(".gitignore", "*.log\n")
	r.commit()
	f := r.find("app")
	for _, step := range []struct {
		name string
		want bool
	}{{"other", false}, {"app/a.log", false}, {"app/new/file", true}} {
		r.write(step.name, "x")
		if dirty, err := f.Dirty(t.Context()); err != nil || dirty != step.want {
			t.Errorf("with %s: dirty %v, %v", step.name, dirty, err)
		}
	}
}

// The folder may be the whole repository, and need not be in the working tree.
func TestWholeAndGone(t *testing.T) {
	r := newRepository(t)
	r.write("app/main", "one")
	first := r.commit()
	r.git("rm", "-r", "--quiet", "app")
	r.write("left", "x")
	r.commit()
	at := t.TempDir()
	for _, path := range []string{"", "app"} {
		f := r.find(path)
		to := filepath.Join(at, "of-"+path)
		if err := f.Write(t.Context(), first, to); err != nil {
			t.Fatal(err)
		}
		if path == "" {
			to = filepath.Join(to, "app")
		}
		if got := content(t, filepath.Join(to, "main")); got != "one" {
			t.Errorf("%q: %q", path, got)
		}
	}
}

// What cannot be had is refused, and says why.
func TestRefused(t *testing.T) {
	r := newRepository(t)
	r.write("app/main", "one")
	commit := r.commit()
	f := r.find("app")
	for _, name := range []string{"nowhere", "--help", "", "main:app"} {
		if got, err := f.Commit(t.Context(), name); err == nil || !strings.Contains(err.Error(), "names no commit") {
			t.Errorf("%q is %q, %v", name, got, err)
		}
	}
	if err := r.find("other").Write(t.Context(), commit, filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "has no folder other") {
		t.Errorf("a folder that the commit does not have: %v", err)
	}
	r.git("update-index", "--add", "--cacheinfo", "160000,"+commit+",app/sub")
	r.git("commit", "--quiet", "--message", "submodule")
	if err := f.Write(t.Context(), r.git("rev-parse", "HEAD"), filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "submodule app/sub") {
		t.Errorf("a submodule: %v", err)
	}
	r.git("config", "uploadpack.allowFilter", "true")
	partial := repository{t, t.TempDir()}
	partial.git("clone", "--quiet", "--no-checkout", "--filter=blob:none", "file://"+r.dir, ".")
	if err := partial.find("app").Write(t.Context(), commit, filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("a file that only the origin has: %v", err)
	}
	if _, err := Find(t.Context(), t.TempDir()); !errors.Is(err, ErrNoRepository) {
		t.Errorf("no repository: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Find(t.Context(), r.dir); !errors.Is(err, ErrNoRepository) {
		t.Errorf("no git: %v", err)
	}
}

// No program that the repository names runs: no filter that writes files, no file system monitor. A file that a filter would have
// to write is refused, and so is a pointer of git-lfs; a whole file of git-lfs is not.
func TestNoProgramRuns(t *testing.T) {
	r := newRepository(t)
	ran := filepath.Join(t.TempDir(), "ran")
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$0 $*\" >> "+ran+"\ncat\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.write("app/main", "one")
	r.write("app/big.bin", "it was never moved to git-lfs")
	r.write("app/.gitattributes", "*.bin filter=lfs\n")
	plain := r.commit()
	r.write("app/big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
	moved := r.commit()
	r.write("app/big.bin", "it is back")
	r.write("app/secret.key", "encrypted")
	r.write("app/.gitattributes", "*.bin filter=lfs\n*.key filter=a.b\n")
	filtered := r.commit()
	for _, key := range []string{"core.fsmonitor", "filter.lfs.smudge", "filter.a.b.smudge"} {
		r.git("config", key, program)
	}
	f := r.find("app")
	if dirty, err := f.Dirty(t.Context()); err != nil || dirty {
		t.Errorf("dirty %v, %v", dirty, err)
	}
	r.git("config", "filter.lfs.process", program)
	r.git("config", "filter.lfs.required", "true")
	at := filepath.Join(t.TempDir(), "x")
	if err := f.Write(t.Context(), plain, at); err != nil || content(t, filepath.Join(at, "big.bin")) != "it was never moved to git-lfs" {
		t.Errorf("a whole file: %v", err)
	}
	for commit, want := range map[string]string{moved: "holds app/big.bin, a pointer of git-lfs", filtered: "holds app/secret.key, which git's filter a.b would have to write"} {
		if err := f.Write(t.Context(), commit, filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if text, err := os.ReadFile(ran); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("programs ran: %s, %v", text, err)
	}
}

// What git has started ends with it when the comparison is interrupted, and does not keep it waiting.
func TestInterrupted(t *testing.T) {
	r := newRepository(t)
	r.write("app/main", "one")
	commit := r.commit()
	f := r.find("app")
	bin := t.TempDir()
	script := "#!/bin/sh\nsleep 1000 &\necho $! > " + bin + "/child.new\nmv " + bin + "/child.new " + bin + "/child\nwait\n"
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	done := make(chan error, 1)
	go func() { done <- f.Write(ctx, commit, filepath.Join(bin, "x")) }()
	child := ""
	for child == "" {
		text, _ := os.ReadFile(filepath.Join(bin, "child"))
		child = strings.TrimSpace(string(text))
		runtime.Gosched()
	}
	cancel(stopped)
	if err := <-done; !errors.Is(err, stopped) {
		t.Errorf("%v", err)
	}
	pid, err := strconv.Atoi(child)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil && !zombie(pid); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("git's child %d is left", pid)
		}
	}
}

// zombie reports whether a process has ended and is only waited for.
func zombie(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(text), ") Z ")
}
