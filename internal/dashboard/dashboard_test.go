package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"bakeoff/internal/live"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[V any](t *testing.T) func(V, error) V {
	t.Helper()
	return func(v V, err error) V {
		t.Helper()
		check(t, err)
		return v
	}
}

// demo is a run of three targets with the phases of a plan.
func demo(root string) *recordtest.Run {
	r := recordtest.Of(3, "django", "flask", "fastapi")
	r.Root = root
	rates := map[string]int{"django": 1000, "flask": 1400, "fastapi": 1200}
	r.Rate = func(target string, block int) int { return rates[target] + 10*block }
	r.Plan("throughput", `"agents":{"count":2},"phases":[{"name":"closed","model":"closed","duration":"4s"},{"name":"open","model":"open","duration":"4s","rate":600}]`)
	return r
}

// serving is a server of a folder.
func serving(t *testing.T, o Options) *Server {
	t.Helper()
	s := must[*Server](t)(Open(o))
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context()) }()
	t.Cleanup(func() {
		s.Close()
		check(t, <-done)
	})
	return s
}

// ask asks the server for a path, as it is.
func ask(t *testing.T, s *Server, method, path string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequest(method, "http://"+s.listener.Addr().String(), nil))
	r.URL.Opaque = path // not cleaned
	if change != nil {
		change(r)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer := must[*http.Response](t)(client.Do(r))
	defer answer.Body.Close()
	return answer, string(must[[]byte](t)(io.ReadAll(answer.Body)))
}

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	answer, body := ask(t, s, http.MethodGet, path, nil)
	return answer.StatusCode, body
}

// A finished run is in the HTML that is served: its names, and its figures as the record has them. It opens no stream.
func TestFinishedRunIsInTheHTML(t *testing.T) {
	root := t.TempDir()
	dir := demo(root).Write(t)
	s := serving(t, Options{Root: root, Run: filepath.Base(dir)})
	at := base(filepath.Base(dir))
	if answer, _ := ask(t, s, "GET", "/", nil); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != at {
		t.Errorf("the first page is %v", answer.Header)
	}
	// 1,400 + 10 x block answers per second of flask: the median of three blocks.
	for path, wants := range map[string][]string{
		at:                                   {"django", "flask", "fastapi", "1,420", "1,020", "1,220", "Ranking", "Block values", "<svg", "complete", "9 of 9"},
		at + "target?name=flask":             {"flask-1", "flask-2", "1,420", "Response times", "worker_class", "gevent"},
		at + "tiers":                         {"Generator", "lateness", "Balance over replicas", "mariadb", "nginx"},
		"/history":                           {filepath.Base(dir), "9 of 9 run", "complete"},
		at + "part/run":                      {"1,420", "Ranking"},
		"/compare?run=x&run=y":               {"there is no such run"},
		"/compare?run=" + filepath.Base(dir): {"choose two or more runs"},
		"/compare?" + url.Values{"run": {filepath.Base(dir), filepath.Base(dir)}}.Encode(): {"choose two or more runs"},
	} {
		code, body := get(t, s, path)
		if code != http.StatusOK {
			t.Errorf("%s: status %d", path, code)
		}
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		head, nothing := ask(t, s, http.MethodHead, path, nil)
		if head.StatusCode != code || nothing != "" || head.Header.Get("Content-Type") == "" {
			t.Errorf("HEAD of %s: status %d, %d bytes", path, head.StatusCode, len(nothing))
		}
	}
	if _, body := get(t, s, at+"target?name=flask"); strings.Contains(body, "django-1") {
		t.Error("the page of flask has replicas of django")
	}
	if code, body := get(t, s, at+"events"); code != http.StatusOK || !strings.HasPrefix(body, "event: end\n") || strings.Count(body, "data: ") != 1 {
		t.Errorf("events of a finished run: status %d, %q", code, body)
	}
	if _, body := get(t, s, at); !strings.Contains(body, `data-live="false"`) {
		t.Error("the page of a finished run is live")
	}
}

