package cli_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// TestSecondRun starts a run while another holds the machine: refused, or both are marked. What they load makes no difference, so
// it is a server that is there already.
func TestSecondRun(t *testing.T) {
	s := newScene(t)
	s.alone = true
	server := serve(t, s, "location / { return 200 pong; }")
	text := serversText([][3]string{{"a", server.address, ""}}, shortClosed)
	s.write("first.yaml", strings.NewReplacer("e2e", "first", "500ms", "2m").Replace(text))
	s.write("second.yaml", strings.Replace(text, "e2e", "second", 1))
	first := s.start("run", "--out", "one", "first.yaml")
	first.await("closed: 4 connections", 1)

	refused := s.run(1, "run", "--out", "two", "second.yaml")
	wantAll(t, "stderr", refused.stderr.String(), "another run holds this machine: run first, process "+fmt.Sprint(first.cmd.Process.Pid),
		"bakeoff: hint: wait for it, or run at the same time with --share-machine, which marks both")
	if found, _ := filepath.Glob(s.path("two", "*")); len(found) > 0 || refused.stdout.String() != "" {
		t.Errorf("a refused run made %v and printed %q", found, refused.stdout)
	}

	second := s.start("run", "--share-machine", "--out", "two", "second.yaml")
	second.wantEnd(4 * time.Minute)
	if status := second.cmd.ProcessState.ExitCode(); status != 0 && status != 4 { // the first is in its way
		t.Fatalf("exit status %d\nstderr:\n%s", status, second.stderr)
	}
	wantAll(t, "report of the second", second.stdout.String(), "SHARED MACHINE")
	second.nothingLeft(0)
	first.signal(syscall.SIGINT)
	first.wantStatus(130, 15*time.Second)
	first.nothingLeft(0)
	s.noFiles()
	for _, dir := range []string{"one", "two"} {
		found, _ := filepath.Glob(s.path(dir, "*"))
		if len(found) != 1 {
			t.Fatalf("%s: %v", dir, found)
		}
		r, err := record.Open(found[0])
		if err != nil {
			t.Fatal(err)
		}
		lastAttempts(t, r)
		if !r.Run().Shared {
			t.Errorf("run %s is not marked as shared", r.Run().Name)
		}
		if other := map[string]string{"one": "second", "two": "first"}[dir]; !strings.Contains(strings.Join(r.Run().Notes, "\n"), "shared the machine with run "+other) {
			t.Errorf("the notes of %s do not name run %s: %q", dir, other, r.Run().Notes)
		}
	}
}
