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
	if unused := info.Meanings.Unused(); len(unused) > 0 || len(info.Meanings) != 4 {
		t.Errorf("not counted: %s", strings.Join(unused, "; "))
	}
}
