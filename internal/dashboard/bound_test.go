package dashboard

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// deadlined is an answer that notes its deadlines.
type deadlined struct {
	*httptest.ResponseRecorder
	seen []time.Time
}

func (d *deadlined) SetWriteDeadline(at time.Time) error {
	d.seen = append(d.seen, at)
	return nil
}

// Nobody keeps an answer in memory by not reading it.
func TestAnswersAreTimely(t *testing.T) {
	s := serving(t, Options{Root: t.TempDir()})
	for _, path := range []string{"/history", "/assets/page.js", "/run/none/state.json"} {
		w := &deadlined{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = s.listener.Addr().String()
		s.Handler().ServeHTTP(w, r)
		if n := len(w.seen); n != 1 || time.Until(w.seen[0]) > answerWithin || w.Body.Len() == 0 {
			t.Errorf("%s, status %d: deadlines %v", path, w.Code, w.seen)
		}
	}
}

// Anyone who opens very many connections does not get more memory: others wait until one is free.
func TestConnectionsAreBounded(t *testing.T) {
	s := serving(t, Options{Root: t.TempDir()})
	at := s.listener.Addr().String()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close() // nothing is expected of them
		}
	}()
	dial := func() net.Conn {
		c := must[net.Conn](t)(net.Dial("tcp", at))
		open = append(open, c)
		fmt.Fprintf(c, "GET /history HTTP/1.1\r\nHost: %s\r\n\r\n", at)
		return c
	}
	for range mostConnections {
		if _, err := io.ReadFull(dial(), make([]byte, 12)); err != nil {
			t.Fatal(err)
		}
	}
	late := dial()
	check(t, late.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	if n, err := late.Read(make([]byte, 1)); err == nil {
		t.Errorf("one more was answered: %d bytes", n)
	}
	check(t, open[0].Close())
	check(t, late.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := io.ReadFull(late, make([]byte, 12)); err != nil {
		t.Errorf("after one has gone: %v", err)
	}
}

// The history of many runs shows what each wrote at its end, and computes nothing; where the summary is not of the record as it is, or
// is none, it does.
func TestHistoryReadsSummaries(t *testing.T) {
	root := t.TempDir()
	var dirs []string
	for i := range 40 {
		r := recordtest.Of(1, "flask")
		r.Root, r.ClosedS, r.OpenS = root, 1, 0
		dir := r.Write(t)
		dirs = append(dirs, dir)
		check(t, os.WriteFile(filepath.Join(dir, "summary.json"), fmt.Appendf(nil, `{"format":1,"headline":"run %d is decided","verdict":{"a":[1]},"attempts":{"run":7,"valid":%d}, cut`, i, i), 0o600))
	}
	s := serving(t, Options{Root: root})
	rows := func() map[string]historyRow {
		out := map[string]historyRow{}
		turn := s.shelf.turn()
		defer turn.end()
		for _, l := range slices.Backward(must[[]record.Listed](t)(record.List(root))) {
			out[l.Dir] = s.row(l, time.Now().Add(time.Hour), turn)
		}
		return out
	}
	got := rows()
	for i, dir := range dirs {
		if row := got[dir]; row.Verdict != fmt.Sprintf("run %d is decided", i) || row.Valid != fmt.Sprintf("%d of 7 run", i) {
			t.Errorf("run %d: %+v", i, row)
		}
	}
	if n := len(s.shelf.kept); n > 0 {
		t.Errorf("%d runs were computed", n)
	}
	old := time.Now().Add(-time.Hour)
	for i, text := range []string{`{"format":1,"headline":"old","attempts":{}}`, `{"format":99,"headline":"of another program","attempts":{}}`, `{"format":1`, `[]`, ``} {
		path := filepath.Join(dirs[i], "summary.json")
		check(t, os.WriteFile(path, []byte(text), 0o600))
		if i == 0 {
			check(t, os.Chtimes(path, old, old))
		}
	}
	s = serving(t, Options{Root: root})
	got = rows()
	for i, dir := range dirs[:5] {
		if row := got[dir]; row.Verdict == "" || strings.Contains(row.Verdict, "old") || strings.Contains(row.Verdict, "another") || row.Valid != "1 of 1 run" {
			t.Errorf("run %d: %+v", i, row)
		}
	}
	if n := len(s.shelf.kept); n != 5 {
		t.Errorf("%d runs were computed", n)
	}
}
