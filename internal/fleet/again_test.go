package fleet

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// environ is the environment that a process was started with.
func environ(t *testing.T, pid int) []string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
}

// again starts an agent with the environment of an earlier one and returns what it says.
func again(t *testing.T, env []string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "agent")
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("an agent from before ended with %v: %s", err, out)
	}
	return string(bytes.TrimSpace(out))
}

// ended waits until processes have ended.
func ended(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		eventually(t, 10*time.Second, fmt.Sprintf("the end of process %d", pid), func() bool { return !alive(pid) })
	}
}

// A frozen agent that was replaced comes back in the middle of the next phase: nothing of it is seen there.
func TestZombieReturnsInTheNextPhase(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"stubborn", "native"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := newWitness(t)
			p := &processes{immortal: true}
			f := startFleet(t, 2, func(o *Options) { o.Platform = p })
			t.Cleanup(func() { _ = p.Close() })
			zombie := f.Processes()[1]
			env := environ(t, zombie.PID())
			task := constantTask(server.URL, 200, time.Minute)
			task.Engine = engine
			out := run(t, f, task)
			server.await(t, 50)
			signalTo(t, zombie.PID(), syscall.SIGSTOP)
			checkLost(t, await(t, out), 1, "silent for 2s")
			if err := f.Heal(t.Context()); err != nil {
				t.Fatal(err)
			}
			before, _ := server.settled(t)
			task.Phase.Duration = 2 * time.Second
			out = run(t, f, task)
			server.await(t, before+50)
			signalTo(t, zombie.PID(), syscall.SIGCONT)
			ended(t, zombie.PID())
			said := again(t, env) // and once more, as a process that knows the token
			r := await(t, out)
			if r.err != nil || len(r.report.Lost) > 0 || r.books.Exact() != nil || r.books.OK != r.books.Sent || r.report.Agents[1].Epoch != 2 {
				t.Errorf("error %v, books %+v, report %+v", r.err, r.books, r.report)
			}
			if after, _ := server.settled(t); int64(after-before) != r.books.Sent {
				t.Errorf("the server saw %d requests, the agents of the phase sent %d", after-before, r.books.Sent)
			}
			if want := "refused by the controller: agent 1 of epoch 1 was replaced by epoch 2"; !strings.HasSuffix(said, want) {
				t.Errorf("the zombie says %q, want %q", said, want)
			}
		})
	}
}

// A controller is killed and another one comes to the same address: agents of the first have no way to it.
func TestAnotherControllerAtTheSameAddress(t *testing.T) {
	t.Parallel()
	old, server := newWitness(t), newWitness(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	controller, agents := startController(t, old.URL, "FLEET_TEST_ADDRESS="+address)
	env := environ(t, agents[0])
	old.await(t, 50)
	for _, pid := range agents {
		signalTo(t, pid, syscall.SIGSTOP)
	}
	signalTo(t, controller, syscall.SIGKILL)
	var f *Fleet
	eventually(t, 5*time.Second, "the address", func() bool { // it is not free at once
		options := testOptions(&processes{}, t.TempDir(), 2)
		options.Address = address
		f, err = Start(t.Context(), options)
		return err == nil
	})
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	out := run(t, f, constantTask(server.URL, 100, 2*time.Second))
	server.await(t, 20)
	count, _ := old.seen()
	for _, pid := range agents { // within their lease or after it: the connection is gone in any case
		signalTo(t, pid, syscall.SIGCONT)
	}
	said := again(t, env)
	ended(t, agents...)
	r := await(t, out)
	if want := (stats.Books{Planned: 200, Sent: 200, OK: 200}); r.err != nil || len(r.report.Lost) > 0 || r.books != want {
		t.Errorf("error %v, lost %+v, books %+v", r.err, r.report.Lost, r.books)
	}
	if !strings.HasSuffix(said, errFingerprint.Error()) {
		t.Errorf("an agent of the first controller says %q", said)
	}
	after, last := old.seen()
	if time.Sleep(200 * time.Millisecond); after > count+20 { // what a thawed agent could still owe, see the package's documentation
		t.Errorf("the agents of the first controller sent %d requests after its end", after-count)
	}
	if end, _ := old.seen(); end != after {
		t.Errorf("%d requests came after the end of the agents, the last before it %s ago", end-after, time.Since(last))
	}
}

// Agents of another program or of another plan are named, and nothing starts.
func TestForeignProcessesEndTheStart(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		"FLEET_TEST_VERSION=0.9":    `agent 0: refused: the agent has version "0.9", the controller "test"`,
		"FLEET_TEST_PLAN=sha256:2":  `agent 0: refused: the agent has plan "sha256:2", the controller "sha256:1"`,
		"FLEET_TEST_FINGERPRINT=00": "agent 0: its process ended with status 1 before it connected; see ",
	} {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			p := &processes{}
			options := testOptions(p, t.TempDir(), 2)
			options.Env = append(options.Env, env)
			_, err := Start(t.Context(), options)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
			for _, c := range p.all {
				ended(t, c.PID())
			}
		})
	}
}
