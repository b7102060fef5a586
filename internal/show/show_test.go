package show

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Figures are written like that. The page of a run has the same cases.
func TestFiguresAreWritten(t *testing.T) {
	content, err := os.ReadFile("testdata/written.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string][][2]any
	if err := json.Unmarshal(content, &cases); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for kind, write := range map[string]func(float64) string{
		"number": Number, "seconds": Seconds, "share": Percent, "count": func(v float64) string { return Count(int(v)) },
		"clock": func(v float64) string { return Clock(time.Duration(v * float64(time.Second))) },
	} {
		for _, c := range cases[kind] {
			if got := write(c[0].(float64)); got != c[1] {
				t.Errorf("%s: %v is written %q, want %q", kind, c[0], got, c[1])
			}
			compared++
		}
	}
	if compared < 50 {
		t.Errorf("only %d cases", compared)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ want, got string }{
		{"0", Count(0)},
		{"999", Count(999)},
		{"1,000", Count(1000)},
		{"-999", Count(-999)},
		{"-1,234,567", Count(int64(-1234567))},
		{"0", Number(0)},
		{"0.12", Number(0.123)},
		{"0.0012", Number(0.00123)},
		{"1.00", Number(0.996)},
		{"12.3", Number(12.34)},
		{"123", Number(123.4)},
		{"1,235", Number(1234.6)},
		{"-1,235", Number(-1234.6)},
		{"-", Number(math.NaN())},
		{"-", Number(math.Inf(1))},
		{"0.10", Three(0.1)},
		{"9.99", Three(9.994)},
		{"10.0", Three(9.996)},
		{"100", Three(99.96)},
		{"1,234.5", Decimal(1234.46)},
		{"1,234", Decimal(1234)},
		{"0.3", Decimal(0.3)},
		{"1,000", Decimal(999.96)},
		{"1,234,567.3", Decimal(1234567.25)},
		{"12", Decimal(12.04)},
		{"0.25", Decimal(0.25)},
		{"0", Decimal(0)},
		{"33.3 %", Percent(1.0 / 3)},
		{"50.0 %", Share(1, 2)},
		{"-", Share(0, 0)},
		{"1", Ratio(5, 5)},
		{"0.4993", Ratio(4993, 10000)},
		{"1.0000", Ratio(1_000_001, 1_000_000)},
		{"-", Ratio(5, 0)},
		{"90.0 MB", Megabytes(90e6)},
		{"1,234 MB", Megabytes(1.234e9)},
		{"1 block", Plural(1, "block")},
		{"0 blocks", Plural(0, "block")},
		{"7,000 blocks", Plural(int64(7000), "block")},
		{"", List(nil)},
		{"a", List([]string{"a"})},
		{"a and b", List([]string{"a", "b"})},
		{"a, b and c", List([]string{"a", "b", "c"})},
		{"a 1, b 2,000", Pairs(map[string]int{"b": 2000, "a": 1}, Count)},
		{"-", Pairs(map[string]int{}, Count)},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestDurations(t *testing.T) {
	for _, c := range []struct{ want, got string }{
		{"0 s", Seconds(0)},
		{"850 ns", Duration(850)},
		{"1.00 us", Duration(1000)},
		{"1.20 us", Seconds(1.2e-6)},
		{"850 us", Seconds(0.00085)},
		{"1.00 ms", Seconds(0.0009996)},
		{"12.3 ms", Duration(12340 * time.Microsecond)},
		{"999 ms", Seconds(0.9994)},
		{"1.00 s", Seconds(0.9996)},
		{"99.9 us", Duration(99_949)},
		{"100 us", Duration(99_950)},
		{"999 us", Duration(999_499)},
		{"1.00 ms", Duration(999_500)},
		{"999 ms", Duration(999_499_999)},
		{"10.0 s", Seconds(10)},
		{"120 s", Duration(2 * time.Minute)},
		{"3,600 s", Duration(time.Hour)},
		{"0.78 ms", Millis(0.00078)},
		{"1,200 ms", Millis(1.2)},
		{"8 s", Span(8)},
		{"2.5 s", Span(2.5)},
		{"6.217 s", Span(6.216666664)},
		{"03:21", Clock(201 * time.Second)},
		{"1:01:00", Clock(61 * time.Minute)},
		{"[####################]", Bar(9, 4)},
		{"[##########..........]", Bar(2, 4)},
		{"[....................]", Bar(-1, 4)},
		{"[####################]", Bar(1, 0)},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// Three digits give a time to half a percent, in whatever unit it is written.
func TestDurationsKeepThreeDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1000, int64(time.Hour)).Draw(t, "ns"))
		text := Duration(d)
		back, err := time.ParseDuration(strings.NewReplacer(" ", "", ",", "").Replace(text))
		if err != nil {
			t.Fatalf("%d is written %q: %v", d, text, err)
		}
		if off := math.Abs(float64(back-d)) / float64(d); off > 0.00501 {
			t.Fatalf("%v is written %q, %.2f %% off", d, text, 100*off)
		}
	})
}

