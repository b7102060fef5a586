package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/dataset"
	"bakeoff/internal/scratch"
)

// Environment of a second process of the test binary, which only fills.
const (
	fillerCache = "BAKEOFF_TEST_FILLER_CACHE"
	fillerDir   = "BAKEOFF_TEST_FILLER_DIR"
)

// filler starts a server and fills it, to be killed while it does.
func filler() int {
	ctx := context.Background()
	d, err := dataset.New(testSpec)
	if err == nil {
		p := &processes{}
		defer p.Close()
		var s *Server
		if s, err = Start(ctx, Options{Platform: p, Dir: os.Getenv(fillerDir), CacheDir: os.Getenv(fillerCache), Dataset: d}); err == nil {
			_, err = s.Fill(ctx, d, nil)
			err = errors.Join(err, s.Stop(ctx, 10*time.Second))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// kills is how many random moments are tried.
func kills() int {
	if os.Getenv("BAKEOFF_LONG") != "" {
		return 20
	}
	return 2
}

// TestFillerKilled kills the whole filler at random moments; the next start
// must find a complete table or make one.
func TestFillerKilled(t *testing.T) {
	shared(t) // its fill shows how long one takes
	span := time.Duration((fixture.filled.Seconds + 3) * float64(time.Second))
	cache := t.TempDir()
	d, err := dataset.New(testSpec)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[bool]int{}
	for i := range kills() {
		if err := os.RemoveAll(cache); err != nil {
			t.Fatal(err)
		}
		after := time.Duration(rand.Int64N(int64(span)))
		killFiller(t, cache, after)
		s := startPrivate(t, Options{CacheDir: cache, Dataset: d})
		filled, err := s.Fill(t.Context(), d, nil)
		if err != nil {
			t.Fatalf("kill %d after %v: %v", i, after, err)
		}
		if digest, err := s.Digest(t.Context()); err != nil || digest != d.Digest() || filled.Digest != digest {
			t.Fatalf("kill %d after %v: %+v, digest %s, %v", i, after, filled, digest, err)
		}
		outcomes[filled.FromCache]++
		if err := s.Stop(t.Context(), 10*time.Second); err != nil {
			t.Error(err)
		}
	}
	t.Logf("complete %d times, rebuilt %d times", outcomes[true], outcomes[false])
}

// killFiller starts a filler and kills it and its server.
func killFiller(t *testing.T, cache string, after time.Duration) {
	t.Helper()
	dir := t.TempDir()
	temporary := t.TempDir() // leftovers of a killed filler go with the test
	if err := os.Chmod(filepath.Dir(temporary), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fillerCache+"="+cache, fillerDir+"="+dir, "TMPDIR="+temporary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	deadline := time.Now().Add(20 * time.Second)
	for len(serversUnder(t, temporary, dir)) > 0 { // they die with the thread that started them
		if time.Now().After(deadline) {
			t.Fatal("the killed filler's server lives on")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// serversUnder are the processes whose command line names one of the folders.
func serversUnder(t *testing.T, dirs ...string) (pids []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		text, _ := os.ReadFile(path)
		for _, dir := range dirs {
			if strings.Contains(string(text), dir) {
				pids = append(pids, path)
			}
		}
	}
	return pids
}

// TestServerKilledWhileFilling kills only the server: the fill fails, and the same Server fills again.
func TestServerKilledWhileFilling(t *testing.T) {
	d, err := dataset.New(dataset.Spec{Rows: 300_000, Seed: 1, MinLength: 1, MaxLength: 255}) // long enough to be hit
	if err != nil {
		t.Fatal(err)
	}
	s := startPrivate(t, Options{Dataset: d})
	victim := s.Process().PID()
	killed := false
	_, err = s.Fill(t.Context(), d, func(done, total int64) {
		if done < total {
			killed = true
			_ = syscall.Kill(victim, syscall.SIGKILL)
		}
	})
	if !killed {
		t.Fatal("the fill was over before it told of its progress: too few rows")
	}
	if err == nil {
		t.Fatal("the fill says it is done though its server was killed")
	}
	filled, err := s.Fill(t.Context(), d, nil)
	if err != nil || filled.FromCache || filled.Digest != d.Digest() {
		t.Errorf("%+v, %v", filled, err)
	}
}

func TestCache(t *testing.T) {
	_, d := shared(t)
	cache := t.TempDir()
	if err := os.CopyFS(cache, os.DirFS(fixture.testCache)); err != nil {
		t.Fatal(err)
	}
	files := func() (list []string) {
		_ = filepath.WalkDir(cache, func(path string, item fs.DirEntry, _ error) error {
			if !item.IsDir() {
				list = append(list, path)
			}
			return nil
		})
		return list
	}
	table := func() string {
		for _, path := range files() {
			if strings.HasSuffix(path, "demo_data.ibd") {
				return path
			}
		}
		t.Fatalf("no table in %v", files())
		return ""
	}
	for _, c := range []struct {
		name  string
		spoil func() error
		good  bool
	}{
		{"whole", func() error { return nil }, true},
		{"file cut short", func() error { return os.Truncate(table(), 100_000) }, false},
		{"byte flipped", func() error { return flip(table()) }, false},
		{"file missing", func() error { return os.Remove(table()) }, false},
		{"manifest cut short", func() error {
			return os.Truncate(filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(table()))), manifestName), 100)
		}, false},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		e := (&private{options: Options{CacheDir: cache}, binary: fixture.server.private.binary}).entry(d)
		if !exists(e.path()) {
			t.Fatalf("%s: no entry %s", c.name, e.path())
		}
		m, err := e.restore(t.Context(), filepath.Join(t.TempDir(), "data"))
		if (err == nil) != c.good || c.good && m.Digest != d.Digest() {
			t.Errorf("%s: %v", c.name, err)
		}
		t.Logf("%s: %v", c.name, err)
		if exists(e.path()) != c.good {
			t.Errorf("%s: entry kept: %t", c.name, !c.good)
		}
		if !c.good {
			if err := os.CopyFS(e.path(), os.DirFS(filepath.Join(fixture.testCache, e.key))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func flip(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	_, err1 := f.ReadAt(b[:], 200_000)
	b[0] ^= 4
	_, err2 := f.WriteAt(b[:], 200_000)
	return errors.Join(err1, err2, f.Close())
}

// TestFromCache starts on the copy, with accounts of its own.
func TestFromCache(t *testing.T) {
	first, d := shared(t)
	s := startPrivate(t, Options{CacheDir: fixture.testCache, Dataset: d})
	filled, err := s.Fill(t.Context(), d, nil)
	if err != nil || !filled.FromCache || filled.Digest != d.Digest() {
		t.Fatalf("%+v, %v", filled, err)
	}
	if digest, err := s.Digest(t.Context()); err != nil || digest != d.Digest() {
		t.Errorf("digest %s, %v", digest, err)
	}
	a := s.Access()
	if err := asTarget(t, a, false).Ping(); err != nil {
		t.Error(err)
	}
	a.Password = first.Access().Password
	if err := asTarget(t, a, false).Ping(); err == nil {
		t.Error("the password of another run opens the server")
	}
}

// TestStartThenFill takes the way without Options.Dataset.
func TestStartThenFill(t *testing.T) {
	_, d := shared(t)
	s := startPrivate(t, Options{CacheDir: fixture.testCache})
	if info, err := s.Info(t.Context()); err != nil || info.Collation != "" {
		t.Errorf("an empty server: %+v, %v", info, err)
	}
	if err := s.Check(t.Context(), d); !errors.Is(err, ErrTable) {
		t.Errorf("check of an empty server: %v", err)
	}
	filled, err := s.Fill(t.Context(), d, nil)
	if err != nil || !filled.FromCache {
		t.Errorf("%+v, %v", filled, err)
	}
}

// The server's folder is a temporary one where the run's cannot hold a socket: its account passes through, others see
// nothing, and what a killed controller left is swept.
func TestBaseInATemporaryFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	base, remove, err := makeBase(strings.Repeat("/x", 60), account{uid: os.Geteuid(), gid: os.Getegid()})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{base: 0o700, filepath.Dir(base): 0o711} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info, err, want)
		}
	}
	if removed, err := scratch.Sweep(); err != nil || len(removed) > 0 || !exists(base) {
		t.Errorf("swept while it is held: %v, %v", removed, err)
	}
	if err := remove(); err != nil || exists(filepath.Dir(base)) {
		t.Errorf("%s is left, %v", base, err)
	}
}
