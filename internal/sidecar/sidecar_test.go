package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bakeoff/internal/target"
)

// pod is a /proc of a pod: its first process, our own, and two of the main container.
func pod(t *testing.T, version int) (Pod, func(name, text string)) {
	t.Helper()
	dir := t.TempDir()
	put := func(name, text string) {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	group := func(name string) string {
		if version == 2 {
			return "0::/../" + name + "\n"
		}
		return "9:memory:/k/" + name + "\n2:cpuacct:/k/" + name + "\n0::/\n"
	}
	stat := func(pid, parent int, command string) string {
		return fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 1 0 100 1000000 25 18446744073709551615\n", pid, command, parent)
	}
	for pid, of := range map[int]string{1: "pause", 7: "own", 20: "main", 21: "main"} {
		put(fmt.Sprintf("%d/cgroup", pid), group(of))
		put(fmt.Sprintf("%d/stat", pid), stat(pid, 20, "a (b) c"))
	}
	put("30/cgroup", group("main"))
	put("30/stat", strings.Replace(stat(30, 20, "gone"), ") S", ") Z", 1))
	put("sys/kernel/random/boot_id", "boot-1\n")
	put("sys/kernel/osrelease", "6.1.0\n")
	return Pod{Proc: dir, Self: 7, Connections: func(port int, pids []int) (map[int]int, error) {
		if port != 8080 || len(pids) != 2 {
			return nil, errors.New("other processes")
		}
		return map[int]int{20: 0, 21: 4}, nil
	}}, put
}

// The processes are those of the main container alone, living ones, each with its connections.
func TestProcesses(t *testing.T) {
	for _, version := range []int{1, 2} {
		p, _ := pod(t, version)
		u, err := p.Usage(8080, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(u.Processes) != 2 || u.Processes[0].PID != 20 || u.Processes[1].PID != 21 {
			t.Fatalf("version %d: %+v", version, u.Processes)
		}
		one := u.Processes[1]
		if one.Command != "a (b) c" || one.Parent != 20 || one.CPUNS != 120e6 || one.RSSBytes != int64(25*os.Getpagesize()) || one.Connections == nil || *one.Connections != 4 {
			t.Errorf("version %d: %+v", version, one)
		}
		if u.BootID != "boot-1" || u.Kernel != "6.1.0" || u.CPUs < 1 || u.Group.Unmeasured == "" {
			t.Errorf("version %d: %+v", version, u)
		}
		if u, err = p.Usage(0, false); err != nil || u.Processes[0].Connections != nil {
			t.Errorf("no port: %+v, %v", u.Processes, err)
		}
	}
}

func TestGroup(t *testing.T) {
	want := Group{CPUNS: 5_000_000_000, Periods: 62, Throttled: 58, ThrottledNS: 3_000_000_000, MemoryBytes: 1 << 20}
	const root = "20/root/sys/fs/cgroup/"
	p, put := pod(t, 1)
	put(root+"cpu/cpu.stat", "nr_periods 62\nnr_throttled 58\nthrottled_time 3000000000\n")
	put(root+"cpuacct/cpuacct.usage", "5000000000\n")
	if u, err := p.Usage(0, false); err != nil || u.Group.Unmeasured == "" {
		t.Errorf("without its memory: %+v, %v", u.Group, err)
	}
	put(root+"memory/memory.usage_in_bytes", "1048576\n")
	if u, err := p.Usage(0, false); err != nil || u.Group != want {
		t.Errorf("version 1: %+v, %v", u.Group, err)
	}
	p, put = pod(t, 2)
	put(root+"cgroup.controllers", "cpu memory\n")
	put(root+"cpu.stat", "usage_usec 5000000\nuser_usec 1\nnr_periods 62\nnr_throttled 58\nthrottled_usec 3000000\n")
	put(root+"memory.current", "1048576\n")
	if u, err := p.Usage(0, false); err != nil || u.Group != want {
		t.Errorf("version 2: %+v, %v", u.Group, err)
	}
}

// The image's recipe is digested as it is there: a changed file gives another digest than the recipe's own.
func TestImage(t *testing.T) {
	p, put := pod(t, 1)
	if _, err := p.Image(); err == nil {
		t.Error("an image without a recipe")
	}
	if err := os.CopyFS(filepath.Join(p.Proc, "20/root", target.ImageRecipe), os.DirFS("../../targets/flask")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Image(); err == nil || !strings.Contains(err.Error(), "versions") {
		t.Errorf("without its versions: %v", err)
	}
	put("20/root"+target.ImageVersions, `{"flask": "3.1.3"}`)
	own, err := target.Load(os.DirFS("../../targets"), "flask", "")
	if err != nil {
		t.Fatal(err)
	}
	image, err := p.Image()
	if err != nil || image.Recipe != "flask" || image.Digest != own.Digest() || image.Versions["flask"] != "3.1.3" {
		t.Errorf("%+v, %v, want the digest %s", image, err, own.Digest())
	}
	put("20/root"+target.ImageRecipe+"/requirements.lock", "flask==3.1.4\n")
	if image, err := p.Image(); err != nil || image.Digest == own.Digest() {
		t.Errorf("another lock: %+v, %v", image, err)
	}
}

// serve is a sampler of the pod uid-1, which stop ends.
func serve(t *testing.T, p Pod) (l net.Listener, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, Public("secret"), "uid-1", p) }()
	return l, func() error {
		cancel()
		return <-done
	}
}

// Only what is signed for this pod is answered; a pod whose container has no process yet is not ready.
func TestServe(t *testing.T) {
	p, _ := pod(t, 1)
	p.Proportional = func(pid int) int64 { return int64(pid) }
	l, stop := serve(t, p)
	ask := func(path string, sign func(*http.Request)) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		sign(req)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	signed := func(r *http.Request) { Sign(r, "secret", "uid-1") }
	for path, pss := range map[string]int64{"/usage?port=8080": 0, "/usage?port=8080&sample=1": 21} {
		status, body := ask(path, signed)
		var u Usage
		if err := json.Unmarshal([]byte(body), &u); status != http.StatusOK || err != nil || len(u.Processes) != 2 || u.Processes[1].PSSBytes != pss || u.Processes[1].Connections == nil {
			t.Errorf("%s: %d %s: %v", path, status, body, err)
		}
	}
	by := func(key, pod string) func(*http.Request) { return func(r *http.Request) { Sign(r, key, pod) } }
	heard := func(method, path string) func(*http.Request) { // who listens in the place of a sampler hears a signature
		return func(r *http.Request) {
			other, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			signed(other)
			r.Header = other.Header
		}
	}
	for name, c := range map[string]struct {
		path string
		sign func(*http.Request)
		want int
	}{
		"nothing signed":         {"/usage", func(*http.Request) {}, http.StatusUnauthorized},
		"no signature":           {"/usage", func(r *http.Request) { r.Header.Set(signatureHeader, "x") }, http.StatusUnauthorized},
		"another key":            {"/usage", by("secret2", "uid-1"), http.StatusUnauthorized},
		"what the container has": {"/usage", by(Public("secret"), "uid-1"), http.StatusUnauthorized},
		"another pod":            {"/usage", by("secret", "uid-2"), http.StatusUnauthorized},
		"another question":       {"/image", heard(http.MethodGet, "/usage"), http.StatusUnauthorized},
		"another method":         {"/reload", heard(http.MethodPost, "/reload"), http.StatusUnauthorized},
		"more asked":             {"/usage?port=8080", heard(http.MethodGet, "/usage"), http.StatusUnauthorized},
		"the same question":      {"/usage?", heard(http.MethodGet, "/usage?"), http.StatusOK},
		"image, not signed":      {"/image", func(*http.Request) {}, http.StatusUnauthorized},
		"no port":                {"/usage?port=0", signed, http.StatusBadRequest},
		"no image":               {"/image", signed, http.StatusInternalServerError},
		"no route":               {"/other", signed, http.StatusNotFound},
	} {
		if got, body := ask(c.path, c.sign); got != c.want {
			t.Errorf("%s: %d %s", name, got, body)
		}
	}
	for _, pid := range []string{"20", "21", "30"} {
		if err := os.RemoveAll(filepath.Join(p.Proc, pid)); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := ask("/usage", signed); got != http.StatusServiceUnavailable {
		t.Errorf("without a process: %d", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ public, pod string }{{"", "uid-1"}, {"abc", "uid-1"}, {Public("secret"), ""}} {
		if err := Serve(t.Context(), l, c.public, c.pod, p); err == nil {
			t.Errorf("served with %q in the pod %q", c.public, c.pod)
		}
	}
}

// A sampler with a limit of its own leaves out of samples what costs it more; connections that are asked for alone it counts.
func TestServeLimited(t *testing.T) {
	p, _ := pod(t, 2)
	p.Proportional, p.Limited = func(int) int64 { return 1 }, true
	l, stop := serve(t, p)
	for path, counted := range map[string]bool{"/usage?port=8080&sample=1": false, "/usage?port=8080": true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		Sign(req, "secret", "uid-1")
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var u Usage
		err = json.NewDecoder(answer.Body).Decode(&u)
		answer.Body.Close()
		if err != nil || len(u.Processes) != 2 || u.Processes[1].PSSBytes != 0 || (u.Processes[1].Connections != nil) != counted {
			t.Errorf("%s: %+v, %v", path, u.Processes, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
