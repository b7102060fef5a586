package main_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What a document refers to exists: tests, targets of make, other documents and their sections.
func TestDocumentsReferToWhatExists(t *testing.T) {
	tests := testNames(t)
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z]+)`")
	made := regexp.MustCompile("(?m)(?:`|^)make ([a-z-]+)")
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	refs := 0
	for name, text := range documents(t) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			refs++
			if !tests[m[1]] {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
		for _, m := range made.FindAllStringSubmatch(text, -1) {
			refs++
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s: there is no make %s", name, m[1])
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			refs++
			if problem := followed(name, m[1]); problem != "" {
				t.Errorf("%s: %s", name, problem)
			}
		}
	}
	if refs < 50 {
		t.Errorf("only %d references found", refs)
	}
}

// documents are README.md and the others at the root, and docs/, by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = string(text)
		}
	}
	return out
}

// followed says what is wrong with a link; those to other sites are not followed.
func followed(from, to string) string {
	if strings.Contains(to, "://") {
		return ""
	}
	file, section, _ := strings.Cut(to, "#")
	if file = filepath.Join(filepath.Dir(from), file); strings.HasPrefix(to, "#") {
		file = from
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if section != "" && !anchors(string(text))[section] {
		return file + " has no section #" + section
	}
	return ""
}

// anchors are the sections of a document, as links name them.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	drop := regexp.MustCompile(`[^a-z0-9 _-]`)
	for _, line := range strings.Split(text, "\n") {
		if title := strings.TrimLeft(line, "#"); title != line {
			out[strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-")] = true
		}
	}
	return out
}

// testNames are the tests of all packages.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("internal", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			out[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
