package fleet

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// sockets lists the TCP addresses that a process listens at.
func sockets(t *testing.T, pid int) []string {
	t.Helper()
	own := map[string]bool{}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:[") {
			own[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	var out []string
	for _, table := range []string{"tcp", "tcp6"} {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // no IPv6
		}
		lines := bufio.NewScanner(bytes.NewReader(raw))
		for lines.Scan() {
			if field := strings.Fields(lines.Text()); len(field) > 9 && field[3] == "0A" && own[field[9]] {
				out = append(out, listeningAt(t, field[1]))
			}
		}
	}
	return out
}

// listeningAt reads an address as the kernel writes it: words of 4 bytes, each the wrong way round.
func listeningAt(t *testing.T, text string) string {
	t.Helper()
	host, _, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	return net.IP(raw).String()
}

// A controller listens at one loopback address, its agents nowhere.
func TestWhoListensWhere(t *testing.T) {
	t.Parallel()
	server := newWitness(t)
	controller, agents := startController(t, server.URL)
	server.await(t, 10)
	if got := sockets(t, controller); len(got) != 1 || got[0] != "127.0.0.1" {
		t.Errorf("the controller listens at %v", got)
	}
	for _, pid := range agents {
		if got := sockets(t, pid); len(got) != 0 {
			t.Errorf("an agent listens at %v", got)
		}
	}
}

// wait reads a connection to its end; an answer to a hello is returned.
func wait(conn net.Conn) (message, error) {
	_ = conn.SetDeadline(time.Now().Add(3 * greetWithin))
	m, err := newLineReader(conn, lineLimit).read()
	if err == nil {
		err = drained(conn)
	}
	return m, err
}

// Wherever the controller listens, nobody is heard without the token, and nothing is sent to him.
func TestNobodyIsHeardWithoutTheToken(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		f, err := startWithin(t, Options{Count: 1, Address: address, Advertise: func(at string) string {
			_, port, _ := net.SplitHostPort(at)
			return net.JoinHostPort("127.0.0.1", port)
		}}, Agent)
		if err != nil {
			t.Fatal(err)
		}
		other, _, err := newCertificate()
		if err != nil {
			t.Fatal(err)
		}
		full := hello{Token: f.token, Index: 0, Epoch: 1, Version: "test"}
		without, wrong, short := full, full, full
		without.Token, wrong.Token, short.Token = "", newToken(), f.token[:len(f.token)-1]
		withCert := clientTLS(f.fingerprint)
		withCert.Certificates = []tls.Certificate{other}
		old := clientTLS(f.fingerprint)
		old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		for name, c := range map[string]struct {
			tls     *tls.Config // nil: plain
			say     []byte
			refused string // empty: closed without a word
		}{
			"without a token":             {clientTLS(f.fingerprint), lineOf(t, without), "wrong token"},
			"another token":               {clientTLS(f.fingerprint), lineOf(t, wrong), "wrong token"},
			"all but the token's end":     {clientTLS(f.fingerprint), lineOf(t, short), "wrong token"},
			"another run's certificate":   {withCert, lineOf(t, wrong), "wrong token"},
			"an order instead of a hello": {clientTLS(f.fingerprint), []byte(`{"prepare":{"run":1}}` + "\n"), ""},
			"no message":                  {clientTLS(f.fingerprint), []byte("\x00\xff\xfe garbage\n"), ""},
			"HTTP inside TLS":             {clientTLS(f.fingerprint), []byte("GET / HTTP/1.1\r\n\r\n"), ""},
			"TLS 1.2":                     {old, lineOf(t, full), ""},
			"the token without TLS":       {nil, lineOf(t, full), ""},
			"HTTP":                        {nil, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ""},
			"garbage":                     {nil, bytes.Repeat([]byte{0x16, 3, 1, 0xff, 0}, 5000), ""},
		} {
			t.Run(address+", "+name, func(t *testing.T) {
				conn, err := net.Dial("tcp", f.dial)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if c.tls != nil {
					conn = tls.Client(conn, c.tls)
				}
				_, _ = conn.Write(c.say)
				m, err := wait(conn)
				if c.refused != "" && (err != nil || m.Refusal == nil || m.Refusal.Reason != c.refused) {
					t.Errorf("answer %+v, error %v", m, err)
				}
				var timeout net.Error
				if c.refused == "" && (err == nil || errors.As(err, &timeout) && timeout.Timeout()) {
					t.Errorf("answer %+v, error %v, want the end of the connection", m, err)
				}
			})
		}
		if lost := f.Lost(); len(lost) > 0 {
			t.Errorf("lost %+v", lost)
		}
	}
}

