package controller

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"bakeoff/internal/record"
)

// ofPython is what Django writes of an answer with the status 500.
const ofPython = "Internal Server Error: /demo\n" + traceback + "\n" +
	"  File \"base.py\", line 289, in ensure_connection\n    self.connect()\n" +
	"MySQLdb.OperationalError: (1040, 'Too many')\n\nThe above exception was the direct cause of the following exception:\n\n" + traceback + "\n" +
	"  File \"app.py\", line 73, in demo\n    found = names.first()\n            ^^^^^^^^^^^^^\n" +
	"django.db.utils.OperationalError: (1040, 'Too many')\n"

// The reason of a trial with answers of the status 500 and more quotes the last exception that a replica wrote in the phase.
func TestReasonsQuoteExceptions(t *testing.T) {
	for name, c := range map[string]struct{ status, before, log, want string }{
		"of Python, the last of a chain": {"500", "", ofPython, "flask-1 wrote: django.db.utils.OperationalError: (1040, 'Too many')"},
		"of Node":                        {"500", "", "TypeError: x is no function\n    at demo (server.js:1:1)\n", "flask-1 wrote: TypeError: x is no function"},
		"of Go":                          {"502", "", "panic: out of range\n\ngoroutine 1 [running]:\n", "flask-1 wrote: panic: out of range"},
		"the last one":                   {"500", "", ofPython + "stopping\n" + traceback + "\n  File \"x\"\nKeyError: 'y'\nstopped\n", "flask-1 wrote: KeyError: 'y'"},
		"without the end of its line":    {"500", "", traceback + "\n  File \"x\"\ngevent.Timeout", "flask-1 wrote: gevent.Timeout"},
		"of the phase before":            {"500", ofPython, "a line\n", ""},
		"after that of the phase before": {"500", ofPython, traceback + "\n  File \"x\"\nKeyError: 'y'\n", "flask-1 wrote: KeyError: 'y'"},
		"no exception":                   {"500", "", "INFO: all is well\n", ""},
		"another status":                 {"404", "", ofPython, ""},
		"made harmless, and cut":         {"500", "", traceback + "\n  File \"x\"\nE: \x1b[31m" + strings.Repeat("é", 300) + "\n", "flask-1 wrote: E: \ufffd[31m" + strings.Repeat("é", 192) + "..."},
		"at the end of a long log":       {"500", "", strings.Repeat(ofPython, 1000) + traceback + "\n  File \"x\"\nKeyError: 'y'\n", "flask-1 wrote: KeyError: 'y'"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				write := func(text string) {
					f, err := os.OpenFile(filepath.Join(w.logDir, "flask-1.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					if _, err := f.WriteString(text); err != nil {
						t.Error(err)
					}
				}
				w.script["flask"] = []act{{phase: func(p *phaseFaked) {
					if p.task.Phase.Number == warmupPhase {
						write(c.before)
						return
					}
					write(c.log)
					p.books.OK, p.books.Bad, p.outcomes = p.books.OK-2, 2, map[string]int64{"status " + c.status: 2}
				}}}
				dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+strings.Replace(closedOnly, "model: closed", "model: open, rate: 100", 1)))
				wantList(t, "trials", trialsOf(t, dir), "1-1-flask invalid "+record.CodeWrongAnswers, "1-2-flask valid")
				reason := reasonsOf(t, dir)[0]
				if reason.Wrote != c.want || !strings.HasSuffix(reason.Text, "(status "+c.status+" 2)") {
					t.Errorf("%+v, want %q", reason, c.want)
				}
				if !slices.ContainsFunc(w.events, func(e record.Progress) bool { return e.Lasting && e.Text == "invalid: "+reason.Words() }) {
					t.Errorf("nobody says %q", reason.Words())
				}
			})
		})
	}
}

// In turns, too, and of each target what its own replicas wrote.
func TestReasonsQuoteExceptionsInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{phase: func(p *phaseFaked) {
			if p.task.Phase.Number == warmupPhase {
				return
			}
			for _, name := range []string{"flask", "fastapi"} {
				for _, log := range logsOf(t, w, name) {
					if err := os.WriteFile(log, []byte(traceback+"\n  File \"x\"\nKeyError: '"+name+"'\n"), 0o600); err != nil {
						t.Error(err)
					}
				}
			}
			p.books.OK, p.books.Bad, p.outcomes = 0, p.books.OK, map[string]int64{"status 500": p.books.OK}
		}}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly))
		found := slices.DeleteFunc(reasonsOf(t, dir), func(r record.Reason) bool { return r.Code != record.CodeWrongAnswers })
		if len(found) != 1 || found[0].Wrote != "flask-1 wrote: KeyError: 'flask'" {
			t.Errorf("%+v", found)
		}
	})
}

// logsOf are the logs that the only replica of a target has, where the folder of its present trial is.
func logsOf(t *testing.T, w *world, name string) []string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(w.logDir)), "1-*-"+name))
	if err != nil || len(folders) == 0 {
		t.Fatalf("%v, %v", folders, err)
	}
	var out []string
	for _, folder := range folders {
		out = append(out, filepath.Join(folder, "logs", name+"-1.log"))
	}
	return out
}