// What a page draws of a finished run second by second is what it would have drawn when the run was live.
func TestFinishedRunHasItsSeconds(t *testing.T) {
	root := t.TempDir()
	dir := demo(root).Write(t)
	s := serving(t, Options{Root: root})
	for block := 1; block <= 3; block++ {
		_, body := get(t, s, base(filepath.Base(dir))+"state.json?block="+string(rune('0'+block)))
		var u live.Update
		check(t, json.Unmarshal([]byte(body), &u))
		points := 0
		for _, series := range u.Series {
			points += len(series.Points)
			if series.Target == "flask" && series.Phase.Name == "closed" && series.Points[0].OK != float64(1400+10*block) {
				t.Errorf("block %d: flask answers %g/s", block, series.Points[0].OK)
			}
		}
		if points != 3*8 || len(u.Seconds) == 0 || len(u.Agents) != 2 {
			t.Errorf("block %d: %d points, %d seconds, %d agents", block, points, len(u.Seconds), len(u.Agents))
		}
	}
	for _, wrong := range []string{"x", "-1", "1.5"} {
		if code, _ := get(t, s, base(filepath.Base(dir))+"state.json?block="+wrong); code != http.StatusBadRequest {
			t.Errorf("block %s: status %d", wrong, code)
		}
	}
}

// Several runs are compared in the words of bakeoff compare, and differ in what they differ in.
func TestCompare(t *testing.T) {
	root := t.TempDir()
	first := filepath.Base(demo(root).Write(t))
	second := demo(root)
	second.Head.Name = "later"
	second.Head.Seed = 8
	slower := second.Rate
	second.Rate = func(target string, block int) int { return slower(target, block) / 2 }
	last := filepath.Base(second.Write(t))
	s := serving(t, Options{Root: root})
	code, body := get(t, s, "/compare?"+url.Values{"run": {first, last}}.Encode())
	for _, want := range []string{"2 runs compared, by throughput", first, last, "0.5", "flask"} {
		if !strings.Contains(body, want) {
			t.Errorf("status %d: the page lacks %q", code, want)
		}
	}
}

// Every view has the strip: pages of no run that of the run under way, which they follow, or that there is none.
func TestEveryViewHasTheStrip(t *testing.T) {
	root := t.TempDir()
	demo(root).Write(t)
	r := demo(root)
	r.Head.Name = "growing"
	w := r.Begin(t)
	check(t, w.Progress(record.Progress{Block: 1, Blocks: 3, Trial: 1, Trials: 9, Target: "django", Text: "closed: 32 connections"}))
	s := serving(t, Options{Root: root})
	at := base(filepath.Base(w.Dir()))
	paths := []string{at, at + "target", at + "tiers", "/compare", "/history"}
	for _, path := range paths {
		_, body := get(t, s, path)
		for _, want := range []string{`data-live="true"`, `data-base="` + at + `"`, `id="notice"`, `<dd id="strip-plan">growing`, `<dd id="strip-rate">`, `<dd id="strip-left">`, `<dd id="strip-notok">`, `<dd id="strip-late">`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %s", path, want)
			}
		}
	}
	check(t, w.Finish(record.Complete, ""))
	for _, path := range paths {
		_, body := get(t, s, path)
		if !strings.Contains(body, `data-live="false"`) || !strings.Contains(body, `<dd id="strip-doing">nothing`) {
			t.Errorf("%s has no strip although no run is under way", path)
		}
	}
}

// Whatever asks for something else than a page of its own gets nothing.
func TestGuard(t *testing.T) {
	root := t.TempDir()
	dir := demo(root).Write(t)
	s := serving(t, Options{Root: root})
	at, port := base(filepath.Base(dir)), s.guard.port
	for _, c := range []struct {
		name, method, host, origin string
		want                       int
	}{
		{"an address", "GET", "127.0.0.1:" + port, "", 200},
		{"a name of this machine", "GET", "localhost:" + port, "", 200},
		{"version 6", "GET", "[::1]:" + port, "", 200},
		{"capitals", "GET", "LOCALHOST:" + port, "", 200},
		{"a name that was made to resolve here", "GET", "evil.example:" + port, "", 421},
		{"another address", "GET", "192.0.2.1:" + port, "", 421},
		{"another port", "GET", "localhost:1", "", 421},
		{"no port", "GET", "localhost", "", 421},
		{"a name that begins alike", "GET", "localhost.evil.example:" + port, "", 421},
		{"a user before it", "GET", "localhost@evil.example:" + port, "", 421},
		{"a form of another site", "POST", "localhost:" + port, "http://evil.example", 403},
		{"a form without origin", "POST", "localhost:" + port, "", 403},
		{"a form of a sandbox", "POST", "localhost:" + port, "null", 403},
		{"a form of its own", "POST", "localhost:" + port, "http://localhost:" + port, 405},
		{"a deletion of its own", "DELETE", "localhost:" + port, "http://localhost:" + port, 405},
		{"a question of another site", "OPTIONS", "localhost:" + port, "http://evil.example", 403},
	} {
		answer, body := ask(t, s, c.method, at, func(r *http.Request) {
			r.Host = c.host
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
		})
		if answer.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d", c.name, answer.StatusCode, c.want)
		}
		if c.want != 200 && strings.Contains(body, "flask") {
			t.Errorf("%s: the answer has names of the run", c.name)
		}
		h := answer.Header
		csp := h.Get("Content-Security-Policy")
		if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v", c.name, h)
		}
	}
}

