package fleet

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
)

// serverProcess starts a server that costs this process nothing.
func serverProcess(t *testing.T) (url string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{roleEnv + "=server", "GOMAXPROCS=1"}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// usage is what a process has used of the processor, and what it occupies of the memory now.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
}

// usageOf reads it from /proc.
func usageOf(t *testing.T, pid int) usage {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	field := strings.Fields(rest) // from the third on
	number := func(i int) int64 {
		n, err := strconv.ParseInt(field[i-3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	return usage{time.Duration(number(14)+number(15)) * tick, number(24) * int64(os.Getpagesize())}
}

// ownCPU is what this process has used, user and system.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestBenchFleet prints what agents cost their controller and how closely they start: phases of
// 10 s at 10 requests a second and agent, against a server in another process.
func TestBenchFleet(t *testing.T) {
	if os.Getenv("BAKEOFF_BENCH") != "1" {
		t.Skip("SKIPPED: a benchmark, BAKEOFF_BENCH=1 runs it")
	}
	for _, count := range []int{1, 16, 64} {
		t.Run(fmt.Sprint(count), func(t *testing.T) { benchFleet(t, count) })
	}
}

func benchFleet(t *testing.T, count int) {
	url := serverProcess(t)
	empty := loadtest.LiveHeap()
	f := startFleet(t, count, func(o *Options) { o.Env = append(o.Env, "FLEET_TEST_FIRST=1") })
	task := constantTask(url, 10*float64(count), 10*time.Second)
	task.Engine, task.Phase.Connections = "native", count
	var agents []usage
	for _, p := range f.Processes() {
		agents = append(agents, usageOf(t, p.PID()))
	}
	before, began := ownCPU(t), time.Now()
	report, err := f.Run(t.Context(), task, func(Snapshot) {})
	used, passed := ownCPU(t)-before, time.Since(began)
	if err != nil || len(report.Lost) > 0 {
		t.Fatalf("error %v, lost %+v", err, report.Lost)
	}
	if b := report.Totals().Books; b.Exact() != nil || b.Planned != int64(100*count) {
		t.Errorf("books %+v", b)
	}
	seconds := float64(count) * passed.Seconds()
	var agentCPU time.Duration
	var resident int64
	for i, p := range f.Processes() {
		now := usageOf(t, p.PID())
		agentCPU += now.cpu - agents[i].cpu
		resident += now.resident
	}
	t.Logf("%d agents, %.1f s: the controller took %.0f us of CPU per agent-second (%.2f %% of one core in all), %.1f KiB live heap per agent, %.1f MiB resident in all",
		count, passed.Seconds(), float64(used.Microseconds())/seconds, 100*used.Seconds()/passed.Seconds(),
		float64(loadtest.LiveHeap()-empty)/1024/float64(count), float64(usageOf(t, os.Getpid()).resident)/(1<<20))
	t.Logf("%d agents: each took %.0f us of CPU per second at 10 requests a second, %.1f MiB resident", count,
		float64(agentCPU.Microseconds())/seconds, float64(resident)/float64(count)/(1<<20))
	t.Logf("%d agents: started within %v of each other (target: at most %v), clocks known to +-%v", count, report.Skew, StartWithin, report.ClockError)
	if report.Skew > StartWithin {
		t.Errorf("the agents started within %v of each other, not within %v", report.Skew, StartWithin)
	}
}
