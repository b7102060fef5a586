package dashboard

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/live"
	"bakeoff/internal/record"
	"bakeoff/internal/report"
	"bakeoff/internal/show"
)

// Files of the pages: their frame, and what tools/page has made of page/*.ts and page/*.css.
//
//go:embed page/frame.tmpl page/dist
var files embed.FS

// Views of a run.
const (
	viewRun    = "run"
	viewTarget = "target"
	viewTiers  = "tiers"
)

// Handler answers everything that a browser may ask for.
func (s *Server) Handler() http.Handler { return bounded(s.guard.before(s.mux())) }

func (s *Server) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /history", s.history)
	mux.HandleFunc("GET /compare", s.compare)
	mux.HandleFunc("GET /run/{run}/{$}", s.view(viewRun))
	mux.HandleFunc("GET /run/{run}/target", s.view(viewTarget))
	mux.HandleFunc("GET /run/{run}/tiers", s.view(viewTiers))
	mux.HandleFunc("GET /run/{run}/part/{view}", s.part)
	mux.HandleFunc("GET /run/{run}/state.json", s.state)
	mux.HandleFunc("GET /run/{run}/events", s.events)
	mux.HandleFunc("GET /assets/{file}", s.asset)
	return mux
}

// frame is a page as its template sees it.
type frame struct {
	Title   string
	View    string
	Run     string // its folder's name; empty: the page is of no run
	Target  string // as it can be shown
	Named   string // the target as a part of an address, which every character survives
	Base    string // address of the run
	Live    bool
	Strip   []fact
	Links   []link
	Targets []link
	Palette string
	Problem string
	Body    template.HTML // written by report, which escapes what it draws
	History []historyRow
	Chosen  map[string]bool
}

type fact struct{ Key, Name, Text string }

type link struct {
	Text, To string
	Here     bool
}

type historyRow struct {
	Name, Folder, To, Started, Status, Valid, Verdict string // as they can be shown
	Value                                             string // what a form says for the folder
	Live, Comparable                                  bool
}

