package target_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/contract"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/platform"
	"bakeoff/internal/stats"
	"bakeoff/internal/target"
)

// stage is what the shipped targets are started against.
type stage struct {
	platform platform.Platform
	server   *database.Server
	data     *dataset.Dataset
}

// Every shipped target, every variant and every server of it is prepared and started for
// real; the preparation lies where the program itself keeps it.
func TestShippedTargets(t *testing.T) {
	names, err := target.List(os.DirFS("../../targets"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := shipped(t, name, "")
			if missing := r.Missing(t.Context()); len(missing) > 0 {
				t.Skipf("SKIPPED: this machine lacks %v", missing)
			}
			s := &stage{platform: openPlatform(t)} // what a database of their own counts is theirs
			s.server, s.data = openDatabase(t, s.platform)
			t.Run("plain", func(t *testing.T) { s.testPlain(t, r) })
			t.Run("no database", func(t *testing.T) { s.testNoDatabase(t, name) })
			for _, v := range r.Variants() {
				t.Run(v, func(t *testing.T) { s.testVariant(t, name, v) })
			}
			for _, server := range r.Servers() {
				on, err := r.On(server)
				if err != nil {
					t.Fatal(err)
				}
				t.Run("on "+server, func(t *testing.T) { s.testPlain(t, on) })
			}
		})
	}
}

