package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/live"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// said is one event of a stream as a browser takes it.
type said struct {
	event, id string
	live.Update
	Skipped int    `json:"skipped"`
	Clock   int64  `json:"clock"` // ms
	Status  string `json:"status"`
	Missed  bool   `json:"missed"`
}

// reading is a page that reads a stream.
type reading struct {
	t    *testing.T
	in   *bufio.Scanner
	stop context.CancelFunc
}

// listen opens the stream of a run behind an identifier.
func listen(t *testing.T, s *Server, name, last string) *reading {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(stop)
	r := must[*http.Request](t)(http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listener.Addr().String()+base(name)+"events", nil))
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer := must[*http.Response](t)(http.DefaultClient.Do(r))
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, %v", answer.StatusCode, answer.Header)
	}
	in := bufio.NewScanner(answer.Body)
	in.Buffer(nil, 1<<24)
	return &reading{t, in, stop}
}

// next is the next event.
func (r *reading) next() said {
	r.t.Helper()
	var out said
	for r.in.Scan() {
		key, value, _ := strings.Cut(r.in.Text(), ": ")
		switch key {
		case "event":
			out.event = value
		case "id":
			out.id = value
		case "data":
			check(r.t, json.Unmarshal([]byte(value), &out))
		case "":
			if out.id != "" {
				return out
			}
		}
	}
	r.t.Fatalf("the stream has ended: %v", r.in.Err())
	return out
}

// page is what a page has of points and sums.
type page map[string]any

func (p page) take(u live.Update) {
	if u.Whole {
		clear(p)
	}
	for _, s := range u.Series {
		p[fmt.Sprint(s.Block, s.Attempt, s.Target, s.Phase.Number)] = s.Sum
		for _, one := range s.Points {
			p[fmt.Sprint(s.Block, s.Attempt, s.Target, s.Phase.Number, " at ", one.S)] = one
		}
	}
}

// until takes events until a number of trials is settled.
func (p page) until(r *reading, finished int) (last string) {
	for {
		m := r.next()
		p.take(m.Update)
		if m.Now.Finished >= finished {
			return m.id
		}
	}
}

// A page that was cut off gets what it missed and nothing twice, by the identifier of the last event that it has; one that is
// loaded again gets everything. Both have the same in the end as one that was never cut off.
func TestStreamContinues(t *testing.T) {
	root := t.TempDir()
	r := recordtest.Of(1, "flask", "django", "fastapi")
	r.Root = root
	w := r.Begin(t)
	name := filepath.Base(w.Dir())
	s := serving(t, Options{Root: root})
	r.Trial(t, w, 1, 1, "flask", 1, nil)
	whole, cut := page{}, page{}
	steady, first := listen(t, s, name, ""), listen(t, s, name, "")
	if m := first.next(); !m.Whole || m.Head == nil || m.id == "" || time.Since(time.UnixMilli(m.Clock)).Abs() > time.Minute {
		t.Errorf("the first event is %+v", m)
	} else {
		cut.take(m.Update)
	}
	r.Trial(t, w, 1, 2, "django", 1, nil)
	last := cut.until(first, 2)
	first.stop()
	whole.until(steady, 2)
	r.Trial(t, w, 1, 3, "fastapi", 1, nil)
	whole.until(steady, 3)

	again := listen(t, s, name, last)
	m := again.next()
	if m.Whole || m.id == last {
		t.Errorf("a page that was cut off gets everything again (%t), or the last event", m.Whole)
	}
	for _, series := range m.Series {
		if series.Target == "flask" {
			t.Errorf("it gets %s again", series.Target)
		}
	}
	cut.take(m.Update)
	if m.Now.Finished < 3 {
		cut.until(again, 3)
	}
	reload := page{}
	fresh := listen(t, s, name, "").next()
	reload.take(fresh.Update)
	for what, other := range map[string]page{"cut off": cut, "loaded again": reload} {
		if diff := cmp.Diff(whole, other); diff != "" {
			t.Errorf("%s (-never cut off +this):\n%s", what, diff)
		}
	}
	if unknown := listen(t, s, name, "12345,not-a-position").next(); !unknown.Whole {
		t.Error("an identifier that is not known gets no whole state")
	}
	check(t, w.Finish(record.Complete, ""))
	for {
		if m := steady.next(); m.event == "end" {
			if m.Status != record.Complete || m.Missed {
				t.Errorf("the end: %q, missed %t", m.Status, m.Missed)
			}
			break
		}
	}
	if code, body := get(t, s, base(name)+"events"); code != http.StatusOK || !strings.Contains(body, "event: end\n") || !strings.Contains(body, `"missed":true,"status":"complete"}`) {
		t.Errorf("after the end: status %d, %s", code, body)
	}
	if _, body := get(t, s, base(name)); !strings.Contains(body, `data-live="false"`) || !strings.Contains(body, "complete") {
		t.Error("the page after the end is not that of a finished run")
	}
}

