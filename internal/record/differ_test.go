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

// The governor, the database and the packages of targets are not in the fingerprint of a machine, nor in the digest of a recipe.
func TestDifferBeyondPrograms(t *testing.T) {
	a := Run{
		Machine:  Machine{Governor: "performance"},
		Database: DatabaseInfo{Kind: "external", Vendor: "mysql", Version: "8.0.36", Collation: "utf8mb4_bin", Settings: map[string]string{"sync_binlog": "1", "max_connections": "200", "gone": "1"}},
		Targets:  []TargetInfo{{Name: "flask", Versions: map[string]string{"flask": "3.0", "python": "3.11"}}, {Name: "django", Versions: map[string]string{"django": "5"}}},
	}
	if got := Differ(a, a); got != nil {
		t.Errorf("a run differs from itself: %q", got)
	}
	b := Run{
		Machine:  Machine{Governor: "powersave"},
		Database: DatabaseInfo{Kind: "external", Vendor: "mysql", Version: "8.4.0", Collation: "utf8mb4_0900_ai_ci", Settings: map[string]string{"sync_binlog": "0", "max_connections": "200", "new": "1"}},
		Targets:  []TargetInfo{{Name: "flask", Versions: map[string]string{"flask": "3.0", "python": "3.12"}}, {Name: "other", Versions: map[string]string{"django": "6"}}},
	}
	want := []string{
		"another CPU governor (performance, powersave)", "another database server (mysql 8.0.36, mysql 8.4.0)", "another collation (utf8mb4_bin, utf8mb4_0900_ai_ci)",
		"other settings of the database (sync_binlog)", "other versions in flask (python)",
	}
	if got := Differ(a, b); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, unknown := range []string{"", "unknown"} {
		if got := Differ(a, Run{Machine: Machine{Governor: unknown}}); got != nil {
			t.Errorf("what is not known differs: %q", got)
		}
	}
}
