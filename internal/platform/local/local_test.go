//go:build linux

package local_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/platform/platformtest"
)

// locks numbers the locks of the machine that the tests take.
var locks atomic.Int64

func newLock() string { return fmt.Sprintf("bakeoff-test-%d-%d", os.Getpid(), locks.Add(1)) }

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		os.Exit(local.Guard())
	}
	if len(os.Args) > 1 && os.Args[1] == "controller" {
		fmt.Fprintln(os.Stderr, "controller:", controller(os.Args[2:]))
		os.Exit(1)
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

func TestContract(t *testing.T) {
	platformtest.Run(t, func(t *testing.T) platform.Platform { return open(t) })
}
