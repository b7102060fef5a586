package report

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/doctest"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
)

const (
	methodDoc    = "../../docs/method.md"
	exampleWidth = 100
)

// exampleParts are the parts of docs/method.md that a real run fills.
var exampleParts = []string{"capacity example", "cost example", "limit example", "shares example"}

// examples are the parts that a run fills, by what it has: a capacity, shares of the time, or what answers cost and what limited the
// best.
func examples(s *figures.Summary) map[string]string {
	switch {
	case s.Capacity != nil:
		return map[string]string{"capacity example": exampleOf(s,
			"what a target can take with other workers, pools or rows, or on a machine of its own; how it takes such a rate for longer than a stage lasts; "+
				"and what happens between the rates of two stages.",
			capacityTable(s), loadTable(s.Capacity, s.Capacity.Targets[0]))}
	case len(s.TimeShares) > 0:
		return map[string]string{"shares example": exampleOf(s,
			"which part of what is left is the framework, which its server and which the program, and what the shares are at another load.",
			timeShareSection(s)[0].tables[0])}
	case len(s.Costs) > 0 && len(s.Limits) > 0:
		return map[string]string{
			"cost example": exampleOf(s, "what the same work costs on another machine or with other versions, and which part of it is the framework and which the program.",
				costTable(s), idleTable(s)),
			"limit example": exampleOf(s, "what would be the limit once this one is lifted, or at another load. The rules say what was used up, not why.",
				limitsOf(s)),
		}
	}
	return nil
}

// limitsOf is what the rules looked at for the target that is ranked first.
func limitsOf(s *figures.Summary) show.Table {
	one := *s
	one.Limits = slices.DeleteFunc(slices.Clone(s.Limits), func(l figures.Limit) bool { return s.Verdict != nil && l.Target != s.Verdict.Targets[0].Name })
	return limitSection(&one)[0].tables[0]
}

func exampleOf(s *figures.Summary, lacks string, tables ...show.Table) string {
	text := "A real one:\n\n```\n" + show.Wrap(show.Inert(headLine(s)), exampleWidth, "") + "\n"
	for _, t := range tables {
		text += "\n" + t.Text(exampleWidth) + "\n"
	}
	return text + "```\n\n" + show.Wrap("What this does not show: "+lacks, exampleWidth+10, "") + "\n"
}

// make example writes the parts that the run directory of BAKEOFF_RUN fills.
func TestWriteExamples(t *testing.T) {
	dir := os.Getenv("BAKEOFF_RUN")
	if dir == "" {
		t.Skip("SKIPPED: BAKEOFF_RUN names no run directory")
	}
	r, err := record.Open(dir)
	check(t, err)
	s, err := figures.Build(r)
	check(t, err)
	parts := examples(s)
	if len(parts) == 0 || s.Run.Status != record.Complete || s.Run.Short {
		t.Fatalf("%s is %s, short %v, and fills %d parts of docs/method.md", dir, s.Run.Status, s.Run.Short, len(parts))
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		doctest.Write(t, methodDoc, name, parts[name])
		t.Logf("docs/method.md: %s is that of %s", name, s.Run.Name)
	}
}

// docs/method.md has a place for each example, which is empty or holds a whole one; and each is made by some run, in lines that fit.
func TestExamples(t *testing.T) {
	for _, name := range exampleParts {
		if text := doctest.Text(t, methodDoc, name); text != "" && (!strings.HasPrefix(text, "A real one:\n\n```\n") || !strings.Contains(text, "```\n\nWhat this does not show: ")) {
			t.Errorf("%s: %q", name, text)
		}
	}
	shared := recordtest.Of(3, "flask", "driver")
	shared.Head.Targets[1].Kind = record.KindDriver
	made := map[string]bool{}
	for what, of := range map[string]struct {
		s    *figures.Summary
		want []string
	}{
		"capacity": {withCapacity(t), []string{"flask", "capacity/s", "passes at", "django: all stages by rate"}},
		"shares":   {build(t, shared.Write(t)), []string{"database and driver", "server and framework"}},
		"costs":    {build(t, recordtest.Of(7, "flask", "django").Write(t)), []string{"flask"}},
	} {
		parts := examples(of.s)
		for name, text := range parts {
			made[name] = true
			for _, want := range append(of.want, "A real one:", "What this does not show: ") {
				if !strings.Contains(text, want) {
					t.Errorf("%s, %s: no %q in\n%s", what, name, want, text)
				}
			}
			for line := range strings.Lines(text) {
				if show.Width(strings.TrimSuffix(line, "\n")) > exampleWidth+10 {
					t.Errorf("%s, %s: too long: %s", what, name, line)
				}
			}
		}
	}
	if got := slices.Sorted(maps.Keys(made)); !slices.Equal(got, exampleParts) {
		t.Errorf("examples of %q, want %q", got, exampleParts)
	}
}
