package loadtest

import (
	"os"
	"regexp"
	"testing"
)

// section finds a part of a document that is not written manually: it begins with a
// line "<!-- NAME: how it is written -->" and ends with "<!-- end of NAME -->".
func section(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)(<!-- ` + regexp.QuoteMeta(name) + `: [^\n]*-->\n)(.*?)(<!-- end of ` + regexp.QuoteMeta(name) + ` -->\n)`)
}

// Section is the text of a section.
func Section(t testing.TB, path, name string) string {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := section(name).FindSubmatch(doc)
	if found == nil {
		t.Fatalf("%s has no section %q", path, name)
	}
	return string(found[2])
}

// WriteSection replaces a section.
func WriteSection(t testing.TB, path, name, text string) {
	t.Helper()
	if Section(t, path, name) == text {
		return
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := section(name).ReplaceAllFunc(doc, func(old []byte) []byte {
		parts := section(name).FindSubmatch(old)
		return append(append(append([]byte(nil), parts[1]...), text...), parts[3]...)
	})
	if err := os.WriteFile(path, out, 0o644); err != nil {
		t.Fatal(err)
	}
}
