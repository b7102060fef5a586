package cli_test

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The load engine accuses itself: whatever keeps an agent from its work makes
// the measurement invalid, with the cause named. Real agents, a real nginx, and
// what disturbs them done to them from outside.

// bench is a place for such measurements: 5,000/s on 100 connections for each
// agent that has to run out of something.
type bench struct {
	*scene
	nginx   *exec.Cmd
	url     string
	seconds float64
	agents  int
	usual   accused // the undisturbed run before
	space   bool    // in a network namespace of its own
}

// accused is one measurement, and what the machine did during it.
type accused struct {
	loadJSON
	status int
	stolen float64 // share of the machine's time that its host took
	others float64 // share of the machine's time that neither the program nor nginx used
}

// quiet reports whether the machine was left to the measurement.
func (a accused) quiet() bool { return a.stolen <= 0.01 && a.others <= 0.03 }

func (a accused) String() string {
	return fmt.Sprintf("exit status %d, p99 %s, lateness p99 %s, stolen %.1f %%, others %.1f %%, reasons %q",
		a.status, micros(a.Response["p99"]), micros(a.Lateness["p99"]), 100*a.stolen, 100*a.others, a.Reasons)
}

func micros(ns *int64) string {
	if ns == nil {
		return "-"
	}
	return time.Duration(*ns).Round(time.Microsecond).String()
}

// kind is one way to disturb a measurement.
type kind struct {
	name string
	do   func(*testing.T, *bench) accused
	// want is how one reason of an invalid measurement begins, after the agent; empty where it need not be invalid.
	want string
}

var kinds = []kind{
	{"undisturbed", func(t *testing.T, b *bench) accused {
		b.usual = b.measure(t, nil, nil)
		return b.usual
	}, ""},
	{"collector", func(t *testing.T, b *bench) accused { return b.measure(t, []string{"env", "GOGC=1"}, nil) }, ""},
	{"stop", func(t *testing.T, b *bench) accused {
		return b.measure(t, nil, func(e *exec.Cmd) {
			time.Sleep(time.Duration(b.seconds / 2 * float64(time.Second)))
			agents := b.agentsOf(e)
			if len(agents) != b.agents {
				t.Fatalf("%d agents found, want %d", len(agents), b.agents)
			}
			pause(agents[:1], 200*time.Millisecond)
		})
	}, `lateness p99 is .*it stood still for (1[5-9]\d|[2-9]\d\d) ms `},
	{"quota", quota, `lateness p99 is .*its CPU quota \(0\.\d+ cores\) held it back for `},
	{"duty", duty, `lateness p99 is .*it stood still for [0-9.]+ m?s in \d+ seconds`},
	{"descriptors", func(t *testing.T, b *bench) accused {
		// More connections than there are descriptors for are needed only while the server stands still.
		stall := func(*exec.Cmd) {
			time.Sleep(500 * time.Millisecond)
			pause([]int{b.nginx.Process.Pid}, 300*time.Millisecond)
		}
		return b.measure(t, []string{"prlimit", "--nofile=64"}, stall, "--connections", strconv.Itoa(100*b.agents))
	}, `[0-9,]+ of [0-9,]+ requests lost because no descriptors were left \(limit 64, 6\d open\)`},
	{"ports", ports, `[0-9,]+ of [0-9,]+ requests lost because no local ports were left \(2 of range 40000 to 40001; [0-2] held, `},
}

// quota gives the program half of the CPU time that it used undisturbed.
func quota(t *testing.T, b *bench) accused {
	cores := float64(b.usual.CPU) / float64(b.usual.Duration) / 2
	group := cpuGroup(t, cores)
	if group == "" {
		t.Skip("SKIPPED: no control group with a CPU quota can be made here; the case \"duty\" stands in for it")
	}
	// A process with real-time priority may not join: the process that runs the tests may have it.
	return b.measure(t, []string{"sh", "-c", `chrt -o -p 0 $$ && echo $$ > "$0/cgroup.procs" && exec "$@"`, group}, nil)
}

