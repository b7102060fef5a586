package cli_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// turnsText is a plan of targets that take turns in both models: 6 slices of each phase.
func turnsText(targets string) string {
	return strings.Replace(planText(targets, 1, "warmup: 500ms", "turns: 150ms"),
		"duration: 1s}]", "duration: 900ms}, {name: open, model: open, rate: 100, duration: 900ms}]", 1)
}

// turnsCounted checks the trials of a block in turns: what the database and each balancer counted is what the agents
// sent, exactly, although the targets share the database.
func turnsCounted(t *testing.T, trials []attempt) {
	measured := 0
	for _, a := range trials {
		trial := a.said
		sent, aside := map[int]int64{}, 0
		for l, err := range a.Loads() {
			if err != nil {
				t.Fatal(err)
			}
			sent[l.Phase] += l.Books.Sent
			if l.Aside {
				aside++
			}
		}
		for _, p := range trial.Phases {
			driver, balanced := trial.Target == "driver", sent[p.Number]
			if driver { // an agent of its own, which nobody freezes, and before which is no balancer
				balanced = -1
			}
			if lookups := p.Witness.Lookups; lookups != nil && *lookups != sent[p.Number] {
				t.Errorf("%s, %s: sent %d, the database counted %d lookups", trial.Target, p.Name, sent[p.Number], *lookups)
			}
			if p.Turns == nil || p.Turns.Frozen == driver || p.Witness.DatabaseReads != sent[p.Number] || p.Witness.BalancerTotal != balanced || sent[p.Number] == 0 {
				t.Errorf("%s, %s: %+v, %+v, sent %d", trial.Target, p.Name, p.Turns, p.Witness, sent[p.Number])
			}
			if share := p.Turns.IdleShare; share > 0.01 {
				t.Errorf("%s, %s: a frozen target used %v of the machine", trial.Target, p.Name, share)
			}
			measured++
		}
		if aside == 0 {
			t.Errorf("%s: no window is aside", trial.Target)
		}
	}
	if measured != 3*len(trials) {
		t.Errorf("%d phases were measured, want 3 of each of %d targets", measured, len(trials))
	}
}

// TestTurnsCutShort kills the program while one target has its turn and the other is frozen: nothing is left, frozen or not.
// One has gunicorn and the other uvicorn as the parent of its workers.
func TestTurnsCutShort(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", strings.Replace(planText("flask, fastapi", 1, "warmup: 0s", "turns: 150ms"), "duration: 1s", "duration: 12s", 1))
	e := s.start("run", "p.yaml")
	e.await("closed: 4 connections for 12s, in turns", 1)
	time.Sleep(700 * time.Millisecond)
	e.signal(syscall.SIGKILL)
	<-e.done
	e.nothingLeft(5 * time.Second)
}

// TestClean kills everything of a run at once that could end the rest: controller, guard and agents. What these did not
// start themselves is left: workers of the balancers, of a target that has its turn, and of one that is frozen. clean
// ends them.
func TestClean(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", strings.Replace(planText("flask, {recipe: flask, name: other}", 1, "warmup: 0s", "turns: 150ms"), "duration: 1s", "duration: 12s", 1))
	e := s.start("run", "p.yaml")
	e.awaitLoad(1)
	e.watcher.look(true)
	own := append(e.watcher.running(s.self), e.cmd.Process.Pid)
	all := func(sig syscall.Signal) {
		for _, pid := range own {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	all(syscall.SIGSTOP)
	for range 50 { // between two turns nobody is frozen
		if len(e.watcher.frozen()) > len(own) {
			break
		}
		all(syscall.SIGCONT)
		time.Sleep(20 * time.Millisecond)
		all(syscall.SIGSTOP)
	}
	all(syscall.SIGKILL)
	<-e.done
	if left, _ := e.watcher.left(); len(left) < 3 || len(own) < 4 {
		t.Fatalf("%d processes were killed, left are %q: that proves nothing", len(own), left)
	}
	if frozen := e.watcher.frozen(); len(frozen) == 0 {
		t.Error("no target is frozen")
	}
	s.run(0, "clean")
	e.nothingLeft(0)
}

// TestLongTurns lets eight targets of the shipped kinds take turns: their servers and pools stand pauses of seven
// slices, so that no connection is opened again in a measured phase and every answer is right.
func TestLongTurns(t *testing.T) {
	if !long() {
		t.Skip("SKIPPED: BAKEOFF_LONG is not set")
	}
	const django = "{name: %s, recipe: django, settings: {DATABASE_BOUND: semaphore}}"
	var targets []string
	for i, recipe := range []string{"flask", "fastapi", "django", "flask", "fastapi", "django", "flask", "fastapi"} {
		text, name := "{name: %s, recipe: "+recipe+"}", fmt.Sprintf("%s-%d", recipe, i)
		if recipe == "django" {
			text = django
		}
		targets = append(targets, fmt.Sprintf(text, name))
	}
	s := newScene(t)
	s.write("p.yaml", planText(strings.Join(targets, ", "), 1, "warmup: 1s", "turns: 250ms"))
	_, _, last := s.measured("run", "p.yaml")
	for _, a := range last {
		var opened int64
		for l, err := range a.Loads() {
			if err != nil {
				t.Fatal(err)
			}
			if l.Phase > 0 {
				opened += l.Opened
			}
		}
		if opened > 4 {
			t.Errorf("%s: %d connections opened for 4", a.Folder, opened)
		}
	}
}
