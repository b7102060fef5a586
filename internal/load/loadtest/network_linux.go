package loadtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Network is a network of its own, joined to this one by one cable with an MTU of 1500 and a real TCP
// between the two. It has a loopback of its own, too.
type Network struct {
	Near, Far string // addresses of this end of the cable and of the other

	t                testing.TB
	holder           int    // a process that lives there, and with which it ends
	nearLink, nearHW string // name and hardware address of this end
	farLink, farHW   string
}

// NewNetwork makes a network that ends with the test. It skips the test where this user may not make one.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root makes networks of their own")
	}
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s: apt-get install iproute2 util-linux", tool)
		}
	}
	n := &Network{t: t, holder: hold(t)}
	n.plug()
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", n.nearLink).Run() })
	n.must("ip", "addr", "add", n.Near+"/30", "dev", n.nearLink)
	n.must("ip", "link", "set", n.nearLink, "up")
	n.Inside("ip", "addr", "add", n.Far+"/30", "dev", n.farLink)
	n.Inside("ip", "link", "set", n.farLink, "up")
	n.Inside("ip", "link", "set", "lo", "up")
	n.nearHW = hardwareOf(n.must("ip", "-o", "link", "show", n.nearLink))
	n.farHW = hardwareOf(n.Inside("ip", "-o", "link", "show", n.farLink))
	n.Deliver(true, true)
	return n
}

// hold starts the process that holds the network; it ends with this one.
func hold(t testing.TB) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Skipf("SKIPPED: no network of its own can be made here: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// plug makes the cable, under a number that no other test of this machine has: names and addresses follow from it.
func (n *Network) plug() {
	n.t.Helper()
	var out []byte
	var err error
	for range 5 {
		number := rand.IntN(1 << 15) // 198.18.0.0/15 is for tests of networks, each takes four addresses
		at := func(host int) string {
			v := 4*number + host
			return fmt.Sprintf("198.%d.%d.%d", 18+v>>16, v>>8&255, v&255)
		}
		n.Near, n.Far, n.nearLink, n.farLink = at(1), at(2), fmt.Sprintf("bo%dn", number), fmt.Sprintf("bo%df", number)
		add := exec.Command("ip", "link", "add", n.nearLink, "mtu", "1500", "type", "veth", "peer", "name", n.farLink, "mtu", "1500", "netns", fmt.Sprint(n.holder))
		if out, err = add.CombinedOutput(); err == nil {
			return
		}
	}
	n.t.Fatalf("%v: %s", err, out)
}

// hardwareOf finds the hardware address in what ip says of a link.
func hardwareOf(line string) string {
	_, rest, _ := strings.Cut(line, "link/ether ")
	address, _, _ := strings.Cut(rest, " ")
	return address
}

func (n *Network) must(argv ...string) string {
	n.t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

// Enter is what carries out a command in the network when it is put before it.
func (n *Network) Enter() []string { return []string{"nsenter", "-t", fmt.Sprint(n.holder), "-n"} }

// Inside carries out a command in the network and returns what it prints.
func (n *Network) Inside(argv ...string) string {
	n.t.Helper()
	return n.must(append(n.Enter(), argv...)...)
}

// Deliver says which direction packets go, from there to here and from here to there; in the other one they go
// to a hardware address that nobody has, without an error at either end.
func (n *Network) Deliver(here, there bool) {
	n.t.Helper()
	const nobody = "02:00:00:00:00:01"
	choose := func(works bool, address string) string {
		if works {
			return address
		}
		return nobody
	}
	n.Inside("ip", "neigh", "replace", n.Near, "lladdr", choose(here, n.nearHW), "dev", n.farLink, "nud", "permanent")
	n.must("ip", "neigh", "replace", n.Far, "lladdr", choose(there, n.farHW), "dev", n.nearLink, "nud", "permanent")
}

// Listen opens a socket of this process on the loopback of the network.
func (n *Network) Listen() net.Listener {
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
