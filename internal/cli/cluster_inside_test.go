package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/platform/kube/kubetest"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/remote"
	"bakeoff/internal/venue/cluster"
)

// A conductor is the controller of a test in a cluster: it comes up when its Job is applied, and writes a record.
type conductor struct {
	t      *testing.T
	api    *kubetest.API
	out    string // folder of runs of the laptop
	root   string // folder of runs in the pod
	stderr *safeBuffer
	// conduct writes the run; it is called once there is a server.
	conduct func(c *conductor) remote.Outcome
	resume  bool

	mu      sync.Mutex
	token   string
	server  *remote.Server
	pod     string // where it is
	stopped chan struct{}
	done    chan struct{}
}

// safeBuffer can be written and read at once.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newConductor(t *testing.T, conduct func(c *conductor) remote.Outcome) *conductor {
	t.Helper()
	c := &conductor{
		t: t, api: kubetest.NewAPI(t), out: t.TempDir(), root: t.TempDir(), stderr: &safeBuffer{}, conduct: conduct,
		stopped: make(chan struct{}), done: make(chan struct{}),
	}
	t.Setenv("KUBECONFIG", c.api.Kubeconfig(t, "test"))
	c.api.Applied = c.applied
	c.api.Proxy = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		server := c.server
		c.mu.Unlock()
		if server == nil {
			http.Error(w, "connection refused", http.StatusServiceUnavailable)
			return
		}
		server.Handler().ServeHTTP(w, r)
	})
	return c
}

// applied brings the controller up once its Job is there.
func (c *conductor) applied(object map[string]any) {
	var o struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		// StringData is a secret's.
		StringData map[string]string
		Spec       struct {
			Template struct {
				Metadata struct{ Labels map[string]any }
			}
		}
	}
	text, err := json.Marshal(object)
	if err := errors.Join(err, json.Unmarshal(text, &o)); err != nil {
		c.t.Error(err)
	}
	switch {
	case o.Kind == "Secret" && o.Metadata.Name == "bakeoff-run":
		c.token = o.StringData["token"]
		object["data"] = map[string]any{"token": []byte(c.token)}
	case o.Kind == "Job" && o.Metadata.Name == "bakeoff-controller":
		server, err := remote.NewServer(remote.Options{Token: c.token, Root: c.root, Resume: c.resume, Stop: func() { close(c.stopped) }})
		if err != nil {
			c.t.Error(err)
			return
		}
		c.pod = "/api/v1/namespaces/" + o.Metadata.Namespace + "/pods/bakeoff-controller-x"
		c.api.Put(c.pod, map[string]any{
			"metadata": map[string]any{"labels": o.Spec.Template.Metadata.Labels, "namespace": o.Metadata.Namespace},
			"status": map[string]any{"phase": "Running", "containerStatuses": []any{
				map[string]any{"name": "main", "state": map[string]any{"running": map[string]any{}}},
			}},
		})
		c.mu.Lock()
		c.server = server
		c.mu.Unlock()
		go func() {
			defer close(c.done)
			server.Ended(c.conduct(c))
		}()
	}
}

// planFile writes the plan that is run.
func (c *conductor) planFile() string {
	c.t.Helper()
	text, err := os.ReadFile("../venue/cluster/testdata/direct.yaml")
	if err != nil {
		c.t.Fatal(err)
	}
	file := filepath.Join(c.t.TempDir(), "direct.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// command runs a command line, and returns its status and what it printed.
func (c *conductor) command(ctx context.Context, args ...string) (status int, stdout string) {
	c.t.Helper()
	var out bytes.Buffer
	return c.into(ctx, &out, args...), out.String()
}

// into runs a command line that prints into out, and returns its status.
func (c *conductor) into(ctx context.Context, out io.Writer, args ...string) int {
	env := Env{Args: args, Stdin: strings.NewReader(""), Stdout: out, Stderr: c.stderr, Assets: os.DirFS("../.."), Getenv: func(string) string { return "" }}
	root := newRoot(env)
	return conclude(c.stderr, root, root.ExecuteContext(ctx))
}

// local is the run that was fetched; nil: none was.
func (c *conductor) local() *record.Reader {
	c.t.Helper()
	found, err := filepath.Glob(filepath.Join(c.out, "*", "events.jsonl"))
	if err != nil || len(found) > 1 {
		c.t.Fatal(found, err)
	}
	if len(found) == 0 {
		return nil
	}
	r, err := record.Open(filepath.Dir(found[0]))
	if err != nil {
		return nil // only its beginning is there
	}
	return r
}

// fetched are the finished trials that were fetched.
func (c *conductor) fetched() int {
	r, n := c.local(), 0
	if r == nil {
		return 0
	}
	for _, trial := range r.Trials() {
		if trial.State == record.Finished {
			n++
		}
	}
	return n
}

// await waits until a number of trials was fetched.
func (c *conductor) await(trials int) {
	for deadline := time.Now().Add(20 * time.Second); c.fetched() < trials; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Errorf("%d trials were fetched, want %d", c.fetched(), trials)
			return
		}
	}
}