// A name answers in whatever letters it was given.
func TestNamesWithCapitals(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "192.0.2.1"} {
		g := must[guard](t)(newGuard("Bench.Example", &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080}, ""))
		for _, host := range []string{"Bench.Example:8080", "bench.example:8080"} {
			if !g.called(host) {
				t.Errorf("%s: %s is refused", ip, host)
			}
		}
		for name := range g.names {
			if name != strings.ToLower(name) {
				t.Errorf("%s: nobody can say %s", ip, name)
			}
		}
	}
}

// The history knows the figures of every run that it has computed, however many there are.
func TestHistoryKeepsAllVerdicts(t *testing.T) {
	root := t.TempDir()
	for range mostKept + 3 {
		r := recordtest.Of(1, "flask")
		r.Root, r.ClosedS, r.OpenS = root, 1, 0
		r.Write(t)
	}
	s := serving(t, Options{Root: root})
	runs := must[[]record.Listed](t)(record.List(root))
	left := func(until time.Time) (n int) {
		turn := s.shelf.turn()
		defer turn.end()
		for _, l := range slices.Backward(runs) {
			if row := s.row(l, until, turn); !strings.Contains(row.Valid, "run") {
				n++
			}
		}
		return n
	}
	if n := left(time.Now().Add(time.Hour)); n > 0 || len(runs) != mostKept+3 {
		t.Errorf("%d of %d runs have no figures", n, len(runs))
	}
	if n := left(time.Now()); n > 0 {
		t.Errorf("%d runs have lost theirs", n)
	}
	if n := len(s.shelf.kept); n != mostKept {
		t.Errorf("%d whole runs are kept", n)
	}
}

// What was looked at last stays, and what is under way.
func TestShelfKeepsWhatIsLookedAt(t *testing.T) {
	r := demo(t.TempDir())
	w := r.Begin(t)
	s := newShelf(r.Root)
	s.open(w.Dir(), -1, s.turn())
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			s.entry(fmt.Sprint("run ", i))
		}
	}
	fill(1, mostKept)
	s.entry("run 1")
	fill(mostKept, 2*mostKept-2)
	if s.kept["run 1"] == nil || s.kept["run 2"] != nil {
		t.Error("what went is not what was looked at longest ago")
	}
	if s.kept[w.Dir()] == nil {
		t.Error("the run under way has gone")
	}
	check(t, w.Finish(record.Aborted, "test"))
	fill(2*mostKept, 2*mostKept+1)
	if s.kept[w.Dir()] != nil || len(s.kept) != mostKept {
		t.Errorf("after its end it stays for ever; %d are kept", len(s.kept))
	}
}

