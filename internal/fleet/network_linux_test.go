package fleet

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/stats"
)

// network is a network of its own for agents, joined to the controller's by one cable, with a real TCP
// between the two. Load stays on the loopback of the agents' side.
type network struct {
	t          *testing.T
	holder     int // a process that lives there, and with which it ends
	near, far  string
	nearMAC    string
	farMAC     string
	controller string // address of the controller's end of the cable
	agents     string // of the agents' end
}

// newNetwork skips the test where this user may not make one.
func newNetwork(t *testing.T, number int) *network {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("networks of their own are made by root alone")
	}
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is missing (packages iproute2, util-linux)")
		}
	}
	n := &network{t: t, holder: hold(t)}
	n.near, n.far = fmt.Sprintf("bo%d-%dn", os.Getpid()%100000, number), fmt.Sprintf("bo%d-%df", os.Getpid()%100000, number)
	n.controller, n.agents = fmt.Sprintf("198.18.%d.1", number), fmt.Sprintf("198.18.%d.2", number)
	n.must("ip", "link", "add", n.near, "type", "veth", "peer", "name", n.far, "netns", fmt.Sprint(n.holder))
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", n.near).Run() })
	n.must("ip", "addr", "add", n.controller+"/30", "dev", n.near)
	n.must("ip", "link", "set", n.near, "up")
	n.inside("ip", "addr", "add", n.agents+"/30", "dev", n.far)
	n.inside("ip", "link", "set", n.far, "up")
	n.inside("ip", "link", "set", "lo", "up")
	n.nearMAC = macOf(n.must("ip", "-o", "link", "show", n.near))
	n.farMAC = macOf(n.inside("ip", "-o", "link", "show", n.far))
	n.set(true, true)
	return n
}