func TestInert(t *testing.T) {
	for in, want := range map[string]string{
		"plain, né 生命":             "plain, né 生命",
		"a\nb\tc\rd":               "a b c d",
		"\x1b[31mred\x1b]0;t\a":    "\ufffd[31mred\ufffd]0;t\ufffd",
		"\u202eevil\u2066\u2069":   "\ufffdevil\ufffd\ufffd",
		"\u200e\u200f\u061c":       "\ufffd\ufffd\ufffd",
		"zero\u200bwidth\ufeff":    "zero\ufffdwidth\ufffd",
		"line\u2028and\u2029":      "line\ufffdand\ufffd",
		"c1 \u009b31m \u0085 \x7f": "c1 \ufffd31m \ufffd \ufffd",
		"broken \xff\xc3":          "broken \ufffd\ufffd",
		"می\u200cخواهم":            "می\u200cخواهم",
	} {
		if got := Inert(in); got != want {
			t.Errorf("Inert(%q) = %q, want %q", in, got, want)
		}
	}
	if got, want := InertLines("a\r\nb\tc\rd\x1b[2J\u202e"), "a\nb\tc d\ufffd[2J\ufffd"; got != want {
		t.Errorf("InertLines gives %q, want %q", got, want)
	}
}

// Nothing that commands a terminal is left of any text, and each character is still there.
func TestInertLeavesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "text") + string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		out := Inert(in)
		for _, r := range out {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%q is left of %q", r, in)
			}
		}
		if utf8.RuneCountInString(out) != utf8.RuneCountInString(in) || !utf8.ValidString(out) || Inert(out) != out {
			t.Fatalf("%q became %q", in, out)
		}
	})
}

func TestClipping(t *testing.T) {
	for _, c := range []struct{ want, got string }{
		{"short", Clip("short", 5)},
		{"long...", Clip("longer", 4)},
		{"", Clip("", 0)},
		{"...", Clip("a", 0)},
		{"生命...", Clip("生命之树", 2)},
		{"é́...", Clip("é́x", 2)},
		{`"生..."`, Quote("生命", 1)},
		{`"\x1b"`, Quote("\x1b", 9)},
		{`"a\u202eb"`, Quote("a\u202eb", 9)},
		{`"ab"`, Excerpt("ab", 2)},
		{`"生"... (6 bytes)`, Excerpt("生命", 1)},
		{`"\xff\xff"... (2,000 bytes)`, Excerpt(strings.Repeat("\xff", 2000), 2)},
		{"abc", Cut("abcdef", 3)},
		{"abc", Cut("abc", 9)},
		{"生", Cut("生命", 3)},
		{"", Cut("生", 1)},
		{"e\u0301", Cut("e\u0301x", 1)},
		{"", Cut("a", -1)},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// Whatever is shortened stays whole characters, and no longer than asked.
func TestClippingKeepsCharactersWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, n := rapid.String().Draw(t, "text"), rapid.IntRange(0, 20).Draw(t, "most")
		clipped, cut := Clip(in, n), Cut(in, n)
		if start, was := strings.CutSuffix(clipped, "..."); !strings.HasPrefix(in, start) || was && utf8.RuneCountInString(start) > max(n, 0) && clipped != in {
			t.Fatalf("Clip(%q, %d) = %q", in, n, clipped)
		}
		if !strings.HasPrefix(in, cut) || Width(cut) > n || !utf8.ValidString(clipped) || !utf8.ValidString(cut) {
			t.Fatalf("Cut(%q, %d) = %q", in, n, cut)
		}
	})
}

