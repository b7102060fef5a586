// Package doctest reads and writes the parts of documents that tests and benches write: tables of simulations and of what was measured.
// A part begins with a line "<!-- NAME: how it is written -->" and ends with "<!-- end of NAME -->"; nothing else of a document is
// changed. Only tests import it.
package doctest

import (
	"os"
	"regexp"
	"testing"
)

func pattern(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)(<!-- ` + regexp.QuoteMeta(name) + `: [^\n]*-->\n)(.*?)(<!-- end of ` + regexp.QuoteMeta(name) + ` -->\n)`)
}

// Text is what a section holds.
func Text(t testing.TB, path, name string) string {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := pattern(name).FindSubmatch(doc)
	if found == nil {
		t.Fatalf("%s has no section %q", path, name)
	}
	return string(found[2])
}

// Write replaces what a section holds.
func Write(t testing.TB, path, name, text string) {
	t.Helper()
	if Text(t, path, name) == text {
		return
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := pattern(name).ReplaceAllFunc(doc, func(old []byte) []byte {
		parts := pattern(name).FindSubmatch(old)
		return append(append(append([]byte(nil), parts[1]...), text...), parts[3]...)
	})
	if err := os.WriteFile(path, out, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Check fails the test where a section is not what the test says, with the command that updates it; with update it is written instead.
func Check(t testing.TB, path, name, text string, update bool, command string) {
	t.Helper()
	if update {
		Write(t, path, name, text)
	}
	if Text(t, path, name) != text {
		t.Errorf("section %q of %s is not what the test says: %s", name, path, command)
	}
}