// A run under way has its figures so far, and no claim before the last block.
func TestNoClaimBeforeTheLastBlock(t *testing.T) {
	root := t.TempDir()
	r := demo(root)
	w := r.Begin(t)
	defer func() { check(t, w.Finish(record.Aborted, "test")) }()
	for _, p := range r.Head.Order {
		if p.Block < 3 {
			r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
		}
	}
	s := serving(t, Options{Root: root})
	_, body := get(t, s, base(filepath.Base(w.Dir())))
	for _, want := range []string{`data-live="true"`, `data-standing="true"`, "Intervals as they are so far", "After 2 whole blocks of 3", "django, the first of the plan", "6 of 9", "under way"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	standing, rest, _ := strings.Cut(body, "Block values")
	for _, claim := range []string{"is better", "is worse", "a tie", "not told apart", "Every pair in words"} {
		if strings.Contains(standing, claim) || strings.Contains(rest, "Every pair in words") {
			t.Errorf("the page claims %q", claim)
		}
	}
}

// windows yields a run of that many seconds, with a pause behind each, as record.Follow does.
func windows(seconds int, each func(second int)) func(func(record.Item, error) bool) {
	return func(yield func(record.Item, error) bool) {
		for second := range seconds {
			l := &record.Load{Phase: 1, Window: stats.Window{Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: 300, Sent: 300, OK: 300}, Service: stats.NewHistogram()}}
			l.Service.RecordN(time.Millisecond, 300)
			at, _ := record.ParsePosition(fmt.Sprint(second))
			if !yield(record.Item{Trial: "1-1-flask", Load: l}, nil) || !yield(record.Item{Position: at, Pause: &record.Pause{Live: second < seconds-1}}, nil) {
				return
			}
			each(second)
		}
	}
}

