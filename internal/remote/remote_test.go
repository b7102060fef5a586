package remote

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// followed is everything that following yields, as text.
func followed(ctx context.Context, t *testing.T, c *Client) []string {
	t.Helper()
	var out []string
	for item, err := range c.Follow(ctx, record.Position{}, true) {
		var bad *record.LineError
		if err != nil && !errors.As(err, &bad) {
			t.Fatal(err)
		}
		out = append(out, told(t, item, err))
	}
	return out
}

func told(t *testing.T, item record.Item, err error) string {
	t.Helper()
	text, jerr := json.Marshal([]any{item.Position.String(), item.Event, item.Trial, item.Load, item.Series, item.Pause})
	if jerr != nil {
		t.Fatal(jerr)
	}
	if err != nil {
		text = append(text, err.Error()...)
	}
	return string(text)
}

// What comes through a link that is cut at any place is what the record yields where it is written: every item once, in its order.
func TestFollowGoesOn(t *testing.T) {
	dir := recordtest.Spoiled(t)
	var want []string
	for item, err := range record.Follow(t.Context(), dir, record.Position{}) {
		want = append(want, told(t, item, err))
		if item.Pause != nil {
			break
		}
	}
	synctest.Test(t, func(t *testing.T) {
		link := &cutting{to: &wire{handler: ended(t, dir).Handler()}, after: first(40, 60_000, 3)}
		got := followed(t.Context(), t, NewClient(link, "http://pod", token, nil))
		if i := differs(got, want); i >= 0 {
			t.Errorf("item %d of %d and %d differs", i, len(got), len(want))
		}
		if link.cuts < 20 || len(want) < 100 {
			t.Errorf("%d cuts in %d items show nothing", link.cuts, len(want))
		}
	})
}

// Without the lines of measurements every event comes all the same, and nothing else.
func TestFollowEvents(t *testing.T) {
	c := NewClient(&wire{handler: ended(t, recordtest.Plain(t)).Handler()}, "http://pod", token, nil)
	events, others := 0, 0
	for item, err := range c.Follow(t.Context(), record.Position{}, false) {
		switch {
		case err != nil:
			t.Fatal(err)
		case item.Event != nil:
			if events++; item.Event.Sequence != int64(events) {
				t.Errorf("event %d is number %d", item.Event.Sequence, events)
			}
		case item.Pause == nil:
			others++
		}
	}
	if events < 10 || others > 0 {
		t.Errorf("%d events, %d others", events, others)
	}
}

