package doctest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Only what stands between the marks is replaced.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(path, []byte("a\n<!-- one: by hand -->\nold\n<!-- end of one -->\n<!-- two: x -->\n<!-- end of two -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	Write(t, path, "one", "new $1\n")
	Write(t, path, "two", "more\n")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "a\n<!-- one: by hand -->\nnew $1\n<!-- end of one -->\n<!-- two: x -->\nmore\n<!-- end of two -->\n"; string(text) != want {
		t.Errorf("%q, want %q", text, want)
	}
}

// said counts the errors of a test.
type said struct {
	testing.TB
	errors int
}

func (s *said) Helper()               {}
func (s *said) Errorf(string, ...any) { s.errors++ }

// A section that differs is an error, and stays as it is unless it is to be updated.
func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(path, []byte("<!-- one: by a test -->\nold\n<!-- end of one -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text   string
		update bool
		errors int
		holds  string
	}{
		{"old\n", false, 0, "old\n"},
		{"new\n", false, 1, "old\n"},
		{"new\n", true, 0, "new\n"},
	} {
		s := &said{TB: t}
		Check(s, path, "one", c.text, c.update, "go test")
		doc, err := os.ReadFile(path)
		if err != nil || s.errors != c.errors || !strings.Contains(string(doc), "-->\n"+c.holds+"<!--") {
			t.Errorf("%q, update %t: %d errors, %v, %q", c.text, c.update, s.errors, err, doc)
		}
	}
}
