package target_test

import (
	"testing"

	"bakeoff/internal/target"
	"bakeoff/targets"
)

func TestShippedRecipesLoad(t *testing.T) {
	names, err := target.List(targets.Files())
	if err != nil || len(names) < 5 {
		t.Fatalf("List: %v, %v", names, err)
	}
	for _, name := range names {
		r, err := target.Load(targets.Files(), name, "")
		if err != nil {
			t.Error(err)
			continue
		}
		for _, v := range r.Variants() {
			if _, err := target.Load(targets.Files(), name, v); err != nil {
				t.Error(err)
			}
		}
		if missing := r.Missing(t.Context()); missing != nil {
			t.Log(name, missing)
		}
	}
}
