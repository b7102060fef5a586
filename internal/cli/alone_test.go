package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAlone builds the program and uses it in an empty folder with an empty cache.
func TestAlone(t *testing.T) {
	s := newScene(t)
	binary := s.path("bakeoff")
	build := exec.Command("go", "build", "-o", binary, "bakeoff")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.self = binary
	s.env = append(s.env, "BAKEOFF_ASSETS=/nonexistent", "BAKEOFF_CACHE="+s.path("cache"))
	wantAll(t, "check", s.run(0, "check", "demo").stdout.String(), "plan demo: 3 targets, 8 blocks")
	wantAll(t, "doctor", s.run(0, "doctor").stdout.String(), "demo: nothing is missing", "calibration: none of this machine (bakeoff calibrate makes one")
	var schema map[string]any
	if err := json.Unmarshal([]byte(s.run(0, "schema").stdout.String()), &schema); err != nil || schema["$schema"] == nil {
		t.Errorf("schema: %v", err)
	}
	s.write("p.yaml", planText("go-nethttp", 1, "warmup: 0s"))

	// Interrupted while the target is being built, the preparation is done again.
	e := s.start("run", "p.yaml")
	e.await("preparing go-nethttp", 1)
	time.Sleep(300 * time.Millisecond)
	e.signal(syscall.SIGINT)
	e.wantStatus(130, 10*time.Second)
	e.nothingLeft(0)
	s.noFiles()
	if err := os.RemoveAll(s.path("runs")); err != nil {
		t.Fatal(err)
	}

	e, r, last := s.measured("run", "p.yaml")
	e.nothingLeft(0)
	s.noFiles()
	yardstick(t, r.Run().Machine.Cores, last)
	private(t, s.theRun())
	if logs, _ := exec.Command("find", s.path("cache"), "-name", "prepare-*.log").Output(); strings.TrimSpace(string(logs)) != "" {
		t.Errorf("left behind: %s", logs)
	}
}