// While a run is under way, no view computes figures before twenty times as long has passed as the last ones took; what is known
// is shown. Afterwards everything is.
func TestFiguresRestWhileARunIsUnderWay(t *testing.T) {
	root := t.TempDir()
	var names []string
	for range 4 {
		names = append(names, filepath.Base(demo(root).Write(t)))
	}
	r := demo(root)
	w := r.Begin(t)
	r.Trial(t, w, 1, 1, "django", 1, nil)
	s := serving(t, Options{Root: root})
	turn := s.shelf.turn()
	for _, name := range names[2:] {
		s.shelf.open(filepath.Join(root, name), -1, turn)
	}
	turn.end()
	s.shelf.pause.until = time.Time{}
	own := base(filepath.Base(w.Dir()))
	begun := time.Now()
	if _, body := get(t, s, own); !strings.Contains(body, `data-finished="1"`) {
		t.Fatal("the run under way has no figures")
	}
	took := s.shelf.kept[w.Dir()].book.took
	if rests := s.shelf.pause.until.Sub(begun); rests < restAfter*took || s.shelf.pause.busy != 0 {
		t.Errorf("figures that took %s are followed by %s of rest, %d turns", took, rests, s.shelf.pause.busy)
	}
	s.shelf.pause.until = time.Now().Add(time.Hour)
	r.Trial(t, w, 1, 2, "flask", 1, nil)
	of := func(names []string) string { return "/compare?" + url.Values{"run": names}.Encode() }
	paths := []string{own, base(names[0]), of(names[:2]), of(names[2:]), "/history"}
	for i, want := range []string{`data-finished="1"`, "not computed yet", "not computed yet", "the comparison is not computed yet", "not computed yet"} {
		if code, body := get(t, s, paths[i]); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: status %d, and not %q", paths[i], code, want)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if _, err := s.shelf.past(ctx, filepath.Join(root, names[0]), -1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the seconds of a finished run do not wait: %v", err)
	}
	check(t, w.Finish(record.Aborted, "test"))
	for _, path := range paths {
		if _, body := get(t, s, path); strings.Contains(body, "not computed yet") {
			t.Errorf("%s is not computed although no run is under way", path)
		}
	}
	if _, body := get(t, s, base(names[0])+"state.json"); !strings.Contains(body, "flask") {
		t.Error("the seconds of a finished run are not there")
	}
}

// On another address than this machine's own a token is asked for, once.
func TestToken(t *testing.T) {
	root := t.TempDir()
	demo(root).Write(t)
	const token = "correct horse battery"
	s := must[*Server](t)(Open(Options{Root: root, Token: token}))
	defer s.Close()
	serve := func(path string, cookie *http.Cookie) *http.Response {
		r := httptest.NewRequest(http.MethodGet, "http://localhost:"+s.guard.port+path, nil)
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Result()
	}
	for _, path := range []string{"/history", "/history?token=", "/history?token=wrong", "/history?token=" + url.QueryEscape(token) + "x", "/assets/page.js"} {
		if got := serve(path, nil).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("%s: status %d", path, got)
		}
	}
	first := serve("/history?a=1&token="+url.QueryEscape(token), nil)
	if first.StatusCode != http.StatusSeeOther || first.Header.Get("Location") != "/history?a=1" || len(first.Cookies()) != 1 {
		t.Fatalf("the first visit: %d %v", first.StatusCode, first.Header)
	}
	cookie := first.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || strings.Contains(cookie.Value, token) {
		t.Errorf("the cookie is %v", cookie)
	}
	if got := serve("/history", cookie).StatusCode; got != http.StatusOK {
		t.Errorf("with the cookie: status %d", got)
	}
	for _, text := range []string{token, "wrong", ""} {
		again := serve("/history?a=1&token="+url.QueryEscape(text), cookie)
		if again.StatusCode != http.StatusSeeOther || again.Header.Get("Location") != "/history?a=1" {
			t.Errorf("a token %q stays in the address: %d %v", text, again.StatusCode, again.Header)
		}
	}
	cookie.Value = cookie.Value[:len(cookie.Value)-1] + "x"
	if got := serve("/history", cookie).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("with another cookie: status %d", got)
	}
	if elsewhere := serve("//evil.example/history?token="+url.QueryEscape(token), nil).Header.Get("Location"); strings.HasPrefix(elsewhere, "//") || strings.Contains(elsewhere, "http:") {
		t.Errorf("the first visit leads to %s", elsewhere)
	}
	if _, err := Open(Options{Root: root, Token: "short"}); err == nil {
		t.Error("a token of five bytes is taken")
	}
}

