package dashboard

import (
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// rested lets the next page compute figures.
func rested(s *Server) {
	s.shelf.pause.mu.Lock()
	defer s.shelf.pause.mu.Unlock()
	s.shelf.pause.until = time.Time{}
}

// While a run is under way, whatever is computed is computed on one core: what other runs say is left out, and a finished run with very
// many lines is not read. When that run has ended, everything is there.
func TestOneCoreWhileARunIsUnderWay(t *testing.T) {
	root := t.TempDir()
	small, large := demo(root).Write(t), demo(root).Write(t)
	r := demo(root)
	w := r.Begin(t)
	r.Trial(t, w, 1, 1, "django", 1, nil)
	s := serving(t, Options{Root: root})
	const note = "What other runs of this plan say is not computed while a run of this folder is under way; load this page again when that run has ended."
	ofSmall, ofLarge := base(filepath.Base(small)), base(filepath.Base(large))
	if _, body := get(t, s, ofSmall); !strings.Contains(body, note) || !strings.Contains(body, "1,420") {
		t.Error("the page of a finished run does not say what it lacks, or has no figures")
	}
	first := s.shelf.kept[small].book
	if _, body := get(t, s, ofSmall+"target"); strings.Contains(body, note) || s.shelf.kept[small].book != first {
		t.Error("what is known is computed again, or is said to lack what it never had")
	}
	rested(s)
	if _, body := get(t, s, base(filepath.Base(w.Dir()))); !strings.Contains(body, `data-finished="1"`) || strings.Contains(body, note) || !s.shelf.kept[w.Dir()].book.reader.OnOneCore() {
		t.Error("the run under way has no figures, or they were computed on every core")
	}
	s.shelf.most = bytesIn(large) - 1
	compare := "/compare?" + url.Values{"run": {filepath.Base(small), filepath.Base(large)}}.Encode()
	for path, want := range map[string]string{ofLarge: "not computed now", compare: "not computed now", ofLarge + "state.json": "not computed now", "/history": "too many lines"} {
		rested(s)
		if code, body := get(t, s, path); !strings.Contains(body, want) || strings.Contains(path, "json") != (code != http.StatusOK) {
			t.Errorf("%s: status %d, no %q", path, code, want)
		}
	}
	check(t, w.Finish(record.Aborted, "test"))
	for _, path := range []string{ofSmall, ofLarge, compare, ofLarge + "state.json", "/history"} {
		if code, body := get(t, s, path); code != http.StatusOK || strings.Contains(body, "not computed") {
			t.Errorf("%s: status %d, and something is not computed although no run is under way", path, code)
		}
	}
	if s.shelf.kept[small].book.reader.OnOneCore() {
		t.Error("afterwards figures are computed on one core")
	}
}

// The lines of a run are those of all its trials.
func TestBytesOfARun(t *testing.T) {
	dir := demo(t.TempDir()).Write(t)
	var want int64
	check(t, filepath.WalkDir(filepath.Join(dir, "trials"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".jsonl" {
			want += must[fs.FileInfo](t)(e.Info()).Size()
		}
		return err
	}))
	if got := bytesIn(dir); got != want || want == 0 || bytesIn(t.TempDir()) != 0 {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// What computing took is the time since it began, and what the collector of garbage has used on other cores.
func TestWorkOfTheCollectorCounts(t *testing.T) {
	runtime.GC()
	used := collected()
	if got := (work{time.Now().Add(-time.Second), used - 2*time.Second}).spent(); used <= 0 || got < 3*time.Second {
		t.Errorf("the collector used %s; spent are %s", used, got)
	}
}
