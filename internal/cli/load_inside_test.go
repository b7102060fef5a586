package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"bakeoff/internal/consent"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/measure"
)

// names is a resolver that gives every name the same addresses and notes what it is asked.
type names struct {
	known []string
	asked []string
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.asked = append(n.asked, host)
	var out []netip.Addr
	for _, a := range n.known {
		out = append(out, netip.MustParseAddr(a))
	}
	if out == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return out, nil
}

// What a name leads to decides, not the name; a name without consent is not even looked up.
func TestAimAtNames(t *testing.T) {
	for _, c := range []struct {
		url     string
		allowed []string
		known   []string // addresses of the URL's host
		dial    string   // empty: refused
		asked   bool
	}{
		{"http://fine.example/", []string{"fine.example"}, []string{"127.0.0.7"}, "127.0.0.7:80", true},
		{"https://FINE.example/x", []string{"fine.example"}, []string{"127.0.0.7"}, "127.0.0.7:443", true},
		{"http://private.example:81/", []string{"private.example"}, []string{"10.0.0.1"}, "10.0.0.1:81", true},
		{"http://mapped.example/", []string{"mapped.example"}, []string{"::ffff:10.0.0.1"}, "10.0.0.1:80", true},
		{"http://unasked.example/", []string{"fine.example"}, []string{"127.0.0.1"}, "", false},
		{"http://meta.example/", []string{"meta.example"}, []string{"169.254.169.254"}, "", true},
		{"http://meta.example/", []string{"meta.example"}, []string{"::ffff:169.254.169.254"}, "", true},
		{"http://both.example/", []string{"both.example"}, []string{"127.0.0.1", "169.254.169.254"}, "", true},
		{"http://many.example/", []string{"many.example"}, []string{"224.0.0.1"}, "", true},
		{"http://all.example/", []string{"all.example"}, []string{"255.255.255.255"}, "", true},
		{"http://none.example/", []string{"none.example"}, []string{"0.0.0.0"}, "", true},
		{"http://gone.example/", []string{"gone.example"}, nil, "", true},
		{"http://localhost:82/", nil, []string{"127.0.0.1"}, "127.0.0.1:82", true},
		{"http://localhost/", nil, []string{"10.0.0.1"}, "", true},
		{"http://localhost/", []string{"10.0.0.2"}, []string{"10.0.0.1"}, "", true},
		{"http://10.0.0.1/", []string{"10.0.0.1"}, nil, "10.0.0.1:80", false},
		{"http://[::1]:83/", nil, nil, "[::1]:83", false},
	} {
		n := &names{known: c.known}
		found, err := aimAt(t.Context(), n, c.url, endpoint.Route{Allowed: c.allowed})
		var a endpoint.Endpoint
		if err == nil {
			a = found[0]
		}
		if (err == nil) != (c.dial != "") || a.Dial != c.dial {
			t.Errorf("%s -> %v: dials %q, %v; want %q", c.url, c.known, a.Dial, err, c.dial)
		}
		if asked := len(n.asked); asked > 1 || (asked == 1) != c.asked {
			t.Errorf("%s: looked up %v", c.url, n.asked)
		}
		if err == nil && a.Base != c.url[:len(a.Base)] {
			t.Errorf("%s: base %q", c.url, a.Base)
		}
		if err != nil && c.known != nil && exitStatus(err) != exitUsage {
			t.Errorf("%s: %v has status %d", c.url, err, exitStatus(err))
		}
	}
}

// moved is a resolver whose answer changes after the first time.
type moved struct{ asked int }

func (m *moved) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	m.asked++
	if m.asked == 1 {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
}

// insideFlags are those of a command line.
func insideFlags(t *testing.T, l consent.Resolver, args ...string) *loadFlags {
	t.Helper()
	set := pflag.NewFlagSet("load", pflag.ContinueOnError)
	f := &loadFlags{lookup: l, given: set.Changed}
	f.register(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

// A name is looked up once; the server behind it hears its name. No goroutine outlives the load.
func TestLoadAlone(t *testing.T) {
	for _, engine := range engineNames() {
		t.Run(engine, func(t *testing.T) {
			hosts := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case hosts <- r.Host:
				default: // one is enough
				}
			}))
			defer server.Close()
			_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
			before, priority := goleak.IgnoreCurrent(), fleet.Priority(os.Getpid())
			l := &moved{}
			f := insideFlags(t, l, "--rate", "200", "--duration", "1s", "--connections", "8", "--allow-host", "moving.example", "--json", "--engine", engine)
			var out, errs strings.Builder
			err := runLoad(t.Context(), Env{Stdout: &out, Stderr: &errs, Guest: true}, f, []string{"http://moving.example:" + port + "/"})
			if err != nil && !errors.Is(err, errInvalidLoad) {
				t.Fatalf("%v\n%s", err, &errs)
			}
			var r measure.Result
			if err := json.Unmarshal([]byte(out.String()), &r); err != nil || r.Planned != 200 || r.OK < 190 {
				t.Errorf("%v, %d ok of %d", err, r.OK, r.Planned)
			}
			if host := <-hosts; host != "moving.example:"+port || l.asked != 1 {
				t.Errorf("the server heard %q, looked up %d times", host, l.asked)
			}
			if now := fleet.Priority(os.Getpid()); now != priority {
				t.Errorf("it ran %s and now runs %s: this process is not its own", priority, now)
			}
			server.CloseClientConnections()
			goleak.VerifyNone(t, before)
		})
	}
}

// An interrupted load leaves no goroutine either, and its result.
func TestLoadAloneInterrupted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	var out strings.Builder
	err := runLoad(ctx, Env{Stdout: &out, Stderr: io.Discard, Guest: true}, insideFlags(t, net.DefaultResolver, "-c", "8", "--json"), []string{server.URL})
	if exitStatus(err) != exitInterrupted {
		t.Errorf("exit status %d: %v", exitStatus(err), err)
	}
	var r measure.Result
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil || r.Sent != 8 || r.Errors["interrupted"] != 8 || r.Valid {
		t.Errorf("%v, result %+v", err, r)
	}
	server.CloseClientConnections()
	goleak.VerifyNone(t, before)
}