// Only loopback needs no token.
func TestTokenIsMadeElsewhere(t *testing.T) {
	for listen, want := range map[string]bool{"127.0.0.1:0": false, "localhost:0": false, "0.0.0.0:0": true, ":0": true} {
		s := must[*Server](t)(Open(Options{Root: t.TempDir(), Listen: listen}))
		if has := len(s.guard.token) >= leastToken; has != want || strings.Contains(s.URL(), "token=") != want {
			t.Errorf("%s: %s", listen, s.URL())
		}
		s.Close()
	}
}

// No path leaves the folder.
func TestPathsStayInTheFolder(t *testing.T) {
	outside := t.TempDir()
	secret := demo(outside).Write(t)
	check(t, os.WriteFile(filepath.Join(outside, "secret.js"), []byte("the secret"), 0o600))
	root := filepath.Join(outside, "inside")
	check(t, os.Mkdir(root, 0o700))
	own := demo(root)
	own.Head.Name = "own"
	name := filepath.Base(own.Write(t))
	check(t, os.Symlink(secret, filepath.Join(root, "link")))
	check(t, os.Mkdir(filepath.Join(root, "half"), 0o700))
	for _, file := range []string{"run.json", "events.jsonl"} {
		check(t, os.WriteFile(filepath.Join(root, "half", file), must[[]byte](t)(os.ReadFile(filepath.Join(secret, file))), 0o600))
	}
	check(t, os.Symlink(filepath.Join(secret, "trials"), filepath.Join(root, "half", "trials")))
	check(t, os.MkdirAll(filepath.Join(root, "third", "trials"), 0o700))
	for _, file := range []string{"run.json", "events.jsonl"} {
		check(t, os.WriteFile(filepath.Join(root, "third", file), must[[]byte](t)(os.ReadFile(filepath.Join(secret, file))), 0o600))
	}
	for _, trial := range must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(secret, "trials"))) {
		check(t, os.Symlink(filepath.Join(secret, "trials", trial.Name()), filepath.Join(root, "third", "trials", trial.Name())))
	}
	s := serving(t, Options{Root: root})
	for _, path := range []string{"/run/third/", "/run/third/state.json", "/run/third/part/run", "/run/third/target"} {
		if _, body := get(t, s, path); strings.Contains(body, "1,420") || strings.Contains(body, `"rate":1420`) || strings.Contains(body, "<svg") {
			t.Errorf("%s shows trials that are outside", path)
		}
	}
	up := filepath.Base(secret)
	for _, path := range []string{
		"/run/link/", "/run/half/", "/run/half/state.json", "/run/half/events", "/run/../" + up + "/", "/run/..%2f" + up + "/", "/run/%2e%2e%2f" + up + "/", "/run/%2e%2e/", "/run/../", "/run/./", "/run/%2e/",
		"/run/" + url.PathEscape(secret) + "/", "/run/" + name + "%00/", "/run/" + name + "%2ftrials/", "/run//", "/run/%5c..%5c" + up + "/", "/run/..%252f" + up + "/",
		"/assets/..%2f..%2f..%2f..%2fsecret.js", "/assets/%2e%2e%2fframe.tmpl", "/assets/../../secret.js", "/assets/frame.tmpl", "/assets/main.ts", "/run/" + name + "/part/..%2f..%2fx", "/run/" + name + "/run.json",
		"/compare?run=link&run=" + name, "/compare?run=..%2f" + up + "&run=" + name,
	} {
		answer, body := ask(t, s, http.MethodGet, path, nil)
		if strings.Contains(body, "the secret") || strings.Contains(body, "1,420") || strings.Contains(body, "<svg") {
			t.Errorf("%s: status %d, and shows what is outside", path, answer.StatusCode)
		}
		if !strings.HasPrefix(path, "/compare") && answer.StatusCode == http.StatusOK {
			t.Errorf("%s: status 200", path)
		}
	}
	if _, body := get(t, s, base(name)); !strings.Contains(body, "1,420") {
		t.Error("the run inside is not shown")
	}
}

// canaries are texts that do something where they are not taken as text.
func canaries() []string {
	return []string{
		`</script><script>document.title='hacked'</script>`, `<img src=x onerror="document.title='hacked'">`, `</title></style></svg><svg onload=alert(1)>`, `"><b onmouseover=alert(1)>`,
		"\x1b[2J\x9b31m", `javascript:alert(1)`, "\u202eevil\u2066", "{{.Body}}${1}", "'\"`<>&",
	}
}

