package database

import (
	"strings"
	"testing"
)

// TestMeanings wants every counter found out on a private server: nothing is left that could not be proven of a lookup.
func TestMeanings(t *testing.T) {
	s, _ := shared(t)
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := len(countable())
	if info.Vendor != MariaDB {
		want-- // it does not count statements without a row
	}
	if unused := info.Meanings.Unused(); len(unused) > 0 || len(info.Meanings) != want {
		t.Errorf("not counted: %s; %d of %d counters have a meaning", strings.Join(unused, "; "), len(info.Meanings), want)
	}
}
