package record

import (
	"slices"
	"testing"
)

func TestDiffer(t *testing.T) {
	a := Run{Machine: Machine{Limits: Limits{OpenFiles: 10}}, Programs: []Program{{"bakeoff", "/b", "1", "x"}, {"nginx", "/n", "1.22", "y"}}}
	if got := Differ(a, a); got != nil {
		t.Errorf("a run differs from itself: %q", got)
	}
	b := Run{Machine: Machine{Limits: Limits{OpenFiles: 20}}, Programs: []Program{{"bakeoff", "/c", "1", "z"}, {"nginx", "/n", "1.24", "w"}, {"mariadb", "/m", "10", "v"}}}
	if got, want := Differ(a, b), []string{"another bakeoff (of the same version)", "another nginx (1.22, 1.24)", "other limits"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Differ(a, Run{}); got != nil {
		t.Errorf("what is not known differs: %q", got)
	}
}
