package database

import (
	"context"
	"testing"
	"time"

	"bakeoff/internal/dataset"
)

const testRows = 20_000

func testDataset(t *testing.T, seed uint64) *dataset.Dataset {
	t.Helper()
	d, err := dataset.New(dataset.Spec{Rows: testRows, Seed: seed, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func startPrivate(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Platform == nil {
		o.Platform = newPlatform(t)
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background(), 20*time.Second); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestFirst(t *testing.T) {
	d := testDataset(t, 1)
	cache := t.TempDir()
	for range 2 {
		s := startPrivate(t, Options{CacheDir: cache})
		f, err := s.Fill(t.Context(), d, func(a, b int64) { t.Log(a, b) })
		t.Log(f, err)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(s.Counters(t.Context()))
		i, err := s.Info(t.Context())
		t.Log(i.Counter, err)
	}
}
