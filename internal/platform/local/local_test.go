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

// withSelf makes the test binary the guard.
func withSelf(t *testing.T, o local.Options) local.Options {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Self = []string{exe, "guard"}
	return o
}

// openWith opens a platform, with a state folder and a lock of its own where o
// names none, and closes it at the end of the test.
func openWith(t *testing.T, o local.Options) *local.Platform {
	t.Helper()
	if o.StateDir == "" {
		o.StateDir = t.TempDir()
	}
	if o.Lock == "" {
		o.Lock = newLock()
	}
	p, err := local.Open(t.Context(), withSelf(t, o))
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

func open(t *testing.T) *local.Platform { return openWith(t, local.Options{}) }

func TestContract(t *testing.T) {
	platformtest.Run(t, func(t *testing.T) platform.Platform { return open(t) })
}
