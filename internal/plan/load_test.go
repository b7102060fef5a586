package plan

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/strictyaml"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write schema.json and the golden files of this run")

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestBad loads one file per mistake and compares what the user sees with the
// file next to it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("%d files in testdata/bad", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Load(filepath.Base(file), data)
			if err == nil {
				t.Fatalf("loaded: %+v", p)
			}
			var problems strictyaml.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("%T is not Problems: %v", err, err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".err", err.Error()+"\n")
		})
	}
	orphans, err := filepath.Glob("testdata/bad/*.err")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range orphans {
		if !slices.Contains(files, strings.TrimSuffix(file, ".err")+".yaml") {
			t.Errorf("%s has no plan", file)
		}
	}
}
