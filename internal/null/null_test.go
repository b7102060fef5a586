package null

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func serving(t *testing.T) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- New().Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// get is the answer to a request and how long it took.
func get(t *testing.T, url string) (body string, took time.Duration, err error) {
	t.Helper()
	began := time.Now()
	resp, err := http.Get(url)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), time.Since(began), err
}

// Each path answers the same, after what it asks for; what is no path of the server's gets no answer.
func TestNullServer(t *testing.T) {
	base := serving(t)
	for path, least := range map[string]time.Duration{"/": 0, "/wait/20ms": 20 * time.Millisecond, "/work/2": 0} {
		if body, took, err := get(t, base+path); err != nil || body != Body || took < least {
			t.Errorf("%s: %q after %v, %v", path, body, took, err)
		}
	}
	for _, path := range []string{"/other", "/wait/soon", "/wait/2h", "/work/-1", "/work/x", "/stall/1s", "/stall/x/1s", "/stall/1s/x"} {
		if body, _, err := get(t, base+path); err == nil {
			t.Errorf("%s is answered: %q", path, body)
		}
	}
	if _, err := http.Post(base+"/", "text/plain", strings.NewReader("x")); err == nil {
		t.Error("a POST is answered")
	}
}

// A stall holds every answer until it is over, and none after it.
func TestNullServerStalls(t *testing.T) {
	base := serving(t)
	if _, _, err := get(t, base+"/stall/0s/300ms"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 2 {
		if _, _, err := get(t, base+"/"); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("two answers after %v", took)
	}
	if _, took, err := get(t, base+"/"); err != nil || took > 250*time.Millisecond {
		t.Errorf("after the stall: %v, %v", took, err)
	}
}

// failing is a listener that fails after its first connection.
type failing struct {
	net.Listener
	accepted bool
}

func (f *failing) Accept() (net.Conn, error) {
	if f.accepted {
		return nil, io.ErrClosedPipe
	}
	f.accepted = true
	return f.Listener.Accept()
}

// A listener that fails ends the server, even if clients are still connected.
func TestListenerFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ended := make(chan error, 1)
	go func() { ended <- New().Serve(t.Context(), &failing{Listener: l}) }()
	select {
	case err := <-ended:
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the server waits for a connection that says nothing")
	}
}
