package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// words are those that a reader of a manual does not expect, and what to write instead. A blank stands for
// any white space, a line end too.
var words = []struct{ word, instead string }{
	{`besides?`, "compared with, in addition to, next to"},
	{`tells?|told|telling`, "say, show, know, distinguish"},
	{`unasked`, "without being asked"},
	{`so many`, "a fixed number of, that many"},
	{`of which`, "a sentence of its own"},
	{`toll`, "cost"},
	{`tale`, "description, report"},
	{`lookout`, "sampler"},
	{`bury|buries|buried`, "mark as ended"},
	{`meanwhile|(in the )?meantime`, "during that time, at the same time"},
	{`by hand`, "manually"},
	{`shy`, "cautious"},
	{`tame[sd]?`, "sanitize"},
	{`wears?`, "set, carry"},
	{`n[oa]ught`, "zero, nothing"},
	{`whilst`, "while"},
	{`thereof|thereby|therein|thereupon`, "of it, by that, in it, then"},
	{`whereby|wherein|whereupon|whence`, "by which, in which, then, from where"},
	{`hereby|hitherto|henceforth|forthwith`, "by this, until now, from now on, at once"},
	{`hence`, "so, therefore"},
	{`albeit`, "although"},
	{`lest`, "so that ... not"},
	{`upon`, "on"},
	{`amiss`, "wrong"},
	{`unto`, "to"},
	{`anew|afresh`, "again, from scratch"},
	{`(is|are|was|were) meant`, "target: ..., should be"},
	{`whoever`, "anyone who"},
	{`(go|goes|going|gone|went) on with`, "continue, resume"},
	{`but for`, "except for"},
	{`spoils?|spoil[te]d?`, "distort, disturb"},
	{`mends?|mended`, "fix, repair"},
	{`reckons?|reckoned`, "calculate, assume"},
	{`(the|its|their|his|each|of|at) begin`, "the start"},
	{`in the whole`, "in total"},
	{`or (its|the|their) like`, "or similar"},
	{`(stands?|stood|standing) (in|at|on|below|above|under|there|before|behind|as)`, "is in, is at, is before"},
	{`yours to see to`, "your responsibility"},
}

// vocabulary is what the words of a verdict may say all the same.
var vocabulary = regexp.MustCompile(`\btold\s+apart|would\s+tell\s+([0-9%]|delta)`)

type finding struct {
	line          int
	word, instead string
}

var wordPatterns = func() (patterns []*regexp.Regexp) {
	for _, w := range words {
		p := strings.ReplaceAll(w.word, " ", `[\s#|*]+`)
		patterns = append(patterns, regexp.MustCompile(`(?i)\b(`+p+`)\b`))
	}
	return patterns
}()

// findings are the listed words in a text whose first line has the number first.
func findings(text string, first int) (found []finding) {
	text = vocabulary.ReplaceAllStringFunc(text, func(s string) string {
		return regexp.MustCompile(`\S`).ReplaceAllString(s, "_")
	})
	for i, p := range wordPatterns {
		for _, at := range p.FindAllStringIndex(text, -1) {
			word := strings.Join(strings.Fields(text[at[0]:at[1]]), " ")
			found = append(found, finding{first + strings.Count(text[:at[0]], "\n"), word, words[i].instead})
		}
	}
	slices.SortStableFunc(found, func(a, b finding) int { return a.line - b.line })
	return found
}

// inGo are the listed words in the comments of a Go file, and, except in tests, in its string literals; names, imports and
// tags are not read, and a comment may call a thing by its name.
func inGo(name string, source any) (found []finding, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			n.Tag = nil
		case *ast.Ident:
			names[n.Name] = true
		case *ast.BasicLit:
			if n.Kind == token.STRING && !strings.HasSuffix(name, "_test.go") {
				found = append(found, findings(n.Value, set.Position(n.Pos()).Line)...)
			}
		}
		return true
	})
	for _, group := range file.Comments {
		for _, f := range findings(group.Text(), set.Position(group.Pos()).Line) {
			if !names[f.word] {
				found = append(found, f)
			}
		}
	}
	return found, nil
}

// What people read is plain English: documents, plans, recipes, help, messages and the comments of the code.
func TestPlainEnglish(t *testing.T) {
	read := 0
	report := func(name string, found []finding) {
		read++
		for _, f := range found {
			t.Errorf("%s:%d: %q: write %s", name, f.line, f.word, f.instead)
		}
	}
	for _, pattern := range []string{"*.md", "docs/*.md", "plans/*.yaml", "targets/*/target.yaml", "Makefile"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			report(name, findings(unreleased(name, string(text)), 1))
			if strings.HasSuffix(name, ".md") {
				for _, line := range tooLong(string(text)) {
					t.Errorf("%s:%d: longer than %d characters", name, line, longest)
				}
			}
		}
	}
	for _, root := range []string{"main.go", "internal", "tools"} {
		err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") {
				return err
			}
			found, err := inGo(name, nil)
			report(name, found)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 200 {
		t.Errorf("only %d files were read", read)
	}
}

const longest = 110

// tooLong are the numbers of lines of a document that are too long, those of tables and code left out.
func tooLong(text string) (lines []int) {
	code := false
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		}
		if !code && !strings.HasPrefix(line, "|") && utf8.RuneCountInString(line) > longest {
			lines = append(lines, i+1)
		}
	}
	return lines
}

// unreleased cuts what CHANGELOG.md says of versions that are out.
func unreleased(name, text string) string {
	if name != "CHANGELOG.md" {
		return text
	}
	if parts := strings.Split(text, "\n## "); len(parts) > 2 {
		return strings.Join(parts[:2], "\n## ")
	}
	return text
}

func TestWordsAreFound(t *testing.T) {
	text := "Beside wrk,\nwhich is not told apart from it, in the\nmeantime. 12 blocks would tell 3 %; it tells more."
	want := []finding{
		{1, "Beside", "compared with, in addition to, next to"},
		{2, "in the meantime", "during that time, at the same time"},
		{3, "tells", "say, show, know, distinguish"},
	}
	if got := findings(text, 1); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	source := "// Package x tells.\npackage x\n\nimport _ \"tell\"\n\n// beside is no\n// toll.\nvar beside, s = 1, \"fine\" + `and\nBeside`\n\ntype y struct {\n\tz int `json:\"toll\"`\n}\n"
	want[0].line, want[2].line = 9, 1
	got, err := inGo("x.go", source)
	if err != nil || !slices.Equal(got, []finding{want[0], want[2], {7, "toll", "cost"}}) {
		t.Errorf("got %v, %v", got, err)
	}
	long := strings.Repeat("x", longest+1)
	if lines := tooLong("a\n```\n" + long + "\n```\n|" + long + "\n" + long); !slices.Equal(lines, []int{6}) {
		t.Errorf("too long: %v", lines)
	}
	if text := unreleased("CHANGELOG.md", "# Changes\n\n## Unreleased\n\nnew\n\n## 1\n\nold\n"); !strings.Contains(text, "new") || strings.Contains(text, "old") {
		t.Errorf("unreleased: %q", text)
	}
}
