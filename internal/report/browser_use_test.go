package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// cells is every table of the page as a browser shows it: caption, then rows of cells.
const cells = `[...document.querySelectorAll("table")].map(t => [[t.caption.textContent], ...[...t.rows].map(r => [...r.cells].map(c => c.textContent))])`

// The books and percentiles that a browser shows are those of the lines of the record, added up here by other code.
func TestBrowserNumbers(t *testing.T) {
	b := chromium(t)
	for name, dir := range browserFolders(t) {
		reader := must[*record.Reader](t)(record.Open(dir))
		s := must[*figures.Summary](t)(figures.Build(reader))
		b.open(t, written(t, s), media()[0])
		shown := ask[[][][]string](t, b, cells)
		rows := map[string][]string{}
		for _, table := range shown {
			for _, row := range table[1:] {
				if strings.Contains(table[0][0], "Books: planned = sent + dropped") && strings.HasPrefix(table[0][0], "Phase closed") && len(row) > 4 {
					rows[row[0]+" "+row[1]] = row
				}
			}
		}
		seen := 0
		for _, state := range reader.Trials() {
			trial, err := state.Trial()
			if err != nil || trial.Block == 0 || trial.Status != record.Valid {
				continue
			}
			totals := lines(t, state, trial)
			key := fmt.Sprintf("%s %d", trial.Target, trial.Block)
			if trial.Attempt > 1 {
				key += fmt.Sprintf(" #%d", trial.Attempt)
			}
			row := rows[key]
			if len(row) < 6 {
				t.Errorf("%s: no books of %s on the page", name, key)
				continue
			}
			want := []string{show.Count(totals.Planned), show.Count(totals.Sent), show.Count(totals.OK)}
			if !slices.Equal(row[2:5], want) {
				t.Errorf("%s: the page says %v of %s, the record %v", name, row[2:5], key, want)
			}
			seen++
		}
		if seen < 6 {
			t.Errorf("%s: only %d trials were compared", name, seen)
		}
		ranked(t, name, shown, s)
	}
}

// lines adds up the books of the closed phase of a trial.
func lines(t *testing.T, state record.TrialState, trial record.Trial) stats.Books {
	t.Helper()
	number := -1
	for _, p := range trial.Phases {
		if p.Name == "closed" {
			number = p.Number
		}
	}
	var out stats.Books
	for l, err := range state.Loads() {
		check(t, err)
		if l.Phase == number {
			out.Add(l.Books)
		}
	}
	return out
}

// ranked compares the ranking on the page with that of the verdict.
func ranked(t *testing.T, name string, shown [][][]string, s *figures.Summary) {
	t.Helper()
	if s.Verdict == nil {
		t.Fatalf("%s has no verdict", name)
	}
	for _, table := range shown {
		if !strings.HasPrefix(table[0][0], "The ranking") {
			continue
		}
		for i, target := range s.Verdict.Targets {
			if row := table[2+i]; row[1] != target.Name || row[2] != show.Number(float64(target.Mean)) {
				t.Errorf("%s: line %d of the ranking is %v, want %s with %s", name, i+1, row, target.Name, show.Number(float64(target.Mean)))
			}
		}
		return
	}
	t.Errorf("%s: no ranking on the page", name)
}

// Without its script the page says the same.
func TestBrowserWithoutScript(t *testing.T) {
	b := chromium(t)
	path := written(t, build(t, recordtest.Spoiled(t)))
	b.open(t, path, media()[0])
	with := ask[string](t, b, "document.querySelector('main').textContent")
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open(t, path, media()[0])
	without := ask[string](t, b, "document.querySelector('main').textContent")
	if with != without || len(with) < 5000 {
		t.Errorf("%d characters with the script, %d without", len(with), len(without))
	}
	if ask[int](t, b, "document.querySelectorAll('th button').length") != 0 {
		t.Error("the script ran")
	}
}

