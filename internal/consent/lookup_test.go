package consent

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// unasked fails the test when a name is looked up.
type unasked struct{ t *testing.T }

func (r unasked) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.t.Errorf("%s was looked up", host)
	return nil, errors.New("no")
}

// fixed answers every question with the same addresses, separated by spaces.
type fixed string

func (r fixed) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, text := range strings.Fields(string(r)) {
		out = append(out, netip.MustParseAddr(text))
	}
	return out, nil
}

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		host     string
		allowed  []string
		resolver Resolver
		want     string // address; empty: refused
	}{
		{"127.0.0.1", nil, unasked{t}, "127.0.0.1"},
		{"127.9.9.9", nil, unasked{t}, "127.9.9.9"},
		{"::1", nil, unasked{t}, "::1"},
		{"::ffff:127.0.0.1", nil, unasked{t}, "127.0.0.1"},
		{"192.0.2.1", []string{"192.0.2.1"}, unasked{t}, "192.0.2.1"},
		{"192.0.2.1", nil, unasked{t}, ""},
		{"db.example", nil, unasked{t}, ""},
		{"127.0.0.1.example", nil, unasked{t}, ""},
		{"localhost", nil, fixed("127.0.0.1"), "127.0.0.1"},
		{"localhost", nil, fixed("192.0.2.1"), ""}, // a hosts file that lies
		{"localhost", nil, fixed("127.0.0.1 192.0.2.1"), ""},
		{"db.example", []string{"DB.example"}, fixed("192.0.2.7"), "192.0.2.7"},
		{"db.example", []string{"db.example"}, fixed("::ffff:192.0.2.7"), "192.0.2.7"},
		{"db.example", []string{"db.example"}, fixed("169.254.169.254"), ""},
		// one forbidden address refuses the name, wherever it stands
		{"db.example", []string{"db.example"}, fixed("127.0.0.1 169.254.169.254"), ""},
		{"db.example", []string{"db.example"}, fixed("169.254.169.254 127.0.0.1"), ""},
	} {
		got, err := Lookup(t.Context(), c.resolver, c.host, 1, c.allowed)
		if (err == nil) != (c.want != "") || err == nil && got.String() != c.want {
			t.Errorf("%s, allowed %q: %v, %v", c.host, c.allowed, got, err)
		}
		if _, refused := errors.AsType[*RefusedError](err); err != nil && !refused {
			t.Errorf("%s: %v is no refusal", c.host, err)
		}
	}
	_, err := Lookup(t.Context(), fixed(""), "db.example", 1, []string{"db.example"})
	if _, refused := errors.AsType[*RefusedError](err); err == nil || refused {
		t.Errorf("a name without addresses: %v", err)
	}
}

// TestAnswering wants the address that answers dialled, the first where none does.
func TestAnswering(t *testing.T) {
	server := httptest.NewServer(nil)
	defer server.Close()
	port := server.Listener.Addr().(*net.TCPAddr).AddrPort().Port()
	here, elsewhere := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	if got := answering(t.Context(), []netip.Addr{elsewhere, here}, port); got != here {
		t.Errorf("dials %v, want %v", got, here)
	}
	server.Close()
	if got := answering(t.Context(), []netip.Addr{elsewhere, here}, port); got != elsewhere {
		t.Errorf("dials %v, want the first, %v", got, elsewhere)
	}
}