// With 100 pages, 10 of them stalled, nobody waits: the record is read to its end while no stalled page takes anything, no queue
// is longer than its bound, pages that read have every second, and a page that wakes up has the whole state, which says how
// much it lost.
func TestStalledPagesLoseDetailOnly(t *testing.T) {
	const pages, stalled, seconds = 100, 10, 1000
	w := newWatch()
	var all []*client
	var readers sync.WaitGroup
	got, taken := make([]page, pages), make([]int, pages)
	read := func() {
		for i, c := range all[stalled:] { // each takes what it has
			readers.Go(func() {
				for len(c.queue) > 0 {
					m := <-c.queue
					if taken[stalled+i]++; i%30 > 0 {
						continue // three of them are looked at
					}
					var u live.Update
					check(t, json.Unmarshal(m.data, &u))
					got[stalled+i].take(u)
				}
			})
		}
		readers.Wait()
	}
	w.follow("", windows(seconds, func(second int) {
		if second == 0 { // all there was has been read
			for i := range pages {
				c := must[*client](t)(w.join(""))
				all = append(all, c)
				got[i] = page{}
			}
			return
		}
		read()
	}))
	read()
	for i, c := range all {
		if i >= stalled && (c.skipped > 0 || taken[i] != seconds || (i-stalled)%30 == 0 && len(got[i]) != seconds+1) {
			t.Fatalf("page %d lost %d updates, took %d and has %d of %d seconds", i, c.skipped, taken[i], len(got[i])-1, seconds)
		}
		if i >= stalled {
			continue
		}
		if len(c.queue) > mostQueued || c.skipped != seconds-1-(mostQueued-1) {
			t.Fatalf("stalled page %d: %d wait, %d are lost", i, len(c.queue), c.skipped)
		}
		lost := c.skipped
		for len(c.queue) > 0 {
			<-c.queue
		}
		m, ok := w.catchUp(c)
		var woke said
		check(t, json.Unmarshal(m.data, &woke))
		p := page{}
		p.take(woke.Update)
		if diff := cmp.Diff(got[stalled], p); !ok || woke.Skipped != lost || !woke.Whole || diff != "" {
			t.Fatalf("stalled page %d woke up with %d skipped, whole %t (-a page that read +this):\n%s", i, woke.Skipped, woke.Whole, diff)
		}
	}
	if len(w.recent) != mostRecent {
		t.Errorf("%d messages are kept", len(w.recent))
	}
	if !w.over() {
		t.Error("the watch has not ended")
	}
}

// The end of a run waits for no page: with 100 real connections, 10 that never read, the writer ends, every page that
// reads hears of it, and the server closes.
func TestEndWaitsForNoPage(t *testing.T) {
	root := t.TempDir()
	r := recordtest.Of(1, "flask")
	r.Root, r.OpenS = root, 0
	w := r.Begin(t)
	name := filepath.Base(w.Dir())
	s := must[*Server](t)(Open(Options{Root: root}))
	served := make(chan error, 1)
	go func() { served <- s.Serve(t.Context()) }()
	var reading sync.WaitGroup
	ended := make(chan bool, 100)
	for i := range 100 {
		one := listen(t, s, name, "")
		if i < 10 {
			continue
		}
		reading.Go(func() {
			for {
				if m := one.next(); m.event == "end" {
					ended <- true
					return
				}
			}
		})
	}
	r.Trial(t, w, 1, 1, "flask", 1, nil)
	check(t, w.Finish(record.Complete, ""))
	reading.Wait()
	if n := len(ended); n != 90 {
		t.Errorf("%d of 90 pages heard of the end", n)
	}
	s.Close()
	check(t, <-served)
}

// A page that has lost an update gets no later one before it knows how many it lost, although it takes one in between.
func TestNoUpdateComesBehindAGap(t *testing.T) {
	const lost = 7
	w := newWatch()
	var c *client
	w.follow("", windows(mostQueued+lost, func(second int) {
		switch second {
		case 0:
			c = must[*client](t)(w.join(""))
		case mostQueued + 2: // some are lost by now
			<-c.queue
		}
	}))
	if n := len(c.queue); n != mostQueued-1 {
		t.Errorf("%d updates wait: a later one came behind the gap", n)
	}
	for len(c.queue) > 0 {
		<-c.queue
	}
	m, ok := w.catchUp(c)
	var woke said
	check(t, json.Unmarshal(m.data, &woke))
	if !ok || !woke.Whole || woke.Skipped != lost {
		t.Errorf("the page hears of %d lost updates of %d, whole %t", woke.Skipped, lost, woke.Whole)
	}
}

