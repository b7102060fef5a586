package jmeter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The digest of a home is that of its jars whatever way leads to it, and a folder without one has none.
func TestDigestOfLink(t *testing.T) {
	home := homeWith(t, "x.Y")
	want, err := jarsDigest(home.Dir)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "jmeter")
	if err := os.Symlink(home.Dir, link); err != nil {
		t.Fatal(err)
	}
	if got, err := jarsDigest(link); err != nil || got != want {
		t.Errorf("by a link %s, %v, not %s", got, err, want)
	}
	if got, err := jarsDigest(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has no jar") {
		t.Errorf("an empty folder has the digest %s, %v", got, err)
	}
}
