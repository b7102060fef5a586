package report

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"bakeoff/internal/capacity"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
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

// answer is what a search, or the blocks behind it, come to, and the words for it.
type answer struct {
	search *capacity.Result // nil: the pilot has no valid trial
	says   []string
}

// ends are all there are; the blocks' own are of a target that meets the objective up to 500/s.
func ends() map[string]answer {
	found := func(centre float64) *capacity.Result {
		return &capacity.Result{Outcome: capacity.Found, Centre: centre, Lower: centre / 1.05, Upper: centre * 1.05}
	}
	weakened, inverted := found(500), found(500)
	weakened.Hysteresis, inverted.Inverted = true, true
	return map[string]answer{
		"ceiling":    {&capacity.Result{Outcome: capacity.AtLeast, Lower: 900}, []string{"met up to the ceiling of the agents", ">="}},
		"impossible": {&capacity.Result{Outcome: capacity.Impossible, Upper: 25}, []string{"not met even almost without load", "<"}},
		"weakened":   {weakened, []string{"after an overload it met less than before"}},
		"twice":      {&capacity.Result{Outcome: capacity.Unrepeatable, Hysteresis: true}, []string{"twice not met after an overload where it had been met"}},
		"inverted":   {inverted, []string{"higher rates pass where a lower one fails"}},
		"endless":    {&capacity.Result{Outcome: capacity.Unfinished}, []string{"came to no end"}},
		"no-pilot":   {nil, []string{"no valid trial of the pilot"}},
		"more":       {found(300), []string{"every stage met the objective: its capacity is at least"}},
		"less":       {found(900), []string{"the stage with the lowest rate did not meet the objective: its capacity is below"}},
		"limited":    {found(500), []string{"the agents could keep no rate: nothing is known of its capacity"}},
	}
}

// cameTo is the run of one target of that name whose search, or blocks, come to it.
func (a answer) cameTo(t *testing.T, name string) *figures.Summary {
	t.Helper()
	r := recordtest.Of(7, name)
	r.ClosedS = 1
	most := map[string]float64{}
	if a.search != nil && a.search.Outcome == capacity.Found {
		most[name] = 500
	} else {
		r.Head.Order = nil
	}
	r.WithCapacity(most)
	if delete(r.Head.Pilot.Capacity, name); a.search != nil {
		r.Head.Pilot.Capacity[name] = *a.search
	}
	r.Change = func(tr *record.Trial) {
		for _, p := range tr.Phases {
			if p.Stage != nil {
				p.Stage.Limited = name == "limited"
			}
		}
	}
	return build(t, r.Write(t))
}

// Whatever a search or a block comes to, every form of the report has the words that docs/method.md has for it.
func TestDocumentedAnswers(t *testing.T) {
	var wanted []string
	for name, a := range ends() {
		wanted = append(wanted, a.says...)
		s := a.cameTo(t, name)
		var page bytes.Buffer
		check(t, WriteHTML(&page, s, figures.Others{}))
		for form, text := range map[string]string{
			"text": asText(t, s), "Markdown": asMarkdown(t, s), "page": words(must[*html.Node](t)(html.Parse(bytes.NewReader(page.Bytes())))),
		} {
			text = strings.NewReplacer("&lt;", "<", "&gt;", ">", `\`, "").Replace(strings.Join(strings.Fields(text), " "))
			for _, want := range a.says {
				if !strings.Contains(text, want) {
					t.Errorf("%s, %s: no %q", name, form, want)
				}
			}
		}
	}
	documented := documentedAnswers(t)
	slices.Sort(wanted)
	slices.Sort(documented)
	if diff := cmp.Diff(documented, wanted); diff != "" {
		t.Errorf("docs/method.md has other answers than this test:\n%s", diff)
	}
}

// documentedAnswers are the words in quotes in the table of docs/method.md.
func documentedAnswers(t *testing.T) (words []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/method.md")
	check(t, err)
	_, table, found := strings.Cut(string(text), "| what happens | the report says | what is done |\n")
	table, _, ended := strings.Cut(table, "\n\n")
	if !found || !ended {
		t.Fatal("docs/method.md has no table of answers")
	}
	for line := range strings.Lines(table) {
		for i, part := range strings.Split(line, `"`) {
			if i%2 == 1 {
				words = append(words, part)
			}
		}
	}
	return words
}
