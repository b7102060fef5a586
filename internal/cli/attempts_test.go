package cli_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// A busy machine may have any trial of a real run refused. The program says so and tries again, as it should: so
// tests judge the last attempt of each trial, and take earlier ones for what they are.

// machineCodes are the reasons that a busy machine gives, whatever is tested. It is bakeoff itself that changes rows under way.
var machineCodes = []string{record.CodeGeneratorLimited, record.CodeDisturbedHost, record.CodeNotSteady, record.CodeMoves, record.CodeBlock}

// unsent is how the reason reads where every request that was sent was answered correctly, and others had no time to be.
const unsent = "bad 0, timeout 0, error 0, dropped "

// notMachine are the reasons of a trial that a busy machine does not explain.
func notMachine(reasons []record.Reason) []record.Reason {
	return slices.DeleteFunc(slices.Clone(reasons), func(r record.Reason) bool {
		return slices.Contains(machineCodes, r.Code) || r.Code == record.CodeWrongAnswers && strings.Contains(r.Text, unsent)
	})
}

// busy reports whether a trial was refused for what the machine did, and for nothing else.
func busy(trial record.Trial) bool {
	return trial.Status == record.Invalid && len(trial.Reasons) > 0 && len(notMachine(trial.Reasons)) == 0
}

// attempt is one trial that was ended, as its folder has it.
type attempt struct {
	record.TrialState
	said record.Trial
}

// lastAttempts are the last attempts of all trials in their order, without those that were cut short. Earlier ones
// must have been refused for what the machine did.
func lastAttempts(t *testing.T, r *record.Reader) []attempt {
	t.Helper()
	type place struct {
		block  int
		target string
	}
	var out []attempt
	at := map[place]int{}
	for _, state := range r.Trials() {
		if state.State != record.Finished {
			continue
		}
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		if trial.Status == record.Aborted {
			continue
		}
		here := place{trial.Block, trial.Target}
		i, tried := at[here]
		if !tried {
			at[here] = len(out)
			out = append(out, attempt{state, trial})
			continue
		}
		earlier, later := out[i], attempt{state, trial}
		if earlier.said.Attempt > later.said.Attempt {
			earlier, later = later, earlier
		}
		if !busy(earlier.said) {
			t.Errorf("%s was tried again after %s, %v", earlier.Folder, earlier.said.Status, earlier.said.Reasons)
		}
		out[i] = later
	}
	return out
}

// ofBlocks are the attempts at trials of blocks, without those of the pilot.
func ofBlocks(all []attempt) []attempt {
	return slices.DeleteFunc(slices.Clone(all), func(a attempt) bool { return a.said.Block == 0 })
}

// ended are the attempts that were ended and not cut short, whether a busy machine had them refused or not.
func ended(t *testing.T, r *record.Reader) int {
	t.Helper()
	n := 0
	for status, trials := range finished(t, r) {
		if status != record.Aborted {
			n += trials
		}
	}
	lastAttempts(t, r)
	return n
}

// wantDone waits for the end of a run, and returns the last attempts of its trials and how many of them a busy
// machine had refused. The status is 0, or 4 where there are such.
func (e *execution) wantDone(within time.Duration) (last []attempt, crowded int) {
	t := e.scene.t
	t.Helper()
	e.wantEnd(within)
	last = lastAttempts(t, e.scene.open())
	for _, a := range last {
		if busy(a.said) {
			crowded++
			t.Logf("the machine was too busy for %s: %v", a.Folder, a.said.Reasons)
		}
	}
	if status := e.cmd.ProcessState.ExitCode(); status != 0 && (status != 4 || crowded == 0) {
		t.Fatalf("%v: exit status %d, %d trials refused for the machine\nstderr:\n%s", e.cmd.Args[1:], status, crowded, e.stderr)
	}
	return last, crowded
}

// tried runs the program on a plan whose targets are all as they should be. It returns the last attempts of the trials. They are
// valid, or refused for what a busy machine did and nothing else: crowded is how many are.
func (s *scene) tried(args ...string) (e *execution, last []attempt, crowded int) {
	s.t.Helper()
	e = s.start(args...)
	last, crowded = e.wantDone(4 * time.Minute)
	for _, a := range last {
		if a.said.Status != record.Valid && !busy(a.said) {
			s.t.Fatalf("%s: %s, %+v\nstderr:\n%s", a.Folder, a.said.Status, a.said.Reasons, e.stderr)
		}
	}
	return e, last, crowded
}

// measured runs the program on a plan whose targets are all as they should be, until a run has a valid trial in
// every place. It must end with status 0; where the machine was too busy for that it runs again.
func (s *scene) measured(args ...string) (*execution, *record.Reader, []attempt) {
	s.t.Helper()
	for range 3 {
		e, last, crowded := s.tried(args...)
		if crowded == 0 {
			return e, s.open(), last
		}
		if err := os.RemoveAll(s.path("runs")); err != nil {
			s.t.Fatal(err)
		}
	}
	s.t.Fatal("the machine was too busy for a run three times")
	return nil, nil, nil
}