// What fails is said to the page, which does not say that the run has ended; it is not read again for a while. A panic is a failure
// like others: the process may be that of the run.
func TestFailureIsSaid(t *testing.T) {
	for want, each := range map[string]func(func(record.Item, error) bool){
		"no more room": func(yield func(record.Item, error) bool) { yield(record.Item{}, errors.New("no more room\x1b[2J")) },
		"off the end":  func(func(record.Item, error) bool) { panic("off the end") },
	} {
		w := newWatch()
		w.follow("", func(yield func(record.Item, error) bool) {
			if yield(record.Item{Pause: &record.Pause{Live: true}}, nil) {
				each(yield)
			}
		})
		answer := httptest.NewRecorder()
		w.stream(answer, httptest.NewRequest(http.MethodGet, "/", nil), must[*client](t)(w.join("")))
		body := answer.Body.String()
		if !strings.Contains(body, "event: failed\n") || strings.Contains(body, "event: end") || !strings.Contains(body, want) || strings.Contains(body, "\x1b") {
			t.Errorf("%s: the page gets %q", want, body)
		}
		if !w.over() || w.gone() {
			t.Errorf("%s: over %t, gone %t", want, w.over(), w.gone())
		}
		w.failed = w.failed.Add(-2 * failedFor)
		if !w.gone() {
			t.Errorf("%s: it stays for ever", want)
		}
	}
}

// A run that cannot be followed is read once, however often its page is loaded.
func TestFailureIsKept(t *testing.T) {
	w := newWatches()
	defer w.close()
	dir := t.TempDir() // no run
	first := w.open(dir)
	<-first.ended
	if second := w.open(dir); second != first {
		t.Error("the next page reads it again")
	}
	first.mu.Lock()
	first.failed = first.failed.Add(-2 * failedFor)
	first.mu.Unlock()
	if third := w.open(dir); third == first {
		t.Error("it is never read again")
	}
}

// A run is followed for its pages: when the last one has gone, and none has come back for a while, its record is read no further. A
// page that comes then does not join what has ended.
func TestWatchEndsWithItsLastPage(t *testing.T) {
	w := newWatch()
	long := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked = w.asked.Add(-2 * unwatchedFor)
	}
	var c *client
	last := 0
	long() // all there was took long to read
	w.follow("", windows(100, func(second int) {
		last = second
		switch second {
		case 10:
			c = must[*client](t)(w.join(""))
			long()
		case 20:
			long()
			w.leave(c)
		case 30:
			long()
			w.touch() // a page asks for it
		case 40:
			long()
		}
	}))
	if last != 40 {
		t.Errorf("it was followed for %d s", last)
	}
	if _, err := w.join(""); !errors.Is(err, errLeft) || !w.gone() || !w.over() {
		t.Errorf("a page joins it: %v, gone %t, over %t", err, w.gone(), w.over())
	}
}

// Runs that nobody looks at any more leave their places to others, and what was known of them is let go.
func TestUnwatchedRunsLeaveTheirPlaces(t *testing.T) {
	root := t.TempDir()
	var dirs []string
	var writers []*record.Writer
	for range mostWatched + 1 {
		r := recordtest.Of(1, "flask")
		r.Root = root
		w := r.Begin(t)
		defer func() { check(t, w.Finish(record.Aborted, "test")) }()
		dirs, writers = append(dirs, w.Dir()), append(writers, w)
	}
	w := newWatches()
	defer w.close()
	var all []*watch
	for _, dir := range dirs[:mostWatched] {
		all = append(all, w.open(dir))
		<-all[len(all)-1].ready
	}
	if _, _, err := w.join(t.Context(), dirs[mostWatched], ""); !errors.Is(err, errManyRuns) {
		t.Errorf("one more is watched: %v", err)
	}
	_, c, err := w.join(t.Context(), dirs[0], "")
	check(t, err)
	for _, one := range all {
		one.mu.Lock()
		one.asked = one.asked.Add(-2 * unwatchedFor)
		one.mu.Unlock()
	}
	for _, w := range writers[:mostWatched] {
		check(t, w.Progress(record.Progress{Block: 1, Target: "flask", Text: "it goes on"}))
	}
	for _, one := range all[1:] {
		<-one.ended
	}
	one, _, err := w.join(t.Context(), dirs[mostWatched], "")
	check(t, err)
	again, _, err := w.join(t.Context(), dirs[1], "") // of a run that was followed before
	check(t, err)
	if one.over() || again.over() || again == all[1] || all[0].over() || c == nil {
		t.Errorf("over: %t, %t, the watch with a page %t", one.over(), again.over(), all[0].over())
	}
	if w.close(); len(w.of) > 0 {
		t.Errorf("%d watches that have ended are kept", len(w.of))
	}
}

