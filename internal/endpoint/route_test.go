package endpoint

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// book is a resolver with a few names.
type book map[string][]string

func (b book) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, a := range b[host] {
		out = append(out, netip.MustParseAddr(a))
	}
	if out == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return out, nil
}

func TestRoutes(t *testing.T) {
	names := book{"shop.example": {"127.0.0.2", "::1"}, "bad.example": {"127.0.0.2", "169.254.169.254"}}
	redirect := func(texts ...string) (out []Redirect) {
		for _, text := range texts {
			d, err := ParseRedirect(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, d)
		}
		return out
	}
	shop := []string{"shop.example"}
	for name, c := range map[string]struct {
		route Route
		url   string
		dials []string // none: refused
	}{
		"all":                          {Route{Allowed: shop, All: true}, "http://shop.example/", []string{"127.0.0.2:80", "[::1]:80"}},
		"all of an address":            {Route{All: true}, "http://127.0.0.1:81/", []string{"127.0.0.1:81"}},
		"all, one of them forbidden":   {Route{Allowed: []string{"bad.example"}, All: true}, "http://bad.example/", nil},
		"all, without consent":         {Route{All: true}, "http://shop.example/", nil},
		"a socket":                     {Route{Unix: "/tmp/s"}, "http://anything.example/", []string{"unix:/tmp/s"}},
		"elsewhere":                    {Route{To: redirect("far.example:443:127.0.0.1:8443")}, "https://far.example/", []string{"127.0.0.1:8443"}},
		"elsewhere, not ASCII":         {Route{To: redirect("bücher.example:80:127.0.0.1:81")}, "http://bücher.example/", []string{"127.0.0.1:81"}},
		"elsewhere, a dot at the end":  {Route{To: redirect("far.example.:80:127.0.0.1:81")}, "http://far.example./", []string{"127.0.0.1:81"}},
		"elsewhere, another port":      {Route{To: redirect("far.example:80:127.0.0.1:8443")}, "https://far.example/", nil},
		"elsewhere, any":               {Route{To: redirect(":::9"), Allowed: shop}, "http://127.0.0.1/", []string{"127.0.0.1:9"}},
		"elsewhere, IPv6":              {Route{To: redirect("[::1]:80:[::1]:82")}, "http://[::1]/", []string{"[::1]:82"}},
		"a dot at the end":             {Route{Allowed: shop}, "http://shop.example./", []string{"127.0.0.2:80"}},
		"the first that fits":          {Route{To: redirect("a:1::2", ":80:127.0.0.1:3", "::127.0.0.1:4")}, "http://far.example/", []string{"127.0.0.1:3"}},
		"consent is for where it goes": {Route{To: redirect("127.0.0.1:80:shop.example:80")}, "http://127.0.0.1/", nil},
	} {
		found, err := c.route.Find(t.Context(), names, c.url)
		var dials []string
		for _, e := range found {
			dials = append(dials, e.Dial)
			if !strings.HasPrefix(c.url, e.Base) && !strings.Contains(e.Base, "xn--") {
				t.Errorf("%s: asks %s", name, e.Base)
			}
		}
		if !slices.Equal(dials, c.dials) || (err == nil) != (c.dials != nil) {
			t.Errorf("%s: %v, %v, want %v", name, dials, err, c.dials)
		}
	}
	for _, bad := range []string{"", "a", "a:1", "a:1:b", "a:1:b:2:c", "a:x:b:2", "a:1:b:0", "a:1:b:70000", "[::1:1:b:2", "[::1]x:1:b:2"} {
		if d, err := ParseRedirect(bad); err == nil {
			t.Errorf("%q is %+v", bad, d)
		}
	}
}

func TestCheckSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if CheckSocket(path) == nil || CheckSocket(filepath.Dir(path)) == nil || CheckSocket("/"+strings.Repeat("x", 200)) == nil {
		t.Error("what is not a socket is taken for one")
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := CheckSocket(path); err != nil {
		t.Error(err)
	}
}

// A name that is not ASCII is looked up, allowed and asked for as the Domain Name System knows it.
func TestInternationalNames(t *testing.T) {
	names := book{"xn--bcher-kva.example": {"127.0.0.3"}}
	for _, url := range []string{"http://bücher.example:81/ä", "http://B\u00dcCHER.example:81/%C3%A4"} {
		found, err := Route{Allowed: []string{"Bücher.example"}}.Find(t.Context(), names, url)
		if err != nil || found[0].Base != "http://xn--bcher-kva.example:81" || found[0].Dial != "127.0.0.3:81" || found[0].Target[0] != "/%C3%A4" {
			t.Errorf("%s: %+v, %v", url, found, err)
		}
	}
}
