package report

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"bakeoff/internal/capacity"
	"bakeoff/internal/figures"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/verdict"
)

func withCapacity(t *testing.T) *figures.Summary {
	t.Helper()
	r := recordtest.Of(7, "django", "flask", "fastapi", "node")
	r.ClosedS = 1
	r.WithCapacity(map[string]float64{"django": 400, "flask": 500})
	r.Head.Pilot.Capacity["fastapi"] = capacity.Result{Outcome: capacity.AtLeast, Lower: 900}
	r.Head.Pilot.Capacity["node"] = capacity.Result{Outcome: capacity.Impossible, Upper: 25}
	order := r.Head.Order[:0]
	for _, p := range r.Head.Order {
		if r.Capacity[p.Target] > 0 {
			order = append(order, p)
		}
	}
	r.Head.Order = order
	return build(t, r.Write(t))
}

// Every form of the report has the capacities with their intervals, what is in their place, and the response time over the rate.
func TestCapacityShown(t *testing.T) {
	s := withCapacity(t)
	if n := len(s.Verdict.Targets); n != 2 || s.Verdict.Comparisons[0].Verdict != verdict.Worse {
		t.Errorf("%d targets are ranked: %+v", n, s.Verdict.Comparisons)
	}
	var page bytes.Buffer
	check(t, WriteHTML(&page, s, figures.Others{}))
	forms := map[string]string{"text": asText(t, s), "Markdown": asMarkdown(t, s), "page": words(must[*html.Node](t)(html.Parse(bytes.NewReader(page.Bytes()))))}
	for form, text := range forms {
		text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), `\`, "")
		for _, want := range []string{
			"Capacity: the highest rate that meets the objective", "p99 of the response time up to 50.0 ms, at most 0.1 % without a right answer", ">= 900", "< 25",
			"7 of 7", "met up to the ceiling of the agents", "not met even almost without load", "between 381 and 420", "between 476 and 525", "80.0 ms", "15.0 ms", "passes", "fails", "flask: all stages by rate",
		} {
			if !strings.Contains(strings.NewReplacer("&lt;", "<", "&gt;", ">").Replace(text), want) {
				t.Errorf("%s: no %q", form, want)
			}
		}
	}
	for _, want := range []string{"p99 of the response time over the rate", "requests per second", "flask at 500/s: "} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("page: no %q", want)
		}
	}
	var screen bytes.Buffer
	check(t, WriteScreen(&screen, s, figures.Others{}, "bakeoff report x --full", 0))
	for _, want := range []string{"capacity/s", "flask", "better", "requests per second with p99", "fastapi is not ranked", "(>= 900 requests/s)"} {
		if !strings.Contains(screen.String(), want) {
			t.Errorf("no %q on the screen:\n%s", want, screen.String())
		}
	}
	plain := recordtest.Of(2, "django")
	if text := asText(t, build(t, plain.Write(t))); strings.Contains(text, "apacity") {
		t.Error("a run without a search speaks of a capacity")
	}
}
