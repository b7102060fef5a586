package report

import (
	"bytes"
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

func comparedText(t *testing.T, markdown bool, labels ...string) string {
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
	var out bytes.Buffer
	check(t, WriteCompared(&out, must[figures.Compared](t)(figures.Compare(runs)), markdown, 100))
	return out.String()
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
