package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/platform/kube/kubetest"
)

// behind puts a proxy before the replicas that the fake starts, at an address of its own, which it gives each request in turn; change may
// alter what the proxy does. hosts is what was asked for.
func (f *fake) behind(address string, change func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc)) (hosts *atomic.Value) {
	hosts = &atomic.Value{}
	var asked atomic.Int64
	turn := func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		pods := f.pods["target-flask"]
		f.mu.Unlock()
		to := &url.URL{Scheme: "http", Host: at(pods[int(asked.Add(1))%len(pods)].address, targetPort)}
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }}).ServeHTTP(w, r)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts.Store(r.Host)
		if change != nil {
			change(w, r, turn)
			return
		}
		turn(w, r)
	})}
	f.t.Cleanup(func() { server.Close() })
	go server.Serve(l)
	return hosts
}

// Behind a Service requests go to its address, replicas know their names, and nothing but the target is started.
func TestBehindService(t *testing.T) {
	v, f, d := scene(t, "balancer: {kind: service}\n")
	address := newAddress()
	f.behind(at(address, targetPort), nil)
	f.front = func(w platform.Workload) (string, error) {
		if w.Front.Kind != platform.FrontService || w.Front.Name != "front-flask" || w.Front.Port != targetPort {
			t.Errorf("%+v", w.Front)
		}
		return address, nil
	}
	got, err := v.Deploy(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.URLs(), []string{"http://" + at(address, targetPort)}) || got.Dial() != nil {
		t.Errorf("%q at %q", got.URLs(), got.Dial())
	}
	if n, err := got.Requests(t.Context()); err != nil || n != -1 || got.Redraw(t.Context()) != nil || len(got.Sources()) != 3 {
		t.Errorf("%d requests, %v, sources %v", n, err, got.Sources())
	}
	f.notes = nil
	if err := got.Stop(t.Context(), 0); err != nil || !slices.Equal(f.notes, []string{"remove target-flask"}) {
		t.Errorf("%v, %v", f.notes, err)
	}
}

// Behind an Ingress and a Gateway requests go to their address, and ask for the target's own host.
func TestBehindHosts(t *testing.T) {
	for _, kind := range []string{"ingress, class: fast", "gateway, name: shared, namespace: gateways"} {
		address := at(newAddress(), 8080)
		v, f, d := scene(t, fmt.Sprintf("balancer: {kind: %s, host: \"{target}.bench.example\", address: %q, annotations: {a.example/b: c}}\n", kind, address))
		hosts := f.behind(address, nil)
		f.front = func(w platform.Workload) (string, error) {
			if w.Front.Host != "flask.bench.example" || w.Front.Annotations["a.example/b"] != "c" || w.Front.Class+w.Front.Gateway+w.Front.Namespace == "" {
				t.Errorf("%+v", w.Front)
			}
			return w.Front.Address, nil
		}
		got, err := v.Deploy(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.URLs(), []string{"http://flask.bench.example"}) || !slices.Equal(got.Dial(), []string{address}) || hosts.Load() != "flask.bench.example" {
			t.Errorf("%q at %q, asked for %v", got.URLs(), got.Dial(), hosts.Load())
		}
		info, err := v.Balancer(t.Context(), v.b.o.Plan)
		if err != nil || info.Settings["host"] != "{target}.bench.example" || info.Settings["address"] != address || info.Settings["annotation a.example/b"] != "c" {
			t.Errorf("%+v, %v", info, err)
		}
	}
}