// Whatever a record holds, it stays text on every page: no element, attribute or address of its own.
func TestCanariesStayText(t *testing.T) {
	root := t.TempDir()
	all := canaries()
	names := []string{"<script>alert(1)<script>", "\x1b[31m\u202ered", "\"><b onclick=x>"}
	r := recordtest.Of(2, names...)
	r.Root = root
	h := &r.Head
	h.Bakeoff, h.Notes, h.Machine.CPU, h.Database.Vendor = all[0], all, all[1], all[2]
	for i := range h.Targets {
		h.Targets[i].Title, h.Targets[i].Recipe, h.Targets[i].Tags = all[i], all[i+1], all
	}
	r.Plan("throughput", `"phases":[{"name":"<img src=x onerror=alert(1)>","model":"closed","duration":"4s"}]`)
	w := r.Begin(t)
	check(t, w.Progress(record.Progress{Text: all[0], Target: names[0], Trials: 3, Trial: 1}))
	for _, p := range h.Order {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, func(tr *record.Trial) {
			for _, c := range all {
				tr.Warnings = append(tr.Warnings, record.Reason{Code: c, Text: c})
			}
		})
	}
	check(t, w.Finish(record.Aborted, all[0]))
	plain := filepath.Base(demo(root).Write(t))
	name := filepath.Base(w.Dir())
	s := serving(t, Options{Root: root})
	known := map[string]bool{}
	for _, path := range []string{base(plain), base(plain) + "target", base(plain) + "tiers", "/history", "/compare"} {
		_, body := get(t, s, path)
		for n := range must[*html.Node](t)(html.Parse(strings.NewReader(body))).Descendants() {
			if n.Type == html.ElementNode {
				known[n.Data] = true
			}
		}
	}
	turned := "turned\u202e\x1b\u009b"
	check(t, os.CopyFS(filepath.Join(root, turned), os.DirFS(filepath.Join(root, plain))))
	check(t, os.Mkdir(filepath.Join(root, "half"+turned), 0o700))
	check(t, os.WriteFile(filepath.Join(root, "half"+turned, "trials"), nil, 0o600))
	paths := []string{base("half"+turned) + "state.json", base(turned), base(turned) + "target", "/compare?" + url.Values{"run": {plain, turned}}.Encode(), base("none" + turned), base("none"+turned) + "state.json"}
	for _, target := range names {
		paths = append(paths, base(name)+"target?name="+url.QueryEscape(target))
	}
	for _, path := range append(paths, base(name), base(name)+"tiers", "/history", "/compare?run="+name+"&run="+plain, "/compare?run="+url.QueryEscape(all[0])+"&run=x", base(name)+"target?name="+url.QueryEscape(all[1]), "/run/"+url.PathEscape("<script>alert(1)")+"/") {
		_, body := get(t, s, path)
		for n := range must[*html.Node](t)(html.Parse(strings.NewReader(body))).Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if !known[n.Data] {
				t.Errorf("%s has an element <%s>", path, n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || slices.Contains([]string{"href", "src", "action"}, a.Key) && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") {
					t.Errorf("%s: <%s> has %s=%q", path, n.Data, a.Key, a.Val)
				}
			}
		}
		if strings.ContainsAny(body, "\x1b\u009b\u202e") {
			t.Errorf("%s has control characters", path)
		}
	}
	_, form := get(t, s, "/compare")
	value := url.PathEscape(turned)
	if _, body := get(t, s, "/compare?"+url.Values{"run": {plain, value}}.Encode()); !strings.Contains(form, `value="`+value+`"`) || !strings.Contains(body, "2 runs compared") || strings.Count(body, " checked>") != 2 {
		t.Errorf("the form of a folder whose name cannot be shown does not choose it: %s", body)
	}
	if _, body := get(t, s, base(name)+"target?name="+url.QueryEscape(names[1])); !strings.Contains(body, `data-target="`+url.PathEscape(names[1])+`"`) {
		t.Error("the script of the page does not know the name of its target")
	}
	for _, f := range s.strip("", record.Listed{Name: "x", Status: turned}) {
		if show.Inert(f.Text) != f.Text {
			t.Errorf("the strip has %s %q", f.Key, f.Text)
		}
	}
	if row := s.row(record.Listed{Dir: turned, Name: turned, Status: turned}, time.Time{}, s.shelf.turn()); show.Inert(row.Name+row.Folder+row.Status) != row.Name+row.Folder+row.Status {
		t.Errorf("the history has %+v", row)
	}
	if _, body := get(t, s, base(name)); !strings.Contains(body, "document.title=&#39;hacked&#39;") {
		t.Error("the canary of a note is not on the page as text")
	}
	if _, body := get(t, s, base(name)+"state.json"); strings.Contains(body, "<script") || !json.Valid([]byte(body)) {
		t.Error("the state is no inert JSON")
	}
}

