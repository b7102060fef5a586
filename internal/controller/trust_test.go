package controller

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"bakeoff/internal/database"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// Each check can be left out by itself: then it is not made, and the record says so; the others are.
func TestChecksAreLeftOut(t *testing.T) {
	for _, left := range []string{
		"", "lookups: off", "moves: off", "bodies: off", "salt: off", "statements: off", "account: shared", "user: shared", "processes: off", "record: off",
	} {
		t.Run(left, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				lines := "blocks: 1\n" + oneTarget + closedOnly
				if left != "" {
					lines += "trust: {" + left + "}\n"
				}
				o := w.options(t, lines)
				leftover := act{stopping: func() {
					w.under = append(w.under, database.Session{ID: 1, User: w.users["flask"], Statement: "SELECT 1"})
					found, _ := filepath.Glob(filepath.Join(o.Out, "*", "trials", "1-*", "load.jsonl"))
					for _, path := range found {
						if err := os.WriteFile(path, nil, 0o600); err != nil {
							t.Error(err)
						}
					}
				}}
				w.script["flask"] = []act{leftover}
				dir, _ := conducted(t, o)
				r, err := record.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				var want []string
				if left != "" {
					want = []string{left}
				}
				if got := r.Run().ChecksLeftOut; !slices.Equal(got, want) {
					t.Errorf("left out %q, want %q", got, want)
				}
				for what, done := range done(t, w, o) {
					if done != (what != left) {
						t.Errorf("%s: made: %v", what, done)
					}
				}
			})
		})
	}
}

// done says of each check, by how it is left out, whether it was made.
func done(t *testing.T, w *world, o Options) map[string]bool {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(o.Out, "*", "trials", "1-1-flask", "trial.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	refused := func(code string) bool { return strings.Contains(string(text), `"code": "`+code+`"`) }
	salted, share := false, 0.0
	for _, task := range w.tasks {
		if task.Phase.Name == "closed" {
			salted, share = task.Phase.Salt != "", task.Phase.CheckShare
		}
	}
	return map[string]bool{
		"lookups: off": !w.less.Uncounted, "account: shared": !w.less.SharedAccount, "moves: off": len(w.moved) > 0, "bodies: off": share > 0.1,
		"salt: off": salted, "statements: off": refused(record.CodeLeftBehind), "user: shared": w.trust.User != plan.Shared,
		"processes: off": w.trust.Processes != plan.Off, "record: off": refused(record.CodeRewritten),
	}
}