// Load goes to an address that the cluster publishes only where the plan allows it.
func TestPublishedAddress(t *testing.T) {
	const ingress = "balancer: {kind: ingress, host: flask.example}\n"
	for lines, want := range map[string]string{
		ingress:                                "its address 10.99.0.1 was not named by the plan: set balancer.address to it, or add it to allow_hosts",
		ingress + "allow_hosts: [10.99.0.1]\n": "",
		ingress + "allow_hosts: [10.99.0.2]\n": "was not named by the plan",
	} {
		v, _, d := scene(t, lines)
		got, err := v.allowed(t.Context(), d.Balancer, "10.99.0.1")
		if want == "" && (err != nil || got != "10.99.0.1:80") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	v, _, _ := scene(t, "")
	if _, err := v.allowed(t.Context(), plan.Balancer{Address: "169.254.169.254"}, "169.254.169.254"); err == nil {
		t.Error("a metadata server is asked")
	}
}

// A target is up behind a balancer once that gives three right answers in a row and has been seen to reach every replica; what is wrong is
// said.
func TestAnswersBehind(t *testing.T) {
	for name, c := range map[string]struct {
		change func(n int64, w http.ResponseWriter, r *http.Request, next http.HandlerFunc)
		want   string // of the error; empty: none
		least  int64  // requests
	}{
		"late": {change: func(n int64, w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			if n < 5 {
				http.Error(w, "no endpoints", http.StatusServiceUnavailable)
				return
			}
			next(w, r)
		}, least: 7},
		"now and then": {change: func(n int64, w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			if n%3 == 0 && n < 10 {
				http.NotFound(w, r)
				return
			}
			next(w, r)
		}, least: 12},
		"never": {change: func(_ int64, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			http.Error(w, "default backend", http.StatusNotFound)
		}, want: `gives no right answer for host flask.example after 60.0 s: 404 Not Found, "default backend\n"`},
		"another's": {change: func(_ int64, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			fmt.Fprint(w, "pong")
		}, want: `200 OK, "pong"`},
		"nobody's": {change: func(_ int64, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			fmt.Fprint(w, "nonce-1")
		}, want: "an answer does not say in X-Bakeoff-Replica which replica gave it"},
	} {
		t.Run(name, func(t *testing.T) {
			address := at(newAddress(), 8080)
			v, f, d := scene(t, fmt.Sprintf("balancer: {kind: ingress, host: flask.example, address: %q}\n", address))
			var n atomic.Int64
			f.behind(address, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) { c.change(n.Add(1), w, r, next) })
			f.front = func(w platform.Workload) (string, error) { return w.Front.Address, nil }
			ctx := t.Context()
			if c.want != "" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Second)
				defer cancel()
			}
			_, err := v.Deploy(ctx, d)
			if c.want == "" && (err != nil || n.Load() < c.least) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("after %d requests: %v, want %q", n.Load(), err, c.want)
			}
		})
	}
	v, f, d := scene(t, "balancer: {kind: service}\n")
	broken := errors.New("no address")
	f.front = func(platform.Workload) (string, error) { return "", broken }
	if _, err := v.Deploy(t.Context(), d); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// Behind nginx and without a balancer replicas have no name to say: their answers cost what they did.
func TestNamesOnlyWhereNeeded(t *testing.T) {
	for lines, want := range map[string]bool{"": false, "balancer: {kind: direct}\n": false, "balancer: {kind: service}\n": true} {
		v, _, d := scene(t, lines)
		w, err := v.b.replicas(d.Target, d.Prepared.Recipe, v.b.launch(d.Target, d.Prepared.Recipe), "s")
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(w.Main.Env, func(one platform.Variable) bool { return one.Name == "BAKEOFF_REPLICA" }); got != want {
			t.Errorf("%q: named %v", lines, got)
		}
	}
}

// What the controller applies, fronts included, the laptop does not.
func TestFrontsAreTheControllers(t *testing.T) {
	scope, workloads, err := Workloads(optionsOf(t, "ingress"))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := kube.Render(scope, workloads)
	if err != nil {
		t.Fatal(err)
	}
	kubetest.Validate(t, objects)
	theirs := ByController(scope, workloads)
	for _, o := range objects {
		if front := strings.HasPrefix(o.Name, "bakeoff-front-"); front && !theirs[o.Name] || o.Kind == "Ingress" && !front {
			t.Errorf("%s %s", o.Kind, o.Name)
		}
	}
}
