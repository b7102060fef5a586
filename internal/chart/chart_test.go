package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
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
		case xml.CharData:
			if s := strings.TrimSpace(string(token)); s != "" {
				words = append(words, s)
			}
		}
	}
}

func TestCanvas(t *testing.T) {
	c := New(300, 100, "two values")
	s := FromZero([]float64{3, 17}, 50, 250)
	c.AxisBelow(s, 10, 80, show.Number)
	c.Label(5, 40, "a-very-long-name", 6, Style{Bold: true})
	c.Dot(s.At(3), 40, Blue, "block 1: 3")
	c.Dot(s.At(17), 40, Blue, "block 2: 17")
	elements, words := texts(t, c)
	if diff := cmp.Diff(map[string]int{"svg": 1, "title": 4, "rect": 1, "line": 5, "text": 6, "circle": 2}, elements); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
	want := []string{"two values", "0", "5.00", "10.0", "15.0", "20.0", "a-very...", "a-very-long-name", "block 1: 3", "block 2: 17"}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

// Whatever a name is, it stays one text of the picture, and harmless.
func TestTextStaysText(t *testing.T) {
	hostile := "</text><script>alert(1)</script>\u202e\x1b[2J&\"'\xff"
	c := New(100, 100, hostile)
	c.Text(0, 0, hostile, Style{Colour: `"/><x y="`})
	c.Dot(0, 0, Blue, hostile)
	elements, words := texts(t, c)
	if diff := cmp.Diff(map[string]int{"svg": 1, "title": 2, "rect": 1, "text": 1, "circle": 1}, elements); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
	want := "</text><script>alert(1)</script>\ufffd\ufffd[2J&\"'\ufffd"
	if diff := cmp.Diff([]string{want, want, want}, words); diff != "" {
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

// Every value lies between the ends of its scale, in order; there are few ticks, from zero on.
func TestScaleHoldsItsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 1e9), 1, 20).Draw(t, "values")
		s := FromZero(values, 100, 500)
		for _, v := range values {
			if at := s.At(v); at < 100 || at > 500.0001 {
				t.Fatalf("%g is drawn at %g", v, at)
			}
		}
		ticks := s.Ticks()
		last := ticks[len(ticks)-1]
		if len(ticks) < 2 || len(ticks) > 7 || ticks[0] != 0 || s.At(0) != 100 || s.At(last) < 499.999 || s.At(last) > 500.001 {
			t.Fatalf("%v has the ticks %v", values, ticks)
		}
	})
}
