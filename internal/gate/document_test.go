package gate

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The bounds that docs/method.md names are those of the code.
func TestDocumentedBounds(t *testing.T) {
	doc, err := os.ReadFile("../../docs/method.md")
	if err != nil {
		t.Fatal(err)
	}
	// A paragraph is one line, as a row of a table is.
	text := regexp.MustCompile(`\n([A-Za-z0-9("])`).ReplaceAllString(string(doc), " $1")
	percent := func(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }
	for what, want := range map[string]string{
		"Little's law:": "| " + percent(maxLittle) + " |",
		"Planned requests that were not answered,": "| " + percent(maxWrong) + " |",
		"An agent lost requests":                   fmt.Sprintf("| %s of its share; lateness p99 of %v ms or %s of", percent(maxLost), minLateness.Milliseconds(), percent(lateShare)),
		"Others used the CPU time":                 fmt.Sprintf("| %s over what they used at rest; from %s on", percent(maxForeign), percent(warnForeign)),
		"The host of a virtual machine":            "| " + percent(maxSteal) + " over rest",
		"A CPU quota held":                         fmt.Sprintf("| %s of the time over rest, unless the run itself used %s of", percent(maxThrottled), percent(ownQuota)),
		"Pages read back":                          fmt.Sprintf("| %d pages/s; %s of the time over rest, from %s on", maxSwapIn, percent(maxPressure), percent(warnPressure)),
		"The level steps":                          fmt.Sprintf("| %d times the noise from one window to the next, and %s; from %d windows on", beyondNoise, percent(minStep), fewestWindows),
		"its median lateness is above":             fmt.Sprintf("%v ms or %s of the median", minLateness.Milliseconds(), percent(lateShare)),
		"that excludes no change":                  "by " + percent(minDrift) + " or more",
		"A warm-up of at least":                    fmt.Sprintf("A warm-up of at least %d windows", SettlingWindows),
		"Two levels, split":                        fmt.Sprintf("%.2f standard errors", mostScan),
		"windows vary by less":                     fmt.Sprintf("%.2f times what neighbours", mostSpread),
		"Where neighbours differ":                  percent(mostNoise),
	} {
		_, line, found := strings.Cut(text, what)
		line, _, _ = strings.Cut(line, "\n")
		if !found || !strings.Contains(what+line, want) {
			t.Errorf("docs/method.md, %s: want %q in %q", what, want, line)
		}
	}
}

// docs/format.md marks the codes that can be computed again, and no others.
func TestDocumentedCodes(t *testing.T) {
	doc, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_, table, _ := strings.Cut(string(doc), "| code | meaning |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, row := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(row, "|")
		code, marked := strings.Trim(cells[1], " `"), strings.HasPrefix(cells[2], " * ")
		if Decides(code) != marked {
			t.Errorf("%s is marked %v, and decided here %v", code, marked, Decides(code))
		}
		n++
	}
	if n < 10 {
		t.Errorf("only %d codes found", n)
	}
}
