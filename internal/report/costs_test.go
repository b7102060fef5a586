package report

import (
	"html"
	"io"
	"strings"
	"testing"

	"bakeoff/internal/figures"
)

// What the checks cost the database is next to what the answers cost, in every form of a report.
func TestChecksCostInReports(t *testing.T) {
	r := contest(1, "django")
	r.Head.Salt = "salt"
	s := build(t, r.Write(t))
	const want = "The checks of the targets' honesty cost the database about "
	for what, write := range map[string]func(io.Writer, *figures.Summary, figures.Others) error{
		"text":     func(w io.Writer, s *figures.Summary, o figures.Others) error { return WriteText(w, s, o, 400) },
		"Markdown": WriteMarkdown, "page": WriteHTML,
	} {
		var out strings.Builder
		if err := write(&out, s, figures.Others{}); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(strings.ReplaceAll(html.UnescapeString(out.String()), `\'`, `'`), want); n != 1 {
			t.Errorf("%s says it %d times", what, n)
		}
	}
}
