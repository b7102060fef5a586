package report

import (
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
)

// What a replica wrote is quoted with the reason, also where that is cut.
func TestReasonsQuoteTheLog(t *testing.T) {
	r := []record.Reason{{Code: record.CodeWrongAnswers, Text: strings.Repeat("x", 500), Wrote: "django-2 wrote: KeyError"}}
	for name, got := range map[string]string{"trials": texts(r, ""), "ab": reasons(figures.Unusable{Reasons: r})} {
		if !strings.HasPrefix(got, "wrong-answers: xxx") || !strings.HasSuffix(got, "; django-2 wrote: KeyError") {
			t.Errorf("%s: %q", name, got)
		}
	}
	if r[0].Text != strings.Repeat("x", 500) {
		t.Error("the reason itself was cut")
	}
}
