package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/record/recordtest"
)

// element is one of a picture, with its text.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

func (e element) number(name string) float64 {
	v, _ := strconv.ParseFloat(e.attrs[name], 64)
	return v
}

// elements reads a picture back; one that is no XML fails.
func elements(t *testing.T, picture string) []element {
	t.Helper()
	var out []element
	var open []int
	for dec := xml.NewDecoder(strings.NewReader(picture)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		check(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attrs: map[string]string{}}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			open, out = append(open, len(out)), append(out, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 && len(strings.TrimSpace(string(token))) > 0 {
				out[open[len(open)-1]].text += string(token)
			}
		}
	}
}

// box is where a text stands, by the widths of a wide face.
type box struct{ left, right, top, bottom float64 }

func boxOf(e element) box {
	style := chart.Style{Size: int(e.number("font-size")), Bold: e.attrs["font-weight"] != ""}
	width := chart.TextWidth(strings.TrimSpace(e.text), style)
	b := box{left: e.number("x"), top: e.number("y") - 0.75*e.number("font-size"), bottom: e.number("y") + 0.2*e.number("font-size")}
	switch e.attrs["text-anchor"] {
	case "middle":
		b.left -= width / 2
	case "end":
		b.left -= width
	}
	b.right = b.left + width
	return b
}

// crowded says which texts of a picture overlap or leave it.
func crowded(t *testing.T, picture string) []string {
	t.Helper()
	all := elements(t, picture)
	width, height := all[0].number("width"), all[0].number("height")
	var out []string
	var texts []element
	for _, e := range all {
		if e.name == "text" && strings.TrimSpace(e.text) != "" {
			texts = append(texts, e)
		}
	}
	for i, e := range texts {
		a := boxOf(e)
		if strings.HasSuffix(e.text, "...") && !strings.Contains(e.text, "target-") {
			out = append(out, fmt.Sprintf("%q is cut, and is no name", e.text))
		}
		if a.left < -0.5 || a.right > width+0.5 || a.top < 0 || a.bottom > height {
			out = append(out, fmt.Sprintf("%q leaves the picture of %g x %g: %+v", e.text, width, height, a))
		}
		for _, o := range texts[i+1:] {
			if b := boxOf(o); a.left < b.right-0.5 && b.left < a.right-0.5 && a.top < b.bottom && b.top < a.bottom {
				out = append(out, fmt.Sprintf("%q and %q overlap", e.text, o.text))
			}
		}
	}
	return out
}

// named are that many targets with names of 63 characters, of letters of every width.
func named(n int) []string {
	var out []string
	for i := range n {
		name := fmt.Sprintf("target-%d-with-a-WWWWMMMMWWWWMMMM-name-", i+1)
		out = append(out, name+strings.Repeat("wide", 16)[:63-len(name)])
	}
	return out
}

// No text overlaps another or leaves its picture, with 2 to 20 targets whose names have 63 characters, on a desk and on a phone.
func TestNoTextsOverlap(t *testing.T) {
	for _, n := range []int{2, 3, 7, 20} {
		r := contest(3, named(n)...)
		r.OpenS, r.OpenHz = 1, 300
		r.Work = func(target string, block int) int64 { return int64(1e6 * (1 + 0.05*float64(block))) }
		s := build(t, r.Write(t))
		pictures := 0
		for _, section := range pageSections(s, figures.Others{}) {
			for _, f := range section.figures {
				for _, p := range f.pictures {
					for _, picture := range []string{p.wide, p.narrow} {
						pictures++
						for _, fault := range crowded(t, picture) {
							t.Errorf("%d targets, %s: %s", n, f.title, fault)
						}
					}
				}
			}
		}
		if pictures < 20 {
			t.Errorf("%d targets: only %d pictures were drawn", n, pictures)
		}
		var alone bytes.Buffer
		check(t, WriteSVG(&alone, s))
		for _, fault := range crowded(t, alone.String()) {
			t.Errorf("%d targets, the picture that stands alone: %s", n, fault)
		}
		if t.Failed() {
			return
		}
	}
}

// A block value has a mark with the number that the table under it has.
func TestPictureHasAMarkForEachValidBlock(t *testing.T) {
	s := build(t, recordtest.Spoiled(t))
	for _, p := range s.Phases {
		f := blockValues(s, p)[0]
		marks, crosses := 0, 0
		titles := map[string]bool{}
		for _, e := range elements(t, f.pictures[0].wide) {
			switch {
			case strings.HasPrefix(e.attrs["class"], "m "):
				marks++
			case e.attrs["class"] == "cross":
				crosses++
			}
			titles[e.text] = titles[e.text] || e.name == "title"
		}
		valid := 0
		for _, row := range f.numbers.Rows {
			if row[4] == "valid" {
				valid++
				if want := row[0] + ", block " + row[1] + ": " + row[2]; !titles[want] {
					t.Errorf("%s: no mark is called %q", f.title, want)
				}
			}
		}
		if marks != valid || crosses != len(f.numbers.Rows)-valid || valid != 6 {
			t.Errorf("%s: %d marks and %d crosses of %d valid and %d other trials", f.title, marks, crosses, valid, len(f.numbers.Rows)-valid)
		}
	}
	var alone bytes.Buffer
	check(t, WriteSVG(&alone, s))
	for _, target := range s.Targets {
		if !strings.Contains(alone.String(), ">"+target.Name+"<") {
			t.Errorf("%s is not named", target.Name)
		}
	}
}

func TestPictureOfNothingIsRefused(t *testing.T) {
	if err := WriteSVG(io.Discard, &figures.Summary{}); err == nil {
		t.Error("a run without a valid trial was drawn")
	}
}
