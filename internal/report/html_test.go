package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
)

// asPage writes the page and reads it back.
func asPage(t *testing.T, s *figures.Summary) *html.Node {
	t.Helper()
	var b bytes.Buffer
	check(t, WriteHTML(&b, s, figures.Others{}))
	return must[*html.Node](t)(html.Parse(&b))
}

// all are the elements of a name.
func all(n *html.Node, name string) []*html.Node {
	var out []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			out = append(out, d)
		}
	}
	return out
}

// words are the text of an element.
func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// Every cell that the page is to hold is in it, in its row, and every table has a caption.
func TestPageHoldsItsTables(t *testing.T) {
	s := build(t, recordtest.Demo().Write(t))
	var want []show.Table
	for _, section := range pageSections(s, figures.Others{}) {
		want = append(want, section.lead...)
		for _, f := range section.figures {
			want = append(want, f.numbers)
		}
		want = append(want, section.tables...)
	}
	got := all(asPage(t, s), "table")
	if len(got) != len(want) || len(want) < 10 {
		t.Fatalf("%d tables on the page, want %d", len(got), len(want))
	}
	for i, table := range want {
		if captions := all(got[i], "caption"); len(captions) != 1 || words(captions[0]) == "" {
			t.Errorf("table %d has no caption", i)
		}
		rows := all(all(got[i], "tbody")[0], "tr")
		if len(rows) != len(table.Rows) {
			t.Errorf("table %q has %d rows, want %d", table.Caption, len(rows), len(table.Rows))
			continue
		}
		for j, row := range table.Rows {
			if cells := strings.Join(row, ""); words(rows[j]) != cells {
				t.Errorf("row %q, want %q", words(rows[j]), cells)
			}
		}
	}
}

// The page fetches nothing, and a browser that keeps its policy runs its script and takes its looks.
func TestPageIsSelfContained(t *testing.T) {
	page := asPage(t, build(t, recordtest.Spoiled(t)))
	for n := range page.Descendants() {
		for _, a := range n.Attr {
			if (a.Key == "href" || a.Key == "src" || a.Key == "srcset" || a.Key == "data") && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("<%s> leads out of the page: %s=%q", n.Data, a.Key, a.Val)
			}
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("<%s> has %s, which the policy refuses", n.Data, a.Key)
			}
		}
	}
	digest := func(name string) string {
		found := all(page, name)
		if len(found) != 1 {
			t.Fatalf("%d elements %s", len(found), name)
		}
		sum := sha256.Sum256([]byte(words(found[0])))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	want := "default-src 'none'; style-src " + digest("style") + "; script-src " + digest("script") + "; base-uri 'none'; form-action 'none'"
	if got := attribute(all(page, "meta")[1], "content"); got != want {
		t.Errorf("policy %q, want %q", got, want)
	}
	if style := words(all(page, "style")[0]); strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style sheet fetches something")
	} else if !strings.Contains(style, chart.CSS()) {
		t.Error("the pictures have no colours")
	}
}

// Links of the page lead somewhere, and no two elements have one name.
func TestPageLinks(t *testing.T) {
	page := asPage(t, build(t, recordtest.Demo().Write(t)))
	ids := map[string]int{}
	for n := range page.Descendants() {
		if id := attribute(n, "id"); id != "" {
			ids[id]++
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d elements are called %s", n, id)
		}
	}
	links := all(page, "a")
	if len(links) < 8 {
		t.Errorf("only %d links", len(links))
	}
	for _, a := range links {
		if ids[strings.TrimPrefix(attribute(a, "href"), "#")] != 1 {
			t.Errorf("%s leads nowhere", attribute(a, "href"))
		}
	}
}

// Runs with little left of them have a page, too.
func TestPageOfLittle(t *testing.T) {
	empty := &recordtest.Run{Head: record.Run{Name: "bare"}}
	w := empty.Begin(t)
	check(t, w.Close())
	for name, dir := range map[string]string{"bare": w.Dir(), "old": recordtest.Servers(t, "127.0.0.1:8080", "[::1]:8081"), "not measured": recordtest.Unmeasured(t)} {
		if text := words(asPage(t, build(t, dir))); !strings.Contains(text, name) || !strings.Contains(text, "What this does not show") {
			t.Errorf("the page lacks %q, or its end:\n%s", name, text)
		}
	}
}
