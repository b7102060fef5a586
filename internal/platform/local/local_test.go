package local_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
)

// locks numbers the locks of the machine that the tests take.
var locks atomic.Int64

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		os.Exit(local.Guard())
	}
	os.Exit(m.Run())
}

// open returns a platform with a state folder and a lock of its own.
func open(t *testing.T) *local.Platform {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := local.Open(t.Context(), local.Options{
		Self: []string{exe, "guard"}, StateDir: dir, Lock: fmt.Sprintf("bakeoff-test-%d-%d", os.Getpid(), locks.Add(1)), Label: t.Name(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestSmoke(t *testing.T) {
	p := open(t)
	log := t.TempDir() + "/log"
	c, err := p.Start(t.Context(), platform.Spec{Name: "a", Argv: []string{"/bin/sh", "-c", "echo hi; (sleep 100 &) ; env; ulimit -a; sleep 0.1; exit 3"}, Log: log, Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(c.PID(), c.PIDs())
	<-c.Done()
	t.Log(c.Exit(), c.PIDs())
	data, err := os.ReadFile(log)
	t.Log(string(data), err)
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Error(err)
	}
	t.Log(c.PIDs())
}
