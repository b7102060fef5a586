package record

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// constants are the values of the string constants in a file whose names begin with prefix.
func constants(t *testing.T, file, prefix string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	check(t, err)
	var out []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		check(t, err)
		out = append(out, value)
		return true
	})
	slices.Sort(out)
	return out
}

// documented are the first cells of the table under a header, without their backquotes.
func documented(t *testing.T, header string) []string {
	t.Helper()
	doc, err := os.ReadFile(formatDoc)
	check(t, err)
	_, rest, found := strings.Cut(string(doc), "| "+header+" |")
	if !found {
		t.Fatalf("docs/format.md has no table of %s", header)
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	var out []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		out = append(out, row[1])
	}
	slices.Sort(out)
	return out
}

// Every code and cause is in docs/format.md, and no other is.
func TestDocumentedReasons(t *testing.T) {
	for header, prefix := range map[string]string{"code | meaning": "Code", "cause | meaning": "Cause"} {
		code, doc := constants(t, "reason.go", prefix), documented(t, header)
		if !slices.Equal(code, doc) || len(code) < 10 {
			t.Errorf("%s: the code has %q, docs/format.md has %q", header, code, doc)
		}
	}
}

// No package makes up a code of its own: a reason's code is a constant of this package.
func TestReasonsUseTheTable(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if literal := ownCode(n); literal != nil {
				t.Errorf("%v: %s is no constant of package record", set.Position(literal.Pos()), literal.Value)
			}
			return true
		})
		return nil
	})
	check(t, err)
	if files < 100 {
		t.Errorf("only %d files were looked at", files)
	}
}

// ownCode is the text by which n makes a reason, or nil: refuse("...") or Reason{Code: "..."}.
func ownCode(n ast.Node) *ast.BasicLit {
	var value ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		if called, ok := n.Fun.(*ast.SelectorExpr); ok && called.Sel.Name == "refuse" && len(n.Args) > 0 {
			value = n.Args[0]
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
			value = n.Value
		}
	}
	if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
		return literal
	}
	return nil
}

// What a replica wrote follows the text.
func TestWordsOfReasons(t *testing.T) {
	r := Reason{Code: CodeWrongAnswers, Text: "one of 2"}
	if got := r.Words(); got != "wrong-answers: one of 2" {
		t.Error(got)
	}
	r.Wrote = "django-2 wrote: KeyError"
	if got := r.Words(); got != "wrong-answers: one of 2; django-2 wrote: KeyError" {
		t.Error(got)
	}
}
