package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// canaries are texts that do something where they are not taken as text.
func canaries() []string {
	return []string{
		`</script><script>document.title='hacked'</script>`, `<img src=x onerror="document.title='hacked'">`, `</title></style></svg><svg onload=alert(1)>`, `"><b onmouseover=alert(1)>`,
		"\x1b[2J\x1b]0;hacked\x07\x9b31m", `=HYPERLINK("http://evil.example","x")`, "+cmd|'calc'!A0", "@SUM(1)", "\u202eevil\u2066\u200b\ufeff", "{{.CSS}}${1}", "[x](javascript:alert(1))",
		"# heading", "- item", "> quote", "1. item", "`code`", "~~gone~~", "![x](http://evil.example/x.png)", "a|b\nc\r\td", "&lt;b&gt;&#60;", "for @octocat, octo@cat.example, #12: https://evil.example www.evil.example", strings.Repeat("x", 10_000), strings.Repeat("long words ", 900),
	}
}

// withCanaries writes a run with canaries wherever a record has texts from outside. As a target's name each is cut to what a folder can be called.
func withCanaries(t *testing.T) *figures.Summary {
	t.Helper()
	all := canaries()
	text := func(i int) string { return all[i%len(all)] }
	names := []string{"<script>alert(1)<script>", "\x1b[31m\u202ered", "=1+1|a`b`[x](y)"}
	r := recordtest.Of(2, names...)
	r.ClosedS, r.OpenS, r.OpenHz = 1, 1, 300
	r.Work = func(string, int) int64 { return 1e6 }
	h := &r.Head
	h.Bakeoff, h.Notes = text(4), all
	h.Machine.CPU, h.Machine.OS, h.Machine.Kernel = text(1), text(8), text(2)
	h.Database.Vendor, h.Database.Version, h.Database.Settings = text(3), text(9), map[string]string{text(0): text(10)}
	h.Balancer.Version = text(5)
	h.Plan = json.RawMessage(fmt.Sprintf(`{"name":"x","blocks":2,"primary":"throughput","allow_unfair":%q}`, `<b>`+"\u202e"))
	h.Baselines = []record.Baseline{{Seconds: 10, Cores: 2, Disturbance: record.Disturbance{Foreign: 0.4, CPUTimeNS: 2e10, Strangers: []record.Stranger{{Name: `<i>\x1b[1m`, PID: 1, CPUNS: 4e9}}}}}
	for i := range h.Targets {
		v := &h.Targets[i]
		v.Title, v.Recipe, v.Variant, v.Tags = text(i), text(i+3), text(i+6), all
		v.Settings = nil
		v.Versions = map[string]string{}
		for j, c := range all {
			v.Settings = append(v.Settings, record.Setting{Name: c, Value: text(j + 1), Default: text(j + 2), Source: text(j + 3)})
			v.Versions[c] = text(j + 1)
		}
	}
	w := r.Begin(t)
	for _, p := range h.Order {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, func(tr *record.Trial) {
			for i, c := range all {
				tr.Warnings = append(tr.Warnings, record.Reason{Code: text(i + 1), Text: c})
			}
			tr.Timeline = append(tr.Timeline, record.Step{Name: text(p.Position), Seconds: 1})
			for i := range tr.Phases {
				tr.Phases[i].Name = text(i + p.Position)
			}
			if p.Block == 2 && p.Position == 1 {
				tr.Status, tr.Reasons = record.Invalid, tr.Warnings
			}
		})
	}
	refused(t, w, names[0], all)
	check(t, w.Finish(record.Aborted, text(1)))
	s := open(t, w)
	s.Run.Name = text(0) // which no writer of this program lets through
	return s
}

// refused writes a second attempt whose outcomes, replicas and status are canaries: what a server chose.
func refused(t *testing.T, w *record.Writer, target string, all []string) {
	t.Helper()
	tw := must[*record.TrialWriter](t)(w.BeginTrial(2, 4, target, 2))
	window := stats.Window{Length: 1e9, Books: stats.Books{Planned: 1000, Sent: 1000, OK: 500, Error: 500}, Outcomes: map[string]int64{}, Examples: map[string]string{}, Replicas: map[string]stats.Replica{}}
	window.Response = stats.NewHistogram()
	window.Response.RecordN(5e6, 1000)
	window.Service, window.Lateness = window.Response, window.Response
	for _, c := range all {
		window.Outcomes[c], window.Examples[c] = 10, c
		window.Replicas[c] = stats.Replica{Answers: 10, Service: window.Response}
	}
	check(t, tw.Load(record.Load{Phase: 1, Window: window}))
	phase := record.Phase{Number: 1, Name: all[0], Model: "closed", Connections: 2, DurationS: 1, TimeoutS: 10, Started: recordtest.Epoch(), Ended: recordtest.Epoch().Add(1e9)}
	check(t, tw.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{phase}}))
}

// Whatever is in a record, it stays text: on a terminal, in Markdown, on the page and in pictures.
func TestCanaries(t *testing.T) {
	s := withCanaries(t)
	var screen, picture bytes.Buffer
	check(t, WriteScreen(&screen, s, figures.Others{}, "bakeoff report x --full", 0))
	check(t, WriteSVG(&picture, s))
	var text bytes.Buffer
	check(t, WriteText(&text, s, figures.Others{}, 0))
	for name, out := range map[string]string{"screen": screen.String(), "text": text.String(), "Markdown": asMarkdown(t, s), "picture": picture.String()} {
		if i := strings.IndexFunc(out, func(r rune) bool {
			return r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\u200d' && r != '\u200c'
		}); i >= 0 {
			t.Errorf("%s holds a control character: %q", name, out[max(0, i-30):i+30])
		}
	}
	for _, e := range elements(t, picture.String()) {
		if !strings.Contains(" svg style title rect line path text ", " "+e.name+" ") {
			t.Errorf("the picture has an element <%s>", e.name)
		}
	}
	markdownIsText(t, asMarkdown(t, s))
	pageIsText(t, s)
}

func markdownIsText(t *testing.T, markdown string) {
	t.Helper()
	for _, bad := range []string{"<script", "<img", "<b", "<svg", " [x](", "![x]", " `code`", " ~~gone", "@o", "@c", "#1", "://", "www."} {
		if strings.Contains(markdown, bad) {
			t.Errorf("Markdown holds %q", bad)
		}
	}
	for line := range strings.Lines(markdown) {
		text := strings.TrimPrefix(strings.TrimSpace(line), "* ")
		for _, c := range canaries() {
			if start := strings.Fields(c); len(start) > 1 && strings.Contains("# - > 1. ", start[0]+" ") && strings.HasPrefix(text, start[0]+" "+start[1]) {
				t.Errorf("a line of Markdown begins with %q: %.60q", start[0], line)
			}
		}
	}
}

func pageIsText(t *testing.T, s *figures.Summary) {
	t.Helper()
	page := asPage(t, s)
	plain := asPage(t, build(t, recordtest.Demo().Write(t)))
	known := map[string]bool{}
	for n := range plain.Descendants() {
		if n.Type == html.ElementNode {
			known[n.Data] = true
		}
	}
	for n := range page.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !known[n.Data] && n.Data != "br" {
			t.Errorf("the page has an element <%s>", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || (a.Key == "href" || a.Key == "src") && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
	if n := len(all(page, "script")); n != 1 {
		t.Errorf("the page has %d scripts", n)
	}
	if text := words(page); !strings.Contains(text, "document.title='hacked'") {
		t.Error("the canary of a note is not on the page as text")
	}
}
