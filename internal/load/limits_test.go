package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/stats"
)

// childEnv makes the test program run one job in a process of its own:
// "engine;descriptors;target;job in JSON". It writes the windows as JSON lines.
const childEnv = "BAKEOFF_LOAD_TEST_CHILD"

// child is the main function of that process.
func child(spec string) int {
	f := strings.SplitN(spec, ";", 4)
	job := Job{Workload: echoWork{}, Start: time.Now()}
	limit, err := strconv.ParseUint(f[1], 10, 64)
	if err == nil && limit > 0 {
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit})
	}
	if f[2] != "" {
		job.Workload = oneThing{target: f[2], body: nginxSays(f[2])}
	}
	if err == nil {
		err = json.Unmarshal([]byte(f[3]), &struct {
			URLs  *[]string
			Phase *Phase
			Share *Share
		}{&job.URLs, &job.Phase, &job.Share})
	}
	if err == nil {
		err = engines[f[0]]().Run(context.Background(), job, func(w stats.Window) {
			if e := json.NewEncoder(os.Stdout).Encode(w); e != nil {
				fmt.Fprintln(os.Stderr, e)
			}
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// inChild runs a job in a process of its own and returns the sum of its windows and what the process used.
func inChild(t testing.TB, engine string, descriptors int, target string, job Job) (total, *os.ProcessState) {
	t.Helper()
	cmd := childCommand(t, engine, descriptors, target, job)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return childSum(t, string(out), job), cmd.ProcessState
}

// childCommand is the process that runs a job.
func childCommand(t testing.TB, engine string, descriptors int, target string, job Job) *exec.Cmd {
	t.Helper()
	spec, err := json.Marshal(map[string]any{"URLs": job.URLs, "Phase": job.Phase, "Share": job.Share})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	if descriptors > 0 { // and one that was inherited with a number beyond the limit
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { null.Close() })
		cmd.ExtraFiles = append(make([]*os.File, descriptors), null)
	}
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s;%d;%s;%s", childEnv, engine, descriptors, target, spec))
	cmd.Stderr = os.Stderr
	return cmd
}

// childSum adds up the windows that such a process has written.
func childSum(t testing.TB, out string, job Job) total {
	t.Helper()
	var sum total
	for line := range strings.Lines(out) {
		var w stats.Window
		if err := json.Unmarshal([]byte(line), &w); err != nil {
			t.Fatal(err)
		}
		sum.Add(w)
	}
	invariants(t, job, &sum)
	return sum
}

func TestTooFewDescriptors(t *testing.T) {
	for name := range engines {
		t.Run(name, func(t *testing.T) {
			s := newHostile(t, &hostile{fate: func(s *hostile, c peer, _ int64, name string) bool {
				time.Sleep(150 * ms) // 60 at a time where 32 descriptors are all there are
				return s.answer(c, name)
			}})
			sum, _ := inChild(t, name, 32, "", openJob(64, 400, 500*ms, s.url()))
			bounds(t, s, &sum)
			for range 4 { // a busy machine may never have 32 requests under way
				if sum.Outcomes[classDescriptors] > 0 {
					break
				}
				s = newHostile(t, &hostile{fate: s.fate})
				sum, _ = inChild(t, name, 32, "", openJob(64, 400, 500*ms, s.url()))
				bounds(t, s, &sum)
			}
			n := sum.Outcomes[classDescriptors]
			if most, limit := sum.Resources.Descriptors, sum.Resources.DescriptorLimit; most > limit || limit != 32 {
				t.Errorf("%d of %d descriptors", most, limit)
			}
			if n == 0 || n != sum.Lost[classDescriptors] || n != sum.Books.Error || n != sum.Unwritten || sum.Books.OK == 0 {
				t.Errorf("books %+v, outcomes %v, lost %v", sum.Books, sum.Outcomes, sum.Lost)
			}
		})
	}
}

// ipLocalPortRange is IP_LOCAL_PORT_RANGE of linux/in.h (Linux 6.3).
const ipLocalPortRange = 51

// twoPorts makes a socket choose its own port from two.
func twoPorts(low int) func(fd int) error {
	return func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, ipLocalPortRange, (low+1)<<16|low)
	}
}

// engineWithSocket returns an engine that prepares every socket.
var engineWithSocket = map[string]func(prepare func(fd int) error) Engine{
	"net/http": func(prepare func(fd int) error) Engine {
		d := &net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			return errors.Join(c.Control(func(fd uintptr) { err = prepare(int(fd)) }), err)
		}}
		return &HTTP{dial: d.DialContext, waker: newWaker}
	},
	"raw": func(prepare func(fd int) error) Engine { return &Raw{loops: 1, prepare: prepare} },
}

func TestTooFewPorts(t *testing.T) {
	for name := range engines {
		t.Run(name, func(t *testing.T) {
			probe, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			err = twoPorts(40_000)(probe)
			unix.Close(probe)
			if err != nil {
				t.Skipf("SKIPPED: this kernel does not know IP_LOCAL_PORT_RANGE: %v", err)
			}
			s := newHostile(t, &hostile{fate: fates[0].fate})
			job := openJob(8, 400, 500*ms, s.url())
			job.Phase.Reconnect = true
			low := 40_000 + 2*int(time.Now().UnixNano()/1000%5000)
			sum := collect(t, engineWithSocket[name](twoPorts(low)), job)
			bounds(t, s, &sum)
			n := sum.Outcomes[classPorts]
			if n == 0 || n != sum.Lost[classPorts] || n != sum.Books.Error || n != sum.Unwritten || sum.Books.OK == 0 || sum.Books.OK > 20 {
				t.Errorf("books %+v, outcomes %v, lost %v", sum.Books, sum.Outcomes, sum.Lost)
			}
		})
	}
}
