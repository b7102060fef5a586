package driver_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/platform/local"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		os.Exit(local.Guard())
	}
	os.Exit(m.Run())
}

const rows = 2000

// filled is a private server with the rows of a dataset.
func filled(t *testing.T) (*database.Server, *dataset.Dataset) {
	t.Helper()
	data, err := dataset.New(dataset.Spec{Rows: rows, Seed: 1, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := local.Open(t.Context(), local.Options{
		Self: []string{self, "guard"}, StateDir: t.TempDir(), Label: t.Name(), Lock: fmt.Sprintf("bakeoff-driver-test-%d", os.Getpid()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
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
