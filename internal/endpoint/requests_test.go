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
	if err := os.WriteFile(path, []byte("\na\r\nb c\n\n{key}"), 0o600); err != nil {
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