// A record that is cut or changed anywhere never ends a page: each says what is damaged, or shows the run.
func TestDamagedRecords(t *testing.T) {
	root := t.TempDir()
	r := recordtest.Of(1, "flask", "django")
	r.Root, r.ClosedS, r.OpenS = root, 1, 0
	dir := r.Write(t)
	name := filepath.Base(dir)
	var paths []string
	check(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	}))
	tried := 0
	for _, path := range paths {
		content := must[[]byte](t)(os.ReadFile(path))
		step := max(1, len(content)/4)
		if os.Getenv("BAKEOFF_LONG") != "" {
			step = max(1, len(content)/400)
		}
		for at := 0; at < len(content); at += step {
			flipped := slices.Clone(content)
			flipped[at] ^= 0x41
			for what, now := range map[string][]byte{"cut": content[:at], "flipped": flipped} {
				check(t, os.WriteFile(path, now, 0o600))
				s := &Server{root: root, shelf: newShelf(root), watches: newWatches()}
				s.Show("")
				for _, of := range []string{base(name), base(name) + "target", base(name) + "tiers", base(name) + "state.json", "/history"} {
					w := httptest.NewRecorder()
					s.mux().ServeHTTP(w, httptest.NewRequest(http.MethodGet, of, nil))
					tried++
					if w.Code >= 500 || w.Body.Len() == 0 {
						t.Fatalf("%s %s at byte %d: %s: status %d", filepath.Base(path), what, at, of, w.Code)
					}
					if of == base(name) && !strings.Contains(w.Body.String(), "amage") && !strings.Contains(w.Body.String(), "problem") && filepath.Base(path) != "plan.yaml" && !strings.Contains(w.Body.String(), "torn") {
						t.Fatalf("%s %s at byte %d: the page does not say that something is damaged", filepath.Base(path), what, at)
					}
				}
			}
		}
		check(t, os.WriteFile(path, content, 0o600))
	}
	if tried < 200 {
		t.Errorf("only %d pages were tried", tried)
	}
}

// A run of another version of the format says so.
func TestOtherVersion(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "20990101T000000Z-x")
	check(t, os.Mkdir(dir, 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "run.json"), []byte("{\n  \"format\": 99,\n  \"sha256\": \"x\"\n}\n"), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "events.jsonl"), nil, 0o600))
	s := serving(t, Options{Root: root})
	for _, path := range []string{base(filepath.Base(dir)), "/history"} {
		if code, body := get(t, s, path); code != http.StatusOK || !strings.Contains(body, "format 99") {
			t.Errorf("%s: status %d, %s", path, code, body)
		}
	}
}

// The pages of an old run can be looked at like those of a new one.
func TestOldFormat(t *testing.T) {
	root := must[string](t)(filepath.Abs("../record/testdata"))
	s := serving(t, Options{Root: root})
	if code, body := get(t, s, "/run/format-1/"); code != http.StatusOK || !strings.Contains(body, "flask") || !strings.Contains(body, "<svg") {
		t.Errorf("status %d", code)
	}
	_, body := get(t, s, "/run/format-1/state.json")
	var u live.Update
	check(t, json.Unmarshal([]byte(body), &u))
	if len(u.Series) == 0 || u.Series[0].Target != "flask" {
		t.Errorf("series: %+v", u.Series)
	}
}

func TestListenFails(t *testing.T) {
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	for _, listen := range []string{l.Addr().String(), "nonsense", "127.0.0.1:99999"} {
		if _, err := Open(Options{Root: t.TempDir(), Listen: listen}); err == nil {
			t.Errorf("%s: no error", show.Inert(listen))
		}
	}
}
