package venue

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLogLines counts on where it left off, also within a line.
func TestLogLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var l LogLines
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
		if err := l.Read(path); err != nil || l.Lines != c.want {
			t.Errorf("%d: %d lines, want %d, %v", i, l.Lines, c.want, err)
		}
	}
	if err := new(LogLines).Read(path + "x"); err == nil {
		t.Error("a log that is not there was read")
	}
}
