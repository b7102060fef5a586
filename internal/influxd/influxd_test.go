package influxd_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bakeoff/internal/influxd"
)

// TestLock lets one server at a time have a folder.
func TestLock(t *testing.T) {
	c := influxd.Config{Dir: filepath.Join(t.TempDir(), "influxdb")}
	first, err := c.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := c.Lock(); !errors.Is(err, influxd.ErrInUse) {
		t.Errorf("a second one: %v, %v", second, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := c.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// The folder may be a stranger's: no link in it leads to a file that is written, and it is none itself.
func TestNoLinks(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := influxd.Config{Dir: filepath.Join(dir, "influxdb"), Addr: "127.0.0.1:1", RPC: "127.0.0.1:2"}
	if err := os.Mkdir(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lock", "influxd.conf", "log"} {
		if err := os.Symlink(precious, filepath.Join(c.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, locking := c.Lock()
	_, writing := c.Write()
	_, logging := c.Log()
	if locking == nil || writing == nil || logging == nil {
		t.Errorf("lock %v, configuration %v, log %v", locking, writing, logging)
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "kept" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := (influxd.Config{Dir: filepath.Join(dir, "link")}).Lock(); err == nil || !strings.Contains(err.Error(), "is a link") {
		t.Errorf("a folder that is a link: %v", err)
	}
}
