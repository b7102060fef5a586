package jmeter

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"bakeoff/internal/load"
	"bakeoff/internal/platform/local"
)

// realEnv is set by make test-jmeter: tests that start JVMs run only then.
const realEnv = "BAKEOFF_JMETER"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		os.Exit(local.Guard())
	}
	if isFake(os.Args) {
		os.Exit(fakeJVM())
	}
	os.Exit(m.Run())
}

// locks numbers the machine locks that tests take.
var locks atomic.Int64

// platformOf is this machine with a guard of its own.
func platformOf(t *testing.T) *local.Platform {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := local.Open(t.Context(), local.Options{Self: []string{exe, "guard"}, StateDir: t.TempDir(), Lock: fmt.Sprintf("bakeoff-jmeter-test-%d-%d", os.Getpid(), locks.Add(1)), Label: "jmeter"})
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

// realOptions are those of a loader of real JVMs.
func realOptions(t *testing.T, servers int) Options {
	t.Helper()
	if os.Getenv(realEnv) == "" {
		t.Skip("SKIPPED: starts JVMs: make test-jmeter does")
	}
	java, err := FindJava(t.Context(), os.Getenv)
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	p := platformOf(t)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	home, err := Prepare(t.Context(), Preparation{CacheDir: filepath.Join(cache, "bakeoff"), Platform: p, Getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Platform: p, Home: home, Java: java, Count: servers, LogDir: t.TempDir(), Workloads: map[string]func(json.RawMessage) (load.Workload, error){
		"same": func(json.RawMessage) (load.Workload, error) { return always{}, nil },
	}}
}