// begin makes the record of a run of two blocks.
func (c *conductor) begin() (*recordtest.Run, *record.Writer) {
	r := recordtest.Of(2, "go")
	r.Root, r.Head.Platform = c.root, inKubernetes
	r.Head.Name, r.Head.Short = "direct", true
	w := r.Begin(c.t)
	c.server.Opened(w.Dir())
	return r, w
}

// whole writes a whole run; its first trial must be fetched while it is under way.
func whole(c *conductor) remote.Outcome {
	r, w := c.begin()
	r.Trial(c.t, w, 1, 1, "go", 1, nil)
	c.await(1)
	r.Trial(c.t, w, 2, 1, "go", 1, nil)
	if err := errors.Join(os.WriteFile(filepath.Join(w.Dir(), "agent.log"), []byte("said"), 0o600), w.Finish(record.Complete, "")); err != nil {
		c.t.Error(err)
	}
	return remote.Outcome{}
}

// inOrder checks, at the first removal, that everything was fetched before.
func (c *conductor) inOrder(trials int) *bool {
	removed := new(bool)
	c.api.Before = func(method, _ string) int {
		if method != http.MethodDelete || *removed {
			return 0
		}
		*removed = true
		if n := c.fetched(); n != trials {
			c.t.Errorf("removed when %d of %d trials were fetched", n, trials)
		}
		asked := c.api.Requests()
		for _, what := range []string{"/events", "/bakeoff-controller-x/log"} {
			if !slices.ContainsFunc(asked, func(r string) bool { return strings.HasPrefix(r, "GET ") && strings.HasSuffix(r, what) }) {
				c.t.Errorf("removed before %s was fetched: %q", what, asked)
			}
		}
		return 0
	}
	return removed
}

// A run in a cluster says first what it asks for, fetches each trial as it ends, prints the report of a local run, and leaves nothing.
func TestRunAway(t *testing.T) {
	c := newConductor(t, whole)
	removed := c.inOrder(2)
	status, stdout := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--short", "--out", c.out)
	if status != exitDone || !*removed {
		t.Fatalf("status %d, removed %v:\n%s", status, *removed, c.stderr)
	}
	if left := c.api.Objects(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	select {
	case <-c.server.Acked():
	default:
		t.Error("the controller does not know that all was fetched")
	}
	local := c.local()
	if local == nil || len(local.Problems()) > 0 || local.Run().Status != record.Complete {
		t.Fatalf("%+v", local)
	}
	pod, err := record.Files(filepath.Join(c.root, filepath.Base(local.Dir())), false)
	if err != nil {
		t.Fatal(err)
	}
	if here, err := record.Files(local.Dir(), false); err != nil || !reflect.DeepEqual(here, pod) {
		t.Errorf("%v: %d files, want %d", err, len(here), len(pod))
	}
	for _, file := range []string{"agent.log", "report.html", "cluster/events.txt", "cluster/bakeoff-controller-x-main.log"} {
		if _, err := os.Stat(filepath.Join(local.Dir(), file)); err != nil {
			t.Error(err)
		}
	}
	said := c.stderr.String()
	if !strings.HasPrefix(said, "bakeoff: the run asks the cluster for") {
		t.Errorf("said first:\n%s", said)
	}
	if !strings.Contains(stdout, "direct") {
		t.Errorf("printed:\n%s", stdout)
	}
}

// Ctrl-C ends the run in the cluster; what is finished is fetched, and nothing is left.
func TestRunAwayInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	c := newConductor(t, func(c *conductor) remote.Outcome {
		r, w := c.begin()
		r.Trial(c.t, w, 1, 1, "go", 1, nil)
		c.await(1)
		cancel(controller.ErrInterrupted)
		<-c.stopped
		if err := w.Finish(record.Aborted, "interrupted"); err != nil {
			c.t.Error(err)
		}
		return remote.Outcome{Error: "interrupted", Exit: exitInterrupted}
	})
	removed := c.inOrder(1)
	status, _ := c.command(ctx, "run", c.planFile(), "--platform", "kubernetes", "--out", c.out)
	if status != exitInterrupted || !*removed || len(c.api.Objects()) > 0 || c.local().Run().Status != record.Aborted {
		t.Errorf("status %d, left %q:\n%s", status, c.api.Objects(), c.stderr)
	}
}

