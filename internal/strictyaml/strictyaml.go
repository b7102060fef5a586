// Package strictyaml reads one YAML document into Go values and says
// everything that is wrong with it at once, each mistake with file, line,
// column, path, an excerpt and, where one is known, a hint.
//
// It refuses what other readers let pass: files above 1 MiB (unread), further
// documents, anchors and aliases, tags, unknown and doubled keys, empty
// values, and every silent conversion ("3" is not 3, yes is not true, 1.0 is
// not an integer, 010 is not eight, NaN is not a number).
//
// A caller parses, decodes, adds its own findings with Errorf and asks Err:
//
//	doc, err := strictyaml.Parse("plan.yaml", data)
//	...
//	doc.Decode(&value)
//	if value.Rows < 1 {
//		doc.Errorf("dataset.rows", "write 1000000", "%d is below 1", value.Rows)
//	}
//	return doc.Err()
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// mostNested is how deep lists and mappings may lie in each other.
const mostNested = 100

// Document is one parsed YAML document with the problems found in it so far.
// It is not safe for concurrent use.
type Document struct {
	file      string
	lines     []string
	redacted  map[int][]rune // lines as they were shown
	root      *yaml.Node
	locations map[string]location // of every path that Decode met
	bad       map[string]bool     // paths of values that could not be decoded
	homes     map[string]string   // where a key belongs, when it stands elsewhere
	problems  Problems
}

// location is where a path is in the file.
type location struct{ line, column int }

// Parse reads data, which must hold exactly one YAML document of at most
// MaxBytes in UTF-8, free of anchors, aliases and tags. The name is used in
// messages only. Every error is a Problems.
func Parse(name string, data []byte) (*Document, error) {
	d := &Document{file: name, locations: map[string]location{}, bad: map[string]bool{}, redacted: map[int][]rune{}}
	if len(data) > MaxBytes {
		d.add(location{}, "", "", fmt.Sprintf("is larger than %s", limitText))
		return nil, d.Err()
	}
	if at, what := firstInvalid(data); at >= 0 {
		d.lines = splitLines(string(data[:at]))
		last := d.lines[len(d.lines)-1]
		d.add(location{len(d.lines), utf8.RuneCountInString(last) + 1}, "", "", "here is "+what)
		return nil, d.Err()
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	d.lines = splitLines(string(data))
	if err := d.parse(data); err != nil {
		return nil, err
	}
	d.locations[""] = locationOf(d.root)
	d.refuse(d.root, nil)
	if err := d.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

// parse fills root with the only document of data.
func (d *Document) parse(data []byte) error {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(mostNested), loaderlimits.AliasNone())))
	if err != nil {
		return fmt.Errorf("strictyaml: %w", err)
	}
	var doc, more yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		d.add(location{line: 1, column: 1}, "", "", "contains no document")
		return d.Err()
	case err != nil:
		d.syntax(err)
		return d.Err()
	}
	d.root = doc.Content[0]
	switch err := loader.Load(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
	default:
		d.add(locationOf(&more), "", "one file, one document", "a second document begins here")
	}
	return d.Err()
}

// syntax adds the errors of the YAML reader.
func (d *Document) syntax(err error) {
	var many *yaml.LoadErrors
	if errors.As(err, &many) && len(many.Errors) > 0 {
		for _, one := range many.Errors {
			d.syntaxAt(one)
		}
		return
	}
	var one *yaml.LoadError
	if errors.As(err, &one) {
		d.syntaxAt(one)
		return
	}
	d.add(location{}, "", "", "is not YAML: "+err.Error())
}

func (d *Document) syntaxAt(err *yaml.LoadError) {
	hint := ""
	if at := err.Mark.Line; at >= 1 && at <= len(d.lines) && strings.HasPrefix(strings.TrimLeft(d.lines[at-1], " "), "\t") {
		hint = "indent with spaces, not tabs"
	}
	d.add(location{err.Mark.Line, err.Mark.Column}, "", hint, "is not YAML: "+err.Message)
}

