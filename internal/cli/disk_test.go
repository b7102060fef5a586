package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// TestDiskFull runs with the run directory on a disk that fills up: at the start, and in the
// middle of a trial.
func TestDiskFull(t *testing.T) {
	s := newScene(t)
	disk := s.path("disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: mounting a small file system needs root")
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("SKIPPED: mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			exec.Command("umount", "-l", disk).Run()
			t.Errorf("unmount: %v", err)
		}
	})
	s.write("p.yaml", planText("go-nethttp", 20, "warmup: 0s"))

	t.Run("at the start", func(t *testing.T) {
		s := s.again(t)
		filler := fill(t, disk)
		needed := show.Megabytes(float64(record.Needs(record.Extent{Trials: 20, Seconds: 2, Agents: 2, Replicas: 1, Workers: 2})))
		e := s.run(1, "run", "--out", disk, "p.yaml")
		wantAll(t, "stderr", e.stderr.String(), disk+" has 0 MB free, the run needs about "+needed+" more", "bakeoff: hint: free some space there, or name a folder on another disk with --out")
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if found, _ := filepath.Glob(filepath.Join(disk, "*")); len(found) > 0 {
			t.Errorf("a refused run made %v", found)
		}
	})
	t.Run("in a trial", func(t *testing.T) {
		s := s.again(t)
		e := s.start("run", "--out", disk, "p.yaml")
		e.await("closed: 4 connections", 2)
		filler := fill(t, disk)
		e.wantStatus(1, time.Minute)
		e.nothingLeft(0)
		s.noFiles()
		wantAll(t, "stderr", e.stderr.String(), "no space left on device", "the run needs about", "bakeoff: hint: free some space there, then resume with: bakeoff run --resume "+disk)
		if got := strings.Count(e.stderr.String(), "no space left on device"); got != 1 {
			t.Errorf("the same said %d times:\n%s", got, e.stderr)
		}
		found, _ := filepath.Glob(filepath.Join(disk, "2*"))
		if len(found) != 1 {
			t.Fatalf("run directories: %v", found)
		}
		r, err := record.Open(found[0])
		if err != nil {
			t.Fatal(err)
		}
		if n := ended(t, r); n < 1 || r.Run().Status != record.Aborted {
			t.Errorf("run %s, %d trials ended", r.Run().Status, n)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	})
}

// fill takes all room on a disk and returns the file that holds it.
func fill(t *testing.T, disk string) string {
	t.Helper()
	path := filepath.Join(disk, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return path
}
