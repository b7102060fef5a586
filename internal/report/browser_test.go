package report

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

	"bakeoff/internal/figures"
)

// browser is a real Chromium with one tab. What the page complains of, and what it asks for, is kept.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	requests   []string
}

// chromium starts one, or skips the test.
func chromium(t *testing.T) *browser {
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
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(ctx)
	t.Cleanup(leave)
	b := &browser{ctx: ctx}
	check(t, chromedp.Listen(ctx, b.listen))
	call(t, b, network.Enable, network.EnableParams{})
	call(t, b, runtime.Enable, cdp.Empty{})
	call(t, b, log.Enable, cdp.Empty{})
	return b
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console.%s", e.Type))
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text)
	}
}

// call runs a command of the browser's protocol.
func call[P, R any](t *testing.T, b *browser, command cdp.Command[P, R], params P) R {
	t.Helper()
	return must[R](t)(chromedp.Call(b.ctx, command, params))
}

// ask evaluates an expression of the page's language.
func ask[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	return must[T](t)(chromedp.Run(b.ctx, chromedp.Evaluate[T](expression)))
}

// open shows a page in a medium, and fails on whatever it complains of or asks for in addition to itself.
func (b *browser) open(t *testing.T, path string, m medium) {
	t.Helper()
	address := (&url.URL{Scheme: "file", Path: path}).String()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: m.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	call(t, b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: m.width, Height: m.height, DeviceScaleFactor: 1, Mobile: m.width < 600})
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: m.media, Features: features})
	check(t, chromedp.Do(b.ctx, chromedp.Navigate(address)))
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.complaints {
		t.Errorf("%s: the page complains: %s", m.name, text)
	}
	for _, request := range b.requests {
		if request != address {
			t.Errorf("%s: the page asks for %s", m.name, request)
		}
	}
	b.complaints, b.requests = nil, nil
}

// medium is what a page is looked at with.
type medium struct {
	name          string
	width, height int64
	scheme, media string
}

func media() []medium {
	return []medium{
		{"desktop", 1280, 1600, "light", "screen"}, {"phone", 390, 1600, "light", "screen"}, {"dark", 1280, 1600, "dark", "screen"}, {"print", 794, 1123, "light", "print"},
	}
}

// written is the page of a run, in a file.
func written(t *testing.T, s *figures.Summary) string {
	t.Helper()
	var b bytes.Buffer
	check(t, WriteHTML(&b, s, figures.Others{}))
	path := filepath.Join(t.TempDir(), "report.html")
	check(t, os.WriteFile(path, b.Bytes(), 0o600))
	return path
}

// pictured keeps screenshots for people to look at, where a folder is named.
func (b *browser) pictured(t *testing.T, name string, m medium) {
	t.Helper()
	folder := os.Getenv("BAKEOFF_PICTURES")
	if folder == "" {
		return
	}
	whole := ask[float64](t, b, "document.documentElement.scrollHeight")
	for i := int64(0); i*m.height < int64(whole) && i < 12; i++ {
		clip := &cdpage.Viewport{Y: float64(i * m.height), Width: float64(m.width), Height: float64(m.height), Scale: 1}
		picture := call(t, b, cdpage.CaptureScreenshot, cdpage.CaptureScreenshotParams{Clip: clip, CaptureBeyondViewport: new(true)})
		check(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%s-%d.png", name, m.name, i)), picture.Data, 0o644))
	}
}

// Two texts of a picture that overlap, a text that leaves it, and what makes the page wider than its window; what of the page is
// too pale to be read (WCAG AA: 4.5 to 1).
const faults = `(() => {
  const out = [];
  const shown = e => e.checkVisibility({contentVisibilityAuto: true}) && e.getBoundingClientRect().width > 0;
  for (const svg of document.querySelectorAll("svg")) {
    if (!shown(svg)) continue;
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter(t => t.textContent.trim()).map(t => [t.firstChild.textContent, t.getBoundingClientRect()]);
    texts.forEach(([name, r], i) => {
      if (r.left < frame.left - 1 || r.right > frame.right + 1 || r.top < frame.top - 1 || r.bottom > frame.bottom + 1) out.push("leaves its picture: " + name);
      for (const [other, o] of texts.slice(i + 1)) {
        if (r.left < o.right - 1 && o.left < r.right - 1 && r.top < o.bottom - 3 && o.top < r.bottom - 3) out.push("overlap: " + name + " and " + other);
      }
    });
  }
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) out.push("the page is wider than its window by " + wide);
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parts = c => (c.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = c => { const [r, g, b] = parts(c); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
  const groundOf = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; const p = parts(c); if (p.length < 4 || p[3] > 0) return c; } return "rgb(255,255,255)"; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pale = new Set();
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !shown(e) || e.closest("script,style,title")) continue;
    const a = light(e.closest("svg") ? getComputedStyle(e).fill : getComputedStyle(e).color), b = light(groundOf(e.closest("svg") ? e.closest("svg").parentElement : e));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) pale.add(e.tagName + "." + e.getAttribute("class") + " has a contrast of " + contrast.toFixed(2));
  }
  return out.concat([...pale]);
})()`

// The page in every medium: nothing overlaps, leaves its picture, or is too pale.
func TestBrowserMedia(t *testing.T) {
	b := chromium(t)
	for name, dir := range browserFolders(t) {
		path := written(t, build(t, dir))
		if info := must[os.FileInfo](t)(os.Stat(path)); info.Size() > 1<<20 {
			t.Errorf("%s: the page has %d bytes", name, info.Size())
		}
		for _, m := range media() {
			b.open(t, path, m)
			b.pictured(t, name, m)
			found := ask[[]string](t, b, faults)
			for _, fault := range found[:min(len(found), 10)] {
				t.Errorf("%s, %s: %s", name, m.name, fault)
			}
		}
	}
}

// browserFolders are the runs whose pages are looked at; BAKEOFF_PAGE_RUNS names further ones.
func browserFolders(t *testing.T) map[string]string {
	t.Helper()
	r := contest(7, "fastapi", "flask", "django")
	r.OpenS, r.OpenHz = 1, 600
	r.Work = func(_ string, block int) int64 { return int64(1e6 * (1 + 0.05*float64(block%3))) }
	out := map[string]string{"few": r.Write(t)}
	for _, dir := range strings.Fields(os.Getenv("BAKEOFF_PAGE_RUNS")) {
		out[filepath.Base(dir)] = dir
	}
	return out
}
