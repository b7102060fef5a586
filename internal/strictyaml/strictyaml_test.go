package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// level is a text type with a hinted error.
type level string

func (l *level) UnmarshalText(text []byte) error {
	if string(text) != "low" && string(text) != "high" {
		return levelError(text)
	}
	*l = level(text)
	return nil
}

type levelError string

func (e levelError) Error() string { return string(e) + " is no level" }
func (e levelError) Hint() string  { return "low or high" }

type item struct {
	Name  string            `yaml:"name"`
	Count int8              `yaml:"count"`
	Env   map[string]string `yaml:"env"`
}

func (i *item) FromText(text string) { i.Name = text }

type config struct {
	Title  string         `yaml:"title"`
	On     bool           `yaml:"on"`
	Number int            `yaml:"number"`
	Small  uint8          `yaml:"small"`
	Ratio  float64        `yaml:"ratio"`
	Level  level          `yaml:"level"`
	Items  []item         `yaml:"items"`
	Names  []string       `yaml:"names"`
	Sizes  map[string]int `yaml:"sizes"`
	Inner  struct {
		Depth int `yaml:"depth"`
	} `yaml:"inner"`
	Hidden string `yaml:"-"`
}

// decode returns what a text decodes to, and its problems.
func decode(t *testing.T, text string) (config, Problems) {
	t.Helper()
	c := config{Number: 7, Title: "default"}
	doc, err := Parse("c.yaml", []byte(text))
	if err == nil {
		doc.Decode(&c)
		err = doc.Err()
	}
	var problems Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatalf("%T: %v", err, err)
	}
	return c, problems
}