func shipped(t *testing.T, name, variant string) *target.Recipe {
	t.Helper()
	r, err := target.Load(os.DirFS("../../targets"), name, variant)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// long reports whether there is time for everything.
func long() bool { return os.Getenv("BAKEOFF_LONG") == "1" }

// launch prepares a shipped target and says how it is started.
func (s *stage) launch(t *testing.T, r *target.Recipe, workers int) target.Launch {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p, err := target.Prepare(t.Context(), r, target.Preparation{
		CacheDir: filepath.Join(cache, "bakeoff", "targets"), Platform: s.platform,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Cached {
		t.Logf("prepared in %.1f s: %v", time.Since(began).Seconds(), p.Versions)
	}
	port, err := s.platform.Port(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return target.Launch{
		Prepared: p, Platform: s.platform, Name: r.Name + "-1", Port: port, Nonce: "nonce-of-" + r.Name,
		Workers: workers, Pool: 3, Database: s.server.Access(), LogDir: t.TempDir(),
	}
}

func (s *stage) testPlain(t *testing.T, recipe *target.Recipe) {
	l := s.launch(t, recipe, 2)
	l.Platform = naming{l.Platform}
	r := start(t, l)
	workers, err := r.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := l.Prepared.Recipe.Processes(2); len(workers) != want {
		t.Errorf("%d workers, want %d", len(workers), want)
	}
	for _, w := range workers {
		if !w.Overlap.Proven() {
			t.Errorf("process %d: no overlap: %+v", w.PID, w.Overlap)
		}
	}
	if len(l.Prepared.Versions) < 3 {
		t.Errorf("versions: %v", l.Prepared.Versions)
	}
	s.testAnswers(t, r)
	s.testContract(t, l, r)
	if err := r.Intact(); err != nil {
		t.Error(err)
	}
	secret := l.Database.Password
	if strings.Contains(r.Command(), secret) || strings.Contains(s.stop(t, r), secret) {
		t.Error("the password is shown")
	}
}

// podName is that of a replica which the tests give a name.
const podName = "bakeoff-target-x-7d9-abcde"

// naming gives what it starts the name of a pod, as a cluster does where the balancer does not say who has answered.
type naming struct{ platform.Platform }

func (n naming) Start(ctx context.Context, spec platform.Spec) (platform.Process, error) {
	spec.Env = append(slices.Clone(spec.Env), "BAKEOFF_REPLICA="+podName)
	return n.Platform.Start(ctx, spec)
}

// stop stops a replica well within its grace and returns its log.
func (s *stage) stop(t *testing.T, r *target.Replica) string {
	t.Helper()
	const grace = 30 * time.Second
	began := time.Now()
	if err := r.Stop(t.Context(), grace); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > grace/2 {
		t.Errorf("the stop took %v", took)
	}
	if exit := r.Process().Exit(); exit.Signal == "SIGKILL" {
		t.Errorf("it had to be killed: %+v", exit)
	}
	log, err := os.ReadFile(r.Log())
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// testAnswers looks at single answers; the whole contract is testContract's.
func (s *stage) testAnswers(t *testing.T, r *target.Replica) {
	for _, c := range []struct {
		path   string
		status int
		name   string
		exists bool
	}{
		{"/demo?name=" + s.data.Name(17), 200, s.data.Name(17), true},
		{"/demo?name=nobody-has-this-name", 200, "nobody-has-this-name", false},
		{"/demo?name=a&name=b", 200, "", false},
		{"/demo?name=", 400, "", false},
		{"/demo?name=" + strings.Repeat("x", 255), 200, strings.Repeat("x", 255), false},
		{"/demo?name=" + strings.Repeat("x", 256), 400, "", false},
		{"/demo?name=" + strings.Repeat("%f0%9f%8d%9e", 255), 200, strings.Repeat("\U0001f35e", 255), false},
		{"/demo?name=%00", 200, "\x00", false},
		{"/demo?name=%ff%fe", 200, "", false},
		{"/demo", 200, "", false},
		{"/nothing", 404, "", false},
	} {
		status, header, body := get(t, r, c.path)
		if status != c.status {
			t.Errorf("%.60s: status %d, want %d", c.path, status, c.status)
		}
		if _, err := http.ParseTime(header.Get("Date")); err != nil {
			t.Errorf("%.60s: Date: %v", c.path, err)
		}
		if got := header.Values(stats.ReplicaHeader); !slices.Equal(got, []string{podName}) {
			t.Errorf("%.60s: given by %q", c.path, got)
		}
		if status != 200 {
			continue
		}
		var answer struct {
			Name   string `json:"name"`
			Exists bool   `json:"exists"`
			ID     *int64 `json:"id"`
		}
		if err := json.Unmarshal(body, &answer); err != nil || header.Get("Content-Type") != "application/json" && !strings.HasPrefix(header.Get("Content-Type"), "application/json;") {
			t.Errorf("%.60s: %q of type %s: %v", c.path, body, header.Get("Content-Type"), err)
		}
		if c.name != "" && (answer.Name != c.name || answer.Exists != c.exists || answer.Exists != (answer.ID != nil)) {
			t.Errorf("%.60s: %.100s", c.path, body)
		}
		if n := len([]rune(answer.Name)); n < 1 || n > 255 {
			t.Errorf("%.60s: a name of %d characters", c.path, n)
		}
	}
}

func get(t *testing.T, r *target.Replica, path string) (int, http.Header, []byte) {
	t.Helper()
	answer, err := http.Get("http://" + r.Address() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, body
}

func (s *stage) testContract(t *testing.T, l target.Launch, r *target.Replica) {
	asked := contract.Contract{Dataset: s.data, Database: s.server, Lookups: dataset.Client, Seed: 3, Full: long()}
	result, err := asked.Check(t.Context(), "before", []contract.Endpoint{{Name: l.Name, URL: "http://" + r.Address(), Nonce: l.Nonce, Says: podName}}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, failed := range result.Failed() {
		t.Errorf("contract: %s: %s", failed.Name, failed.Detail)
	}
	t.Logf("%d checks; other statements per request: %v; lengths %d and %d", len(result.Checks), result.Others, result.LengthPresent, result.LengthAbsent)
}

// testVariant starts one worker of a variant with its access log on.
func (s *stage) testVariant(t *testing.T, name, variant string) {
	l := s.launch(t, shipped(t, name, variant), 1)
	l.AccessLog = true
	l.Pool = 1 // in which two statements can never run at once: the proof must do without
	r := start(t, l)
	_, err := r.Ready(t.Context())
	if variant == "no-greenify" {
		if !errors.Is(err, target.ErrNoOverlap) {
			t.Errorf("got %v, want %v", err, target.ErrNoOverlap)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	const word = "a-word-for-the-access-log"
	if status, header, body := get(t, r, "/demo?name="+word); status != 200 || !strings.Contains(string(body), word) || len(header.Values(stats.ReplicaHeader)) > 0 {
		t.Errorf("status %d, header %v, body %s", status, header, body)
	}
	if name == "django" && variant == "bounded" {
		s.testBound(t, r, l.Pool)
	}
	if log := s.stop(t, r); !strings.Contains(log, word) {
		t.Errorf("the access log is on, yet the request is not in\n%s", log)
	}
}

// testBound sends more requests at once than the pool holds and watches the
// connections: the server may still be closing some that Django has left.
func (s *stage) testBound(t *testing.T, r *target.Replica, pool int) {
	const clients, each, closing = 24, 20, 4
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				if answer, err := http.Get("http://" + r.Address() + "/demo?name=x"); err != nil || answer.StatusCode != 200 {
					t.Errorf("%v, %v", answer, err)
				} else {
					answer.Body.Close()
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	most, looks := 0, 0
	for {
		select {
		case <-ended:
			t.Logf("at most %d connections in %d looks, with a pool of %d and %d clients", most, looks, pool, clients)
			if most > pool+closing || most < 1 {
				t.Errorf("%d connections, want at most %d", most, pool+closing)
			}
			return
		default:
		}
		now, err := s.server.ConnectionCount(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		most, looks = max(most, now), looks+1
	}
}

// A target that cannot reach its database is never ready, says why, and shows no password.
func (s *stage) testNoDatabase(t *testing.T, name string) {
	l := s.launch(t, shipped(t, name, ""), 1)
	l.Database.Password = "canary-of-a-wrong-password"
	r := start(t, l)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := r.Ready(ctx)
	if !errors.Is(err, target.ErrExited) {
		t.Fatalf("got %v, want %v", err, target.ErrExited)
	}
	log, readErr := os.ReadFile(r.Log())
	if readErr != nil {
		t.Fatal(readErr)
	}
	if !strings.Contains(string(log), "Access denied") || !strings.Contains(err.Error(), "its log ends with:") {
		t.Errorf("the reason is not told: %v\nlog:\n%s", err, log)
	}
	if strings.Contains(err.Error()+string(log), l.Database.Password) {
		t.Errorf("the password is shown: %v\nlog:\n%s", err, log)
	}
}