// What the cluster would refuse is said before anything is applied, or removed again.
func TestRunAwayRefused(t *testing.T) {
	for name, one := range map[string]struct {
		prepare func(*kubetest.API)
		status  int
		says    string
		applied bool
	}{
		"a right": {
			func(a *kubetest.API) { a.Denied = map[string]bool{"create pods/proxy": true, "create roles": true} }, exitPrerequisite,
			"may not create roles in bakeoff-direct", false,
		},
		"an object": {
			func(a *kubetest.API) { a.Refused = map[string]string{"bakeoff-target-go": "exceeded quota: q"} }, exitFailed, "exceeded quota: q", true,
		},
	} {
		c := newConductor(t, func(*conductor) remote.Outcome { t.Error("conducted"); return remote.Outcome{} })
		one.prepare(c.api)
		status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--out", c.out)
		if status != one.status || !strings.Contains(c.stderr.String(), one.says) || len(c.api.Objects()) > 0 {
			t.Errorf("%s: status %d, left %q:\n%s", name, status, c.api.Objects(), c.stderr)
		}
		applied := slices.ContainsFunc(c.api.Requests(), func(r string) bool { return strings.HasPrefix(r, "POST") && !strings.Contains(r, "selfsubject") })
		if applied != one.applied {
			t.Errorf("%s: applied %v: %q", name, applied, c.api.Requests())
		}
	}
}

// How an external database is reached is in the run's secret and nowhere else. One that the plan gives no leave for, and one that pods
// cannot reach, are refused before anything is asked of the cluster.
func TestRunAwayExternal(t *testing.T) {
	const canary = "canary-5e1f"
	for _, one := range []struct{ host, lines, refused string }{
		{"db.example", "allow_hosts: [db.example]\n", ""},
		{"db.example", "", "db.example"},
		{"127.0.0.1", "", "127.0.0.1 is each pod itself"},
	} {
		c := newConductor(t, whole)
		var holding []string
		applied := c.api.Applied
		c.api.Applied = func(object map[string]any) {
			text, err := json.Marshal(object)
			if err != nil {
				t.Error(err)
			}
			if strings.Contains(string(text), canary) {
				holding = append(holding, string(text))
			}
			applied(object)
		}
		status, stdout := c.command(t.Context(), "run", c.externalPlan(one.lines, "u:"+canary+"@tcp("+one.host+":3306)/d"), "--platform", "kubernetes", "--out", c.out)
		if strings.Contains(stdout+c.stderr.String(), canary) {
			t.Errorf("printed:\n%s\n%s", stdout, c.stderr)
		}
		if one.refused != "" {
			if status != exitUsage || len(c.api.Requests()) > 0 || !strings.Contains(c.stderr.String(), one.refused) {
				t.Errorf("status %d, asked %q:\n%s", status, c.api.Requests(), c.stderr)
			}
			continue
		}
		want := fmt.Sprintf("%q:%q", cluster.DSNKey, "u:"+canary+"@tcp(db.example:3306)/d")
		if status != exitDone || len(holding) == 0 {
			t.Errorf("status %d, %d objects:\n%s", status, len(holding), c.stderr)
		}
		for _, object := range holding {
			if !strings.Contains(object, `"kind":"Secret"`) || !strings.Contains(object, `"name":"bakeoff-run"`) || !strings.Contains(object, want) {
				t.Errorf("it is in %s", object)
			}
		}
	}
}

