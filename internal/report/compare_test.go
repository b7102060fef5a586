package report

import (
	"bytes"
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/verdict"
)

func comparedText(t *testing.T, markdown bool, labels ...string) string {
	t.Helper()
	var out bytes.Buffer
	check(t, WriteCompared(&out, comparedRuns(t, labels...), markdown, 100))
	return out.String()
}

// comparedRuns are runs, each slower than the one before it; the third is on another machine.
func comparedRuns(t *testing.T, labels ...string) figures.Compared {
	t.Helper()
	var runs []figures.Labelled
	for i, label := range labels {
		r := recordtest.Of(6, "django")
		r.ClosedS, r.OpenS = 2, 0
		r.Rate = func(_ string, block int) int { return 1000 - 100*i + 2*block }
		r.Head.Bakeoff = label
		if i == 2 {
			r.Head.Machine.Fingerprint = "elsewhere"
		}
		reader := must[*record.Reader](t)(record.Open(r.Write(t)))
		runs = append(runs, figures.Labelled{Label: label, Run: reader.Run(), Summary: must[*figures.Summary](t)(figures.Build(reader))})
	}
	return must[figures.Compared](t)(figures.Compare(runs))
}

// What differs comes before the figures; another machine is marked, and has no interval and no verdict.
func TestCompared(t *testing.T) {
	text := comparedText(t, false, "old", "new", "far")
	order := []string{"3 runs compared, by throughput", "ANOTHER", "What differs from old", "machine: fingerprint", "Figures, and ratios to old", "lower by at least ", "another machine: no interval, no verdict"}
	at := 0
	for _, part := range order {
		next := strings.Index(text[at:], part)
		if next < 0 {
			t.Fatalf("no %q after the others in\n%s", part, text)
		}
		at += next
	}
	far := text[strings.LastIndex(text, "far "):]
	if line, _, _ := strings.Cut(far, "\n"); strings.Contains(line, "[") {
		t.Errorf("an interval across machines: %s", line)
	}
	if same := comparedText(t, true, "one", "two"); !strings.Contains(same, "| two | bakeoff | one | two |") {
		t.Errorf("as Markdown:\n%s", same)
	}
}

// Labels and versions from outside stay text.
func TestComparedHostile(t *testing.T) {
	for _, markdown := range []bool{false, true} {
		text := comparedText(t, markdown, "one", hostile()[:150])
		for _, evil := range []string{"\x1b", "\u202e"} {
			if strings.Contains(text, evil) {
				t.Errorf("%q in\n%s", evil, text)
			}
		}
		if markdown && strings.Contains(text, "<img") {
			t.Errorf("HTML in\n%s", text)
		}
	}
}

func TestExpectedText(t *testing.T) {
	var out bytes.Buffer
	check(t, WriteExpected(&out, figures.Expected{Earlier: 4, Fewest: 5}, false, 100))
	if !strings.Contains(out.String(), "Not comparable: there are 4 earlier runs of this plan on this machine, and a prediction needs 5.") {
		t.Error(out.String())
	}
}

// Earlier runs are counted for each target, and those that cannot be read are named.
func TestExpectedCounts(t *testing.T) {
	var out bytes.Buffer
	e := figures.Expected{Earlier: 6, Unread: 1, Fewest: 5, Targets: []figures.ExpectedTarget{{Name: "django", Earlier: 6, Outcome: figures.AsBefore}, {Name: "flask", Earlier: 4, Outcome: figures.NotComparable}}}
	check(t, WriteExpected(&out, e, true, 100))
	for _, want := range []string{"| django | 6 |", "| flask | 4 |", "1 earlier run of this plan cannot be read, and is left out."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// What is the same is named only as far as it was compared.
func TestComparedSame(t *testing.T) {
	if text := comparedText(t, false, "one", "one"); !strings.Contains(text, "Nothing: plan, programs with their digests, versions, settings, rows of the database,") {
		t.Error(text)
	}
}

// A difference between runs is a percentage of the first one's figure, rounded to the side where it stays true.
func TestComparedWords(t *testing.T) {
	for want, i := range map[string]verdict.Interval{
		"lower by at least 20.0 %":  {Ratio: 0.75, Low: 0.7, High: 0.8},
		"lower by at least 9.9 %":   {Ratio: 0.75, Low: 0.7, High: 0.9009},
		"higher by at least 25.0 %": {Ratio: 1.3, Low: 1.25, High: 1.4},
		"higher by at least 24.9 %": {Ratio: 1.3, Low: 1.2499, High: 1.4},
		"not told apart":            {Ratio: 1.1, Low: 0.99, High: 1.2},
	} {
		if got := comparedWords(figures.ComparedRun{}, figures.ComparedCell{Interval: i}); got != want {
			t.Errorf("%+v: %q, want %q", i, got, want)
		}
	}
	if text := comparedText(t, true, "one", "two"); !strings.Contains(text, "Percentages are of the figure in the first run.") {
		t.Error(text)
	}
}