func TestDecode(t *testing.T) {
	got, problems := decode(t, `
title: "yes"
on: true
small: 255
ratio: -1.5e-3
level: high
items:
  - bare
  - {name: full, count: -128, env: {A: "1", "b c": no}}
names: [a, "2", 'on', yes]
sizes: {x: 1, y: 2}
inner: {depth: 3}
`)
	if problems != nil {
		t.Fatal(problems)
	}
	want := config{
		Title: "yes", On: true, Number: 7, Small: 255, Ratio: -0.0015, Level: "high",
		Items: []item{{Name: "bare"}, {Name: "full", Count: -128, Env: map[string]string{"A": "1", "b c": "no"}}},
		Names: []string{"a", "2", "on", "yes"}, Sizes: map[string]int{"x": 1, "y": 2},
	}
	want.Inner.Depth = 3
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRefused has one line of YAML per mistake and the one message that it must give.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		// no silent conversions
		{`number: "3"`, `1:9: number: must be an integer, but is the text "3" (write 3)`},
		{`number: 3.0`, `1:9: number: must be an integer, but is the number 3.0 (write 3)`},
		{`number: 3.5`, `1:9: number: must be an integer, but is the number 3.5`},
		{`number: 1e3`, `1:9: number: must be an integer, but is the number 1e3 (write 1000)`},
		{`number: +3`, `1:9: number: must be an integer, but is the number +3 (write 3)`},
		{`number: 017`, `1:9: number: must be an integer, but is the number 017 (write it in decimal, without a leading 0)`},
		{`number: 0o17`, `1:9: number: must be an integer, but is the number 0o17 (write it in decimal, without a leading 0)`},
		{`number: 0x1F`, `1:9: number: must be an integer, but is the number 0x1F (write it in decimal, without a leading 0)`},
		{`number: 0b11`, `1:9: number: must be an integer, but is the number 0b11 (write it in decimal, without a leading 0)`},
		{`number: 1_000`, `1:9: number: must be an integer, but is the number 1_000 (write 1000)`},
		{`number: 1:30`, `1:9: number: must be an integer, but is the text "1:30"`},
		{`number: true`, `1:9: number: must be an integer, but is true`},
		{`number: many`, `1:9: number: must be an integer, but is the text "many"`},
		{`number: [3]`, `1:9: number: must be an integer, but is a list`},
		{`number: {a: 3}`, `1:9: number: must be an integer, but is a mapping`},
		{`number: 9223372036854775808`, `1:9: number: 9223372036854775808 is too large a number`},
		{`number: -9223372036854775809`, `1:9: number: -9223372036854775809 is too large a number`},
		{`small: 256`, `1:8: small: 256 is too large a number`},
		{`small: -1`, `1:8: small: -1 is negative`},
		{`items: [{count: 128}]`, `1:17: items[0].count: 128 is too large a number`},
		{`ratio: "1.5"`, `1:8: ratio: must be a number, but is the text "1.5" (write 1.5)`},
		{`ratio: .nan`, `1:8: ratio: NaN is not a number`},
		{`ratio: .NaN`, `1:8: ratio: NaN is not a number`},
		{`ratio: nan`, `1:8: ratio: must be a number, but is the text "nan"`},
		{`ratio: .inf`, `1:8: ratio: must be finite`},
		{`ratio: -.Inf`, `1:8: ratio: must be finite`},
		{`ratio: 1e400`, `1:8: ratio: 1e400 is too large a number`},
		{`ratio: .5`, `1:8: ratio: must be a number, but is the number .5 (write 0.5)`},
		{`ratio: 50%`, `1:8: ratio: must be a number, but is the text "50%"`},
		{`on: yes`, `1:5: on: must be true or false, but is the text "yes" (write true)`},
		{`on: "true"`, `1:5: on: must be true or false, but is the text "true" (write true)`},
		{`on: True`, `1:5: on: must be true or false, but is True (write true)`},
		{`on: off`, `1:5: on: must be true or false, but is the text "off" (write false)`},
		{`on: 1`, `1:5: on: must be true or false, but is the number 1 (write true)`},
		{`title: 3`, `1:8: title: must be text, but is the number 3 (write "3")`},
		{`title: false`, `1:8: title: must be text, but is false (write "false")`},
		{`title: 2026-11-23`, `1:8: title: must be text, but is the date 2026-11-23 (write "2026-11-23")`},
		{`title: [a]`, `1:8: title: must be text, but is a list`},
		{`title:`, `1:7: title: has no value (give it a value or remove the key)`},
		{`title: ~`, `1:8: title: has no value (give it a value or remove the key)`},
		{`title: null`, `1:8: title: has no value (give it a value or remove the key)`},
		{`names: [a, ]`, ``},
		{`names: [a, null]`, `1:12: names[1]: has no value (give it a value or remove the key)`},
		{`names: a`, `1:8: names: must be a list, but is the text "a" (write [a])`},
		{`names: [1]`, `1:9: names[0]: must be text, but is the number 1 (write "1")`},
		{`sizes: {x: "1"}`, `1:12: sizes.x: must be an integer, but is the text "1" (write 1)`},
		{`sizes: [x]`, `1:8: sizes: must be a mapping of keys, but is a list`},
		{`inner: 3`, `1:8: inner: must be a mapping of keys, but is the number 3`},
		{`items: [3]`, `1:9: items[0]: must be a mapping of keys, but is the number 3`},
		{`level: middle`, `1:8: level: middle is no level (low or high)`},
		{`level: [low]`, `1:8: level: must be a single value, but is a list`},
		// keys
		{`titel: x`, `1:1: titel: unknown key (did you mean title)`},
		{`Title: x`, `1:1: Title: unknown key (did you mean title)`},
		{`numebr: 3`, `1:1: numebr: unknown key (did you mean number)`},
		{`depth: 3`, `1:1: depth: unknown key here (it belongs to inner.depth)`},
		{`count: 3`, `1:1: count: unknown key here (it belongs to items[].count)`},
		{`inner: {number: 3}`, `1:9: inner.number: unknown key here (it belongs to number)`},
		{`Hidden: x`, `1:1: Hidden: unknown key (known are title, on, number, small, ratio, level, items, names, sizes, inner)`},
		{`"a b": x`, `1:1: ["a b"]: unknown key (known are title, on, number, small, ratio, level, items, names, sizes, inner)`},
		{`{title: a, title: b}`, `1:12: title: duplicate key, first on line 1`},
		{`sizes: {x: 1, x: 2}`, `1:15: sizes.x: duplicate key, first on line 1`},
		{`3: x`, `1:1: this key is not text (put it in quotes if it is a name)`},
		{`sizes: {true: 1}`, `1:9: sizes: this key is not text (put it in quotes if it is a name)`},
		{`[a, b]: x`, `1:1: this key is not text (put it in quotes if it is a name)`},
		{`? {a: b} : x`, `1:3: this key is not text (put it in quotes if it is a name)`},
		// YAML that is not wanted
		{`names: [&a x, *a]`, `1:9: names[0]: anchor &a: anchors are not allowed (write the value out)`},
		{`sizes: {<<: {x: 1}}`, `1:9: sizes: merge keys are not allowed (write the keys out)`},
		{`number: !!str 3`, `1:9: number: tag !!str: tags are not allowed (leave the tag out)`},
		{`number: !mine 3`, `1:9: number: tag !mine: tags are not allowed (leave the tag out)`},
		{"a: b\n---\nc: d", `2:1: a second document begins here (one file, one document)`},
		{"a: b\n...\n---\n", `3:1: a second document begins here (one file, one document)`},
		{``, `1:1: contains no document`},
		{`# only a comment`, `1:1: contains no document`},
		{`---`, `2:1: has no value (give it a value or remove the key)`},
		{`null`, `1:1: has no value (give it a value or remove the key)`},
		{`- a`, `1:1: must be a mapping of keys, but is a list`},
		{`text`, `1:1: must be a mapping of keys, but is the text "text"`},
		{"title: a\n\tnumber: 3", `2:1: is not YAML: found a tab character that violates indentation (indent with spaces, not tabs)`},
		{"title: a\xffb", `1:9: here is the byte 0xff, which is not UTF-8 text`},
		{"number: 3\ntitle: \x1b[31m", `2:8: here is the control character U+001B`},
		{"title: \x00", `1:8: here is the control character U+0000`},
		{"title: \ufeff\ufffe", `1:9: here is the control character U+FFFE`},
	} {
		_, problems := decode(t, c.yaml)
		got := ""
		if len(problems) > 0 {
			got = strings.TrimPrefix(strings.SplitN(problems[0].String(), "\n", 2)[0], "c.yaml:")
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.yaml, got, c.want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ yaml, want string }{
		{"\n\nnumber: many", "    3 | number: many\n      |         ^"},
		{"title: \"\u00e4\u00f6\"\ninner: {\"\u00e9\": 1}", "    2 | inner: {\"\u00e9\": 1}\n      |         ^"},
		{"title: a\r\nnumber: x\r\n", "    2 | number: x\n      |         ^"},
		{"number: \"a\tb\" # \u202e", "    1 | number: \"a b\" # \ufffd"},
		{"number: " + long, "    1 | number: " + long[:92] + "...\n      |         ^"},
		{"sizes: {" + long + ": x}", "    1 | ..." + long[:48] + ": x}\n      |    " + strings.Repeat(" ", 50) + "^"},
		{"number: http://me:pass@host/", "    1 | number: http://*******@host/\n      |         ^"},
		{"number: me:pa/ss@tcp(h)/x", "    1 | number: ********@tcp(h)/x\n      |         ^"},
	} {
		_, problems := decode(t, c.yaml)
		if len(problems) == 0 {
			t.Errorf("%q: no problem", c.yaml)
			continue
		}
		if got := problems[0].Excerpt; !strings.HasPrefix(got, c.want) {
			t.Errorf("%q\n got %q\nwant %q", c.yaml, got, c.want)
		}
	}
}

