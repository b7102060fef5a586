package cli_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/record"
)

// nobody is an account without rights.
const nobody = 65534

// readyRecipe is a target that was built before.
const readyRecipe = `name: ready
title: A server that was built before
language: go
tags: [go]
needs:
  - {tool: install, package: coreutils}
prepare:
  steps:
    - {run: ["{install}", -m, "755", server, "{build}/server"], inputs: [server]}
versions: ["{build}/server", versions]
start: ["{build}/server"]
env: {GOMAXPROCS: "{workers}", PROTOCOL: text, KEEPALIVE: "75"}
processes: "1"
pool: {kind: bounded}
protocol: "{PROTOCOL}"
keepalive: "{KEEPALIVE}s"
overlap: required
`

// A user without rights can run everything. What does not hold then is in the record: the target has bakeoff's own account, and
// is held by the guard, as such a user may make no control group.
func TestOrdinaryUser(t *testing.T) {
	s := newScene(t)
	s.write("go.yaml", planText("go-nethttp", 1))
	s.start("verify", "go.yaml").wantStatus(0, 4*time.Minute)
	s.ready(s.builtServer("go-nethttp"))
	run := exec.Command(s.path("bin", "bakeoff"), "run", "--short", "--share-machine", "plan.yaml")
	run.Dir = s.path("work")
	run.Env = append(slices.Clone(s.env), "HOME="+s.path("work"), "BAKEOFF_CACHE="+s.path("work", "cache"), "BAKEOFF_ASSETS="+s.path("assets"), "GOCOVERDIR=")
	if os.Geteuid() == 0 {
		run.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	var said bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	if err := run.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	s.ordinary(said.String())
	s.nothingRuns()
}

// builtServer is the program of a built-in target as it was prepared.
func (s *scene) builtServer(name string) string {
	s.t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, dir := range []string{"/var/cache/bakeoff", filepath.Join(cache, "bakeoff")} {
		found, _ := filepath.Glob(filepath.Join(dir, "targets", name, "*", "build", "server"))
		if len(found) > 0 {
			return found[0]
		}
	}
	s.t.Fatal("no server was built")
	return ""
}

// ready makes the folder of a user: the program, its data, a recipe of that server, and a plan of it.
func (s *scene) ready(server string) {
	s.t.Helper()
	for _, dir := range []string{"bin", "assets", "work", "work/ready", "work/cache"} {
		if err := os.Mkdir(s.path(dir), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	for from, to := range map[string]string{s.self: s.path("bin", "bakeoff"), server: s.path("work", "ready", "server")} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, data, 0o755)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	err := errors.Join(
		os.CopyFS(s.path("assets", "plans"), os.DirFS("../../plans")),
		os.CopyFS(s.path("assets", "targets"), os.DirFS("../../targets")),
		os.WriteFile(s.path("work", "ready", "target.yaml"), []byte(readyRecipe), 0o644),
		os.WriteFile(s.path("work", "plan.yaml"), []byte(planText("./ready", 1)), 0o644),
	)
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Chown(s.path("work"), nobody, nobody), os.Chown(s.path("work", "cache"), nobody, nobody))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// ordinary checks what the run of a user without rights says of itself.
func (s *scene) ordinary(said string) {
	t := s.t
	t.Helper()
	listed, err := record.List(s.path("work", "runs"))
	if err != nil || len(listed) != 1 {
		t.Fatalf("%d runs, %v\n%s", len(listed), err, said)
	}
	r, err := record.Open(listed[0].Dir)
	if err != nil {
		t.Fatal(err)
	}
	if where, err := filepath.EvalSymlinks(r.Run().PlanDir); err != nil || where != s.path("work") {
		t.Errorf("paths of recipes are relative to %q (%v), want %q", where, err, s.path("work"))
	}
	if !slices.ContainsFunc(r.Run().Notes, func(note string) bool { return strings.Contains(note, "under the account of bakeoff itself") }) {
		t.Errorf("notes %q", r.Run().Notes)
	}
	last := ofBlocks(lastAttempts(t, r))
	if len(last) != 1 {
		t.Fatalf("%d trials\n%s", len(last), said)
	}
	trial := last[0].said
	if trial.Status != record.Valid && !busy(trial) {
		t.Errorf("%s: %+v", trial.Status, trial.Reasons)
	}
	for _, replica := range trial.Replicas {
		held := replica.HeldBy == platform.HeldByGuard || os.Geteuid() != 0 && replica.HeldBy == platform.HeldByGroup
		if replica.Account != "" || !held {
			t.Errorf("account %q, held by %q", replica.Account, replica.HeldBy)
		}
	}
	if len(trial.Replicas) == 0 {
		t.Error("no replica was started")
	}
}

// nothingRuns checks that no process has the scene's folder in its command.
func (s *scene) nothingRuns() {
	s.t.Helper()
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(s.dir)) {
			s.t.Errorf("%s still runs: %q", filepath.Dir(path), data)
		}
	}
}
