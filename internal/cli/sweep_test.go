package cli_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// check says how many targets a sweep makes, what they may have, and how long all of it takes; what takes longer than it may is
// refused with the sum.
func TestCheckSweep(t *testing.T) {
	s := newScene(t)
	skipMissing(t, s, "sweep")
	wantAll(t, "stdout", s.run(0, "check", "sweep").stdout.String(),
		"plan sweep: 6 targets, 10 blocks, 60 trials and 6 of the pilot", "settings of flask: 6: workers 2, 4 or 7; pool 5 or 20", "database connections of flask-w7-pool20: 1 replica x 140 = 140",
		"budget for each target: 140 connections to the database and 7 workers", "connections and workers differ within the budget: flask-w2-pool5 10 and 2, ",
		"expected duration: about ", "bakeoff tune, without --max-time: search 6 targets x 3 blocks ", "; confirm 2 targets x 10 blocks ", " in all")
	wantAll(t, "stderr", s.run(2, "check", "sweep", "--max-time", "1m").stderr.String(),
		"plans/sweep.yaml: 6 targets: ", " before block 1 + 10 blocks of ", ", longer than --max-time 1m", "hint: fewer values, or bakeoff tune")
	wantAll(t, "stderr", s.run(2, "run", "sweep", "--max-time", "1m").stderr.String(), ", longer than --max-time 1m")
	wantAll(t, "stderr", s.run(2, "tune", "sweep", "--max-time", "1m").stderr.String(), "plans/sweep.yaml: search 6 targets x 2 blocks ", ", longer than --max-time 1m", "hint: at least --max-time ")
	wantAll(t, "stderr", s.run(2, "tune", "tiny").stderr.String(), "no target has several settings", "hint: give a target a sweep")
	s.noFiles()
}

// A real tuning of a small program, with every run audited.
func TestLongTune(t *testing.T) {
	if !long() {
		t.Skip("SKIPPED: BAKEOFF_LONG is not set")
	}
	s := newScene(t)
	text := `name: real
blocks: 6
dataset: {rows: 2000}
deployment: {replicas: 1, workers: 1, pool: 4}
budget: {connections: 16, workers: 2}
targets: [{recipe: go-nethttp, sweep: {workers: [1, 2], pool: [1, 8]}}]
warmup: 500ms
turns: 250ms
phases: [{name: closed, model: closed, connections: 16, duration: 1s}]
`
	if err := os.WriteFile(s.path("real.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e := s.start("tune", "real.yaml", "--json", "--max-time", "6m")
	<-e.done
	if status := e.cmd.ProcessState.ExitCode(); status != 0 && status != 4 { // a busy machine may leave too few valid trials
		t.Fatalf("status %d\n%s", status, e.stderr)
	}
	e.nothingLeft(time.Second)
	var got struct {
		Search  []struct{ Run string }
		Confirm struct{ Run string }
		Targets []struct{ Best, Verdict string }
	}
	if err := json.Unmarshal([]byte(e.stdout.String()), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Search) != 2 || len(got.Targets) != 1 || !strings.HasPrefix(got.Targets[0].Best, "go-nethttp-w") {
		t.Errorf("%+v", got)
	}
	for _, run := range append(got.Search, got.Confirm) {
		s.run(0, "audit", run.Run)
	}
}
