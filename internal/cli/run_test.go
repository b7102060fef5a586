package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// TestRun takes one target of each kind, and the driver, through a whole run in which they take turns, and reads what it left. It
// runs alone, as does the other run with an open phase: next to others the agents come too late, and all of it is done again. A
// machine that is busy all the same may have the last attempt refused, too: what is checked here holds of such a block as well.
func TestRun(t *testing.T) {
	s := aloneScene(t)
	s.write("p.yaml", turnsText("flask, fastapi, go-nethttp, {kind: driver}"))
	e, last, crowded := s.tried("run", "p.yaml")
	r := s.open()
	e.nothingLeft(time.Second)
	s.noFiles()
	if processes, sockets := e.watcher.counts(); processes < 12 || sockets < 6 {
		t.Errorf("the watcher saw %d processes and %d listening sockets: too few to prove anything", processes, sockets)
	}
	wantAll(t, "stdout", e.stdout.String(), "e2e, answers per second on 4 connections: ", "flask", "fastapi", "go-nethttp", "4 planned, ", "bakeoff report "+s.theRun()+" --full\n")
	wantAll(t, "stderr", e.stderr.String(), "] block 1 of 1, flask, starting\n")
	if len(last) != 4 {
		t.Fatalf("%d trials, want one of each of 4 targets", len(last))
	}
	attempts := last[0].Attempt // a busy machine has the block repeated
	if printed, recorded := startsOnly(e.stderr.String()), e.recorded("closed: 4 connections for 900ms, in turns with the others: "); printed != 4*attempts || recorded != attempts {
		t.Errorf("%d lines of 4 trials in %d attempts, %d recorded steps of their load\n%s", printed, attempts, recorded, e.stderr)
	}
	const few = "bakeoff: warning: no verdict is possible: 3 targets take at least 7 blocks, and the plan has 1\n"
	if text := complaints(e.stderr.String()); crowded == 0 && text != few {
		t.Errorf("a good run complains of more than %q, or not of that:\n%s", few, e.stderr)
	}
	if run := r.Run(); run.Status != record.Complete || !run.Shared || len(run.Baselines) != 1 {
		t.Errorf("run.json: status %s, shared %v, baselines %+v", run.Status, run.Shared, run.Baselines)
	}
	private(t, s.theRun())
	t.Run("turns", func(t *testing.T) { turnsCounted(t, last) })
	t.Run("readers", func(t *testing.T) { readers(t, s.in(t)) })
}

// startsOnly counts the lines of the trials of block 1, without those of a trial that was refused, or warned about.
func startsOnly(stderr string) (n int) {
	for line := range strings.Lines(stderr) {
		if strings.Contains(line, "] block 1 of 1") && !strings.Contains(line, ", invalid: ") && !strings.Contains(line, ", warning: ") {
			n++
		}
	}
	return n
}

// yardstick checks that every measured second of a trial has four times of the yardstick's work of each core, except for
// one more or less at either end. A slow machine is measured less often.
func yardstick(t *testing.T, cores int, all []attempt) {
	t.Helper()
	for _, state := range all {
		var lines []record.Series
		for s, err := range state.Series() {
			if err != nil {
				t.Fatal(err)
			}
			if s.Tier == "yardstick" && s.Phase == 1 {
				lines = append(lines, s)
			}
		}
		if len(lines) < 2 {
			t.Errorf("%s in block %d: %d lines of the yardstick", state.Target, state.Block, len(lines))
			continue
		}
		times := map[int]int{}
		for _, line := range lines {
			for core, ns := range line.WorkNS {
				times[core] += len(ns)
			}
		}
		passed := lines[len(lines)-1].At.Sub(lines[0].At).Seconds()
		for core := range cores {
			if n, want := float64(times[core]), 4*passed; n > want+2 || n < want/2-2 {
				t.Errorf("%s in block %d: core %d has %.0f times in %.2f s", state.Target, state.Block, core, n, passed)
			}
		}
	}
}