// differs is where two lists begin to differ; -1: nowhere.
func differs(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

// A line of the record that cannot be used comes as such, and the rest follows.
func TestDamagedLine(t *testing.T) {
	dir := recordtest.Plain(t)
	file := filepath.Join(dir, "trials", "1-1-django", "load.jsonl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text[20] ^= 1
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got := followed(t.Context(), t, NewClient(&wire{handler: ended(t, dir).Handler()}, "http://pod", token, nil))
	bad := 0
	for _, one := range got {
		if strings.Contains(one, "load.jsonl: line at byte 0") {
			bad++
		}
	}
	if bad != 1 {
		t.Errorf("%d bad lines", bad)
	}
}

// A run of 200 MB comes over a link that is cut at random places, each byte once: what came before a cut is not asked for again.
func TestLargeRunOverACutLink(t *testing.T) {
	dir := recordtest.Plain(t)
	large := make([]byte, 200_000_000)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(large) // never fails
	name := "agents/agent-0.log"
	if err := os.MkdirAll(filepath.Join(dir, "agents"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), large, 0o600); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(ended(t, dir).Handler())
	defer web.Close()
	draw := first(12, int64(len(large))/12, 5)
	link := &cutting{to: web.Client().Transport, asked: map[string]int{}, after: func() int64 { return -1 }}
	c := NewClient(only{link, name, draw}, web.URL, token, nil)
	copied := copyOf(t, c)
	files, err := record.Files(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, s := range files {
		sum += s.Size
	}
	if link.cuts != 12 || link.asked["/file/"+name] != 13 {
		t.Errorf("%d cuts, asked %d times", link.cuts, link.asked["/file/"+name])
	}
	if list := link.bytes - sum; list < 0 || list > 100_000 { // the list of files came too
		t.Errorf("%d bytes came for %d", link.bytes, sum)
	}
	if got, err := record.Files(copied, true); err != nil || !reflect.DeepEqual(got, files) {
		t.Errorf("the copy has %d files of %d, or others: %v", len(got), len(files), err)
	}
	if r, err := record.Open(copied); err != nil || len(r.Problems()) > 0 {
		t.Errorf("%v", err)
	}
}

// only cuts what is asked for under one name.
type only struct {
	*cutting
	name string
	draw func() int64
}

func (o only) RoundTrip(r *http.Request) (*http.Response, error) {
	o.after = func() int64 { return -1 }
	if strings.HasSuffix(r.URL.Path, o.name) {
		o.after = o.draw
	}
	return o.cutting.RoundTrip(r)
}

// While a run goes on only finished trials are fetched; at the end everything is, and the copy is the run.
func TestFetchWhileItRuns(t *testing.T) {
	r := recordtest.Demo()
	w := r.Begin(t)
	s := server(t, Options{})
	link := &wire{handler: s.Handler()}
	c := NewClient(link, "http://pod", token, nil)
	to, err := record.OpenCopy(filepath.Join(t.TempDir(), "copy"))
	if err != nil {
		t.Fatal(err)
	}
	fetch := func() {
		if err := c.Fetch(t.Context(), to); err != nil {
			t.Fatal(err)
		}
	}
	fetch() // there is no run yet
	s.Opened(w.Dir())
	r.Trial(t, w, 1, 1, "django", 1, nil)
	fetch()
	under, err := w.BeginTrial(1, 2, "flask", 1)
	if err != nil {
		t.Fatal(err)
	}
	before := link.requests.Load()
	fetch()
	if n := link.requests.Load() - before; n != 2 { // the list and what is new of events.jsonl
		t.Errorf("%d requests where an event is new", n)
	}
	now := openCopy(t, to.Dir())
	if trials := now.Trials(); len(trials) != 1 || trials[0].State != record.Finished || !now.Live() || len(now.Problems()) > 0 {
		t.Errorf("%+v, live %v, %q", trials, now.Live(), now.Problems())
	}
	if err := errors.Join(under.Abandon("test"), w.Finish(record.Aborted, "test")); err != nil {
		t.Fatal(err)
	}
	fetch()
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	sameTrees(t, w.Dir(), to.Dir())
}

func openCopy(t *testing.T, dir string) *record.Reader {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sameTrees fails where two folders have other files.
func sameTrees(t *testing.T, want, got string) {
	t.Helper()
	var all [2][]string
	for i, dir := range []string{want, got} {
		err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
			if err != nil || !info.Mode().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			name, _ := filepath.Rel(dir, path) // it is below
			all[i] = append(all[i], name+" "+string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if at := differs(all[0], all[1]); at >= 0 || len(all[0]) < 8 {
		t.Errorf("%d files against %d, from %d on", len(all[0]), len(all[1]), at)
	}
}

// What is spoiled on its way is fetched again; what stays spoiled is refused, and does not come into its place.
func TestSpoiledOnItsWay(t *testing.T) {
	dir := recordtest.Plain(t)
	for times, want := range map[int]error{1: nil, 1000: record.ErrDiffers} {
		link := &spoiling{to: &wire{handler: ended(t, dir).Handler()}, name: "/trials/1-1-django/load.jsonl", times: times}
		to, err := record.OpenCopy(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := NewClient(link, "http://pod", token, nil).Fetch(t.Context(), to); !errors.Is(err, want) {
			t.Errorf("%d times: %v", times, err)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = os.Stat(filepath.Join(to.Dir(), link.name))
		if want == nil && err != nil || want != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d times: %v", times, err)
		}
	}
}

// spoiling changes the first byte of a file.
type spoiling struct {
	to    http.RoundTripper
	name  string
	times int
}

func (s *spoiling) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.to.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, s.name) && s.times > 0 {
		s.times--
		answer.Body = &spoiled{ReadCloser: answer.Body}
	}
	return answer, err
}

type spoiled struct {
	io.ReadCloser
	done bool
}

func (s *spoiled) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if n > 0 && !s.done {
		p[0] ^= 1
		s.done = true
	}
	return n, err
}

// Who does not know the token gets nothing; no path leads out of the run directory, and only regular files are given.
func TestNothingElseIsGiven(t *testing.T) {
	dir := recordtest.Plain(t)
	outside := filepath.Join(filepath.Dir(dir), "outside")
	if err := os.WriteFile(outside, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "link")), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(ended(t, dir).Handler())
	defer web.Close()
	ask := func(method, path, token string) int {
		r, err := http.NewRequest(method, web.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(TokenHeader, token)
		answer, err := web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	for _, path := range []string{"GET /run", "GET /events", "GET /files", "GET /file/run.json", "POST /stop", "POST /ack", "POST /record/x", "POST /record"} {
		method, path, _ := strings.Cut(path, " ")
		for _, wrong := range []string{"", "secreu", token + "x"} {
			if status := ask(method, path, wrong); status != http.StatusUnauthorized {
				t.Errorf("%s %s with %q: %d", method, path, wrong, status)
			}
		}
	}
	for _, path := range []string{"../outside", "..%2foutside", "%2e%2e/outside", "trials/../../outside", "trials/..%2f..%2foutside", outside[1:], "%2f" + outside[1:], "link", "pipe", "trials", ""} {
		if status := ask(http.MethodGet, "/file/"+path, token); status < 400 {
			t.Errorf("%q: %d", path, status)
		}
	}
	if status := ask(http.MethodGet, "/file/run.json", token); status != http.StatusOK {
		t.Errorf("a file of the run: %d", status)
	}
	if _, err := NewServer(Options{}); err == nil {
		t.Error("without a token")
	}
}

// The word that all is fetched counts only once the run has ended; a run is stopped once, however often it is asked for.
func TestStopAndAck(t *testing.T) {
	stops := 0
	s := server(t, Options{Stop: func() { stops++ }})
	c := NewClient(&wire{handler: s.Handler()}, "http://pod", token, nil)
	if err := errors.Join(c.Stop(t.Context()), c.Stop(t.Context())); err != nil || stops != 1 {
		t.Errorf("stopped %d times, %v", stops, err)
	}
	var status *StatusError
	if err := c.Ack(t.Context()); !errors.As(err, &status) || status.Status != http.StatusConflict {
		t.Errorf("acknowledged too early: %v", err)
	}
	select {
	case <-s.Acked():
		t.Error("acknowledged too early")
	default:
	}
	s.Ended(Outcome{Error: "no image", Exit: 1})
	if err := errors.Join(c.Ack(t.Context()), c.Ack(t.Context())); err != nil {
		t.Error(err)
	}
	<-s.Acked()
	if got := followed(t.Context(), t, c); len(got) != 0 || c.Outcome() != (Outcome{Error: "no image", Exit: 1}) {
		t.Errorf("%q, %+v", got, c.Outcome())
	}
	if state, err := c.State(t.Context()); err != nil || state.Name != "" || !state.Ended || state.Outcome.Exit != 1 {
		t.Errorf("%+v, %v", state, err)
	}
}

// A controller may be away for less than a minute; one that is gone is not waited for.
func TestAway(t *testing.T) {
	dir := recordtest.Plain(t)
	s := ended(t, dir)
	for _, away := range []time.Duration{50 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			link := &wire{handler: s.Handler()}
			link.down.Store(true)
			time.AfterFunc(away, func() { link.down.Store(false) })
			began := time.Now()
			_, err := NewClient(link, "http://pod", token, nil).State(t.Context())
			if away < patience {
				within(t, time.Since(began), away, away+3*time.Second)
			} else {
				within(t, time.Since(began), patience-3*time.Second, patience)
			}
			if (away > patience) != errors.Is(err, ErrAway) || away < patience && err != nil {
				t.Errorf("away for %v: %v", away, err)
			}
			if n := link.requests.Load(); n > 40 {
				t.Errorf("%d requests in a minute", n)
			}
		})
	}
	gone := errors.New("its pod is gone")
	link := &wire{handler: s.Handler()}
	link.down.Store(true)
	if _, err := NewClient(link, "http://pod", token, func(context.Context) error { return gone }).State(t.Context()); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	if n := link.requests.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A refusal is final.
func TestRefused(t *testing.T) {
	link := &wire{handler: ended(t, recordtest.Plain(t)).Handler()}
	for item, err := range NewClient(link, "http://pod", "wrong", nil).Follow(t.Context(), record.Position{}, true) {
		if err == nil || !strings.Contains(err.Error(), "the token is not the run's") {
			t.Errorf("%+v, %v", item, err)
		}
	}
	if n := link.requests.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A run in which nothing happens for an hour is followed through one connection; one that gives no sign of life is left.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t, Options{})
		link := &wire{handler: s.Handler()}
		time.AfterFunc(time.Hour, func() { s.Ended(Outcome{}) })
		if got := followed(t.Context(), t, NewClient(link, "http://pod", token, nil)); len(got) != 0 || link.requests.Load() != 1 {
			t.Errorf("%q, %d requests", got, link.requests.Load())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		hung := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		link := &wire{handler: hung}
		began := time.Now()
		for _, err := range NewClient(link, "http://pod", token, nil).Follow(t.Context(), record.Position{}, true) {
			if !errors.Is(err, ErrAway) {
				t.Error(err)
			}
		}
		within(t, time.Since(began), silence, 2*silence+3*time.Second)
		if n := link.requests.Load(); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// A run arrives whole over a link that is cut, and can be resumed where it arrived.
func TestUpload(t *testing.T) {
	from := recordtest.Plain(t)
	if err := os.WriteFile(filepath.Join(from, "report.html"), []byte("not of the record"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	s := server(t, Options{Root: root, Resume: true})
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	link := &cutting{to: web.Client().Transport, after: first(15, 20_000, 9), sent: true}
	c := NewClient(link, web.URL, token, nil)
	if err := c.Upload(t.Context(), from, filepath.Base(from)); err != nil {
		t.Fatal(err)
	}
	dir, err := s.Uploaded(t.Context())
	if err != nil || dir != filepath.Join(root, filepath.Base(from)) {
		t.Fatalf("%q, %v", dir, err)
	}
	if link.cuts < 5 {
		t.Errorf("%d cuts show nothing", link.cuts)
	}
	want, err := record.Files(from, false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := record.Files(dir, true); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %d files, want %d", err, len(got), len(want))
	}
	w, left, err := record.Resume(dir, recordtest.Demo().Head.PlanDigest, recordtest.Epoch())
	if err != nil || len(left) == 0 {
		t.Fatalf("%v, %v", left, err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Upload(t.Context(), from, filepath.Base(from)); err == nil {
		t.Error("arrived twice")
	}
}

// Only a run that resumes one takes it in, under a name that is one, and only where it is proven.
func TestUploadRefused(t *testing.T) {
	from := recordtest.Plain(t)
	for _, name := range []string{"..", "a/b", "/", ".hidden", ""} {
		s := server(t, Options{Root: t.TempDir(), Resume: true})
		if err := NewClient(&wire{handler: s.Handler()}, "http://pod", token, nil).Upload(t.Context(), from, name); err == nil {
			t.Errorf("taken as %q", name)
		}
	}
	s := server(t, Options{Root: t.TempDir()})
	if err := NewClient(&wire{handler: s.Handler()}, "http://pod", token, nil).Upload(t.Context(), from, "run"); err == nil {
		t.Error("taken in by a run that resumes none")
	}
	root := t.TempDir()
	s = server(t, Options{Root: root, Resume: true})
	link := &wire{handler: s.Handler()}
	for _, path := range []string{"..%2foutside", "%2e%2e%2foutside"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://pod/record/"+path+"?run=run&offset=0", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(TokenHeader, token)
		answer, err := link.RoundTrip(r)
		if err != nil || answer.StatusCode < 400 {
			t.Errorf("%s: %v", path, err)
			continue
		}
		answer.Body.Close()
	}
	if _, err := os.Stat(filepath.Join(root, "outside")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file outside the run directory")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Uploaded(ctx); err == nil {
		t.Error("nothing has arrived")
	}
}

// The names of files survive their way through a URL.
func TestNames(t *testing.T) {
	dir := recordtest.Plain(t)
	names := []string{"a b.log", "a%2fb.log", "ü?#.log", "a+b&c.log"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	web := httptest.NewServer(ended(t, dir).Handler())
	defer web.Close()
	copied := copyOf(t, NewClient(web.Client().Transport, web.URL, token, nil))
	for _, name := range names {
		if text, err := os.ReadFile(filepath.Join(copied, name)); err != nil || string(text) != name {
			t.Errorf("%q: %q, %v", name, text, err)
		}
	}
}

// Of a file that grows there is as much as there is; a file that is not there yet has nothing. Who does not know the token is refused.
func TestTail(t *testing.T) {
	dir := recordtest.Plain(t)
	want, err := os.ReadFile(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	link := &wire{handler: ended(t, dir).Handler()}
	c := NewClient(link, "http://pod", token, nil)
	for _, from := range []int{0, 100, len(want), len(want) + 1} {
		got, err := c.Tail(t.Context(), "events.jsonl", int64(from))
		if err != nil || string(got) != string(want[min(from, len(want)):]) {
			t.Errorf("from %d: %d bytes of %d, %v", from, len(got), len(want), err)
		}
	}
	if got, err := c.Tail(t.Context(), "trials/9-9-x/load.jsonl", 0); err != nil || len(got) > 0 {
		t.Errorf("of no file: %q, %v", got, err)
	}
	if _, err := NewClient(link, "http://pod", "other", nil).Tail(t.Context(), "events.jsonl", 0); err == nil {
		t.Error("without the token")
	}
}
