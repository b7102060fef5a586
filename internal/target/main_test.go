package target_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "guard":
		os.Exit(local.Guard())
	case len(os.Args) > 1 && os.Args[1] == "fake":
		os.Exit(fakeTarget())
	}
	os.Exit(m.Run())
}

// locks numbers the machine locks the tests take, so that tests may run at once.
var locks atomic.Int64

// openPlatform returns a local platform that ends with the test.
func openPlatform(t *testing.T) platform.Platform {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := local.Open(t.Context(), local.Options{
		Self: []string{self, "guard"}, StateDir: t.TempDir(), Label: t.Name(),
		Lock: fmt.Sprintf("bakeoff-target-test-%d-%d", os.Getpid(), locks.Add(1)),
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

// openDatabase starts a private server that holds a small table and ends with
// the test.
func openDatabase(t *testing.T, p platform.Platform) (*database.Server, *dataset.Dataset) {
	t.Helper()
	data, err := dataset.New(dataset.Spec{Rows: 5000, Seed: 1, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	server, err := database.Start(t.Context(), database.Options{Platform: p, Dir: t.TempDir(), BufferPool: "64M"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background(), 10*time.Second); err != nil {
			t.Error(err)
		}
	})
	if _, err := server.Fill(t.Context(), data, nil); err != nil {
		t.Fatal(err)
	}
	return server, data
}