// TestInOneGo wants every mistake of a file, in its order, once.
func TestInOneGo(t *testing.T) {
	_, problems := decode(t, "names: [1, 2]\nnumber: x\nsmall: 300\nnumber: 4\nitems:\n  - {count: z, cuont: 3}\n")
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Path))
	}
	want := []string{"1:9 names[0]", "1:12 names[1]", "2:9 number", "3:8 small", "4:1 number", "6:13 items[0].count", "6:16 items[0].cuont"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestErrorf(t *testing.T) {
	doc, err := Parse("c.yaml", []byte("title: x\nitems:\n  - name: a\n    env: {\"b.c\": d}\nnumber: many\ninner: {dephts: 3}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var c config
	doc.Decode(&c)
	for _, path := range []string{"items[0].name", Join("items[0].env", "b.c"), "items[0]", "title"} {
		if !doc.Has(path) || doc.Bad(path) {
			t.Errorf("%s: has %t, bad %t", path, doc.Has(path), doc.Bad(path))
		}
	}
	if doc.Has("items[1]") || doc.Has("level") || !doc.Bad("number") {
		t.Error("has what is not there, or takes a bad number")
	}
	doc.Errorf("level", "", "about the whole")
	doc.Errorf("items[0].name", "such as b", "%s is taken", "a")
	doc.Errorf("items[0].count", "", "about the item")
	doc.Errorf(Join("items[0].env", "b.c"), "", "about the key")
	doc.Errorf("number", "", "must be positive") // known to be bad already
	doc.Errorf("inner.depth", "", "is missing")  // misspelt, and said so
	want := `c.yaml:1:1: level: about the whole
    1 | title: x
      | ^
c.yaml:3:5: items[0].count: about the item
    3 |   - name: a
      |     ^
c.yaml:3:11: items[0].name: a is taken (such as b)
    3 |   - name: a
      |           ^
c.yaml:4:18: items[0].env["b.c"]: about the key
    4 |     env: {"b.c": d}
      |                  ^
c.yaml:5:9: number: must be an integer, but is the text "many"
    5 | number: many
      |         ^
c.yaml:6:9: inner.dephts: unknown key (did you mean depth)
    6 | inner: {dephts: 3}
      |         ^`
	if diff := cmp.Diff(want, doc.Err().Error()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestMisspeltBeside still checks a key whose misspelling is next to it.
func TestMisspeltBeside(t *testing.T) {
	doc, err := Parse("c.yaml", []byte("number: 3\nnumbr: 4\n"))
	if err != nil {
		t.Fatal(err)
	}
	var c config
	doc.Decode(&c)
	doc.Errorf("number", "", "is odd")
	if err := doc.Err(); !strings.Contains(err.Error(), "is odd") {
		t.Errorf("%v", err)
	}
}

func TestManyProblems(t *testing.T) {
	_, problems := decode(t, "names: ["+strings.Repeat("1, ", 1000)+"]")
	if len(problems) != mostProblems {
		t.Errorf("%d problems", len(problems))
	}
	if text := problems.Error(); !strings.HasSuffix(text, "c.yaml: and 150 more") || strings.Count(text, "must be text") != shownProblems {
		t.Errorf("%s", text[max(0, len(text)-200):])
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"duration", "connections", "rate", "rate_of_pilot", "url"}
	for word, want := range map[string]string{
		"durations": "duration", "Duration": "duration", "duratoin": "duration", "conections": "connections", "rates": "rate", "RATE-OF-PILOT": "rate_of_pilot",
		"ulr": "url", "uri": "url", "ratio": "", "x": "", "colour": "", "": "", strings.Repeat("a", 10_000): "",
	} {
		got := Suggest(word, known)
		if want != "" {
			want = "did you mean " + want
		}
		if got != want {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
}

// TestBombs wants each file that grows when it is read to be refused quickly and shortly.
func TestBombs(t *testing.T) {
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 30; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 8), i-1)
	}
	for name, c := range map[string]struct{ yaml, want string }{
		"aliases":       {laughs, "anchors are not allowed"},
		"many aliases":  {"a: &a x\nb: [" + strings.Repeat("*a,", 50_000) + "]", "anchors are not allowed"},
		"self":          {"a: &a [*a]", "anchors are not allowed"},
		"deep flow":     {strings.Repeat("[", 100_000), "max depth"},
		"deep mappings": {strings.Repeat("{a: ", 50_000), "max depth"},
		"deep block":    {strings.Repeat("- ", 100_000) + "x", "max depth"},
		"long key":      {strings.Repeat("k", 1_000_000) + ": x", "unknown key"},
		"many keys":     {strings.Repeat("titel: x\n", 20_000), "duplicate key"},
		"one long line": {"names: [" + strings.Repeat("1,", 100_000) + "]", "must be text"},
		"deep and long": {"sizes: {" + strings.Repeat("k", 500_000) + ": [" + strings.Repeat("&a x,", 20_000) + "]}", "anchors are not allowed"},
	} {
		if len(c.yaml) > MaxBytes {
			t.Fatalf("%s: %d bytes", name, len(c.yaml))
		}
		began := time.Now()
		_, problems := decode(t, c.yaml)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
		if len(problems) == 0 {
			t.Errorf("%s: accepted", name)
			continue
		}
		text := problems.Error()
		if !strings.Contains(text, c.want) || len(text) > 100_000 {
			t.Errorf("%s: %d bytes: %.300s", name, len(text), text)
		}
	}
}

func TestTooLarge(t *testing.T) {
	folder := t.TempDir()
	full := "title: x # " + strings.Repeat(".", MaxBytes)
	for _, c := range []struct {
		size int
		ok   bool
	}{{MaxBytes, true}, {MaxBytes + 1, false}} {
		path := filepath.Join(folder, "c.yaml")
		if err := os.WriteFile(path, []byte(full[:c.size]), 0o600); err != nil {
			t.Fatal(err)
		}
		fsys := fstest.MapFS{"c.yaml": {Data: []byte(full[:c.size])}}
		_, fromFile := readFile(path)
		_, fromFS := ReadFS(fsys, "c.yaml")
		_, fromReader := Read("c.yaml", iotest.OneByteReader(strings.NewReader(full[:c.size])))
		_, parsed := Parse("c.yaml", []byte(full[:c.size]))
		for i, err := range []error{fromFile, fromFS, fromReader, parsed} {
			var problems Problems
			if c.ok && err != nil || !c.ok && (!errors.As(err, &problems) || !strings.Contains(err.Error(), "larger than 1 MiB")) {
				t.Errorf("%d bytes, way %d: %v", c.size, i, err)
			}
		}
	}
}

// TestUnread wants a file that is too large, or no file, not to be opened: it has no mode to read.
func TestUnread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 40); err != nil {
		t.Skipf("no sparse file of 1 TiB: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(path); err == nil || !strings.Contains(err.Error(), "not read") {
		t.Errorf("1 TiB: %v", err)
	}
	for _, other := range []string{t.TempDir(), "/dev/zero"} {
		if _, err := readFile(other); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", other, err)
		}
	}
	if _, err := readFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Read("x", iotest.ErrReader(os.ErrPermission)); !errors.Is(err, os.ErrPermission) {
		t.Errorf("broken reader: %v", err)
	}
}

// counting gives spaces without end, up to what nobody should ask for.
type counting struct{ given int }

func (c *counting) Read(p []byte) (int, error) {
	if c.given > 3*MaxBytes {
		return 0, io.EOF
	}
	clear(p)
	c.given += len(p)
	return len(p), nil
}

func TestEndless(t *testing.T) {
	var c counting
	if _, err := Read("endless", &c); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("%v", err)
	}
	if c.given > 2*MaxBytes {
		t.Errorf("%d bytes were read", c.given)
	}
}

func TestReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	want := []byte("\ufefftitle: x\n")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := readFile(path)
	if err != nil || !bytes.Equal(data, want) {
		t.Fatalf("%q, %v", data, err)
	}
	if c, problems := decode(t, string(data)); problems != nil || c.Title != "x" {
		t.Errorf("with a byte order mark: %+v, %v", c, problems)
	}
}

func TestDecodePanics(t *testing.T) {
	for name, v := range map[string]any{
		"no pointer": config{},
		"unknown type": &struct {
			A chan int `yaml:"a"`
		}{},
		"nil": (*config)(nil),
	} {
		doc, err := Parse("c.yaml", []byte("a: 1"))
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			doc.Decode(v)
		}()
	}
}

// readFile reads a file of the operating system.
func readFile(path string) ([]byte, error) {
	return ReadFS(os.DirFS(filepath.Dir(path)), filepath.Base(path))
}