// readers are the commands that work on a finished run.
func readers(t *testing.T, s *scene) {
	dir := s.theRun()
	wantAll(t, "report", s.run(0, "report", dir).stdout.String(), "e2e, answers per second", "limited by", "bakeoff report "+dir+" --full\n")
	wantAll(t, "whole report", s.run(0, "report", "--full", dir).stdout.String(), "e2e: 1 ", "Phase closed")
	if a, b := s.run(0, "report", "--json", dir).stdout.String(), s.run(0, "report", "--format", "json", dir).stdout.String(); a != b {
		t.Error("--json is not --format json")
	}
	s.run(2, "report", "--full", "--json", dir)
	wantAll(t, "markdown", s.run(0, "report", "--format", "markdown", dir).stdout.String(), "# e2e", "| target")
	var summary map[string]any
	if err := json.Unmarshal([]byte(s.run(0, "report", "--format", "json", dir).stdout.String()), &summary); err != nil || len(summary) == 0 {
		t.Errorf("report as JSON: %v", err)
	}
	wantAll(t, "list", s.run(0, "list").stdout.String(), filepath.Base(dir), "complete")
	var runs []map[string]any
	if err := json.Unmarshal([]byte(s.run(0, "list", "--json").stdout.String()), &runs); err != nil || len(runs) != 1 {
		t.Errorf("list as JSON: %v, %v", runs, err)
	}
	markdown, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil || !strings.Contains(string(markdown), "# e2e") {
		t.Errorf("report.md: %v", err)
	}
	path := filepath.Join(dir, "report.html")
	page, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(page), "e2e, answers per second") {
		t.Errorf("report.html: %v", err)
	}
	if out := s.run(0, "report", "--html", dir).stdout.String(); out != path+"\n" {
		t.Errorf("report --html prints %q, want the path of the page", out)
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(page, again) || string(page) != s.run(0, "report", "--format", "html", dir).stdout.String() {
		t.Errorf("the page written at the end of the run, by --html and by --format html differ: %v", err)
	}
	s.run(2, "report", "--html", "--json", dir)
	trials, err := filepath.Glob(filepath.Join(dir, "trials", "*", "trial.json"))
	if err != nil || len(trials) < 4 { // a busy machine has blocks repeated
		t.Errorf("%d trials, %v", len(trials), err)
	}
	wantAll(t, "audit", s.run(0, "audit", dir).stdout.String(), fmt.Sprintf("judged again: %d trials", len(trials)), "computed again: summary.json, report.md and report.html", "0 findings")
	again := s.run(0, "run", "--resume", dir)
	wantAll(t, "resume", again.stderr.String(), "is complete: nothing to do")
	wantAll(t, "resume", again.stdout.String(), "e2e, answers per second")
	changed := strings.Replace(string(markdown), "# e2e", "# another", 1)
	if err := os.WriteFile(filepath.Join(dir, "report.md"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "audit of a changed report", s.run(1, "audit", dir).stdout.String(), `report.md:1: is "# another`, "1 finding")
}

func wantAll(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

// TestInvalidTarget runs a target whose workers serve one statement at a time.
func TestInvalidTarget(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", planText("{recipe: flask, variant: no-greenify, name: blocked}", 1, "warmup: 0s"))
	e := s.run(0, "run", "--short", "p.yaml")
	e.nothingLeft(time.Second)
	last := lastAttempts(t, s.open())
	if len(last) != 1 {
		t.Fatalf("%d trials, want 1", len(last))
	}
	if trial := last[0].said; trial.Status != record.Invalid || len(trial.Reasons) == 0 || trial.Reasons[0].Code != "no-overlap" {
		t.Errorf("%s, %v", trial.Status, trial.Reasons)
	}
	wantAll(t, "report", e.stdout.String(), "invalid: no-overlap", "0 of 1")
	wantAll(t, "whole report", s.run(0, "report", "--full", s.theRun()).stdout.String(), "blocked has a valid trial in 0 of 1 block")
}

// complaints are the lines in which bakeoff itself warns or fails, without that about a calibration of the machine that runs the tests.
func complaints(stderr string) (out string) {
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "bakeoff: ") && !strings.HasPrefix(line, "bakeoff: warning: the calibration of ") {
			out += line
		}
	}
	return out
}
