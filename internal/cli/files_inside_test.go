package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A file is replaced as a whole; a pipe, and the file behind a link, stay what they are.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	}
	holds := func(name, want string) {
		t.Helper()
		if text, err := os.ReadFile(at(name)); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v, want %q", name, text, err, want)
		}
	}
	if err := writeFile(at("new"), 0o600, put("one")); err != nil {
		t.Fatal(err)
	}
	holds("new", "one")
	if err := os.Symlink("new", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(at("link"), 0o600, put("two")); err != nil {
		t.Fatal(err)
	}
	holds("new", "two")
	if info, err := os.Lstat(at("link")); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	failed := errors.New("failed")
	if err := writeFile(at("new"), 0o600, func(io.Writer) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	holds("new", "two")
	if err := writeFile(dir, 0o600, put("three")); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
}

// What cannot be replaced is written to: a pipe is still one afterwards, and what a process has open gets more.
func TestWriteFileIntoAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() {
		text, _ := os.ReadFile(path)
		read <- string(text)
	}()
	if err := writeFile(path, 0o600, func(w io.Writer) error { _, err := io.WriteString(w, "one"); return err }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Fatalf("the pipe is %v, %v", info.Mode(), err)
	}
	if got := <-read; got != "one" {
		t.Errorf("it got %q", got)
	}
	for path, want := range map[string]bool{"/dev/stdout": true, "/dev/fd/63": true, "/proc/self/fd/1": true, "/dev/shm/x": false, "runs/report.html": false} {
		if isOpen(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}