func lineOf(t *testing.T, h hello) []byte {
	t.Helper()
	line, err := encode(message{Hello: &h})
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// An agent that meets another run's controller sends it nothing: not even its token.
func TestTokenIsNotToldToAnotherController(t *testing.T) {
	t.Parallel()
	cert, _, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	_, want, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS(cert))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	heard := make(chan int, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		n, _ := conn.Read(make([]byte, 1024)) // what TLS carries; the handshake is not in it
		heard <- n
	}()
	err = Agent(t.Context(), AgentOptions{Controller: listener.Addr().String(), Token: newToken(), Fingerprint: want})
	if !errors.Is(err, errFingerprint) {
		t.Errorf("error %v", err)
	}
	if n := <-heard; n != 0 {
		t.Errorf("the other controller heard %d bytes", n)
	}
}

// Clients that hold connections and dribble bytes, more of them than the controller keeps, harm
// neither the phase under way nor an agent that comes; what they hold is given back.
func TestSlowClientsDoNotHarm(t *testing.T) {
	t.Parallel()
	f, err := startWithin(t, Options{Count: 2}, Agent)
	if err != nil {
		t.Fatal(err)
	}
	server := newWitness(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	held := make(chan []net.Conn, 1)
	go func() {
		defer close(ended)
		dribble(ctx, f.dial, 2*strangersLimit, held)
	}()
	conns := <-held
	if len(conns) != 2*strangersLimit {
		t.Fatalf("%d connections", len(conns))
	}
	r := await(t, run(t, f, constantTask(server.URL, 100, time.Second)))
	if r.err != nil || len(r.report.Lost) > 0 || r.books.OK != 100 {
		t.Errorf("a phase beside them: error %v, lost %+v, books %+v", r.err, r.report.Lost, r.books)
	}
	f.strangers.mu.Lock()
	if n := len(f.strangers.open); n != f.strangers.limit {
		t.Errorf("%d strangers are kept, want %d", n, f.strangers.limit)
	}
	f.strangers.mu.Unlock()
	if err := f.slotsProcess(1).Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the loss", func() bool { return len(f.Lost()) == 1 })
	if err := f.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	r = await(t, run(t, f, constantTask(server.URL, 100, 300*time.Millisecond)))
	if r.err != nil || len(r.report.Lost) > 0 || r.books.OK != 30 {
		t.Errorf("a phase after healing: error %v, lost %+v, books %+v", r.err, r.report.Lost, r.books)
	}
	eventually(t, 3*greetWithin, "the end of those who never said hello", func() bool {
		f.strangers.mu.Lock()
		defer f.strangers.mu.Unlock()
		return len(f.strangers.open) == 0
	})
	cancel()
	<-ended
}

// dribble holds n connections and sends each a byte of what could be a TLS handshake now and then.
func dribble(ctx context.Context, to string, n int, held chan<- []net.Conn) {
	var conns []net.Conn
	for range n {
		conn, err := net.Dial("tcp", to)
		if err != nil {
			break
		}
		defer conn.Close()
		_, _ = conn.Write([]byte{0x16, 3, 1, 0x20, 0})
		conns = append(conns, conn)
	}
	held <- conns
	for {
		for _, c := range conns {
			_, _ = c.Write([]byte{0})
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(300 * time.Millisecond):
		}
	}
}
