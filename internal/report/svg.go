package report

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"bakeoff/internal/chart"
	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// WriteSVG draws a picture for a page elsewhere: the head line, the intervals of the ranking, and the figure of every block.
func WriteSVG(w io.Writer, s *figures.Summary) error {
	var plots []strips
	if s.Verdict != nil && len(s.Verdict.Targets) > 1 {
		if known := drawablePairs(s.Verdict); len(known) > 0 {
			plots = append(plots, intervalStrips(known, s.Verdict.Delta))
		}
	}
	for _, p := range s.Phases {
		if m := measureOf(p); m.drawable(s, p) {
			one := blockStrips(s, p, m)
			one.about = "phase " + p.Name + ": " + one.about
			plots = append(plots, one)
		}
	}
	if len(plots) == 0 {
		return errors.New("report: no valid trial to draw")
	}
	style := chart.Style{Bold: true}
	lines := strings.Split(show.Wrap(show.Inert(headLine(s)), 96, ""), "\n")
	height := float64(20*len(lines) + 16)
	for _, p := range plots {
		height += p.height()
	}
	c := chart.New(deskWidth, int(height), s.Run.Name+": "+s.Headline)
	top := 20.0
	for _, line := range lines {
		c.Label(4, top, line, deskWidth-8, style)
		top += 20
	}
	for _, p := range plots {
		p.draw(c, top)
		top += p.height()
	}
	if _, err := c.WriteTo(w); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