// No watch begins while the watches are closed: nobody would wait for it.
func TestNoWatchBeginsAtTheEnd(t *testing.T) {
	w := newWatches()
	stop := w.stop
	w.stop = func() {
		if w.mu.TryLock() {
			t.Error("a page may begin a watch")
			w.mu.Unlock()
		}
		stop()
	}
	w.close()
	if w.open(t.TempDir()) != nil {
		t.Error("a watch begins after the end")
	}
}

// No more pages than a number are served, and the next one is refused in words.
func TestPagesAreBounded(t *testing.T) {
	w := newWatch()
	for range mostClients {
		must[*client](t)(w.join(""))
	}
	if _, err := w.join(""); err == nil {
		t.Error("one more is taken")
	}
}

// A run that nobody writes any more has not ended unless its record says so: not in its stream, and not on its page.
func TestKilledRunHasNotEnded(t *testing.T) {
	root := t.TempDir()
	r := recordtest.Of(2, "flask")
	r.Root = root
	w := r.Begin(t)
	r.Trial(t, w, 1, 1, "flask", 1, nil)
	name := filepath.Base(w.Dir())
	s := serving(t, Options{Root: root})
	page := listen(t, s, name, "")
	check(t, w.Close())
	for {
		if m := page.next(); m.event == "end" {
			if m.Status != record.Incomplete {
				t.Errorf("the stream says %q", m.Status)
			}
			break
		}
	}
	if _, body := get(t, s, base(name)+"events"); !strings.Contains(body, `"missed":true,"status":"incomplete"}`) {
		t.Errorf("a page that comes later gets %s", body)
	}
	if _, body := get(t, s, base(name)); strings.Contains(body, "the run has ended") || !strings.Contains(body, "nobody writes the run") {
		t.Error("the page says that the run has ended")
	}
	check(t, os.WriteFile(filepath.Join(w.Dir(), "run.json"), nil, 0o600))
	check(t, os.WriteFile(filepath.Join(w.Dir(), "events.jsonl"), nil, 0o600))
	if _, body := get(t, s, base(name)+"events"); !strings.Contains(body, "event: failed\n") || strings.Contains(body, "event: end") {
		t.Errorf("a record that cannot be read: %s", body)
	}
}

// HEAD of a stream ends at once.
func TestHeadOfAStream(t *testing.T) {
	root := t.TempDir()
	w := recordtest.Of(1, "flask")
	w.Root = root
	writer := w.Begin(t)
	defer func() { check(t, writer.Finish(record.Aborted, "test")) }()
	s := serving(t, Options{Root: root})
	answer, body := ask(t, s, http.MethodHead, base(filepath.Base(writer.Dir()))+"events", nil)
	if answer.StatusCode != http.StatusOK || body != "" || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("status %d, %v", answer.StatusCode, answer.Header)
	}
}

// A server that is closed does not say that the run has ended.
func TestClosedServerEndsNoRun(t *testing.T) {
	for name, closed := range map[string]bool{"the run ends": false, "the server is closed": true} {
		closing := make(chan struct{})
		if closed {
			close(closing)
		}
		w := newWatch()
		w.closing = closing
		w.follow("", func(func(record.Item, error) bool) {})
		answer := httptest.NewRecorder()
		w.stream(answer, httptest.NewRequest(http.MethodGet, "/", nil), must[*client](t)(w.join("")))
		if said := strings.Contains(answer.Body.String(), "event: end"); said == closed {
			t.Errorf("%s: the stream is %q", name, answer.Body)
		}
	}
}
