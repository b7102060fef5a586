package limit

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"bakeoff/internal/show"
)

// The bounds that docs/method.md names are those of the code.
func TestDocumentedBounds(t *testing.T) {
	doc, err := os.ReadFile("../../docs/method.md")
	if err != nil {
		t.Fatal(err)
	}
	percent := func(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }
	for row, want := range map[string][]string{
		"database: CPU quota |":       {percent(held) + " of the time", percent(fullQuota) + " of its quota", "held back for " + percent(heldALittle)},
		"CPU of one thread |":         {"ran for " + percent(fullThread), "no core for " + percent(readyThread)},
		"target or database: CPU |":   {"more than " + percent(fullMachine)},
		"| shared machine |":          {"more than " + percent(fullMachine)},
		"database: row locks |":       {percent(mostLocked) + " of the statements", percent(mostOfThem) + " of the requests"},
		"database: disk |":            {percent(busyDisk) + " of the time", fmt.Sprint(leastReads) + " reads"},
		"database: queue | statement": {percent(queued) + " of their time", fmt.Sprintf("at least %d ran", leastQueue), percent(mostOfThem) + " of the requests", "a third of their time"},
		"pool: connections":           {percent(fullPool) + " of the target's", fmt.Sprint(overPool) + " times as many"},
		"target: listen queue |":      {percent(leastDrops) + " of the new", fmt.Sprintf("one for every %s answers", show.Count(int64(1/leastStalls)))},
	} {
		line := rowOf(string(doc), row)
		for _, one := range want {
			if !strings.Contains(line, one) {
				t.Errorf("docs/method.md, %s: want %q in %q", row, one, line)
			}
		}
	}
	if queuedPool != 1.0/3 {
		t.Errorf("the bound of a pool's statements is %v", queuedPool)
	}
}

// rowOf is the first row of a table that has the text.
func rowOf(doc, text string) string {
	for line := range strings.Lines(doc) {
		if strings.HasPrefix(line, "| ") && strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
