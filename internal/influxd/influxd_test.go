package influxd_test

import (
	"errors"
	"path/filepath"
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
