package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
)

// tab is a tab of a real Chromium. What its pages complain of, and what they ask of others than the server, is kept.
type tab struct {
	ctx  context.Context
	own  string // the server
	mu   sync.Mutex
	said []string
}

// chromium starts one, or skips the test.
func chromium(t *testing.T, s *Server) *tab {
	t.Helper()
	if os.Getenv("BAKEOFF_PAGE") == "" {
		t.Skip("SKIPPED: set BAKEOFF_PAGE=1")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: no chromium in PATH (apt-get install chromium)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox)...)
	t.Cleanup(stop)
	return newTab(t, ctx, s)
}

// newTab opens a tab; in the context of another one it is a second tab of the same browser.
func newTab(t *testing.T, ctx context.Context, s *Server) *tab {
	t.Helper()
	ctx, leave := chromedp.NewContext(ctx)
	t.Cleanup(leave)
	b := &tab{ctx: ctx, own: "http://" + s.listener.Addr().String() + "/"}
	check(t, chromedp.Listen(ctx, b.listen))
	call(t, b, network.Enable, network.EnableParams{})
	call(t, b, runtime.Enable, cdp.Empty{})
	call(t, b, log.Enable, cdp.Empty{})
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, text := range b.said {
			t.Errorf("the page: %s", text)
		}
	})
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.own) && !strings.HasPrefix(e.Request.URL, "blob:"+b.own) {
			b.said = append(b.said, "asks for "+e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, fmt.Sprintf("console.%s", e.Type))
	case *log.EventEntryAdded:
		b.said = append(b.said, e.Entry.Text+" "+e.Entry.URL)
	}
}

func call[P, R any](t *testing.T, b *tab, command cdp.Command[P, R], params P) R {
	t.Helper()
	return must[R](t)(chromedp.Call(b.ctx, command, params))
}

// eval evaluates an expression of the page's language.
func eval[T any](t *testing.T, b *tab, expression string) T {
	t.Helper()
	return must[T](t)(chromedp.Run(b.ctx, chromedp.Evaluate[T](expression)))
}