// cpuGroup makes a control group of that many cores, of either version; empty where that cannot be done.
func cpuGroup(t *testing.T, cores float64) string {
	const period = 100_000
	micros := strconv.Itoa(int(cores * period))
	for _, try := range []struct{ root, file, text string }{
		{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", micros},
		{"/sys/fs/cgroup", "cpu.max", micros + " " + strconv.Itoa(period)},
	} {
		dir, err := os.MkdirTemp(try.root, "bakeoff-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() {
			for range 100 { // processes that have just ended are still in it
				if os.Remove(dir) == nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("%s is left", dir)
		})
		if os.WriteFile(filepath.Join(dir, try.file), []byte(try.text), 0o600) == nil {
			return dir
		}
	}
	return ""
}

// duty stops the agents half of the time.
func duty(t *testing.T, b *bench) accused {
	return b.measure(t, nil, func(e *exec.Cmd) {
		agents := b.agentsOf(e)
		for until := time.Now().Add(time.Duration((b.seconds - 0.5) * float64(time.Second))); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			pause(agents, 50*time.Millisecond)
		}
	})
}

// ports leaves two local ports, in a network namespace of its own, to a
// connection per request.
func ports(t *testing.T, b *bench) accused {
	own := *b
	own.space = true
	own.serve(t)
	narrow := func(e *exec.Cmd) {
		enter := exec.Command("nsenter", "-t", strconv.Itoa(own.nginx.Process.Pid), "-n", "sh", "-c", "echo 40000 40001 > /proc/sys/net/ipv4/ip_local_port_range")
		if out, err := enter.CombinedOutput(); err != nil {
			t.Errorf("nsenter: %v: %s", err, out)
		}
	}
	// The agents have connected to their controller when the warm-up is announced.
	return own.measure(t, []string{"nsenter", "-t", strconv.Itoa(own.nginx.Process.Pid), "-n"}, narrow, "--reconnect", "--warmup", "500ms")
}

// pause stops processes for a while.
func pause(pids []int, d time.Duration) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	time.Sleep(d)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// agentsOf are the processes that send: the program itself where it is alone.
func (b *bench) agentsOf(e *exec.Cmd) []int {
	if b.agents == 1 {
		return []int{e.Process.Pid}
	}
	var out []int
	for _, pid := range allProcesses() {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if bytes.HasSuffix(line, []byte("\x00agent\x00")) && bytes.Contains(line, []byte(b.self)) {
			out = append(out, pid)
		}
	}
	return out
}

// newBench starts nginx.
func newBench(t *testing.T, agents int, seconds float64) *bench {
	t.Helper()
	b := &bench{scene: aloneScene(t), agents: agents, seconds: seconds}
	b.serve(t)
	return b
}

