package dashboard

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// forget forgets what the browser itself says of a server that is away or refuses.
func (b *tab) forget(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = slices.DeleteFunc(b.said, func(text string) bool { return strings.Contains(text, what) })
}

const (
	notice = `document.getElementById("notice").textContent`
	doing  = `document.getElementById("strip-doing").textContent`
)

// A page that was cut off when the run ended hears of it afterwards, and shows what it has missed: on every view nothing is under way
// any more. One that was left and comes back listens again.
func TestBrowserMissesTheEnd(t *testing.T) {
	root := t.TempDir()
	r := demo(root)
	w := r.Begin(t)
	name := filepath.Base(w.Dir())
	first := must[*Server](t)(Open(Options{Root: root}))
	at := first.listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- first.Serve(t.Context()) }()
	b := chromium(t, first)
	second := newTab(t, b.ctx, first)
	for _, p := range r.Head.Order[:4] {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
	check(t, w.Progress(record.Progress{Block: 2, Blocks: 3, Trial: 5, Trials: 9, Target: "flask", Text: "closed: 32 connections"}))
	b.open(t, base(name), media()[0])
	second.open(t, "/history", media()[0])
	until(t, b, "the run under way", drawn+` && document.querySelector("#parts .under-way")`)
	until(t, second, "the strip of the history", doing+`.includes("flask, closed: 32 connections") && document.getElementById("strip-rate").textContent.includes("per s")`)
	eval[bool](t, b, `(dispatchEvent(new PageTransitionEvent("pagehide")), dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true})), true)`)
	r.Trial(t, w, 2, 2, "flask", 1, nil)
	until(t, b, "a trial after the page came back", `document.getElementById("strip-progress").textContent.startsWith("5 of 9")`)
	first.Close()
	check(t, <-served)
	until(t, b, "the notice", notice+`.includes("lost")`)
	for _, p := range r.Head.Order[5:] {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
	check(t, w.Finish(record.Complete, ""))
	serving(t, Options{Root: root, Listen: at})
	until(t, b, "the end", notice+`.startsWith("The run has ended") && `+doing+` === "nothing: the run has ended" && document.getElementById("strip-status").textContent === "complete"`)
	until(t, b, "all trials", `document.getElementById("strip-progress").textContent.startsWith("9 of 9; block 3")`)
	until(t, b, "the figures of all trials", `document.querySelector("#parts .part").dataset.live === "false" && document.querySelector("#parts .part").dataset.standing === "false" && !document.querySelector("#parts").textContent.includes("under way")`)
	until(t, b, "the last block", `document.querySelector("#rates .legend").innerText.includes("fastapi")`)
	compared(t, numbers(t, b, "rates"), rates(t, w.Dir(), 3), 8)
	until(t, second, "the end in the history", notice+`.startsWith("The run has ended") && `+doing+` === "nothing: the run has ended"`)
	b.forget("ERR_")
	second.forget("ERR_")
}

// Only a run that has ended is said to have: not one whose controller was killed, and not one that the server does not show.
func TestBrowserSaysWhatHasEnded(t *testing.T) {
	root := t.TempDir()
	r := demo(root)
	w := r.Begin(t)
	r.Trial(t, w, 1, 1, "django", 1, nil)
	crowded := r.Begin(t)
	defer func() { check(t, crowded.Finish(record.Aborted, "test")) }()
	s := serving(t, Options{Root: root})
	b := chromium(t, s)
	b.open(t, base(filepath.Base(w.Dir())), media()[0])
	until(t, b, "the chart", drawn)
	check(t, w.Close())
	until(t, b, "that the controller is gone", notice+`.startsWith("Nobody writes this run") && `+doing+`.includes("it has not ended") && document.getElementById("strip-status").textContent === "incomplete"`)
	watch := s.watches.open(crowded.Dir())
	for range mostClients {
		must[*client](t)(watch.join(""))
	}
	b.open(t, base(filepath.Base(crowded.Dir())), media()[0])
	until(t, b, "why there is no stream", notice+`.includes("refuses this page: `+errTooMany.Error()+`")`)
	if text := eval[string](t, b, notice+"+"+doing); strings.Contains(text, "ended") {
		t.Errorf("a page too many says %q", text)
	}
	b.forget("503")
}

// loads writes a second of both agents of a phase that is under way.
func loads(t *testing.T, tw *record.TrialWriter, from, to int, change func(*record.Load)) {
	t.Helper()
	p := record.Phase{Number: 1, Started: recordtest.Epoch()}
	for second := from; second < to; second++ {
		for agent := range 2 {
			l := recordtest.Window(rand.New(rand.NewPCG(1, uint64(second))), p, second, agent, 100+second, []record.Replica{{Name: "flask-1"}})
			if change != nil {
				change(&l)
			}
			check(t, tw.Load(l))
		}
	}
}

// The time of a step goes on while load comes in, after a reload and whatever the clock of the browser says.
func TestBrowserClock(t *testing.T) {
	root := t.TempDir()
	r := recordtest.Of(1, "flask")
	r.Root = root
	r.Plan("throughput", `"agents":{"count":2},"phases":[{"name":"closed","model":"closed","duration":"100s"}]`)
	w := r.Begin(t)
	defer func() { check(t, w.Finish(record.Aborted, "test")) }()
	tw := must[*record.TrialWriter](t)(w.BeginTrial(1, 1, "flask", 1))
	s := serving(t, Options{Root: root})
	b := chromium(t, s)
	b.open(t, base(filepath.Base(w.Dir())), media()[0])
	until(t, b, "the page of the run", `document.getElementById("strip-progress").textContent.includes("block 1")`)
	check(t, w.Progress(record.Progress{Block: 1, Blocks: 1, Trial: 1, Trials: 1, Target: "flask", Text: "closed: 32 connections", Expect: 100 * time.Second}))
	const step = `/\((\d\d):(\d\d) of 01:40\)/.exec(` + doing + `)`
	until(t, b, "three seconds of the step", step+`[2] >= 3`)
	eval[bool](t, b, `(Date.now = () => 9e12, true)`)
	loads(t, tw, 0, 4, nil)
	until(t, b, "the load", `document.getElementById("strip-rate").textContent.includes("per s")`)
	if text := eval[string](t, b, doing); !eval[bool](t, b, step+`[1] === "00" && `+step+`[2] >= 3`) {
		t.Errorf("after some load the page says %q", text)
	}
	check(t, chromedp.Do(b.ctx, chromedp.Reload()))
	until(t, b, "the strip", doing+`.includes("of 01:40")`)
	if text := eval[string](t, b, doing); !eval[bool](t, b, step+`[2] >= 3`) {
		t.Errorf("after a reload the page says %q", text)
	}
}

// What the load engine does not measure is no 0, its times are called what they are, and one among time-outs is more than it says.
func TestBrowserMakesNothingUp(t *testing.T) {
	root := t.TempDir()
	r := recordtest.Of(1, "flask")
	r.Root = root
	r.Plan("p99 at rate", `"agents":{"count":2},"phases":[{"name":"open","model":"open","rate":24000,"duration":"4s"}]`)
	w := r.Begin(t)
	defer func() { check(t, w.Finish(record.Aborted, "test")) }()
	tw := must[*record.TrialWriter](t)(w.BeginTrial(1, 1, "flask", 1))
	loads(t, tw, 0, 3, func(l *record.Load) { // like JMeter
		l.Response, l.Lateness, l.Resources, l.Service = nil, nil, nil, stats.NewHistogram()
		l.Books = stats.Books{Planned: 12_000, Sent: 12_000, OK: 11_760, Timeout: 240}
		l.Service.RecordN(time.Millisecond, 11_760)
		for range 240 {
			l.Service.RecordOver(10 * time.Second)
		}
	})
	s := serving(t, Options{Root: root})
	b := chromium(t, s)
	at := base(filepath.Base(w.Dir()))
	b.open(t, at+"?p=99", media()[0])
	until(t, b, "the chart", drawn)
	if table := numbers(t, b, "times"); len(table) != 4 || table[1][1] != ">10.0 s" {
		t.Errorf("p99 with 2 %% of time-outs is %v", table)
	}
	eval[bool](t, b, `(document.querySelector("#times .plot").focus(), true)`)
	check(t, chromedp.Do(b.ctx, chromedp.KeyEvent(kb.Home)))
	until(t, b, "the values", `document.querySelector("#times .values").textContent.endsWith("0: flask >10.0 s")`)
	if text := eval[string](t, b, `document.querySelector("#times .note").textContent`); text != "Service time: open." {
		t.Errorf("the times are called %q", text)
	}
	if text := eval[string](t, b, `document.getElementById("strip-late").textContent`); text != "2, not measured" {
		t.Errorf("the strip says of lateness: %q", text)
	}
	b.open(t, at+"target", media()[0])
	until(t, b, "the books", `document.querySelector("#tables table").rows[1].cells[8].textContent === "not measured"`)
	b.open(t, at+"tiers", media()[0])
	until(t, b, "the agents", `document.querySelector("#tables table").rows[1].cells[1].textContent === "not measured"`)
	if n := eval[int](t, b, `document.querySelectorAll("#late canvas, #lateness canvas").length`); n != 0 {
		t.Error("lateness is drawn that was not measured")
	}
}

// atOnce has the next figures computed when they are asked for: the test is about what becomes of them.
func atOnce(s *Server, dir string) {
	e := s.shelf.entry(dir)
	e.mu.Lock()
	if e.book != nil {
		e.book.took = 0
	}
	e.mu.Unlock()
	rested(s)
}

// Whatever comes in, the place of a reader stays: what is unfolded, chosen and sorted, where the keyboard is, and the cursor of a
// chart, which says nothing unless it is moved.
func TestBrowserKeepsTheReadersPlace(t *testing.T) {
	root := t.TempDir()
	r := demo(root)
	r.Plan("throughput", `"agents":{"count":2},"phases":[{"name":"closed","model":"closed","duration":"60s"},{"name":"open","model":"open","duration":"4s","rate":600}]`)
	w := r.Begin(t)
	defer func() { check(t, w.Finish(record.Aborted, "test")) }()
	for _, p := range r.Head.Order[:4] {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
	s := serving(t, Options{Root: root})
	b := chromium(t, s)
	b.open(t, base(filepath.Base(w.Dir())), media()[0])
	until(t, b, "the figures", drawn+` && document.querySelectorAll("#parts details").length > 2 && document.querySelector("#parts table.sorts thead button")`)
	eval[bool](t, b, `(() => {
		const parts = document.getElementById("parts");
		window.kept = {details: parts.querySelectorAll("details")[1], choice: parts.querySelector(".choice > input:nth-of-type(2)"), sort: parts.querySelector("table.sorts thead button")};
		kept.details.open = kept.choice.checked = true;
		kept.details.querySelector("summary").focus();
		kept.sort.click();
		kept.sort.click();
		return true;
	})()`)
	atOnce(s, w.Dir())
	r.Trial(t, w, 2, 2, "flask", 1, nil)
	until(t, b, "the figures of another trial", `document.querySelector("#parts .part").dataset.finished === "5"`)
	for what, holds := range map[string]string{
		"unfolded": `kept.details.isConnected && document.querySelectorAll("#parts details[open]").length === 1 && kept.details.open`,
		"chosen":   `kept.choice.isConnected && kept.choice.checked`,
		"keyboard": `document.activeElement === kept.details.querySelector("summary")`,
		"sorted":   `kept.sort.isConnected && kept.sort.closest("th").ariaSort === "descending"`,
		"order":    `(rows => rows.length > 1 && rows.every((r, i) => !i || r.localeCompare(rows[i - 1], "en", {numeric: true}) <= 0))([...kept.sort.closest("table").tBodies[0].rows].map(r => r.cells[0].textContent))`,
	} {
		if !eval[bool](t, b, holds) {
			t.Errorf("what was %s is not so any more", what)
		}
	}
	tw := must[*record.TrialWriter](t)(w.BeginTrial(2, 3, "fastapi", 1))
	eval[bool](t, b, `(() => { const s = document.getElementById("choose-phase"); s.value = "closed"; s.dispatchEvent(new Event("change")); return true; })()`)
	loads(t, tw, 0, 10, nil)
	until(t, b, "ten seconds", `document.querySelector("#rates .legend").innerText.includes("fastapi")`)
	numbers(t, b, "rates")
	until(t, b, "ten rows", `document.querySelector("#rates table").rows.length >= 10`)
	eval[bool](t, b, `(document.querySelector("#rates .plot").focus(), true)`)
	for _, key := range []string{kb.Home, kb.ArrowRight} {
		check(t, chromedp.Do(b.ctx, chromedp.KeyEvent(key)))
	}
	const values = `document.querySelector("#rates .values").textContent`
	until(t, b, "the values", values+`.startsWith("seconds of load on the target 1: ")`)
	if live := eval[string](t, b, `["rates", "times", "notok"].map(id => document.querySelector("#" + id + " .values")).map(e => e.ariaLive + " " + e.textContent.startsWith("seconds of load on the target 1: ")).join()`); live != "polite true,off true,off true" {
		t.Errorf("the values are %q", live)
	}
	eval[bool](t, b, `(() => {
		window.writes = 0;
		new MutationObserver(() => { writes++; }).observe(document.querySelector("#rates .values"), {childList: true, characterData: true, subtree: true});
		window.before = {scroll: document.querySelector("#rates .scroll"), at: document.querySelector("#rates .u-cursor-x").style.transform};
		return true;
	})()`)
	loads(t, tw, 10, 40, nil)
	until(t, b, "forty seconds", `document.querySelector("#rates table").rows.length >= 40`)
	until(t, b, "the cursor at its place", `document.querySelector("#rates .u-cursor-x").style.transform !== before.at`)
	if n := eval[int](t, b, "writes"); n != 0 || !eval[bool](t, b, `before.scroll.isConnected`) {
		t.Errorf("the values were written %d times, or the table again", n)
	}
	check(t, chromedp.Do(b.ctx, chromedp.KeyEvent(kb.ArrowRight)))
	until(t, b, "the next second", values+`.startsWith("seconds of load on the target 2: ")`)
}

// No two lines of a chart look the same, however many targets there are. Each has a page with its figures, whatever it is called.
func TestBrowserLines(t *testing.T) {
	root := t.TempDir()
	var names []string
	for i := range 17 {
		names = append(names, fmt.Sprint("target-", i))
	}
	names[3] = "%41+\u202e\x1b&"
	r := recordtest.Of(1, names...)
	r.Root, r.ClosedS, r.OpenS = root, 1, 1
	r.Plan("throughput", `"phases":[{"name":"closed","model":"closed","duration":"1s"},{"name":"open","model":"open","duration":"1s","rate":600}]`)
	s := serving(t, Options{Root: root})
	b := chromium(t, s)
	at := base(filepath.Base(r.Write(t)))
	b.open(t, at+"target?"+url.Values{"name": {names[3]}}.Encode(), media()[0])
	until(t, b, "the books of the target", `document.getElementById("tables").innerText.includes("planned")`)
	b.open(t, at, media()[0])
	until(t, b, "the chart", drawn)
	if text := eval[string](t, b, "document.body.innerText"); strings.ContainsAny(text, "\u202e\x1b") || !strings.Contains(text, "%41+") {
		t.Error("the name of a target is not inert on the page, or is not there")
	}
	for id, want := range map[string]int{"times": 17, "rates": 34} {
		looks := eval[[]string](t, b, fmt.Sprintf(`[...document.querySelectorAll("#%s .legend line")].map(l => ["stroke", "stroke-dasharray", "stroke-width"].map(a => l.getAttribute(a)).join(" "))`, id))
		slices.Sort(looks)
		if len(looks) != want || len(slices.Compact(looks)) != want {
			t.Errorf("%s: %d lines, some of which look the same: %v", id, len(looks), looks)
		}
	}
}

// The page writes numbers as the rest of bakeoff does.
func TestBrowserWritesNumbers(t *testing.T) {
	s := serving(t, Options{Root: t.TempDir()})
	b := chromium(t, s)
	b.open(t, "/history", media()[0])
	eval[bool](t, b, `(import("/assets/page.js").then(m => { window.written = m; }), true)`)
	until(t, b, "the functions of the page", `written.number`)
	var cases map[string][][2]any
	check(t, json.Unmarshal(must[[]byte](t)(os.ReadFile("../show/testdata/written.json")), &cases))
	rng := rand.New(rand.NewPCG(7, 7))
	for kind, write := range map[string]func(float64) string{
		"number": show.Number, "seconds": show.Seconds, "share": show.Percent, "count": func(v float64) string { return show.Count(int(v)) },
		"clock": func(v float64) string { return show.Clock(time.Duration(v * float64(time.Second))) },
	} {
		var values []float64
		var want []string
		for _, c := range cases[kind] {
			values, want = append(values, c[0].(float64)), append(want, c[1].(string))
		}
		for i := range 2000 {
			v := math.Exp(rng.Float64()*30 - 17) // of every size
			switch {
			case kind == "count" || kind == "clock":
				v = math.Floor(v)
			case i%2 == 0: // exactly between two texts, often
				v = math.Round(v*8) / 8
			}
			values, want = append(values, v), append(want, write(v))
		}
		got := eval[[]string](t, b, fmt.Sprintf(`%s.map(v => written.%s(v))`, must[[]byte](t)(json.Marshal(values)), kind))
		for i, text := range got {
			if text != want[i] {
				t.Errorf("%s: the page writes %v as %q, bakeoff as %q", kind, values[i], text, want[i])
			}
		}
		if len(got) < 2000 {
			t.Errorf("%s: %d numbers", kind, len(got))
		}
	}
}
