package report

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"slices"
	"strings"

	"bakeoff/internal/chart"
	"bakeoff/internal/show"
)

// Files of the page: its frame, its looks, and what a click on it does.
//
//go:embed page/page.tmpl page/page.css page/page.js
var pageFiles embed.FS

// page is one self-contained HTML file: a head line, marks, and sections with figures and tables. It fetches nothing, and
// everything on it can be read without its script.
type page struct {
	kind     string // of page; empty: that of one run
	title    string // of the document
	head     string // what is claimed
	basis    string // what it rests on
	marks    []string
	facts    string // a line under the head line
	sections []section
}

// figure is one picture of the page: a title that says what to see, a sentence on how to read it, and its numbers.
type figure struct {
	title, how string
	pictures   []picture
	numbers    show.Table
}

// picture is one way to draw a figure; where there are several, the reader chooses by their labels.
type picture struct {
	label  string // such as "linear"; empty where there is one only
	wide   string // SVG fragments, for a desk and for a phone
	narrow string
}

// pageView is a page as its template sees it.
type pageView struct {
	Kind, Title, Head, Basis, Facts, Policy string
	Marks                                   []string
	Sections                                []sectionView
	CSS                                     template.CSS
	JS                                      template.JS
}

type sectionView struct {
	ID, Title string
	Paras     []string
	Points    []string
	Lead      []tableView
	Figures   []figureView
	Tables    []tableView
}

type figureView struct {
	ID, Title, How string
	Pictures       []pictureView
	Numbers        tableView
}

type pictureView struct {
	ID, Label    string
	Wide, Narrow template.HTML
}

type tableView struct {
	Caption string
	Label   string // read out where the table is reached, because it scrolls; no other table has it
	Summary string // the line that opens it; empty: it is open
	Sorts   bool   // by a click on a column's head
	Head    []cellView
	Rows    [][]cellView
	Notes   []string
}

type cellView struct {
	Text   string
	Words  bool // words stand left, figures right
	Long   bool // may be broken
	Header bool // names the row
}

// longCell is how many columns a figure has at most on one line.
const longCell = 24

// writePage writes the page as one HTML file.
func writePage(w io.Writer, p page) error {
	t, err := template.ParseFS(pageFiles, "page/page.tmpl")
	if err != nil {
		return fmt.Errorf("report: template of the page: %w", err)
	}
	view, err := p.view()
	if err != nil {
		return err
	}
	if err := t.Execute(w, view); err != nil {
		return fmt.Errorf("report: write page: %w", err)
	}
	return nil
}

func (p page) view() (pageView, error) {
	css, err := pageFiles.ReadFile("page/page.css")
	if err != nil {
		return pageView{}, fmt.Errorf("report: looks of the page: %w", err)
	}
	css = append(css, chart.CSS()...)
	js, err := pageFiles.ReadFile("page/page.js")
	if err != nil {
		return pageView{}, fmt.Errorf("report: script of the page: %w", err)
	}
	v := pageView{
		Kind: cmp.Or(p.kind, "bakeoff report"), Title: show.Inert(p.title), Head: show.Inert(p.head), Basis: show.Inert(p.basis), Facts: show.Inert(p.facts), Marks: inert(p.marks),
		CSS: template.CSS(css), JS: template.JS(js), Policy: policy(css, js),
	}
	ids := map[string]bool{}
	for _, s := range p.sections {
		v.Sections = append(v.Sections, viewOf(s, ids))
	}
	label(v.Sections)
	return v, nil
}

// label gives every table a label that no other has: its caption, or the title of its figure.
func label(sections []sectionView) {
	taken := map[string]int{}
	one := func(t *tableView, text string) {
		if taken[text]++; taken[text] > 1 {
			text = fmt.Sprintf("%s (%d)", text, taken[text])
		}
		t.Label = text
	}
	for _, s := range sections {
		for _, tables := range [][]tableView{s.Lead, s.Tables} {
			for i := range tables {
				one(&tables[i], tables[i].Caption)
			}
		}
		for i := range s.Figures {
			one(&s.Figures[i].Numbers, "Numbers: "+s.Figures[i].Title)
		}
	}
}

// policy lets a browser run this script and use this style sheet, and fetch nothing.
func policy(css, js []byte) string {
	digest := func(b []byte) string {
		sum := sha256.Sum256(b)
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + digest(css) + "; script-src " + digest(js) + "; base-uri 'none'; form-action 'none'"
}

func viewOf(s section, ids map[string]bool) sectionView {
	v := sectionView{ID: unique(s.title, ids), Title: show.Inert(s.title), Paras: inert(s.paras), Points: inert(s.points)}
	for _, t := range s.lead {
		v.Lead = append(v.Lead, tableOf(t, s.title, ""))
	}
	for _, f := range s.figures {
		v.Figures = append(v.Figures, f.view(ids))
	}
	for _, t := range s.tables {
		summary := ""
		if s.folded {
			summary, _, _ = strings.Cut(t.Caption, ":")
		}
		v.Tables = append(v.Tables, tableOf(t, s.title, summary))
	}
	return v
}

func (f figure) view(ids map[string]bool) figureView {
	v := figureView{ID: unique(f.title, ids), Title: show.Inert(f.title), How: show.Inert(f.how), Numbers: tableOf(f.numbers, "Numbers of this figure.", "Numbers of this figure")}
	for i, p := range f.pictures {
		v.Pictures = append(v.Pictures, pictureView{
			ID: fmt.Sprintf("%s-%d", v.ID, i+1), Label: p.label, Wide: template.HTML(p.wide), Narrow: template.HTML(p.narrow), // chart escapes what it draws
		})
	}
	return v
}

// tableOf makes every cell inert; title is the caption of a table that has none, summary the line that opens one that is folded.
func tableOf(t show.Table, title, summary string) tableView {
	v := tableView{Caption: show.Inert(t.Caption), Summary: show.Inert(summary), Notes: inert(t.Notes)}
	if v.Caption == "" {
		v.Caption = show.Inert(title)
	}
	for i, head := range t.Head {
		v.Head = append(v.Head, cellView{Text: show.Inert(head), Words: t.HoldsWords(i)})
	}
	v.Sorts = len(t.Head) > 0 && len(t.Rows) > 2
	for _, row := range t.Rows {
		var cells []cellView
		for i, text := range row {
			cells = append(cells, cellView{Text: show.Inert(text), Words: t.HoldsWords(i), Long: show.Width(text) > longCell, Header: i == 0})
		}
		v.Rows = append(v.Rows, cells)
		v.Sorts = v.Sorts && row[0] != "" // else the row belongs to the one above it
	}
	return v
}

func inert(texts []string) []string {
	var out []string
	for _, text := range texts {
		out = append(out, show.Inert(text))
	}
	return out
}

// unique is an identifier made of a title's letters and digits, which no other element has.
func unique(title string, taken map[string]bool) string {
	words := regexp.MustCompile(`[a-z0-9]+`).FindAllString(strings.ToLower(title), 6)
	base := strings.Join(slices.Concat([]string{"s"}, words), "-")
	id := base
	for n := 2; taken[id]; n++ {
		id = fmt.Sprintf("%s-%d", base, n)
	}
	taken[id] = true
	return id
}