// externalPlan writes the plan that is run with an external database, and these lines.
func (c *conductor) externalPlan(lines, dsn string) string {
	c.t.Helper()
	file, at := c.planFile(), filepath.Join(c.t.TempDir(), "dsn")
	text, err := os.ReadFile(file)
	if err != nil {
		c.t.Fatal(err)
	}
	text = fmt.Appendf(text, "database: {kind: external, dsn_file: %s}\n%s", at, lines)
	if err := errors.Join(os.WriteFile(file, text, 0o600), os.WriteFile(at, []byte(dsn+"\n"), 0o600)); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// A namespace that holds another run is refused, and that run is not touched.
func TestRunAwayTaken(t *testing.T) {
	c := newConductor(t, func(*conductor) remote.Outcome { t.Error("conducted"); return remote.Outcome{} })
	at := "/apis/batch/v1/namespaces/n/jobs/bakeoff-controller"
	c.api.Put(at, map[string]any{"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "bakeoff", "bakeoff/run": "other"}}})
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--namespace", "n", "--out", c.out)
	if status != exitUsage || !strings.Contains(c.stderr.String(), "holds run other") || !slices.Equal(c.api.Objects(), []string{at}) {
		t.Errorf("status %d, %q:\n%s", status, c.api.Objects(), c.stderr)
	}
}

// A detached run goes on; anyone who attaches sees it to its end, and leaves nothing.
func TestRunAwayDetached(t *testing.T) {
	attached := make(chan struct{})
	c := newConductor(t, func(c *conductor) remote.Outcome {
		r, w := c.begin()
		<-attached
		for block := 1; block <= 2; block++ {
			r.Trial(c.t, w, block, 1, "go", 1, nil)
		}
		if err := w.Finish(record.Complete, ""); err != nil {
			c.t.Error(err)
		}
		return remote.Outcome{}
	})
	status, stdout := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--detach", "--cleanup", "success", "--out", c.out)
	line := strings.Fields(stdout)
	if status != exitDone || len(line) != 9 || line[1] != "attach" || !slices.Equal(line[5:], []string{"--out", c.out, "--cleanup", "success"}) || len(c.api.Objects()) == 0 {
		t.Fatalf("status %d, %q:\n%s", status, stdout, c.stderr)
	}
	close(attached)
	removed := c.inOrder(2)
	status, stdout = c.command(t.Context(), line[1:]...)
	if status != exitDone || !*removed || len(c.api.Objects()) > 0 || !strings.Contains(stdout, "direct") {
		t.Errorf("status %d, left %q:\n%s", status, c.api.Objects(), c.stderr)
	}
}

// When the controller is gone the trials that were fetched stay, with the line that resumes them. What is left in the cluster is
// removed as the user wants.
func TestRunAwayLost(t *testing.T) {
	for cleanup, left := range map[string]bool{cleanAlways: false, cleanSuccess: true} {
		gone := make(chan struct{})
		c := newConductor(t, func(c *conductor) remote.Outcome {
			r, w := c.begin()
			r.Trial(c.t, w, 1, 1, "go", 1, nil)
			c.await(1)
			c.mu.Lock()
			c.server = nil
			c.mu.Unlock()
			c.api.Drop(c.pod)
			close(gone)
			<-c.t.Context().Done()
			return remote.Outcome{}
		})
		proxy := c.api.Proxy
		c.api.Proxy = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // its connections end with it
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			go func() {
				select {
				case <-gone:
					cancel()
				case <-ctx.Done():
				}
			}()
			proxy.ServeHTTP(w, r.WithContext(ctx))
			select {
			case <-gone:
				panic(http.ErrAbortHandler)
			default:
			}
		})
		status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--out", c.out, "--cleanup", cleanup)
		said := c.stderr.String()
		if status != exitFailed || !strings.Contains(said, "was removed") || !strings.Contains(said, "bakeoff run --resume "+c.local().Dir()) {
			t.Errorf("status %d:\n%s", status, said)
		}
		if c.fetched() != 1 || (len(c.api.Objects()) > 0) != left {
			t.Errorf("%d trials, left %q", c.fetched(), c.api.Objects())
		}
	}
}

// A run that cannot be kept here is not ended, nor removed, in the cluster.
func TestNoRoomHere(t *testing.T) {
	c := newConductor(t, func(c *conductor) remote.Outcome {
		r := recordtest.Of(2, "go")
		r.Root = c.root
		w := r.Begin(c.t)
		if err := os.WriteFile(filepath.Join(c.out, filepath.Base(w.Dir())), nil, 0o600); err != nil { // in the place of the copy
			c.t.Error(err)
		}
		c.server.Opened(w.Dir())
		<-c.t.Context().Done()
		_ = w.Close() // the test is over
		return remote.Outcome{}
	})
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--out", c.out)
	said := c.stderr.String()
	if status != exitFailed || !strings.Contains(said, "nothing was removed") || !strings.Contains(said, "is still in namespace bakeoff-direct") || !strings.Contains(said, ", for a day after its end; bakeoff clean ") {
		t.Errorf("status %d:\n%s", status, said)
	}
	for _, r := range c.api.Requests() {
		if strings.HasPrefix(r, "DELETE") {
			t.Error(r)
		}
	}
	select {
	case <-c.stopped:
		t.Error("the run was stopped")
	default:
	}
}

// attach does not remove a run whose controller it did not hear.
func TestAttachUnheard(t *testing.T) {
	c := newConductor(t, func(c *conductor) remote.Outcome {
		_, w := c.begin()
		<-c.t.Context().Done()
		_ = w.Close() // the test is over
		return remote.Outcome{}
	})
	status, stdout := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--detach", "--out", c.out)
	line := strings.Fields(stdout)
	if status != exitDone || len(line) != 7 {
		t.Fatalf("status %d, %q:\n%s", status, stdout, c.stderr)
	}
	there := c.api.Objects()
	c.api.Proxy = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no proxy for you", http.StatusForbidden) })
	status, _ = c.command(t.Context(), line[1:]...)
	said := c.stderr.String()
	if status != exitFailed || !strings.Contains(said, "no proxy for you") || !strings.Contains(said, "nothing was removed") || !slices.Equal(c.api.Objects(), there) {
		t.Errorf("status %d, left %q of %q:\n%s", status, c.api.Objects(), there, said)
	}
}

// A controller whose answer leads out of the folder of runs is not followed.
func TestNameLeadsNowhere(t *testing.T) {
	for _, name := range []string{"..", ".", "/", ".hidden", "a/b", `a\b`, ""} {
		if remote.IsRunName(name) {
			t.Errorf("%q is taken", name)
		}
	}
	c := newConductor(t, func(c *conductor) remote.Outcome {
		_, w := c.begin()
		if err := w.Finish(record.Aborted, "ended"); err != nil {
			c.t.Error(err)
		}
		return remote.Outcome{}
	})
	honest := c.api.Proxy
	c.api.Proxy = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/run" {
			_ = json.NewEncoder(w).Encode(remote.State{Name: ".."}) // who asked is gone
			return
		}
		honest.ServeHTTP(w, r)
	})
	status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--out", filepath.Join(c.out, "runs"))
	<-c.done
	if found, err := filepath.Glob(filepath.Join(c.out, "*.json*")); status != exitFailed || !strings.Contains(c.stderr.String(), "names no run directory") || len(found) > 0 {
		t.Errorf("status %d, %q, %v:\n%s", status, found, err, c.stderr)
	}
}

