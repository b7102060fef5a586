//go:build linux

package record

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// smallDisk mounts a tmpfs of the given size.
func smallDisk(t *testing.T, kilobytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", kilobytes)); err != nil {
		t.Skipf("no tmpfs may be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes trials until the disk is full.
func fill(t *testing.T, s *story, w *Writer) {
	t.Helper()
	for block := 1; block < 1000; block++ {
		p := Place{block, 1, "a"}
		err := writeTrial(w, p, 1, Valid)
		if err == nil {
			s.finished = append(s.finished, trialFolder(block, 1, "a", 1))
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) || !DiskFull(err) {
			t.Fatalf("the error of a full disk does not tell: %v", err)
		}
		return
	}
	t.Fatal("the disk never was full")
}

// A full disk ends a run cleanly, wherever it strikes: the end is written,
// finished trials are readable, and with more room the run goes on.
func TestDiskFull(t *testing.T) {
	step := 12 // kilobytes
	if long() {
		step = 4
	}
	created, some := 0, 0 // runs begun, and runs with a finished trial
	for size := 1024 + 60; size < 1024+300; size += step {
		dir := smallDisk(t, size)
		w, err := Create(dir, smallRun(), []byte(smallGiven), []byte(smallWhole), began)
		if err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("create: %v", err)
			}
			continue
		}
		s := &story{disk: &disk{}, dir: w.Dir()}
		fill(t, s, w)
		created++
		some += min(1, len(s.finished))
		check(t, w.Finish(Aborted, "disk full"))
		r := mustOpen(t, w.Dir())
		if run := r.Run(); run.Status != Aborted || run.Reason != "disk full" || len(r.Problems()) > 0 {
			t.Errorf("%d kB: status %s (%s), problems %v", size, run.Status, run.Reason, r.Problems())
		}
		survived(t, s)
		check(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"))
		w, left, err := Resume(s.dir, smallDigest, began)
		check(t, err)
		for _, p := range left {
			check(t, writeTrial(w, p, 1, Valid))
		}
		check(t, w.Finish(Complete, ""))
		if r := mustOpen(t, s.dir); r.Run().Status != Complete || len(r.Problems()) > 0 || len(r.Remaining()) > 0 {
			t.Errorf("%d kB: resumed run is %s, problems %v, left %v", size, r.Run().Status, r.Problems(), r.Remaining())
		}
	}
	if created < 10 || some < 5 {
		t.Errorf("only %d runs were begun, %d had a finished trial", created, some)
	}
}

// The estimate lies above what a run takes, and not absurdly so.
func TestNeeds(t *testing.T) {
	root := memory(t)
	w, err := Create(root, smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	check(t, err)
	const trials, seconds = 4, 10
	line := loads(Place{90, 90, "a"})[0] // 9,900 different durations
	line.Service, line.Lateness = line.Response, line.Response
	line.Replicas = map[string]stats.Replica{"a-1": {Service: line.Response}, "a-2": {Service: line.Response}, "a-3": {Service: line.Response}}
	for block := range trials {
		trial, err := w.BeginTrial(block+1, 1, "a", 1)
		check(t, err)
		for range seconds {
			for range 2 {
				check(t, trial.Load(line))
			}
			for range 3*(1+7) + 6 {
				check(t, trial.Series(serie(Place{1, 1, "a"})))
			}
		}
		check(t, trial.Finish(Trial{Status: Valid}))
	}
	var used int64
	for _, name := range files(t, w.Dir()) {
		info, err := os.Stat(filepath.Join(w.Dir(), name))
		check(t, err)
		used += info.Size()
	}
	need := Needs(Extent{Trials: trials, Seconds: seconds, Agents: 2, Replicas: 3, Workers: 7})
	t.Logf("used %d, estimated %d", used, need)
	if need < used || need > 6*used {
		t.Errorf("used %d bytes, estimated %d", used, need)
	}
	free, err := Free(filepath.Join(root, "not", "there", "yet"))
	if err != nil || free <= 0 {
		t.Errorf("free: %d, %v", free, err)
	}
	check(t, w.Close())
}

const childVariable = "RECORD_TEST_CHILD"

// TestMain runs the child of TestKilled when it is asked to.
func TestMain(m *testing.M) {
	if root := os.Getenv(childVariable); root != "" {
		if err := child(root); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child writes the small run, or resumes it, and says which trials are finished.
func child(root string) error {
	fmt.Println("begun")
	s := &story{disk: &disk{}}
	var w *Writer
	left := smallOrder()
	var err error
	if s.dirOf(root) {
		w, left, err = Resume(s.dir, smallDigest, began)
	} else {
		w, err = Create(root, smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	}
	if errors.Is(err, ErrComplete) {
		return nil // the one before was killed after its last step
	}
	if err != nil {
		return err
	}
	for _, p := range left {
		if err := writeTrial(w, p, 1, Valid); err != nil {
			return err
		}
		fmt.Println("finished", trialFolder(p.Block, p.Position, p.Target, 1))
	}
	return w.Finish(Complete, "")
}

// spawn runs the child and kills it a while after it began. It returns the trials it
// reported finished, and whether it came to its end.
func spawn(t *testing.T, root string, after time.Duration) (finished []string, ended bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+root)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "begun" {
		t.Errorf("child: %q, %v", lines.Text(), lines.Err())
	}
	kill := time.AfterFunc(after, func() { cmd.Process.Kill() })
	defer kill.Stop()
	for lines.Scan() {
		folder, ok := strings.CutPrefix(lines.Text(), "finished ")
		if !ok {
			t.Errorf("child: %s", lines.Text())
		}
		finished = append(finished, folder)
	}
	return finished, cmd.Wait() == nil
}

// Real processes are killed while they write a run, again and again, until one comes to the end.
func TestKilled(t *testing.T) {
	kills := 5
	if long() {
		kills = 60
	}
	for killed := 0; killed < kills; {
		root := t.TempDir()
		s := &story{disk: &disk{}}
		longest := 20 * time.Millisecond
		for ended := false; !ended; longest += longest / 2 { // so that a slow machine comes to the end too
			var finished []string
			finished, ended = spawn(t, root, rand.N(longest))
			s.finished = append(s.finished, finished...)
			if !s.dirOf(root) {
				continue
			}
			if !survived(t, s) {
				check(t, os.RemoveAll(s.dir))
			}
			if !ended {
				killed++
			}
		}
		complete(t, s.dir)
		if t.Failed() {
			return
		}
	}
}
