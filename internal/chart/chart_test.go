package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bakeoff/internal/show"
)

// texts reads a picture back: its elements counted, and every text in it. A picture that is no XML fails.
func texts(t interface{ Fatalf(string, ...any) }, c *Canvas) (elements map[string]int, words []string) {
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		t.Fatalf("write: %v", err)
	}
	elements = map[string]int{}
	style := false
	for dec := xml.NewDecoder(&b); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return elements, words
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			elements[token.Name.Local]++
			style = token.Name.Local == "style"
		case xml.CharData:
			if s := strings.TrimSpace(string(token)); s != "" && !style {
				words = append(words, s)
			}
		case xml.EndElement:
			style = false
		}
	}
}

func TestCanvas(t *testing.T) {
	c := New(300, 100, "two values")
	s := FromZero([]float64{3, 17}, 50, 250)
	c.AxisBelow(s, 10, 80, show.Number)
	c.Label(5, 40, "a-very-long-name", 70, Style{Bold: true})
	c.Mark(Point{s.At(3), 40}, 0, "block 1: 3")
	c.Mark(Point{s.At(17), 40}, 1, "block 2: 17")
	elements, words := texts(t, c)
	if diff := cmp.Diff(map[string]int{"svg": 1, "style": 1, "title": 4, "rect": 1, "line": 5, "text": 6, "path": 2}, elements); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
	want := []string{"two values", "0", "20.0", "5.00", "10.0", "15.0", "a-very...", "a-very-long-name", "block 1: 3", "block 2: 17"}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
	if f := c.Fragment(); strings.Contains(f, "<style") || strings.Contains(f, "xmlns") || !strings.Contains(f, "block 2: 17") {
		t.Errorf("the fragment is not one: %s", f)
	}
}

// Whatever a name is, it stays one text of the picture, and harmless.
func TestTextStaysText(t *testing.T) {
	hostile := "</text><script>alert(1)</script>\u202e\x1b[2J&\"'\xff"
	c := New(1000, 100, hostile)
	c.Text(0, 0, hostile, Style{Anchor: `"/><x y="`})
	c.Label(0, 0, hostile, 1000, Style{})
	c.Mark(Point{}, 0, hostile)
	elements, words := texts(t, c)
	if diff := cmp.Diff(map[string]int{"svg": 1, "style": 1, "title": 2, "rect": 1, "text": 2, "path": 1}, elements); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
	want := "</text><script>alert(1)</script>\ufffd\ufffd[2J&\"'\ufffd"
	if diff := cmp.Diff([]string{want, want, want, want}, words); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

func TestRoundSteps(t *testing.T) {
	for most, want := range map[float64]float64{0: 1, 307: 100, 1.7: 0.5, 5: 1, 5.01: 2, 0.0863: 0.02} {
		if got := roundStep(most); got < want*0.999 || got > want*1.001 {
			t.Errorf("roundStep(%g) = %g, want %g", most, got, want)
		}
	}
}

// Every value lies between the ends of its scale; there are few ticks, the ends among them. A scale that does not begin at zero, or
// is not even, has a note that says so, and no other has one.
func TestScalesHoldTheirValues(t *testing.T) {
	kinds := map[string]func([]float64, float64, float64) Scale{"from zero": FromZero, "between": Between, "logarithmic": Log}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(1e-9, 1e9), 1, 20).Draw(t, "values")
		for name, kind := range kinds {
			s := kind(values, 100, 500)
			for _, v := range values {
				if at := s.At(v); at < 99.9999 || at > 500.0001 {
					t.Fatalf("%s: %g is drawn at %g", name, v, at)
				}
			}
			ticks := s.Ticks()
			last := ticks[len(ticks)-1]
			if len(ticks) < 2 || len(ticks) > 20 || math.Abs(s.At(ticks[0])-100) > 1e-3 || math.Abs(s.At(last)-500) > 1e-3 {
				t.Fatalf("%s: %v has the ticks %v", name, values, ticks)
			}
			zero := name != "logarithmic" && ticks[0] == 0
			if (s.Note() == "") != zero {
				t.Fatalf("%s from %g on has the note %q", name, ticks[0], s.Note())
			}
		}
	})
}

// On a scale of nines each tenth of the rest is as wide as the one before.
func TestNines(t *testing.T) {
	s := Nines([]float64{50, 99.9}, 0, 300)
	for p, want := range map[float64]float64{0: 0, 90: 100, 99: 200, 99.9: 300} {
		if got := s.At(p); math.Abs(got-want) > 0.01 {
			t.Errorf("p%g is drawn at %g, want %g", p, got, want)
		}
	}
	if s.Note() == "" {
		t.Error("the scale does not say that it is uneven")
	}
}

// Each of 24 series is unlike any other without its colour, by shape and dash together; and each colour stands out from its ground
// by 3 to 1.
func TestSeriesAreDistinguishable(t *testing.T) {
	seen := map[string]Series{}
	for s := range Series(24) {
		look := fmt.Sprint(s.shape(Point{}, 4), dashes()[s.dash()])
		if other, found := seen[look]; found {
			t.Errorf("series %d looks like %d", s, other)
		}
		seen[look] = s
	}
	textures := map[string]bool{}
	for s := range Series(5) {
		textures[s.texture(0, 0, 100, 18)] = true
	}
	if len(textures) != 5 {
		t.Errorf("%d textures of 5 areas", len(textures))
	}
	for i, pair := range Palette() {
		for ground, colour := range map[string]string{"#ffffff": pair[0], "#14181d": pair[1]} {
			if c := contrast(ground, colour); c < 3 {
				t.Errorf("colour %d, %s, has a contrast of %.2f on %s", i, colour, c, ground)
			}
		}
	}
}

// contrast is that of WCAG.
func contrast(a, b string) float64 {
	light := func(colour string) float64 {
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			n, _ := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
			v := float64(n) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	x, y := light(a), light(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// No two lines look the same, and each is that of its series.
func TestLinesAreDistinguishable(t *testing.T) {
	seen := map[[3]string]int{}
	for i, l := range Lines() {
		if other, found := seen[l]; found {
			t.Errorf("lines %d and %d are the same", other, i)
		}
		seen[l] = i
		if s := Series(i); l[0] != Palette()[s.colour()][0] || l[1] != Palette()[s.colour()][1] || l[2] != dashes()[s.dash()] {
			t.Errorf("line %d is not that of its series: %v", i, l)
		}
	}
	if len(seen) < 24 {
		t.Errorf("%d lines", len(seen))
	}
}

// A label is no wider than it may be, and its whole text is its title.
func TestLabelsFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, most := rapid.String().Draw(t, "text"), rapid.Float64Range(40, 600).Draw(t, "width")
		text = show.Inert(text)
		short := fit(text, most, Style{Bold: true})
		if TextWidth(short, Style{Bold: true}) > most || !strings.HasPrefix(text, strings.TrimSuffix(short, "...")) {
			t.Fatalf("%q became %q in %g pixels", text, short, most)
		}
	})
}
