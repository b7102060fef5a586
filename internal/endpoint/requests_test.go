package endpoint

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTargetsAndKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("\xef\xbb\xbf\na\r\nb c\n\n{key}"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, digest, err := ReadKeys(path)
	if err != nil || !slices.Equal(keys, []string{"a", "b%20c", "%7Bkey%7D"}) {
		t.Fatalf("keys %q, %v", keys, err)
	}
	spec := Spec{Targets: [][]string{{"/fixed"}, {"/", "?x=", "&y"}}, Keys: path, Digest: digest, Seed: 3, Status: "2xx,404"}
	raw, _ := json.Marshal(spec)
	w, err := NewRequests(raw)
	if err != nil {
		t.Fatal(err)
	}
	r := w.(*Requests)
	if got := string(r.AppendTargetOf([]byte("GET "), 0, 1, 1)); got != "GET /fixed" {
		t.Errorf("target %q", got)
	}
	seen := map[string]int{}
	for n := range uint64(3000) {
		first, again := string(r.AppendTargetOf(nil, 1, 7, n)), string(r.AppendTargetOf(nil, 1, 7, n))
		if first != again {
			t.Fatalf("request %d asks for %q, then for %q", n, first, again)
		}
		seen[first]++
	}
	for _, key := range keys {
		if n := seen["/"+key+"?x="+key+"&y"]; n < 850 || n > 1150 {
			t.Errorf("key %s is asked for %d times of 3,000: %v", key, n, seen)
		}
	}
	if allocations := testing.AllocsPerRun(100, func() { _ = r.pick(1, 2) }); allocations != 0 {
		t.Errorf("%v allocations to pick a key", allocations)
	}
	for status, right := range map[int]bool{-1: false, 0: false, 199: false, 200: true, 299: true, 300: false, 404: true, 999: false, 1000: false} {
		if r.RightStatus(status) != right {
			t.Errorf("status %d: right is %v", status, !right)
		}
	}
	if err := os.WriteFile(path, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRequests(raw); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("keys that changed: %v", err)
	}
}

// What is asked for is what was typed, except for bytes that no request may hold.
func TestTargetIsAsTyped(t *testing.T) {
	for typed, want := range map[string][]string{
		"":                        {"/"},
		"/":                       {"/"},
		"?a=b":                    {"/?a=b"},
		"/?":                      {"/?"},
		"//x":                     {"//x"},
		"/a/../b/./c":             {"/a/../b/./c"},
		"/a%2Fb/{key}":            {"/a%2Fb/", ""},
		"/a%2fb/c|d":              {"/a%2fb/c%7Cd"},
		"/%7Bkey%7D":              {"/%7Bkey%7D"},
		"/%7Bkey%7D/{key}?{key}x": {"/%7Bkey%7D/", "?", "x"},
		"/{id}":                   {"/%7Bid%7D"},
		"/a b?c d":                {"/a%20b?c%20d"},
		"/ä\x00\x7f":              {"/%C3%A4%00%7F"},
		"/100%?50%&%zz&%4":        {"/100%25?50%25&%25zz&%254"},
		"/?a[]=1&b='\"<>^`\\":     {"/?a[]=1&b='%22%3C%3E%5E%60%5C"},
		"/a:b@c;d=e,f!$&'()*+~":   {"/a:b@c;d=e,f!$&'()*+~"},
		"/a?b?c/d":                {"/a?b?c/d"},
	} {
		e, err := At(t.Context(), nil, "http://127.0.0.1:8080"+typed, nil)
		if err != nil || !slices.Equal(e.Target, want) || e.Base != "http://127.0.0.1:8080" {
			t.Errorf("%q asks %q for %q, %v; want %q", typed, e.Base, e.Target, err, want)
		}
	}
	e, err := At(t.Context(), nil, "http://127.0.0.1/{key}/x", nil)
	if fixed := e.Fixed().Target; err != nil || !slices.Equal(fixed, []string{"/%7Bkey%7D/x"}) {
		t.Errorf("without keys it asks for %q, %v", fixed, err)
	}
	for _, bad := range []string{"http://127.0.0.1/a#b", "http://127.0.0.1#b", "http://u:secret@127.0.0.1/x", "http:///x", "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "ftp://127.0.0.1/", "127.0.0.1/x", "//127.0.0.1/"} {
		if _, err := At(t.Context(), nil, bad, nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A target with a place for a key, and no keys, is refused instead of being asked for.
func TestPlaceWithoutKeys(t *testing.T) {
	if _, err := NewRequests([]byte(`{"targets": [["/", ""]], "status": "2xx"}`)); err == nil || !strings.Contains(err.Error(), "a target contains {key}") {
		t.Errorf("%v", err)
	}
}