// refuse adds a problem for each anchor, alias, merge key and tag.
func (d *Document) refuse(n *yaml.Node, at *pathPart) {
	switch {
	case d.full():
		return
	case n.Kind == yaml.AliasNode:
		d.add(locationOf(n), at.path(), "write the value out", fmt.Sprintf("alias *%s: aliases are not allowed", clip(n.Value)))
		return
	case n.Anchor != "":
		d.add(locationOf(n), at.path(), "write the value out", fmt.Sprintf("anchor &%s: anchors are not allowed", clip(n.Anchor)))
	case n.Style&yaml.TaggedStyle != 0:
		d.add(locationOf(n), at.path(), "leave the tag out", fmt.Sprintf("tag %s: tags are not allowed", clip(n.Tag)))
	case n.ShortTag() == "!!merge":
		d.add(locationOf(n), at.path(), "write the keys out", "merge keys are not allowed")
	}
	for i, child := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			d.refuse(child, &pathPart{up: at, index: i})
		case i%2 == 0:
			d.refuse(child, at)
		default:
			d.refuse(child, &pathPart{up: at, key: n.Content[i-1]})
		}
	}
}

// pathPart is the last part of a path; the text is made only when it is shown.
type pathPart struct {
	up    *pathPart
	key   *yaml.Node // nil in a list
	index int
}

func (s *pathPart) path() string {
	switch {
	case s == nil:
		return ""
	case s.key != nil:
		return Join(s.up.path(), s.key.Value)
	}
	return fmt.Sprintf("%s[%d]", s.up.path(), s.index)
}

// Has reports whether the document gives a value at path, such as
// "phases[1].timeout", right or wrong. It is valid after Decode.
func (d *Document) Has(path string) bool {
	_, ok := d.locations[path]
	return ok
}

// Bad reports whether the value at path, or one that holds it, could not be
// decoded, so that the Go value says nothing about the intention.
func (d *Document) Bad(path string) bool {
	for ; path != ""; path = parent(path) {
		if d.bad[path] {
			return true
		}
	}
	return d.bad[""]
}

// Errorf adds a problem at path; where the document does not hold the path,
// the location of its nearest parent is shown. The hint may be empty. Where the path is Bad its
// problem is known already, and nothing is added.
func (d *Document) Errorf(path, hint, format string, args ...any) {
	if d.Bad(path) {
		return
	}
	d.add(d.locationOfPath(path), path, hint, fmt.Sprintf(format, args...))
}

// Err returns every problem found so far in the order of the file, as
// Problems, or nil.
func (d *Document) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	return d.problems.sorted()
}

// mostProblems is how many problems are looked for in one file.
const mostProblems = 200

func (d *Document) full() bool { return len(d.problems) >= mostProblems }

// mistake adds a problem with the value at path itself.
func (d *Document) mistake(n *yaml.Node, path, hint, format string, args ...any) {
	d.bad[path] = true
	d.add(locationOf(n), path, hint, fmt.Sprintf(format, args...))
}

func (d *Document) add(at location, path, hint, message string) {
	if d.full() {
		return
	}
	d.problems = append(d.problems, Problem{
		File: d.file, Line: at.line, Column: at.column, Path: path,
		Message: message, Hint: hint, Excerpt: d.excerpt(at),
	})
}

// locationOfPath is the location of path or of its nearest parent in the document.
func (d *Document) locationOfPath(path string) location {
	for ; path != ""; path = parent(path) {
		if at, ok := d.locations[path]; ok {
			return at
		}
	}
	return d.locations[""]
}

// parent is the path without its last part; "" at the top.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

func locationOf(n *yaml.Node) location { return location{n.Line, n.Column} }

// Join is the path of a mapping's key: "a.b", or a["b c"] where the key has
// other characters than letters, digits, - and _, or more than 64 of them.
func Join(path, key string) string {
	if key == "" || len(key) > 64 || strings.ContainsFunc(key, oddInPath) {
		return fmt.Sprintf("%s[%q]", path, clip(key))
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func oddInPath(r rune) bool {
	plain := r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	return !plain
}

// firstInvalid is the index of the first byte that is not UTF-8 text, or -1, and what it is.
func firstInvalid(data []byte) (int, string) {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return i, fmt.Sprintf("the byte 0x%02x, which is not UTF-8 text", data[i])
		case (unicode.IsControl(r) || r == 0xfffe || r == 0xffff) && !strings.ContainsRune("\t\n\r\u0085", r):
			return i, fmt.Sprintf("the control character %U", r)
		}
		i += size
	}
	return -1, ""
}
