package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"bakeoff/internal/figures"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

func comparedPage(t *testing.T, c figures.Compared) string {
	t.Helper()
	var b bytes.Buffer
	check(t, WriteComparedHTML(&b, c))
	return b.String()
}

func parsed(t *testing.T, page string) *html.Node {
	t.Helper()
	return must[*html.Node](t)(html.Parse(strings.NewReader(page)))
}

// The page says what the text says: every cell of the tables is in one of its tables, and each interval is drawn, for a desk and for
// a phone. It asks for nothing.
func TestComparedPage(t *testing.T) {
	c := comparedRuns(t, "old", "new", "far")
	page := comparedPage(t, c)
	doc := parsed(t, page)
	cells := map[string]bool{}
	for _, name := range []string{"td", "th"} {
		for _, cell := range all(doc, name) {
			cells[strings.TrimSpace(words(cell))] = true
		}
	}
	for _, s := range comparedSections(c) {
		for _, table := range s.tables {
			for _, row := range table.Rows {
				for _, cell := range row {
					if cell != "" && !cells[show.Inert(cell)] {
						t.Errorf("no cell %q on the page", cell)
					}
				}
			}
		}
	}
	for _, want := range []string{"new and far compared with old, by throughput", "bakeoff compare", "ANOTHER", "another machine: no interval, no verdict", "lower by at least "} {
		if !strings.Contains(words(doc), want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if n := len(all(doc, "svg")); n != 2 {
		t.Errorf("%d pictures, want one for a desk and one for a phone", n)
	}
	if drawn := words(all(doc, "svg")[0]); !strings.Contains(drawn, "django in new") || strings.Contains(drawn, "far") {
		t.Errorf("the picture holds %s", drawn)
	}
	if n := len(all(doc, "script")) + len(all(doc, "style")); n != 2 || strings.Contains(page, "src=") || len(all(doc, "link")) != 0 {
		t.Errorf("%d scripts and style sheets; the page may ask for something", n)
	}
}

// A picture of many runs with the longest names that there are: nothing overlaps.
func TestComparedPictureHasRoom(t *testing.T) {
	for _, n := range []int{1, 2, 20} {
		var rows []intervalRow
		for i, name := range named(n) {
			at := verdict.Number(0.2 + 3*float64(i))
			rows = append(rows, intervalRow{name + " in " + name, name, at, at * 0.9, at * 1.2})
		}
		for _, width := range []int{deskWidth, phoneWidth} {
			for _, fault := range crowded(t, ratioStrips(rows, 0).canvas(width).Fragment()) {
				t.Errorf("%d targets, %d wide: %s", n, width, fault)
			}
		}
	}
}

// Whatever a run, a version or a label is called, it stays text, and the page stays as small as that of others.
func TestComparedCanaries(t *testing.T) {
	known := map[string]bool{"br": true}
	for n := range parsed(t, comparedPage(t, comparedRuns(t, "old", "new"))).Descendants() {
		known[n.Data] = known[n.Data] || n.Type == html.ElementNode
	}
	for _, canary := range canaries() {
		c := comparedRuns(t, "old", canary)
		c.Runs[0].Label = canary
		page := comparedPage(t, c)
		for n := range parsed(t, page).Descendants() {
			if n.Type == html.ElementNode && !known[n.Data] {
				t.Errorf("%.40q: an element <%s>", canary, n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || (a.Key == "href" || a.Key == "src") && !strings.HasPrefix(a.Val, "#") {
					t.Errorf("%.40q: <%s> has %s=%q", canary, n.Data, a.Key, a.Val)
				}
			}
		}
		if n := len(all(parsed(t, page), "script")); n != 1 || len(page) > 200_000 {
			t.Errorf("%.40q: %d scripts, %d bytes", canary, n, len(page))
		}
	}
}

// Where a run was expected is drawn with where it is; with too few earlier runs the page says so and draws nothing.
func TestExpectedPage(t *testing.T) {
	var b bytes.Buffer
	e := figures.Expected{Earlier: 6, Fewest: 5, Targets: []figures.ExpectedTarget{
		{Name: "django", Earlier: 6, Interval: verdict.Interval{Ratio: 0.7, Low: 0.9, High: 1.1, Level: 0.975}, Outcome: figures.Worse},
		{Name: "flask", Earlier: 6, Interval: verdict.Interval{Ratio: 1, Low: 0.9, High: 1.1, Level: 0.975}, Outcome: figures.AsBefore},
	}}
	check(t, WriteExpectedHTML(&b, "last", e))
	doc := parsed(t, b.String())
	if text := words(doc); !strings.Contains(text, "last compared with 6 earlier runs: django worse; flask as before") || len(all(doc, "svg")) != 2 {
		t.Error(text)
	}
	b.Reset()
	check(t, WriteExpectedHTML(&b, "last", figures.Expected{Earlier: 4, Fewest: 5}))
	doc = parsed(t, b.String())
	if text := words(doc); !strings.Contains(text, "Not comparable: there are 4 earlier runs") || len(all(doc, "svg")) != 0 {
		t.Error(text)
	}
}

// The page of a comparison in a real browser, in every medium, without and with texts from outside.
func TestBrowserCompared(t *testing.T) {
	b := chromium(t)
	pages := map[string]string{"compared": comparedPage(t, comparedRuns(t, "old", "new", "far")), "compared-canaries": comparedPage(t, comparedRuns(t, canaries()...))}
	s := build(t, func() string {
		r := recordtest.Of(6, "django", "flask")
		r.ClosedS, r.OpenS = 1, 0
		r.Plan("throughput", `"thresholds":["closed: throughput > 1", "closed: django.throughput > 2 * flask.throughput", "closed: p99.99 < 1s"]`)
		return r.Write(t)
	}())
	pages["thresholds"] = string(must[[]byte](t)(os.ReadFile(written(t, s))))
	for name, text := range pages {
		path := filepath.Join(t.TempDir(), name+".html")
		check(t, os.WriteFile(path, []byte(text), 0o600))
		for _, m := range media() {
			b.open(t, path, m)
			b.pictured(t, name, m)
			found := ask[[]string](t, b, faults)
			for _, fault := range found[:min(len(found), 10)] {
				t.Errorf("%s, %s: %s", name, m.name, fault)
			}
			if title := ask[string](t, b, "document.title"); title == "hacked" {
				t.Errorf("%s: a text from outside is code", name)
			}
		}
	}
}