// The line that resumes a run names a namespace that is not the run's own.
func TestResumeLine(t *testing.T) {
	for namespace, named := range map[string]bool{"bench": true, "bakeoff-r": false} {
		a := &away{place: place{namespace: namespace}, dir: "runs/r", at: new(kube.Cluster).At(namespace, "r")}
		var lost lostError
		if !errors.As(a.lost(errors.New("gone")), &lost) || strings.Contains(lost.hint, "--namespace bench") != named {
			t.Errorf("%s: %q", namespace, lost.hint)
		}
	}
}

// A token of a collector that is in a variable here does not reach a cluster, so the plan is refused; elsewhere nobody asks for it.
func TestTokensHere(t *testing.T) {
	p := &plan.Plan{Collect: plan.Collect{OTLP: plan.OTLP{URL: "http://127.0.0.1:4318"}, InfluxDB: plan.InfluxDB{URL: "http://127.0.0.1:8086"}}}
	for given, want := range map[string]string{tokenVariable: "collect.influxdb", otlpTokenVariable: "collect.otlp", passwordVariable: ""} {
		env := Env{Getenv: func(name string) string {
			if name == given {
				return "secret"
			}
			return ""
		}}
		got := tokensHere(env, p)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0].Path != want || strings.Contains(got[0].Text, "secret")) {
			t.Errorf("%s: %+v", given, got)
		}
		if got := tokensHere(env, &plan.Plan{}); len(got) > 0 {
			t.Errorf("%s without a collector: %+v", given, got)
		}
	}
}

