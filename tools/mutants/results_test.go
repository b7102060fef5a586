package main

import (
	"path/filepath"
	"testing"
)

// What was tried is not tried again, and does not count twice.
func TestResultsAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results")
	m := mutant{file: "/module/internal/p/p.go", line: 3, kind: negated, was: "a > 1"}
	for _, fate := range []string{caught, survived, broken} {
		if err := keepResult(file, fate, m.below("/module").String()); err != nil {
			t.Fatal(err)
		}
		m.line++
	}
	known, err := readResults(file)
	if err != nil || len(known) != 3 || known["internal/p/p.go:4: negated condition: a > 1"] != survived {
		t.Fatalf("%v, %v", known, err)
	}
	b := &bench{options: options{root: "/module", results: file}, known: known}
	for m.line = 3; m.line < 6; m.line++ {
		if err := b.one(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if b.tried != 2 || b.caught != 1 {
		t.Errorf("%d tried, %d caught", b.tried, b.caught)
	}
	if none, err := readResults(filepath.Join(t.TempDir(), "none")); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}