// serve starts a private nginx that answers 200, until the end of the test.
func (b *bench) serve(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp(b.dir, "nginx-")
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:18080" // in a namespace of its own every port is free
	if !b.space {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address = l.Addr().String()
		l.Close()
	}
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server { listen %[2]s backlog=4096; location / { return 200 "ok"; } } }
`, dir, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := []string{"nginx", "-p", dir, "-c", config, "-e", filepath.Join(dir, "error.log")}
	if _, err := exec.LookPath("nginx"); err != nil {
		nginx[0] = "/usr/sbin/nginx"
	}
	if b.space {
		if err := exec.Command("unshare", "-n", "ip", "link", "set", "lo", "up").Run(); err != nil {
			t.Skipf("SKIPPED: no network namespace can be made here: %v", err)
		}
		nginx = append([]string{"unshare", "-n", "sh", "-c", `ip link set lo up && exec "$@"`, "sh"}, nginx...)
	}
	b.nginx = exec.Command(nginx[0], nginx[1:]...)
	if err := b.nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.nginx.Process.Kill()
		b.nginx.Wait()
	})
	b.url = "http://" + address + "/"
	for range 500 {
		if pid, err := os.ReadFile(filepath.Join(dir, "pid")); err == nil && len(pid) > 1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("nginx does not start")
}

// measure runs the program behind a prefix, and disturb once it sends, or
// warms up.
func (b *bench) measure(t *testing.T, prefix []string, disturb func(*exec.Cmd), more ...string) accused {
	t.Helper()
	args := slices.Concat(prefix, []string{
		b.self, "load", "--json", "--rate", "5000", "--connections", "100",
		"--duration", fmt.Sprintf("%gs", b.seconds), "--agents", strconv.Itoa(b.agents),
	}, more, []string{b.url})
	cmd := exec.Command(args[0], args[1:]...)
	var stdout, stderr buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.dir, b.env, &stdout, &stderr
	cmd.WaitDelay = 10 * time.Second
	before := clocks(t, b.nginx.Process.Pid)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer guard.Stop()
	if disturb != nil {
		for !strings.Contains(stderr.String(), ": ") && cmd.ProcessState == nil { // "measuring: 10s"
			time.Sleep(5 * time.Millisecond)
			if time.Since(before.at) > time.Minute {
				break
			}
		}
		disturb(cmd)
	}
	_ = cmd.Wait() // the exit status is looked at below
	now := clocks(t, b.nginx.Process.Pid)
	a := accused{status: cmd.ProcessState.ExitCode()}
	whole := now.at.Sub(before.at) * time.Duration(runtime.NumCPU())
	own := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()) + (now.own - before.own)
	idle, stolen := now.idle-before.idle, now.stolen-before.stolen
	a.stolen = float64(stolen) / float64(whole)
	a.others = math.Max(0, float64(whole-idle-stolen-own)/float64(whole))
	if a.status != 0 && a.status != 4 {
		t.Fatalf("%v: exit status %d\n%s", args, a.status, &stderr)
	}
	a.loadJSON = readLoad(t, stdout.String())
	if a.Planned == 0 || a.Valid == nil || *a.Valid != (a.status == 0) || *a.Valid != (len(a.Reasons) == 0) {
		t.Fatalf("%v: exit status %d\n%s", args, a.status, &stdout)
	}
	return a
}

// clock is what the machine's time was spent on so far, and that of nginx and this process.
// Time that is idle or stolen the kernel measures; the rest it only samples at its ticks, which
// 5,000 requests a second at even gaps may hit or miss: so it is not asked, but taken for what is left.
type clock struct {
	at                time.Time
	idle, stolen, own time.Duration
}

func clocks(t *testing.T, nginx int) clock {
	t.Helper()
	const tick = 10 * time.Millisecond
	c := clock{at: time.Now()}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, f := range strings.Fields(line)[1:9] { // user nice system idle iowait irq softirq steal
		n, _ := strconv.ParseInt(f, 10, 64)
		switch d := time.Duration(n) * tick; i {
		case 3, 4:
			c.idle += d
		case 7:
			c.stolen += d
		}
	}
	for _, pid := range []int{nginx, os.Getpid()} {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 13 {
			user, _ := strconv.ParseInt(f[11], 10, 64)
			system, _ := strconv.ParseInt(f[12], 10, 64)
			c.own += time.Duration(user+system) * tick
		}
	}
	return c
}

// judge checks one measurement of a kind; it reports whether it counts.
func (k kind) judge(t *testing.T, b *bench, a accused) bool {
	t.Helper()
	switch {
	case k.want != "":
		named := regexp.MustCompile(`^generator-limited: (agent \d: )?` + k.want)
		if *a.Valid || !slices.ContainsFunc(a.Reasons, named.MatchString) {
			t.Errorf("%s: not flagged with %q: %v", k.name, k.want, a)
		}
	case !a.quiet():
		t.Logf("%s: does not count, the machine was not quiet: %v", k.name, a)
		return false
	case k.name == "undisturbed" && !*a.Valid:
		t.Errorf("%s: flagged: %v", k.name, a)
	}
	return true
}

// apart is by how much the p99 of two measurements differ, as a share of the second's.
func apart(a, b accused) float64 {
	if a.Response["p99"] == nil || b.Response["p99"] == nil {
		return math.Inf(1)
	}
	return math.Abs(float64(*a.Response["p99"])/float64(*b.Response["p99"]) - 1)
}

// One of each kind. On a machine that is not quiet by its own gauges the
// undisturbed one and that of the collector, which need not be flagged, are only shown.
func TestLoadAccuses(t *testing.T) {
	if long() {
		t.Skip("TestLongAccuse has more of each")
	}
	agents := map[string]int{"stop": 2, "descriptors": 2}
	usual := map[int]*bench{}
	for _, k := range kinds {
		if k.name == "duty" {
			continue // as "stop", and longer
		}
		t.Run(k.name, func(t *testing.T) {
			n, seconds := max(agents[k.name], 1), 1.5
			if k.want == "" {
				seconds = 2.5 // a p99 is compared: it needs 10,000 requests
			}
			b := newBench(t, n, seconds)
			if before := usual[n]; before != nil {
				b.usual = before.usual
			}
			a := k.do(t, b)
			t.Log(a)
			counts := k.judge(t, b, a)
			usual[n] = b
			if k.name == "collector" && counts && b.usual.quiet() {
				wantAlike(t, k, b, a)
			}
		})
	}
}

// wantAlike wants a measurement that is not flagged to have the p99 of an undisturbed one. Where the collector was the trouble, it
// was 40 times as high and higher, each time. What a host does for a moment is not there in each of a few pairs: one that counts must do.
func wantAlike(t *testing.T, k kind, b *bench, a accused) {
	t.Helper()
	for counts, pairs := true, 1; ; pairs++ {
		if counts && (!*a.Valid || apart(a, b.usual) <= 2) {
			return
		}
		t.Logf("pair %d, which counts: %t: not flagged, and p99 is not that of the undisturbed one: %v, %v", pairs, counts, a, b.usual)
		if pairs == 5 {
			break
		}
		b.usual = b.measure(t, nil, nil)
		a = k.do(t, b)
		counts = k.judge(t, b, a) && b.usual.quiet()
	}
	t.Errorf("%s: not flagged, and p99 is that of the undisturbed one in no pair", k.name)
}

// repeats is how many of each kind the long tests make.
func repeats() int {
	if n, err := strconv.Atoi(os.Getenv("BAKEOFF_REPEATS")); err == nil {
		return n
	}
	return 20
}

// 10 s each, 20 times each. An undisturbed one on a machine that is not quiet is made again, twice as often at most.
func TestLongAccuse(t *testing.T) {
	if !long() {
		t.Skip("SKIPPED: takes half an hour; BAKEOFF_LONG=1")
	}
	for agents := 1; agents <= 2; agents++ {
		t.Run(fmt.Sprintf("%d agents", agents), func(t *testing.T) {
			b := newBench(t, agents, 10)
			kinds[0].do(t, b) // what the others are compared with, where it is left out
			for _, k := range kinds {
				t.Run(k.name, func(t *testing.T) { k.repeat(t, b) })
			}
		})
	}
}

// repeat makes all measurements of a kind; those of the collector in pairs with undisturbed ones.
func (k kind) repeat(t *testing.T, b *bench) {
	var all, pairs []accused
	counted, within := 0, 0
	for tries := 0; counted < repeats() && tries < 2*repeats(); tries++ {
		if k.name == "collector" {
			kinds[0].do(t, b)
			if !b.usual.quiet() {
				t.Logf("does not count, the machine was not quiet: %v", b.usual)
				continue
			}
			pairs = append(pairs, b.usual)
		}
		a := k.do(t, b)
		t.Logf("%d: %v", tries+1, a)
		if !k.judge(t, b, a) {
			continue
		}
		counted++
		all = append(all, a)
		if k.name == "collector" && (!*a.Valid || apart(a, b.usual) <= 0.1) {
			within++
		}
	}
	t.Logf("%s, %d agents: %d counted, %d flagged", k.name, b.agents, counted, len(slices.DeleteFunc(slices.Clone(all), func(a accused) bool { return *a.Valid })))
	if counted < repeats() {
		t.Errorf("only %d of %d were made on a quiet machine", counted, repeats())
	}
	if k.name == "collector" {
		t.Logf("flagged or p99 within 10 %% of the undisturbed one before: %d of %d; medians %v and %v", within, counted, median99(all), median99(pairs))
		if m, u := median99(all), median99(pairs); math.Abs(m.Seconds()/u.Seconds()-1) > 0.1 {
			t.Errorf("the median p99 %v of those not flagged is not within 10 %% of %v", m, u)
		}
	}
}

// median99 is the median p99 of the valid ones.
func median99(all []accused) time.Duration {
	var values []int64
	for _, a := range all {
		if *a.Valid && a.Response["p99"] != nil {
			values = append(values, *a.Response["p99"])
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return time.Duration(values[len(values)/2])
}