// hold starts the process that holds the network; it ends with this one.
func hold(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Skipf("a network of its own: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// macOf finds the hardware address in what ip says of a link.
func macOf(line string) string {
	_, rest, _ := strings.Cut(line, "link/ether ")
	mac, _, _ := strings.Cut(rest, " ")
	return mac
}

func (n *network) must(argv ...string) string {
	n.t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

// inside carries out a command in the agents' network.
func (n *network) inside(argv ...string) string {
	n.t.Helper()
	return n.must(append(n.enter(), argv...)...)
}

func (n *network) enter() []string { return []string{"nsenter", "-t", fmt.Sprint(n.holder), "-n"} }

// set says which direction packets go; in the other one they go to a
// hardware address that nobody has, without an error at either end.
func (n *network) set(up, down bool) {
	n.t.Helper()
	const nobody = "02:00:00:00:00:01"
	choose := func(works bool, mac string) string {
		if works {
			return mac
		}
		return nobody
	}
	n.inside("ip", "neigh", "replace", n.controller, "lladdr", choose(up, n.nearMAC), "dev", n.far, "nud", "permanent")
	n.must("ip", "neigh", "replace", n.agents, "lladdr", choose(down, n.farMAC), "dev", n.near, "nud", "permanent")
}

// listen opens a socket of this process on the loopback of the agents' network.
func (n *network) listen() net.Listener {
	n.t.Helper()
	type result struct {
		listener net.Listener
		err      error
	}
	out := make(chan result)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", n.holder))
		if err == nil {
			defer there.Close()
			err = unix.Setns(int(there.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			out <- result{err: err}
			return
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		out <- result{listener, err}
	}()
	r := <-out
	if r.err != nil {
		n.t.Fatal(r.err)
	}
	return r.listener
}

// fleet starts agents in the network.
func (n *network) fleet(p *processes) *Fleet {
	n.t.Helper()
	f := startFleet(n.t, 2, func(o *Options) {
		o.Platform, o.Address = p, net.JoinHostPort(n.controller, "0")
		o.Self = append(n.enter(), o.Self...)
	})
	n.t.Cleanup(func() { _ = p.Close() })
	return f
}

// A real network that loses every packet of one direction, or of both: the load has ended 3 s later,
// and when the network comes back nothing is sent any more.
func TestCutNetwork(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		name     string
		up, down bool // what still works
	}{{"agents are not heard", false, true}, {"agents hear nothing", true, false}, {"both", false, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, 1+i)
			server := newWitnessAt(t, n.listen())
			f := n.fleet(&processes{immortal: true})
			task := constantTask(server.URL, 200, time.Minute)
			task.Engine = "stubborn"
			out := run(t, f, task)
			server.await(t, 50)
			n.set(c.up, c.down)
			cut := time.Now()
			r := await(t, out)
			if r.err != nil || len(r.report.Lost) != 2 {
				t.Fatalf("error %v, lost %+v, books %+v", r.err, r.report.Lost, r.report.Totals().Books)
			}
			for _, lost := range r.report.Lost {
				if took := r.returned.Sub(lost.LastSign); took > 3*time.Second {
					t.Errorf("agent %d: given up %s after its last sign of life", lost.Agent, took)
				}
				t.Logf("agent %d, %v after the cut: %s", lost.Agent, lost.LastSign.Sub(cut).Round(time.Millisecond), lost.Why)
			}
			server.quiet(t, r.report.Lost)
			n.set(true, true)
			for _, p := range f.Processes() {
				select {
				case <-p.Done():
				case <-time.After(10 * time.Second):
					t.Errorf("%s did not end", p.Name())
				}
			}
			server.quiet(t, r.report.Lost)
		})
	}
}

// quiet checks that no request came later than 3 s after the last sign of life of every lost agent.
func (w *witness) quiet(t *testing.T, lost []Lost) {
	t.Helper()
	sign := lost[0].LastSign
	for _, l := range lost {
		if l.LastSign.After(sign) {
			sign = l.LastSign
		}
	}
	time.Sleep(time.Until(sign.Add(3 * time.Second)))
	before, _ := w.seen()
	time.Sleep(300 * time.Millisecond)
	if after, last := w.seen(); after != before || last.Sub(sign) > 3*time.Second {
		t.Errorf("a request came %s after the last sign of life, %d later", last.Sub(sign), after-before)
	}
}

// heard waits for a line of each agent and returns how long after the moment the last of them came.
func (f *Fleet) heard(since time.Time) time.Duration {
	for _, s := range f.slots {
		for signed := since; !signed.After(since) && time.Since(since) < 5*time.Second; time.Sleep(time.Millisecond) {
			s.session.mu.Lock()
			signed = s.session.last
			s.session.mu.Unlock()
		}
	}
	return time.Since(since)
}

// TCP tries again after 0.2, 0.6 and 1.4 s: after a second without a network the silence has lasted for up to 1.7 s, which
// leaves 0.3 s until agents are lost. A busy machine takes longer, so that only the long tests have the whole second.
func TestNetworkGoneForAMoment(t *testing.T) {
	t.Parallel()
	moment := 500 * time.Millisecond
	if long() {
		moment = time.Second
	}
	for i, c := range []struct {
		name     string
		up, down bool // what still works
	}{{"up", false, true}, {"down", true, false}, {"both", false, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, 11+i)
			server := newWitnessAt(t, n.listen())
			f := n.fleet(&processes{})
			out := run(t, f, constantTask(server.URL, 100, 3*time.Second))
			server.await(t, 20)
			n.set(c.up, c.down)
			cut := time.Now()
			time.Sleep(time.Until(cut.Add(moment)))
			n.set(true, true)
			t.Logf("the agents were heard again %v after the network was back", f.heard(time.Now()).Round(time.Millisecond))
			r := await(t, out)
			if want := (stats.Books{Planned: 300, Sent: 300, OK: 300}); r.err != nil || len(r.report.Lost) > 0 || r.books != want {
				t.Errorf("error %v, lost %+v, books %+v", r.err, r.report.Lost, r.books)
			}
		})
	}
}
