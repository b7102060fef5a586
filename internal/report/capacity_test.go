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

// The picture of the load has the capacity of each target on the line of the bound, which is named, a mark for each rate that says
// whether it passes, and a line up to the top where time-outs make a mean a lower bound. Its first form is logarithmic.
func TestLoadPicture(t *testing.T) {
	s := withCapacity(t)
	points := 0
	for i := range s.Capacity.Targets {
		points += len(s.Capacity.Targets[i].Load)
	}
	flask := &s.Capacity.Targets[1]
	flask.Load[len(flask.Load)-1].Over = true
	f := loadFigure(s.Capacity)[0]
	if f.pictures[0].label != "logarithmic" || len(f.pictures) != 2 || len(f.numbers.Rows) != points {
		t.Fatalf("%d pictures, the first is %s, %d of %d points in the table", len(f.pictures), f.pictures[0].label, len(f.numbers.Rows), points)
	}
	for _, p := range f.pictures {
		for _, picture := range []string{p.wide, p.narrow} {
			for _, fault := range crowded(t, picture) {
				t.Errorf("%s: %s", p.label, fault)
			}
			loadMarks(t, p.label, elements(t, picture), points)
		}
	}
}

// loadMarks looks at what is drawn in one form of the picture.
func loadMarks(t *testing.T, label string, all []element, points int) {
	t.Helper()
	width := all[0].number("width")
	marks, capacities, passes, fails := 0, 0, 0, 0
	bound, capacityAt, top, lower := 0.0, -1.0, 1e9, -1.0
	texts := map[string]bool{}
	for i, e := range all {
		switch class := e.attrs["class"]; {
		case strings.HasPrefix(class, "m "):
			marks++
		case class == "limit":
			bound = e.number("y1")
		case class == "grid" && e.number("y1") != e.number("y2"):
			top = min(top, e.number("y1"))
		case strings.HasPrefix(class, "r"):
			if e.number("x1") < leftOf-0.1 || e.number("x2") > width-rightOf+0.1 || e.number("x1") > e.number("x2") || e.number("y2") > e.number("y1") {
				t.Errorf("%s: a range leaves the plot, or is turned round: %v", label, e.attrs)
			}
			if title := all[i+1].text; strings.HasPrefix(title, "flask: capacity ") {
				capacityAt = e.number("y1")
			} else if strings.Contains(title, ": >") {
				lower = e.number("y2")
			}
		}
		texts[e.text] = texts[e.text] || e.name == "text"
		if e.name == "title" {
			capacities += strings.Count(e.text, ": capacity ")
			passes += strings.Count(e.text, ", passes")
			fails += strings.Count(e.text, ", fails")
		}
	}
	if marks != points+2+4 || capacities != 4 || passes == 0 || fails == 0 { // those of the legend, too; a range and a mark have a title each
		t.Errorf("%s: %d marks for %d points, %d titles of capacities, %d of rates that pass, %d that fail", label, marks, points, capacities, passes, fails)
	}
	if capacityAt != bound || bound == 0 || lower != top {
		t.Errorf("%s: the bound is drawn at %g, the capacity at %g; a lower bound reaches up to %g of %g", label, bound, capacityAt, lower, top)
	}
	for _, want := range []string{"objective: 50.0 ms", ">= 900/s", "< 25.0/s"} {
		if !texts[want] {
			t.Errorf("%s: no %q", label, want)
		}
	}
}

// Names of 63 characters leave room for the capacities next to them.
func TestLoadPictureOfManyTargets(t *testing.T) {
	names := named(7)
	r := recordtest.Of(3, names...)
	r.ClosedS = 1
	most := map[string]float64{}
	for i, name := range names {
		most[name] = 100 * float64(1+3*i)
	}
	r.WithCapacity(most)
	for _, p := range loadFigure(build(t, r.Write(t)).Capacity)[0].pictures {
		for _, picture := range []string{p.wide, p.narrow} {
			for _, fault := range crowded(t, picture) {
				t.Errorf("%s: %s", p.label, fault)
			}
		}
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

// A capacity that blocks only bound is marked as a bound, and so is one whose stages had too few connections.
func TestBoundsOfCapacitiesShown(t *testing.T) {
	for name, want := range map[string][]string{
		"more": {">= 338", "[338, -]", "A figure with >= is the least that a target can do"},
		"less": {"< 799", "one with < is more than it can"},
	} {
		text := strings.Join(strings.Fields(asText(t, ends()[name].cameTo(t, name))), " ")
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q in\n%s", name, part, text)
			}
		}
	}
	s := withCapacity(t)
	if text := asText(t, s); strings.Contains(text, "A figure with >=") || strings.Contains(text, "connections in use") {
		t.Error("bounds are said where there are none")
	}
	s.Capacity.Targets[1].InUse, s.Capacity.SliceS = 0.9, 1
	text := strings.Join(strings.Fields(asText(t, s)), " ")
	for _, want := range []string{"flask had 90.0 % of the agents' connections in use in a stage that met the objective", "The load came in slices of 1 s"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
