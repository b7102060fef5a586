package plan

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bakeoff/internal/strictyaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzLoad wants of any bytes: no panic; either Problems that can be shown on
// a terminal, or a plan that loads again from its own YAML.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "../../plans/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Load("fuzz.yaml", data)
		if err != nil {
			presentable(t, err)
			return
		}
		q, err := Load("resolved.yaml", p.YAML())
		if err != nil {
			t.Fatalf("%s\n%v", p.YAML(), err)
		}
		if diff := cmp.Diff(p, q, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func presentable(t *testing.T, err error) {
	t.Helper()
	var problems strictyaml.Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	for i, p := range problems {
		if p.Message == "" || p.Line < 0 || p.Column < 0 {
			t.Fatalf("problem %d: %+v", i, p)
		}
		if i > 0 && p.Line < problems[i-1].Line {
			t.Fatalf("problem %d is not in the file's order", i)
		}
	}
	if text := err.Error(); strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), control) {
		t.Fatalf("control characters: %q", text)
	}
}