// Everything that can be clicked can be reached and used by keys alone.
func TestBrowserKeys(t *testing.T) {
	b := chromium(t)
	b.open(t, written(t, build(t, contest(7, "fastapi", "flask", "django").Write(t))), media()[0])
	press := func(keys ...string) {
		for _, key := range keys {
			check(t, chromedp.Do(b.ctx, chromedp.KeyEvent(key)))
		}
	}
	press(kb.Tab)
	if text := ask[string](t, b, "document.activeElement.textContent"); text != "Skip to the result" {
		t.Errorf("the first stop is %q", text)
	}
	first := "document.querySelector('table.sorts tbody').rows[0].cells[1].textContent"
	before := ask[string](t, b, first)
	ask[bool](t, b, "(document.querySelectorAll('table.sorts th button')[2].focus(), true)")
	press(kb.Enter)
	if after := ask[string](t, b, first); after == before {
		t.Errorf("%s is still first of the ranking, sorted by its lowest figure", after)
	}
	if sorted := ask[string](t, b, "document.querySelectorAll('table.sorts th')[2].getAttribute('aria-sort')"); sorted != "ascending" {
		t.Errorf("the column is sorted %q", sorted)
	}
	press(kb.Enter)
	if after := ask[string](t, b, first); after != before {
		t.Errorf("%s is first, want %s again", after, before)
	}
	ask[bool](t, b, "(document.querySelector('.choice > input').focus(), true)")
	visible := "[...document.querySelector('.choice').querySelectorAll('.picture')].map(p => p.checkVisibility()).join()"
	was := ask[string](t, b, visible)
	press(kb.ArrowRight)
	if is := ask[string](t, b, visible); was != "true,false" || is != "false,true" {
		t.Errorf("pictures shown: %s, after the key %s", was, is)
	}
	if stop := ask[bool](t, b, "(s => { s.focus(); return document.activeElement === s; })(document.querySelector('details .scroll'))"); stop {
		t.Error("a table that is folded is a stop")
	}
	ask[bool](t, b, "(document.querySelector('summary').focus(), true)")
	press(kb.Enter)
	if !ask[bool](t, b, "document.querySelector('details').open") {
		t.Error("what is folded does not open by a key")
	}
}

// A table is a stop of the Tab key, with a name, if and only if it is wider than its place.
func TestBrowserStops(t *testing.T) {
	b := chromium(t)
	path := written(t, build(t, contest(7, "fastapi", "flask", "django").Write(t)))
	const wrong = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
  const all = [...document.querySelectorAll(".scroll")], stop = p => p.tabIndex === 0 && p.getAttribute("role") === "group" && !!p.getAttribute("aria-label");
  done([all.filter(p => stop(p)).length, all.filter(p => stop(p) !== p.scrollWidth > p.clientWidth).length]);
})))`
	for _, m := range media()[:2] {
		b.open(t, path, m)
		ask[bool](t, b, "([...document.querySelectorAll('details')].forEach(d => { d.open = true; }), true)")
		found := must[[]int](t)(chromedp.Run(b.ctx, chromedp.Evaluate[[]int](wrong, chromedp.EvalAwaitPromise)))
		if found[1] > 0 || m.name == "phone" && found[0] == 0 {
			t.Errorf("%s: %d tables are stops, %d wrongly so or not", m.name, found[0], found[1])
		}
	}
}

// On paper nothing stays folded, and the page prints.
func TestBrowserPaper(t *testing.T) {
	b := chromium(t)
	b.open(t, written(t, build(t, recordtest.Demo().Write(t))), media()[3])
	if hidden := ask[int](t, b, "[...document.querySelectorAll('td')].filter(c => c.getBoundingClientRect().height === 0).length"); hidden != 0 {
		t.Errorf("%d cells are not on paper", hidden)
	}
	pdf := call(t, b, cdpage.PrintToPDF, cdpage.PrintToPDFParams{PrintBackground: new(true)})
	if len(pdf.Data) < 10_000 {
		t.Errorf("the printed page has %d bytes", len(pdf.Data))
	}
}

// Texts from outside do nothing in a browser, and do not make the page wider than a phone.
func TestBrowserCanaries(t *testing.T) {
	b := chromium(t)
	path := written(t, withCanaries(t))
	for _, m := range media()[:2] {
		b.open(t, path, m)
		title := ask[string](t, b, "document.title")
		if strings.Contains(title, "hacked") && !strings.Contains(title, "document.title") {
			t.Errorf("a canary ran: the title is %q", title)
		}
		if wide := ask[int](t, b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
			t.Errorf("%s: the page is wider than its window by %d", m.name, wide)
		}
		b.pictured(t, "canaries", m)
	}
}

// A page as large as any has no fault either.
func TestBrowserManyTargets(t *testing.T) {
	b := chromium(t)
	r := contest(10, named(20)...)
	r.OpenS, r.OpenHz = 1, 300
	path := written(t, build(t, r.Write(t)))
	for _, m := range media()[:2] {
		b.open(t, path, m)
		b.pictured(t, "many", m)
		for _, fault := range ask[[]string](t, b, faults) {
			t.Errorf("%s: %s", m.name, fault)
		}
	}
}
