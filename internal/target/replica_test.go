package target_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/platform"
	"bakeoff/internal/target"
)

// launchFake returns how a fake of the given mode would be started.
func launchFake(t *testing.T, p platform.Platform, mode string) target.Launch {
	t.Helper()
	prepared, err := target.Prepare(t.Context(), fakeRecipe(t), target.Preparation{CacheDir: t.TempDir(), Platform: p})
	if err != nil {
		t.Fatal(err)
	}
	port, err := p.Port(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return target.Launch{
		Prepared: prepared, Platform: p, Name: "fake-1", Port: port, Nonce: "n0nce", Workers: 1, Pool: 8,
		Settings: map[string]string{"FAKE": mode}, LogDir: t.TempDir(),
		Database: database.Access{Host: "127.0.0.1", Port: 3306, User: "u", Password: "canary", PasswordFile: "/run/pass word", Name: "d"},
	}
}

func start(t *testing.T, l target.Launch) *target.Replica {
	t.Helper()
	r, err := target.Start(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Process().Stop(context.Background(), 0) })
	return r
}

// TestReadyByProbe starts a fake that prints nothing.
func TestReadyByProbe(t *testing.T) {
	p := openPlatform(t)
	recipe := fakeRecipeWith(t, "ready: probe\nready_within: 5m\n")
	if recipe.ReadyWithin() != 5*time.Minute || fakeRecipe(t).ReadyWithin() != 2*time.Minute {
		t.Errorf("ready within %v, by default %v", recipe.ReadyWithin(), fakeRecipe(t).ReadyWithin())
	}
	if shown := recipe.Settings(1, 8)[0]; shown.Name != "readiness" || !strings.Contains(shown.Value, "by probe only") {
		t.Errorf("settings begin with %+v", shown)
	}
	prepared, err := target.Prepare(t.Context(), recipe, target.Preparation{CacheDir: t.TempDir(), Platform: p})
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]error{"silent": nil, "error text in silence": target.ErrNotReady, "deaf": target.ErrNotReady} {
		l := launchFake(t, p, mode)
		l.Prepared = prepared
		r := start(t, l)
		ctx, cancel := context.WithTimeout(t.Context(), map[bool]time.Duration{true: 20 * time.Second, false: 500 * time.Millisecond}[want == nil])
		workers, err := r.Ready(ctx)
		cancel()
		if !errors.Is(err, want) || want == nil && (len(workers) != 1 || workers[0].PID != r.Process().PID()) {
			t.Errorf("%s: got %+v, %v", mode, workers, err)
		}
		if want != nil {
			continue
		}
		if err := r.Intact(); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		if err := r.Process().Stop(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := r.Intact(); !errors.Is(err, target.ErrWorker) {
			t.Errorf("after its end: %v", err)
		}
	}
}

func TestReadySaysWhatIsWrong(t *testing.T) {
	p := openPlatform(t)
	for _, c := range []struct {
		mode string
		want error
		text string
	}{
		{"", nil, ""},
		{"twice", nil, ""},
		{"in pieces", nil, ""},
		{"exits", target.ErrExited, "exit status 0; its log ends with:\nthe reason it gave"},
		{"silent", target.ErrNotReady, "0 of 1 worker said so; /ping on 127.0.0.1:"},
		{"silent", target.ErrNotReady, "answers right, but no ready line came: is it printed, and is stdout buffered?"},
		{"error text in silence", target.ErrNotReady, "is open, but /ping: "},
		{"deaf", target.ErrNotReady, "nothing listens on 127.0.0.1:"},
		{"children end", target.ErrNotReady, "of it ended before that"},
		{"wrong nonce", target.ErrNonce, `"another"`},
		{"error text", target.ErrNonce, "status 418"},
		{"foreign pid", target.ErrWorker, "process 1 said it is ready, but is not a living process"},
		{"too many", target.ErrWorker, "2 processes said they are ready, expected 1"},
		{"other pool", target.ErrWorker, "pool of 77, expected 8"},
		{"other protocol", target.ErrWorker, `"prepared"`},
		{"no json", target.ErrWorker, `"now"`},
		{"no overlap", target.ErrNoOverlap, "the second from 1.200 s"},
		{"no proof given", target.ErrNoOverlap, "it gave none"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			r := start(t, launchFake(t, p, c.mode))
			patience := 20 * time.Second
			if errors.Is(c.want, target.ErrNotReady) {
				patience = 300 * time.Millisecond
			}
			if c.mode == "children end" {
				patience = 3 * time.Second
			}
			late := errors.New("after so long")
			ctx, cancel := context.WithTimeoutCause(t.Context(), patience, late)
			defer cancel()
			workers, err := r.Ready(ctx)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if errors.Is(err, target.ErrNotReady) && (!errors.Is(err, late) || strings.Contains(err.Error(), "deadline")) {
				t.Errorf("%q does not give the cause", err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "fake-1") {
					t.Errorf("%q does not say %q", err, c.text)
				}
				return
			}
			if len(workers) != 1 || workers[0].PID != r.Process().PID() || workers[0].Pool != 8 || !workers[0].Overlap.Proven() {
				t.Errorf("workers: %+v", workers)
			}
		})
	}
}

