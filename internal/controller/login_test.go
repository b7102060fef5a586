package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/record"
)

// What the first flask of a run leaves in the database is the reason of its trial; it ends with the trial, and fastapi has
// nothing of it.
func TestWhatIsLeftInTheDatabase(t *testing.T) {
	const session = 77
	statement := func(w *world) database.Session {
		return database.Session{ID: session, User: w.users["flask"], Statement: "SELECT SLEEP(1000)"}
	}
	blocked := func(w *world) error {
		for _, one := range w.held {
			return fmt.Errorf("contract: check: fresh row: %w by %s", database.ErrLocked, one.User)
		}
		return nil
	}
	for name, c := range map[string]struct {
		act   func(w *world) act
		code  string
		text  string
		ended bool // a session
	}{
		"a statement": {func(w *world) act {
			return act{phase: func(p *phaseFaked) {
				if p.task.Phase.Name == "closed" && len(w.closed) == 0 && len(w.under) == 0 {
					w.under = append(w.under, statement(w))
				}
			}}
		}, "left-behind", "a statement of the target still ran in the database 2s after", true},
		"a statement at its end": {func(w *world) act {
			return act{stopping: func() { w.under = append(w.under, statement(w)) }}
		}, "left-behind", "after its end", true},
		"another password": {func(w *world) act {
			return act{phase: func(*phaseFaked) { w.refused[w.users["flask"]] = fmt.Errorf("%w: denied", database.ErrAccount) }}
		}, "account", "changed its account", false},
		"locks": {func(w *world) act {
			return act{phase: func(*phaseFaked) {
				if len(w.closed) == 0 {
					w.held = []database.Session{{ID: session, User: w.users["flask"], Rows: 3}}
				}
			}, checking: func(string) error { return blocked(w) }}
		}, "locks", "held locks on 3 rows", true},
		"locks of nobody": {func(w *world) act {
			return act{checking: func(when string) error {
				if when == after {
					return fmt.Errorf("contract: %w", database.ErrLocked)
				}
				return nil
			}}
		}, "locks", "could not change its row", false},
	} {
		for _, turns := range []string{"", "turns: 250ms\n"} {
			t.Run(strings.TrimSpace(name+" "+turns), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					w.script["flask"] = []act{c.act(w)}
					w.script["fastapi"] = []act{{checking: func(string) error { return blocked(w) }}}
					dir, _ := conducted(t, w.options(t, "blocks: 1\nseed: 1\n"+turns+twoTargets+closedOnly))
					trials := trialsOf(t, dir)
					refused := slices.IndexFunc(trials, func(line string) bool { return strings.Contains(line, "flask invalid "+c.code) })
					if refused < 0 || !strings.HasSuffix(trials[len(trials)-1], "valid") {
						t.Fatalf("trials %q", trials)
					}
					if slices.ContainsFunc(trials, func(line string) bool {
						return strings.Contains(line, "fastapi invalid") && !strings.HasSuffix(line, " block")
					}) {
						t.Errorf("fastapi is blamed: %q", trials)
					}
					if text := leftReasons(t, dir, "flask"); !strings.Contains(text, c.text) {
						t.Errorf("reasons %q, want %q", text, c.text)
					}
					if got := slices.Contains(w.closed, session); got != c.ended || len(w.under)+len(w.held) > 0 {
						t.Errorf("ended %v, left %v %v", w.closed, w.under, w.held)
					}
					if len(w.open) > 0 || w.accounts != len(trials) {
						t.Errorf("%d accounts for %d trials, left %v", w.accounts, len(trials), w.open)
					}
				})
			})
		}
	}
}

// A target whose lock is in the way of another one's check is refused, and that one's check is made again.
func TestLocksOfAnotherTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		checks := 0
		w.script["flask"] = []act{{checking: func(when string) error {
			if checks++; when == after && checks == 2 {
				w.held = []database.Session{{ID: 5, User: w.users["fastapi"], Rows: 1}}
				return fmt.Errorf("contract: %w", database.ErrLocked)
			}
			return nil
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nseed: 1\nturns: 250ms\n"+twoTargets+closedOnly))
		trials := trialsOf(t, dir)
		if !slices.ContainsFunc(trials, func(line string) bool { return strings.Contains(line, "fastapi invalid locks") }) || checks != 3 || w.tidied != 1 {
			t.Errorf("%d checks, tidied %d times, trials %q", checks, w.tidied, trials)
		}
		if text := leftReasons(t, dir, "flask"); strings.Contains(text, "locks on") {
			t.Errorf("flask is blamed: %s", text)
		}
	})
}

// A statement that ends soon after the last answer is no reason.
func TestShortStatements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{checking: func(when string) error {
			if when == after {
				w.under = []database.Session{{ID: 9, User: w.users["flask"], Statement: "SELECT 1"}}
				go func() {
					time.Sleep(time.Second)
					w.mu.Lock()
					defer w.mu.Unlock()
					w.under = nil
				}()
			}
			return nil
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nseed: 1\n"+twoTargets+closedOnly))
		wantList(t, "trials", trialsOf(t, dir), "1-1-fastapi valid", "1-2-flask valid")
		if len(w.closed) > 0 {
			t.Errorf("ended %v", w.closed)
		}
	})
}

// Lines that a target writes when it is stopped are an access log that it kept, where there are far more of them than workers need to say
// that they end.
func TestLateLogLines(t *testing.T) {
	for name, c := range map[string]struct {
		lines   int64
		plan    string
		refused bool
	}{
		"some":            {100, "", false},
		"a log":           {2000, "", true},
		"a log, in turns": {2000, "turns: 250ms\n", true},
		"a declared log":  {2000, "deployment: {access_log: true}\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = []act{{stopping: func() { w.lines["flask"] += c.lines }}}
				dir, _ := conducted(t, w.options(t, "blocks: 1\nseed: 1\n"+c.plan+twoTargets+closedOnly))
				text := leftReasons(t, dir, "flask")
				if refused := strings.Contains(text, fmt.Sprintf("access log: off is declared, but the target wrote %d lines after the last phase", c.lines)); refused != c.refused {
					t.Errorf("reasons %q", text)
				}
				if text := leftReasons(t, dir, "fastapi"); strings.Contains(text, "access log") {
					t.Errorf("fastapi: %q", text)
				}
			})
		})
	}
}

// leftReasons are the texts of all trials of a target.
func leftReasons(t *testing.T, dir, name string) string {
	t.Helper()
	var out []string
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		for _, reason := range trial.Reasons {
			if trial.Target == name {
				out = append(out, reason.Text)
			}
		}
	}
	return strings.Join(out, "; ")
}
