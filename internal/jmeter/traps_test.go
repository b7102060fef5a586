package jmeter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/platform"
	"bakeoff/internal/stats"
)

func taskOf(name string) fleet.Task {
	return fleet.Task{URLs: []string{"http://127.0.0.1:1"}, Contract: "same", Phase: load.Phase{
		Number: 1, Name: name, Model: load.Closed, Connections: 4, Duration: time.Second, Timeout: time.Second, CheckShare: 1,
	}}
}

// A phase that went well is whole; each way in which it may not have is named, whatever the master's exit status.
func TestTrapsAreNamed(t *testing.T) {
	l, behave := fakeLoader(t, 2)
	for _, c := range []struct {
		behaviour string
		lost      int
		says      string
	}{
		{"good", 0, ""},
		{"starts none", 2, "the master has not started it (started: [])"},
		{"good", 0, ""}, // the loader goes on
		{"starts one", 1, "the master has not started it"},
		{"one silent", 1, "the result file has no row of it"},
		{"counts more", 2, "the result file has 4 rows, JMeter counted 5 requests"},
		{"killed", 2, "the master ended (ended by SIGKILL) before the run had"},
		{"exits early", 2, "the master ended (exit status 0) before the run had"},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			behave(c.behaviour)
			if err := l.Heal(t.Context()); err != nil {
				t.Fatal(err)
			}
			var sum stats.Totals
			report, err := l.Run(t.Context(), taskOf("traps"), func(s fleet.Snapshot) { sum.Add(s.Window) })
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Lost) != c.lost || c.lost > 0 && !strings.Contains(report.Lost[0].Why, c.says) {
				t.Errorf("lost %+v, want %d: %q", report.Lost, c.lost, c.says)
			}
			if c.lost == 0 && (sum.Books != stats.Books{Planned: 4, Sent: 4, OK: 4} || sum.Checked != 4 || sum.Hits != 4 || sum.Replicas["flask-1"].Answers != 4) {
				t.Errorf("books %+v, %d checked, %d hits", sum.Books, sum.Checked, sum.Hits)
			}
			if c.lost == 0 && (sum.Response != nil || sum.Lateness != nil || sum.InFlight != nil || sum.Resources != nil || sum.Service.Count() != 4) {
				t.Errorf("what JMeter does not tell is in the books: %+v", sum.Window)
			}
			if err := sum.Exact(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What makes the whole run useless is an error of it.
func TestTrapsThatEndTheRun(t *testing.T) {
	l, behave := fakeLoader(t, 1)
	for behaviour, says := range map[string]string{
		"statistical": "mode Statistical", "appended": "has a second header: it was appended to", "stranger": `has a row of "10.0.0.1:1"`,
	} {
		behave(behaviour)
		if err := l.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Run(t.Context(), taskOf("traps"), func(fleet.Snapshot) {}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", behaviour, err, says)
		}
	}
}

func TestResultFileThatIsThereIsRefused(t *testing.T) {
	l, behave := fakeLoader(t, 1)
	behave("good")
	name := filepath.Join(l.o.LogDir, "jmeter-001-traps.jtl")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Run(t.Context(), taskOf("traps"), func(fleet.Snapshot) {}); err == nil || !strings.Contains(err.Error(), name+" is there already") {
		t.Errorf("%v", err)
	}
}

func TestServerThatDoesNotStartIsNamed(t *testing.T) {
	for behaviour, says := range map[string]string{
		"port taken": "is taken by another process", "server ends": "server 0 ended (exit status 3) before it took orders",
	} {
		o := fakeOptions(t, 1)
		behaveAs(t, o.LogDir, behaviour)
		_, err := Start(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", behaviour, err, says)
		}
	}
}

// A server whose process is gone is lost, at once and by name; Heal gives another one, of another epoch.
func TestServerThatDied(t *testing.T) {
	l, behave := fakeLoader(t, 2)
	behave("never ends")
	pid := l.servers[1].process.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	report, err := l.Run(t.Context(), taskOf("died"), func(fleet.Snapshot) {})
	if err != nil || len(report.Lost) != 1 || report.Lost[0].Agent != 1 || report.Lost[0].Why != "its JVM is gone: ended by SIGKILL" {
		t.Fatalf("%+v, %v", report.Lost, err)
	}
	behave("good")
	if err := l.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err = l.Run(t.Context(), taskOf("after"), func(s fleet.Snapshot) {
		if s.Epoch != 2 {
			t.Errorf("a window of epoch %d", s.Epoch)
		}
	})
	if err != nil || len(report.Lost) > 0 {
		t.Errorf("%+v, %v", report.Lost, err)
	}
}

// Interrupted, a phase ends with the cause, and no JVM is left.
func TestInterrupted(t *testing.T) {
	l, behave := fakeLoader(t, 2)
	behave("never ends")
	cause := errors.New("interrupted by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { // as soon as the servers have begun
		_ = platform.Await(t.Context(), nil, func(context.Context) (bool, error) {
			text, _ := os.ReadFile(filepath.Join(l.o.LogDir, "jmeter-001-interrupted.log"))
			return l.current.PID() != 0 && strings.Contains(string(text), "Remote engines"), nil
		})
		cancel(cause)
	}()
	_, err := l.Run(ctx, taskOf("interrupted"), func(fleet.Snapshot) {})
	if !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	for _, p := range l.Processes() {
		if pids := p.PIDs(); len(pids) > 0 {
			t.Errorf("%s: %v are left", p.Name(), pids)
		}
	}
}

func TestJavaIsNamed(t *testing.T) {
	home := t.TempDir()
	program := filepath.Join(home, "bin", "java")
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string { return map[string]string{"JAVA_HOME": home}[name] }
	if _, err := FindJava(t.Context(), getenv); err == nil || !strings.Contains(err.Error(), "there is no bin/java in it") {
		t.Errorf("without java: %v", err)
	}
	for said, want := range map[string]string{
		`java version \"1.7.0_80\"`:              "has version 1.7.0_80: JMeter 5.6.3 needs 8 or later",
		`openjdk version \"6\"`:                  "has version 6: JMeter 5.6.3 needs 8 or later",
		`no JVM here`:                            `does not say its version, but "no JVM here"`,
		`openjdk version \"1.8.0_312\"`:          "",
		`openjdk version \"17.0.15\" 2025-04-15`: "",
	} {
		if err := os.WriteFile(program, fmt.Appendf(nil, "#!/bin/sh\necho \"%s\" >&2\n", said), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, "bin", "keytool"), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		java, err := FindJava(t.Context(), getenv)
		switch {
		case want == "" && (err != nil || java.Path != program):
			t.Errorf("%s: %+v, %v", said, java, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), "java at "+program+" "+want)):
			t.Errorf("%s: %v, want %q", said, err, want)
		}
	}
}

// A run that was left off is taken up in its own folder: nothing of the first part is appended to or overwritten, and no server
// is believed for what an earlier one said.
func TestResumed(t *testing.T) {
	o := fakeOptions(t, 2)
	behaveAs(t, o.LogDir, "good")
	session := func() {
		t.Helper()
		l, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		report, err := l.Run(t.Context(), taskOf("again"), func(fleet.Snapshot) {})
		if err := errors.Join(err, l.Close()); err != nil || len(report.Lost) > 0 {
			t.Fatalf("lost %+v, %v", report.Lost, err)
		}
	}
	session()
	session()
	for _, name := range []string{"jmeter-001-again.jtl", "jmeter-002-again.jtl", "jmeter-server-1-jmeter.log", "jmeter-server-1-2-jmeter.log"} {
		if _, err := os.Stat(filepath.Join(o.LogDir, name)); err != nil {
			t.Error(err)
		}
	}
	behaveAs(t, o.LogDir, "server ends")
	if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "before it took orders") {
		t.Errorf("a server that ended at once: %v", err)
	}
}