// until waits for an expression to be true.
func until(t *testing.T, b *tab, what, expression string) {
	t.Helper()
	holds := "(() => { try { return !!(" + expression + "); } catch { return false; } })()" // a page that is loaded has no parts yet
	// Figures that took a second to compute are not computed again for twenty.
	end := time.Now().Add(100 * time.Second)
	for !eval[bool](t, b, holds) {
		if time.Now().After(end) {
			t.Fatalf("%s never holds: %s", what, eval[string](t, b, "document.body.innerText.slice(0, 2000)"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// medium is what a page is looked at with.
type medium struct {
	name          string
	width, height int64
	scheme        string
}

func media() []medium {
	return []medium{{"desktop", 1280, 1600, "light"}, {"phone", 390, 1600, "light"}, {"dark", 1280, 1600, "dark"}}
}

func (b *tab) open(t *testing.T, path string, m medium) {
	t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: m.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	call(t, b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: m.width, Height: m.height, DeviceScaleFactor: 1, Mobile: m.width < 600})
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "screen", Features: features})
	check(t, chromedp.Do(b.ctx, chromedp.Navigate(b.own+strings.TrimPrefix(path, "/"))))
}

const drawn = `document.body.dataset.drawn === "true"`

// numbers is the table behind a chart: its head, then its rows.
func numbers(t *testing.T, b *tab, id string) [][]string {
	t.Helper()
	eval[bool](t, b, fmt.Sprintf(`(document.querySelector("#%s details").open = true)`, id))
	until(t, b, "the table of "+id, fmt.Sprintf(`!!document.querySelector("#%s details table")`, id))
	return eval[[][]string](t, b, fmt.Sprintf(`[...document.querySelector("#%s details table").rows].map(r => [...r.cells].map(c => c.textContent))`, id))
}

// rates are what the record says of a block: right answers per second, by target, on one axis of all phases.
func rates(t *testing.T, dir string, block int) map[string]map[int]int64 {
	t.Helper()
	out := map[string]map[int]int64{}
	for _, state := range must[*record.Reader](t)(record.Open(dir)).Trials() {
		if state.Block != block {
			continue
		}
		out[state.Target] = map[int]int64{}
		for l, err := range state.Loads() {
			check(t, err)
			out[state.Target][4*(l.Phase-1)+int(l.Begin.Seconds())] += l.Books.OK // the warm-up has no windows
		}
	}
	return out
}

// A browser shows the record's numbers of a finished run in every view, draws them on a canvas, and asks for nothing else.
func TestBrowserFinished(t *testing.T) {
	root := t.TempDir()
	dir := demo(root).Write(t)
	other := filepath.Base(demo(root).Write(t))
	name := filepath.Base(dir)
	s := serving(t, Options{Root: root})
	b := chromium(t, s)
	b.open(t, base(name), media()[0])
	until(t, b, "the chart", drawn)
	table := numbers(t, b, "rates")
	compared(t, table, rates(t, dir, 3), 8)
	if n := eval[int](t, b, `document.querySelectorAll("#charts canvas").length`); n != 4 {
		t.Errorf("%d canvases", n)
	}
	eval[bool](t, b, `(() => { const s = document.getElementById("choose-block"); s.value = "2"; s.dispatchEvent(new Event("change")); return true; })()`)
	until(t, b, "block 2", `location.search.includes("block=2") && document.querySelector("#rates details table").rows[1].cells[1].textContent === "1,020"`)
	compared(t, numbers(t, b, "rates"), rates(t, dir, 2), 8)
	eval[bool](t, b, `(() => { const s = document.getElementById("choose-scale"); s.value = "log"; s.dispatchEvent(new Event("change")); return true; })()`)
	until(t, b, "the address", `location.search.includes("scale=log")`)
	summary := must[*figures.Summary](t)(figures.Build(must[*record.Reader](t)(record.Open(dir))))
	for _, target := range summary.Phases[0].Targets {
		if text := eval[string](t, b, `document.getElementById("parts").innerText`); !strings.Contains(text, show.Number(target.Goodput.Median)) {
			t.Errorf("the page lacks the median %s of %s", show.Number(target.Goodput.Median), target.Target)
		}
	}
	// The choice stays on the next view, which has the books of the block.
	eval[bool](t, b, `(document.querySelector("nav a[href*='target']").click(), true)`)
	until(t, b, "the view of a target", `document.body.dataset.view === "target" && `+drawn)
	if at := eval[string](t, b, "location.search"); !strings.Contains(at, "block=2") || !strings.Contains(at, "scale=log") {
		t.Errorf("the next view is %s", at)
	}
	until(t, b, "the books", `document.getElementById("tables").innerText.includes("4,080")`) // 4 s of 1,020
	b.open(t, base(name)+"tiers", media()[0])
	until(t, b, "the tiers", drawn)
	if cores := numbers(t, b, "cores"); !slices.Contains(cores[0], "database") || cores[len(cores)-1][slices.Index(cores[0], "database")] != "0.50" {
		t.Errorf("the tiers are %v", cores)
	}
	b.open(t, "/compare?"+url.Values{"run": {name, other}}.Encode(), media()[0])
	if text := eval[string](t, b, "document.body.innerText"); !strings.Contains(text, "2 runs compared") {
		t.Errorf("the comparison is %s", text)
	}
	b.open(t, "/history", media()[0])
	if text := eval[string](t, b, "document.body.innerText"); !strings.Contains(text, "9 of 9 run") {
		t.Errorf("the history is %s", text)
	}
}

// compared compares the rates that a table has with those of the record.
func compared(t *testing.T, table [][]string, want map[string]map[int]int64, seconds int) {
	t.Helper()
	if len(table) != seconds+1 {
		t.Fatalf("%d rows", len(table))
	}
	seen := 0
	for column, target := range table[0] {
		of, known := want[target]
		if !known {
			continue
		}
		for _, row := range table[1:] {
			at := must[int](t)(strconv.Atoi(row[0]))
			if row[column] != show.Number(float64(of[at])) {
				t.Errorf("%s at %d s: the page says %s, the record %d", target, at, row[column], of[at])
			}
			seen++
		}
	}
	if seen != seconds*len(want) {
		t.Errorf("%d numbers were compared", seen)
	}
}

// A run under way is shown as it grows, in two tabs, after a reload, and as it was at its end; its end reaches every tab.
func TestBrowserLive(t *testing.T) {
	root := t.TempDir()
	r := demo(root)
	w := r.Begin(t)
	dir, name := w.Dir(), filepath.Base(w.Dir())
	s := serving(t, Options{Root: root, Run: name})
	b := chromium(t, s)
	second := newTab(t, b.ctx, s)
	check(t, w.Progress(record.Progress{Block: 1, Blocks: 3, Trial: 1, Trials: 9, Target: "django", Text: "closed: 32 connections for 4s", Expect: 4 * time.Second}))
	b.open(t, "/", media()[0])
	second.open(t, base(name)+"target?name=flask", media()[1])
	until(t, b, "the strip", `document.getElementById("strip-doing").textContent.includes("closed: 32 connections")`)
	for _, p := range r.Head.Order[:4] {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
	until(t, b, "four trials", `document.getElementById("strip-progress").textContent.startsWith("4 of 9")`)
	until(t, b, "the block under way", drawn+` && document.querySelector("#rates .legend")?.innerText.includes("django")`)
	compared(t, numbers(t, b, "rates"), rates(t, dir, 2), 8)
	until(t, b, "the figures of finished trials", `document.getElementById("parts").innerText.includes("1,410")`)
	if text := eval[string](t, b, `document.body.innerText`); strings.Contains(text, "better than") || strings.Contains(text, "worse than") {
		t.Error("the page claims something")
	}
	check(t, chromedp.Do(b.ctx, chromedp.Reload()))
	until(t, b, "the page that was loaded again", drawn)
	compared(t, numbers(t, b, "rates"), rates(t, dir, 2), 8)
	for _, p := range r.Head.Order[4:] {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
	check(t, w.Finish(record.Complete, ""))
	for _, one := range []*tab{b, second} {
		until(t, one, "the end", `document.getElementById("notice").textContent.includes("has ended")`)
		until(t, one, "all trials", `document.getElementById("strip-progress").textContent.startsWith("9 of 9")`)
	}
	live := numbers(t, b, "rates")
	compared(t, live, rates(t, dir, 3), 8)
	b.open(t, base(name), media()[0])
	until(t, b, "the finished run", drawn)
	if finished := numbers(t, b, "rates"); fmt.Sprint(finished) != fmt.Sprint(live) {
		t.Errorf("finished:\n%v\nlive:\n%v", finished, live)
	}
	if n := eval[int](t, b, `performance.getEntriesByType("resource").filter(e => e.name.includes("/events")).length`); n != 0 {
		t.Error("the page of a finished run opens a stream")
	}
	compared(t, numbers(t, second, "rates"), map[string]map[int]int64{"answered": rates(t, dir, 3)["flask"]}, 8)
}

// A run under way that cannot be followed any more is no run that has ended: the page says so, and keeps what it has.
func TestBrowserFailure(t *testing.T) {
	root := t.TempDir()
	r := demo(root)
	w := r.Begin(t)
	defer func() { _ = w.Close() }() // its record is gone
	s := serving(t, Options{Root: root})
	b := chromium(t, s)
	r.Trial(t, w, 1, 1, "django", 1, nil)
	b.open(t, base(filepath.Base(w.Dir())), media()[0])
	until(t, b, "the chart", drawn)
	check(t, os.Truncate(filepath.Join(w.Dir(), "events.jsonl"), 0))
	until(t, b, "the failure", `document.getElementById("notice").textContent.includes("cannot be followed")`)
	if table := numbers(t, b, "rates"); len(table) != 9 {
		t.Errorf("the chart has %d rows", len(table))
	}
}

// A phase of 1,000 seconds is drawn whole; arrow keys move the cursor, and the values under it are said.
func TestBrowserThousandWindows(t *testing.T) {
	root := t.TempDir()
	r := recordtest.Of(1, "flask")
	r.Root, r.OpenS, r.ClosedS = root, 0, 1000
	r.Rate = func(string, int) int { return 4 }
	r.Plan("throughput", `"agents":{"count":2},"phases":[{"name":"closed","model":"closed","duration":"1000s"}]`)
	dir := r.Write(t)
	s := serving(t, Options{Root: root})
	b := chromium(t, s)
	b.open(t, base(filepath.Base(dir)), media()[0])
	until(t, b, "the chart", drawn)
	if n := len(numbers(t, b, "rates")); n != 1001 {
		t.Errorf("%d rows", n)
	}
	eval[bool](t, b, `(document.querySelector("#rates .plot").focus(), true)`)
	for _, key := range []string{kb.End, kb.ArrowLeft} {
		check(t, chromedp.Do(b.ctx, chromedp.KeyEvent(key)))
	}
	until(t, b, "the values", `document.querySelector("#rates .values").textContent.includes("998: flask 4.00")`)
	if role := eval[string](t, b, `document.querySelector("#rates .values").getAttribute("aria-live") + document.querySelector("#rates").getAttribute("role")`); role != "politefigure" {
		t.Errorf("roles %q", role)
	}
}

// A page that loses its server goes on when the server is there again, and has everything.
func TestBrowserReconnects(t *testing.T) {
	root := t.TempDir()
	r := demo(root)
	w := r.Begin(t)
	name := filepath.Base(w.Dir())
	first := must[*Server](t)(Open(Options{Root: root}))
	at := first.listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- first.Serve(t.Context()) }()
	b := chromium(t, first)
	r.Trial(t, w, 1, 1, "django", 1, nil)
	b.open(t, base(name), media()[0])
	until(t, b, "the chart", drawn)
	first.Close()
	check(t, <-served)
	until(t, b, "the notice", `document.getElementById("notice").textContent.includes("lost")`)
	r.Trial(t, w, 1, 2, "flask", 1, nil)
	serving(t, Options{Root: root, Listen: at})
	until(t, b, "the second trial", `document.getElementById("strip-progress").textContent.startsWith("2 of 9") && document.getElementById("notice").textContent === ""`)
	compared(t, numbers(t, b, "rates"), map[string]map[int]int64{"django": rates(t, w.Dir(), 1)["django"], "flask": rates(t, w.Dir(), 1)["flask"]}, 8)
	check(t, w.Finish(record.Complete, ""))
	until(t, b, "the end", `document.getElementById("notice").textContent.includes("has ended")`)
	b.forget("ERR_")
}

// Every view in every medium: nothing is wider than its window, and the rules of accessibility find no serious fault.
func TestBrowserMedia(t *testing.T) {
	root := t.TempDir()
	r := demo(root)
	r.Work = func(_ string, block int) int64 { return int64(1e6 * (1 + 0.05*float64(block%3))) }
	done, other := filepath.Base(r.Write(t)), filepath.Base(demo(root).Write(t))
	growing := demo(root)
	growing.Head.Name = "growing"
	w := growing.Begin(t)
	defer func() { check(t, w.Finish(record.Aborted, "test")) }()
	for _, p := range growing.Head.Order[:7] {
		growing.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
	s := serving(t, Options{Root: root})
	b := chromium(t, s)
	axe := os.Getenv("BAKEOFF_AXE")
	var rules []byte
	if axe == "" {
		t.Log("SKIPPED: accessibility: BAKEOFF_AXE names no axe-core")
	} else {
		rules = must[[]byte](t)(os.ReadFile(axe))
	}
	views := map[string]string{
		"run": base(done), "target": base(done) + "target?name=flask", "tiers": base(done) + "tiers", "history": "/history", "live": base(filepath.Base(w.Dir())),
		"compare": "/compare?" + url.Values{"run": {done, other}}.Encode(),
	}
	for view, path := range views {
		for _, m := range media() {
			atOnce(s, w.Dir())
			b.open(t, path, m)
			if !strings.HasPrefix(path, "/compare") && path != "/history" {
				until(t, b, "the charts of "+view, drawn)
			}
			if view == "compare" && !eval[bool](t, b, `document.body.innerText.includes("2 runs compared") && !!document.querySelector("main table")`) {
				t.Error("nothing is compared")
			}
			if faint := eval[string](t, b, faintText); view == "live" && faint != "" {
				t.Errorf("%s: %s", m.name, faint)
			}
			if wide := eval[int](t, b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
				t.Errorf("%s, %s: wider than its window by %d", view, m.name, wide)
			}
			b.pictured(t, view, m)
			if rules == nil || m.name == "phone" && view != "run" {
				continue
			}
			eval[bool](t, b, string(rules)+"\n;true")
			for _, fault := range faultsOf(t, b) {
				t.Errorf("%s, %s: %s", view, m.name, fault)
			}
		}
	}
}

// faintText are the texts of the pictures of intervals so far that have a contrast below 4.5 to 1, which no rule looks at.
const faintText = `(() => {
	const rgb = text => text.match(/[\d.]+/g).slice(0, 3).map(Number);
	const light = of => of.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0.05);
	const ground = rgb(getComputedStyle(document.body).backgroundColor), faint = [];
	let looked = 0;
	for (const text of document.querySelectorAll("[data-standing=true] section:first-of-type svg text")) {
		if (!text.getClientRects().length) continue;
		looked++;
		let opacity = 1;
		for (let e = text; e; e = e.parentElement) opacity *= Number(getComputedStyle(e).opacity);
		const x = light(ground), y = light(rgb(getComputedStyle(text).fill).map((v, i) => v * opacity + ground[i] * (1 - opacity)));
		if (Math.max(x, y) / Math.min(x, y) < 4.5) faint.push(text.textContent + " " + (Math.max(x, y) / Math.min(x, y)).toFixed(2));
	}
	return looked ? faint.join(", ") : "no picture of intervals so far";
})()`

// faultsOf are what the rules of accessibility call serious or critical.
func faultsOf(t *testing.T, b *tab) []string {
	t.Helper()
	const run = `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.filter(v => v.impact === "serious" || v.impact === "critical").map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200)).join(" | "))))`
	eval[bool](t, b, `(window.found = null, `+run+`.then(x => { window.found = x; }, e => { window.found = JSON.stringify([String(e)]); }), true)`)
	until(t, b, "the rules", "window.found !== null")
	var out []string
	check(t, json.Unmarshal([]byte(eval[string](t, b, "window.found")), &out))
	return out
}

// pictured keeps screenshots for people to look at, where a folder is named: of the whole page, and of its top for documents.
func (b *tab) pictured(t *testing.T, name string, m medium) {
	t.Helper()
	folder := os.Getenv("BAKEOFF_PICTURES")
	if folder == "" {
		return
	}
	whole := eval[float64](t, b, "document.documentElement.scrollHeight")
	for part, height := range map[string]float64{"": min(4*float64(m.height), whole), "-top": min(860, whole)} {
		clip := &cdpage.Viewport{Width: float64(m.width), Height: height, Scale: 1}
		picture := call(t, b, cdpage.CaptureScreenshot, cdpage.CaptureScreenshotParams{Clip: clip, CaptureBeyondViewport: new(true)})
		check(t, os.WriteFile(filepath.Join(folder, name+"-"+m.name+part+".png"), picture.Data, 0o644))
	}
}
