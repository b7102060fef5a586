package plan_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"bakeoff/internal/plan"
)

// The plans that README.md shows are plans.
func TestPlansOfReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const rest = "name: x\nwarmup: 1s\npilot: 1s\nphases: [{name: closed, model: closed, connections: 8, duration: 1s}]\n"
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	for _, b := range blocks {
		text := b[1]
		if !strings.Contains(text, "phases:") {
			text = rest + text // only the targets are shown
		}
		if _, err := plan.Load("README.md", []byte(text)); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	if len(blocks) < 2 {
		t.Errorf("only %d plans found", len(blocks))
	}
}