// clean fetches a run and removes it, and nothing that is not bakeoff's; the namespace of somebody else stays.
func TestCleanAway(t *testing.T) {
	c := newConductor(t, func(c *conductor) remote.Outcome {
		r, w := c.begin()
		r.Trial(c.t, w, 1, 1, "go", 1, nil)
		<-c.stopped
		if err := w.Finish(record.Aborted, "interrupted"); err != nil {
			c.t.Error(err)
		}
		return remote.Outcome{Error: "interrupted", Exit: exitInterrupted}
	})
	theirs := []string{"/api/v1/namespaces/n", "/api/v1/namespaces/n/configmaps/theirs", "/api/v1/namespaces/n/pods/bakeoff-like"}
	for _, at := range theirs {
		c.api.Put(at, map[string]any{"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "helm"}}})
	}
	if status, _ := c.command(t.Context(), "run", c.planFile(), "--platform", "kubernetes", "--namespace", "n", "--detach", "--out", c.out); status != exitDone {
		t.Fatalf("status %d:\n%s", status, c.stderr)
	}
	removed := c.inOrder(1)
	status, stdout := c.command(t.Context(), "clean", "--namespace", "n", "--out", c.out)
	if status != exitDone || !*removed || !strings.Contains(stdout, "1 run removed") || !slices.Equal(c.api.Objects(), theirs) {
		t.Errorf("status %d, left %q:\n%s%s", status, c.api.Objects(), stdout, c.stderr)
	}
	if c.fetched() != 1 || c.local().Run().Status != record.Aborted {
		t.Errorf("%d trials", c.fetched())
	}
}

// A run that was killed goes on in a cluster with the trials that are finished here.
func TestResumeAway(t *testing.T) {
	c := newConductor(t, func(c *conductor) remote.Outcome {
		dir, err := c.server.Uploaded(c.t.Context())
		if err != nil {
			c.t.Error(err)
			return remote.Outcome{}
		}
		run := openRun(c.t, dir)
		w, left, err := record.Resume(dir, run.Run().PlanDigest, time.Now())
		if err != nil {
			c.t.Error(err)
			return remote.Outcome{}
		}
		c.server.Opened(dir)
		if len(left) != 1 || left[0].Block != 2 {
			c.t.Errorf("left: %v", left)
		}
		recordtest.Of(2, "go").Trial(c.t, w, 2, 1, "go", 1, nil)
		if err := w.Finish(record.Complete, ""); err != nil {
			c.t.Error(err)
		}
		return remote.Outcome{}
	})
	c.resume = true
	file := c.planFile()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Load("direct.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	r := recordtest.Of(2, "go")
	r.Root, r.Head.Name, r.Head.PlanDigest, r.Head.Platform = c.out, "direct", p.Digest(), inKubernetes
	if r.Head.Plan, err = json.Marshal(p); err != nil {
		t.Fatal(err)
	}
	killed := r.Begin(t)
	r.Trial(t, killed, 1, 1, "go", 1, nil)
	if err := killed.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _ := c.command(t.Context(), "run", "--resume", killed.Dir()); status != exitUsage || !strings.Contains(c.stderr.String(), "was begun with --platform kubernetes") {
		t.Errorf("resumed on this machine: status %d:\n%s", status, c.stderr)
	}
	removed := c.inOrder(2)
	status, _ := c.command(t.Context(), "run", file, "--resume", killed.Dir(), "--platform", "kubernetes")
	if !*removed || c.fetched() != 2 || c.local().Run().Status != record.Complete || len(c.api.Objects()) > 0 {
		t.Errorf("status %d, %d trials, left %q:\n%s", status, c.fetched(), c.api.Objects(), c.stderr)
	}
}

func openRun(t *testing.T, dir string) *record.Reader {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