func TestIntactSeesWhatHappenedUnderWay(t *testing.T) {
	p := openPlatform(t)
	replaced := start(t, launchFake(t, p, "replaced"))
	if _, err := replaced.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := replaced.Intact(); err != nil {
		t.Errorf("before anything happened: %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := replaced.Intact()
		if errors.Is(err, target.ErrWorker) {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("got %v, want %v", err, target.ErrWorker)
		}
	}
	killed := start(t, launchFake(t, p, ""))
	if _, err := killed.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := killed.Process().Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := killed.Intact(); err == nil || !strings.Contains(err.Error(), "SIGKILL") {
		t.Errorf("got %v, want the signal that ended it", err)
	}
}

func TestStartRefusesAPortInUse(t *testing.T) {
	p := openPlatform(t)
	l := launchFake(t, p, "")
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", l.Port))
	if err != nil {
		t.Fatal(err)
	}
	_, err = target.Start(t.Context(), l)
	if !errors.Is(err, target.ErrPortTaken) {
		t.Errorf("got %v, want %v", err, target.ErrPortTaken)
	}
	listener.Close()
	r := start(t, l)
	if _, err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(t.Context(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if again, err := net.Listen("tcp", r.Address()); err != nil {
		t.Errorf("after the stop: %v", err)
	} else {
		again.Close()
	}
}

func TestStopReportsAPortThatIsStillHeld(t *testing.T) {
	p := openPlatform(t)
	l := launchFake(t, p, "exits")
	r := start(t, l)
	<-r.Process().Done()
	listener, err := net.Listen("tcp", r.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := r.Stop(t.Context(), time.Second); !errors.Is(err, target.ErrPortHeld) {
		t.Errorf("got %v, want %v", err, target.ErrPortHeld)
	}
}

func TestStartRefusesSettingsThatChangeNothing(t *testing.T) {
	l := launchFake(t, openPlatform(t), "")
	l.Settings = map[string]string{"FAKR": "1"}
	_, err := target.Start(t.Context(), l)
	if err == nil || !strings.Contains(err.Error(), `"FAKR"`) || !strings.Contains(err.Error(), "FAKE") {
		t.Errorf("got %v, want FAKR refused and FAKE suggested", err)
	}
}

// The printed command, run by a shell, must be the start itself.
func TestCommandCanBePasted(t *testing.T) {
	p := openPlatform(t)
	l := launchFake(t, p, "exits")
	l.AccessLog = true
	l.Nonce = "it's $HOME"
	l.Database.PasswordFile = filepath.Join(t.TempDir(), "pass word")
	if err := os.WriteFile(l.Database.PasswordFile, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Padding = 3000
	r := start(t, l)
	line := r.Command()
	if strings.Contains(line, "canary") {
		t.Errorf("the password stands in %s", line)
	}
	before, argv, found := strings.Cut(line, " fake --log=")
	if !found || argv != "fake-1" {
		t.Fatalf("the access log's arguments are missing in %s", line)
	}
	words := strings.Fields(before)
	shell := strings.Join(words[:len(words)-1], " ") + " env"
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", shell).Output()
	if err != nil {
		t.Fatalf("%s: %v", shell, err)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, want := range []string{
		"DATABASE_PASSWORD=canary", "BAKEOFF_NONCE=it's $HOME", "BAKEOFF_ACCESS_LOG=1", "LOGGING=1", "COUNT=1", "FAKE=exits",
		"WORKERS=1", "DATABASE_POOL=8", "DATABASE_SOCKET=", "BAKEOFF_PADDING=" + strings.Repeat("0", 3000),
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not in the environment %q", want, got)
		}
	}
}
