package machine

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLogLines counts on where it left off, also within a line.
func TestLogLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var l logLines
	for i, c := range []struct {
		text string
		want int64
	}{{"", 0}, {"one\ntwo", 1}, {"", 1}, {" goes on\nthree\n", 3}, {string(make([]byte, 200_000)) + "\n", 4}} {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(c.text); err != nil {
			t.Fatal(err)
		}
		file.Close()
		if err := l.read(path); err != nil || l.lines != c.want {
			t.Errorf("%d: %d lines, want %d, %v", i, l.lines, c.want, err)
		}
	}
	if err := new(logLines).read(path + "x"); err == nil {
		t.Error("a log that is not there was read")
	}
}