// write writes a page. What it says is made before the first byte is sent.
func (s *Server) write(w http.ResponseWriter, status int, f frame) {
	t, err := template.ParseFS(files, "page/frame.tmpl")
	var page bytes.Buffer
	if err == nil {
		f.Palette = palette()
		f.Links = s.links(f)
		err = t.Execute(&page, f)
	}
	if err != nil {
		http.Error(w, "the page cannot be written: "+show.Inert(err.Error()), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // nobody waits for it any more
}

func palette() string {
	text, err := json.Marshal(chart.Lines())
	if err != nil {
		return "[]"
	}
	return string(text)
}

// links are those to the views.
func (s *Server) links(f frame) []link {
	var out []link
	if f.Run != "" {
		out = append(out, link{"Run", f.Base, f.View == viewRun}, link{"Target", f.Base + "target", f.View == viewTarget}, link{"Tiers", f.Base + "tiers", f.View == viewTiers})
	}
	return append(out, link{"Compare", "/compare", f.View == "compare"}, link{"History", "/history", f.View == "history"})
}

// failed is a page that says why there is no other.
func (s *Server) failed(w http.ResponseWriter, status int, err error) {
	s.write(w, status, frame{Title: "bakeoff", View: "problem", Problem: show.Inert(err.Error())})
}

func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	if run := *s.first.Load(); run != "" {
		http.Redirect(w, r, base(run), http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, "/history", http.StatusSeeOther)
}

// base is the address of a run.
func base(name string) string { return "/run/" + url.PathEscape(name) + "/" }

// view is a page of one run.
func (s *Server) view(view string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("run")
		dir, err := s.folder(name)
		if err != nil {
			s.failed(w, http.StatusNotFound, err)
			return
		}
		listed := record.Glance(dir)
		f := frame{Title: show.Inert(cmp.Or(listed.Name, name)), View: view, Run: name, Base: base(name), Live: listed.Live}
		if listed.Name == "" {
			s.failed(w, http.StatusOK, fmt.Errorf("%s: %s", name, cmp.Or(listed.Problem, "no run here")))
			return
		}
		target := r.URL.Query().Get("name")
		if !slices.Contains(listed.Targets, target) {
			target = ""
		}
		if target == "" && view == viewTarget && len(listed.Targets) > 0 {
			target = listed.Targets[0]
		}
		f.Target, f.Named = show.Inert(target), url.PathEscape(target)
		for _, t := range listed.Targets {
			f.Targets = append(f.Targets, link{show.Inert(t), f.Base + "target?" + url.Values{"name": {t}}.Encode(), t == target})
		}
		f.Strip = s.strip(dir, listed)
		f.Body, f.Problem = s.body(dir, view, target, -1)
		s.write(w, http.StatusOK, f)
	}
}

// strip is the line on every view that says what is under way, or what the run was.
func (s *Server) strip(dir string, l record.Listed) []fact {
	head := live.Head{Name: l.Name, Blocks: 0, Trials: l.Planned}
	now := live.Now{Status: l.Status, Finished: l.Finished, Trials: l.Planned}
	if l.Live {
		if w := s.watches.open(dir); w != nil {
			select {
			case <-w.ready:
				head, now = w.now()
				now.Finished = l.Finished
			default: // the page gets it by its events
			}
		}
	}
	doing, status := idle(now.Status), show.Inert(now.Status)
	if l.Live {
		doing, status = show.Inert(now.Text), "under way"
	}
	out := []fact{
		{"plan", "plan", show.Inert(cmp.Or(head.Name, l.Name))},
		{"status", "status", status},
		{"started", "begun", l.Started.UTC().Format("2006-01-02 15:04:05") + " UTC"},
		{"progress", "trials", fmt.Sprintf("%d of %d", l.Finished, l.Planned)},
		{"doing", "under way", cmp.Or(doing, "starting")},
	}
	if !l.Live {
		return append(out, fact{"left", "took", took(l)})
	}
	return append(out, fact{"left", "time left", show.None}, fact{"rate", "offered / answered", show.None}, fact{"notok", "not ok", show.None}, fact{"late", "agents, late", show.None})
}

// idle is what is under way in a run that nobody writes.
func idle(status string) string {
	if status == record.Incomplete {
		return "nothing: nobody writes the run, and it has not ended"
	}
	return "nothing: the run has ended"
}

// above is the strip of a page of no run: that of the newest run under way, or that there is none.
func (s *Server) above(f *frame, runs []record.Listed) {
	f.Strip = []fact{{"doing", "under way", "nothing"}, {"runs", "runs in this folder", show.Count(len(runs))}}
	for _, l := range slices.Backward(runs) {
		if l.Live {
			f.Strip, f.Live, f.Base = s.strip(l.Dir, l), true, base(filepath.Base(l.Dir))
			return
		}
	}
}

func took(l record.Listed) string {
	if l.Ended.IsZero() {
		return show.None
	}
	return show.Clock(l.Ended.Sub(l.Started))
}

// body is what report says of a run in a view.
func (s *Server) body(dir, view, target string, after int) (body template.HTML, problem string) {
	turn := s.shelf.turn()
	defer turn.end()
	b := s.shelf.open(dir, after, turn)
	if errors.Is(b.err, errResting) || errors.Is(b.err, errLarge) {
		return template.HTML(`<p class="note">The figures of this run are ` + template.HTMLEscapeString(b.err.Error()) + `.</p>`), ""
	}
	if b.summary == nil {
		return "", "the figures of this run cannot be computed: " + show.Inert(errorText(b.err))
	}
	if b.err != nil {
		problem = show.Inert(b.err.Error())
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<div class="part" data-finished="%d" data-standing="%t" data-live="%t">`, b.finished, b.standing != nil, b.reader.Live())
	if b.reader.Live() {
		fmt.Fprintf(&out, `<p class="note">Figures of finished trials, computed at %s UTC. <span class="under-way">The run is under way.</span></p>`, b.read.UTC().Format("15:04:05"))
	}
	if view == viewRun && b.alone() {
		out.WriteString(`<p class="note">What other runs of this plan say is not computed while a run of this folder is under way; load this page again when that run has ended.</p>`)
	}
	if view != viewTarget {
		fmt.Fprintf(&out, `<p class="headline">%s</p>`, template.HTMLEscapeString(show.Inert(b.summary.Headline)))
	}
	err := s.writeView(&out, b, view, target)
	out.WriteString("</div>")
	if err != nil {
		return "", show.Inert(err.Error())
	}
	return template.HTML(out.String()), problem
}

// writeView writes the sections of a view. What panics there is one run's record, and ends one page.
func (s *Server) writeView(out *bytes.Buffer, b *book, view, target string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the figures of this run cannot be drawn: %v", p)
		}
	}()
	switch view {
	case viewTiers:
		return report.WriteTiersView(out, b.summary)
	case viewTarget:
		found, err := report.WriteTargetView(out, b.summary, target)
		if err == nil && !found {
			out.WriteString(`<p>This run has no such target.</p>`)
		}
		return err
	}
	return report.WriteRunView(out, b.summary, b.others, b.standing)
}

func errorText(err error) string {
	if err == nil {
		return "no reason is known"
	}
	return err.Error()
}

// part is what report says of a view, for a page that is open already.
func (s *Server) part(w http.ResponseWriter, r *http.Request) {
	dir, err := s.folder(r.PathValue("run"))
	view := r.PathValue("view")
	if err != nil || view != viewRun && view != viewTarget && view != viewTiers {
		http.Error(w, "no such part", http.StatusNotFound)
		return
	}
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil {
		after = -1
	}
	body, problem := s.body(dir, view, r.URL.Query().Get("name"), after)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if problem != "" {
		fmt.Fprintf(w, `<p class="problem">%s</p>`, template.HTMLEscapeString(problem))
	}
	_, _ = w.Write([]byte(body)) // nobody waits for it any more
}

// state is everything of a block that is drawn second by second.
func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	dir, err := s.folder(r.PathValue("run"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	block := -1
	if text := r.URL.Query().Get("block"); text != "" {
		if block, err = strconv.Atoi(text); err != nil || block < 0 {
			http.Error(w, "block is no number", http.StatusBadRequest)
			return
		}
	}
	var update live.Update
	if record.Glance(dir).Live {
		watch := s.watches.open(dir)
		if watch == nil {
			http.Error(w, errManyRuns.Error(), http.StatusServiceUnavailable)
			return
		}
		select {
		case <-watch.ready:
		case <-r.Context().Done():
			return
		}
		update = watch.block(block)
	} else if update, err = s.shelf.past(r.Context(), dir, block); err != nil {
		http.Error(w, show.Inert(err.Error()), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(update) // nobody waits for it any more
}

// events is the stream of a run under way. The page of a finished run asks for none; one that was cut off before the end hears of
// it, and that it has missed what came last.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	dir, err := s.folder(r.PathValue("run"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	listed := record.Glance(dir)
	w.Header().Set("Content-Type", "text/event-stream")
	switch {
	case r.Method == http.MethodHead:
		return
	case !listed.Live:
		past(w, listed)
		return
	}
	watch, c, err := s.watches.join(r.Context(), dir, cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")))
	if err != nil {
		w.Header().Del("Content-Type")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer watch.leave(c)
	watch.stream(w, r, c)
}

// past is the stream of a run that nobody writes.
func past(w http.ResponseWriter, l record.Listed) {
	out := &stream{w: w, control: http.NewResponseController(w)}
	if l.Name == "" {
		out.send(failed("", cmp.Or(l.Problem, "no run here")))
		return
	}
	out.send(ended("", l.Status, true))
}

// asset is a file of the pages.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	kinds := map[string]string{".js": "text/javascript", ".css": "text/css", ".txt": "text/plain", ".svg": "image/svg+xml"}
	kind := kinds[filepath.Ext(name)]
	var content []byte
	err := errors.New("no such file")
	switch {
	case kind == "":
	case name == "report.css":
		content, err = report.Styles()
	case name == "report.js":
		content, err = report.Script()
	default:
		content, err = files.ReadFile("page/dist/" + filepath.Base(name))
	}
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(content) // nobody waits for it any more
}

// most time that one page of the history takes to compute figures that are not known yet.
const historyTime = 2 * time.Second

// history is the list of the runs of the folder, the newest first.
func (s *Server) history(w http.ResponseWriter, _ *http.Request) {
	runs, err := s.shelf.runs.list()
	if err != nil {
		s.failed(w, http.StatusInternalServerError, err)
		return
	}
	f := frame{Title: "History", View: "history"}
	turn := s.shelf.turn()
	until := time.Now().Add(historyTime)
	s.above(&f, runs)
	for _, l := range slices.Backward(runs) {
		f.History = append(f.History, s.row(l, until, turn))
	}
	turn.end()
	s.write(w, http.StatusOK, f)
}

// row is a run of the history; its figures are computed while there is time.
func (s *Server) row(l record.Listed, until time.Time, t *turn) historyRow {
	name := filepath.Base(l.Dir)
	row := historyRow{Name: show.Inert(l.Name), Folder: show.Inert(name), To: base(name), Live: l.Live, Status: show.Inert(l.Status)}
	if l.Name == "" {
		row.Status, row.Verdict = "damaged", show.Inert(l.Problem)
		return row
	}
	row.Started = l.Started.UTC().Format("2006-01-02 15:04")
	row.Valid = fmt.Sprintf("%d of %d trials settled", l.Finished, l.Planned)
	if l.Live {
		row.Status, row.Verdict = "under way", "not before the last block"
		return row
	}
	if l.Problem != "" {
		row.Status += ", damaged"
	}
	row.Comparable = true
	now := versionIn(l)
	h, known := s.shelf.headline(l.Dir, now)
	large := false
	if !known && time.Now().Before(until) {
		large = errors.Is(s.shelf.open(l.Dir, -1, t).err, errLarge)
		h, known = s.shelf.headline(l.Dir, now)
	}
	switch {
	case large:
		row.Verdict = "not computed yet: a run is under way, and this one has too many lines; load this page again when that run has ended"
	case !known && t.asked && !t.has:
		row.Verdict = "not computed yet: a run is under way; load this page again in a minute"
	case !known:
		row.Verdict = "not computed yet: load this page again, or look at the run"
	case h.failed:
		row.Comparable, row.Verdict = false, show.Inert(h.text)
	default:
		row.Valid = fmt.Sprintf("%d of %d run", h.valid, h.run)
		row.Verdict = show.Inert(h.text)
	}
	return row
}

// mostCompared is how many runs are compared at once.
const mostCompared = 12

// compare is finished runs against the first of them.
func (s *Server) compare(w http.ResponseWriter, r *http.Request) {
	runs, err := s.shelf.runs.list()
	if err != nil {
		s.failed(w, http.StatusInternalServerError, err)
		return
	}
	f := frame{Title: "Compare", View: "compare", Chosen: map[string]bool{}}
	s.above(&f, runs)
	for _, l := range slices.Backward(runs) {
		if l.Name != "" && !l.Live {
			name := filepath.Base(l.Dir)
			f.History = append(f.History, historyRow{Name: show.Inert(l.Name), Folder: show.Inert(name), Value: formValue(name), Started: l.Started.UTC().Format("2006-01-02 15:04"), Status: show.Inert(l.Status)})
		}
	}
	var asked []string
	for _, value := range r.URL.Query()["run"] {
		name := value
		if i := slices.IndexFunc(runs, func(l record.Listed) bool { return formValue(filepath.Base(l.Dir)) == value }); i >= 0 {
			name = filepath.Base(runs[i].Dir)
		}
		if !f.Chosen[formValue(name)] { // one that is chosen twice is one
			asked = append(asked, name)
		}
		f.Chosen[formValue(name)] = true
	}
	if len(asked) > 0 {
		if f.Body, err = s.compared(asked); err != nil {
			f.Problem = show.Inert(err.Error())
		}
	}
	s.write(w, http.StatusOK, f)
}

// formValue is what a form says for a folder: its name, or that with escapes where it cannot be shown.
func formValue(name string) string {
	if show.Inert(name) != name {
		return url.PathEscape(name)
	}
	return name
}

func (s *Server) compared(names []string) (template.HTML, error) {
	if len(names) < 2 {
		return "", errors.New("choose two or more runs")
	}
	if len(names) > mostCompared {
		return "", fmt.Errorf("%d runs are chosen, at most %d are compared", len(names), mostCompared)
	}
	turn := s.shelf.turn()
	defer turn.end()
	var runs []figures.Labelled
	for _, name := range names {
		dir, err := s.folder(name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		b := s.shelf.open(dir, -1, turn)
		switch {
		case b.summary == nil:
			return "", fmt.Errorf("%s: %s", name, errorText(b.err))
		case b.reader.Live():
			return "", fmt.Errorf("%s is in progress: only finished runs can be compared", name)
		}
		runs = append(runs, figures.Labelled{Label: name, Run: b.reader.Run(), Summary: b.summary})
	}
	if !turn.take(false) {
		return "", fmt.Errorf("the comparison is %w", errResting)
	}
	c, err := figures.Compare(runs)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := report.WriteComparedView(&out, c); err != nil {
		return "", err
	}
	return template.HTML(out.String()), nil
}
