package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/record/recordtest"
)

// elements counts the elements of a picture by name, and fails on text that is no XML.
func elements(t *testing.T, picture []byte) map[string]int {
	t.Helper()
	out := map[string]int{}
	for dec := xml.NewDecoder(bytes.NewReader(picture)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		if start, ok := token.(xml.StartElement); ok {
			out[start.Name.Local]++
		}
	}
}

func TestPictureHasADotForEachValidBlock(t *testing.T) {
	d := recordtest.Demo()
	w := d.Begin(t)
	d.Whole(t, w)
	s := open(t, w)
	want := 0
	for _, c := range plots(s) {
		for _, row := range c.rows {
			if len(row.values) != row.spread.N {
				t.Errorf("%s, %s: %d dots for %d valid blocks", c.title, row.name, len(row.values), row.spread.N)
			}
			want += len(row.values)
		}
	}
	var picture bytes.Buffer
	if err := WriteSVG(&picture, s); err != nil {
		t.Fatal(err)
	}
	if got := elements(t, picture.Bytes())["circle"]; got != want || want == 0 {
		t.Errorf("%d dots are drawn, want %d", got, want)
	}
	for _, target := range s.Targets {
		if !strings.Contains(picture.String(), ">"+target.Name+"<") {
			t.Errorf("%s is not named", target.Name)
		}
	}
}

func TestPictureOfNothingIsRefused(t *testing.T) {
	if err := WriteSVG(io.Discard, &figures.Summary{}); err == nil {
		t.Error("a run without a valid trial was drawn")
	}
}