// Wrapped text holds the same words, no line is too long, and a unit stays with its number.
func TestWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "word", "10", "s", "%", "longer-word", "生命"}), 0, 60).Draw(t, "words")
		width := rapid.IntRange(20, 60).Draw(t, "width")
		out := Wrap(strings.Join(in, " "), width, "  ")
		if got := strings.Fields(out); !slices.Equal(got, in) {
			t.Fatalf("%v became %v", in, got)
		}
		for i, line := range strings.Split(out, "\n") {
			fields := strings.Fields(line)
			if i > 0 && (fields[0] == "s" || fields[0] == "%") {
				t.Fatalf("a line begins with a unit: %q", line)
			}
			// A number may drag units along: those runs are as long as they are.
			if len(words(line)) > 1 && Width(line) > width+2 {
				t.Fatalf("a line of %d columns in %d: %q", Width(line), width, line)
			}
		}
	})
}

func TestTable(t *testing.T) {
	g := Table{Caption: "Wrapped above it.", Head: []string{"name", "n", "why"}, Left: 1, Words: 1, Rows: [][]string{{"生命", "1,000", "a|b"}, {"b\x1b[1m", "2", "two *stars*"}}}
	want := "Wrapped above\nit.\n" +
		"name       n  why\n" +
		"-----  -----  -----------\n" +
		"生命   1,000  a|b\n" +
		"b\ufffd[1m      2  two *stars*"
	if diff := cmp.Diff(want, g.Text(14)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if got := g.Markdown(); !strings.HasPrefix(got, "Wrapped above it.\n\n| name |") || !strings.Contains(got, `| a\|b |`) || !strings.Contains(got, `two \*stars\*`) {
		t.Errorf("Markdown:\n%s", got)
	}
	if got, want := (Table{Left: 2, Rows: [][]string{{"ok", "1"}, {"FAILED", "2"}}}).Text(80), "ok      1\nFAILED  2"; got != want {
		t.Errorf("without a head: %q, want %q", got, want)
	}
}

// Text from outside is only text in Markdown: neither markup nor what GitHub makes a link, a mention or a reference of.
func TestEscapeMarkdown(t *testing.T) {
	for text, want := range map[string]string{
		"plain - text (1.5 %), 2 # 3":     "plain - text (1.5 %), 2 # 3",
		"*a* _b_ `c` ~~d~~ $e$ [f](g) \\": "\\*a\\* \\_b\\_ \\`c\\` \\~\\~d\\~\\~ \\$e\\$ \\[f](g) \\\\",
		"<b>&amp;":                        "&lt;b>&amp;amp;",
		"@octocat, a@b.example":           "@<!-- -->octocat, a@<!-- -->b.example",
		"http://x ftp://y HTTPS://z":      "http:<!-- -->//x ftp:<!-- -->//y HTTPS:<!-- -->//z",
		"www.x.example":                   "www<!-- -->.x.example",
		"#12 o/r#3 GH-4":                  "#<!-- -->12 o/r#<!-- -->3 GH<!-- -->-4",
		"\x1b[1m\n<!-- -->":               "\ufffd\\[1m &lt;!-- -->",
	} {
		if got := EscapeMarkdown(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	head := Table{Left: 1, Head: []string{"<b>", "@octocat"}, Rows: [][]string{{"a", "1"}}}.Markdown()
	if !strings.HasPrefix(head, "| &lt;b> | @<!-- -->octocat |") {
		t.Errorf("Markdown:\n%s", head)
	}
}

// A table too wide for the page is broken inside cells, and loses nothing.
func TestTablesFitThePage(t *testing.T) {
	g := Table{Left: 1, Words: 1, Head: []string{"setting", "value", "from"}}
	g.Rows = [][]string{{"worker_class", strings.Repeat("value ", 12), strings.Repeat("the deployment guide ", 8)}, {"short", "1", strings.Repeat("x", 150)}}
	out := g.Text(80)
	for line := range strings.Lines(out) {
		if n := Width(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	if n := strings.Count(out, "x"); n != 150 {
		t.Errorf("%d of 150 characters are left", n)
	}
	if n := strings.Count(out, "guide"); n != 8 {
		t.Errorf("%d of 8 words are left", n)
	}
}
