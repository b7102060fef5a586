package plan_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"bakeoff/internal/plan"
)

// The plans of docs/method.md and docs/plan.md are plans, too, and only the first asks for a capacity.
func TestPlansOfDocuments(t *testing.T) {
	for name, capacity := range map[string]bool{"method.md": true, "plan.md": false} {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
		if len(blocks) != 1 {
			t.Fatalf("%s: %d plans found", name, len(blocks))
		}
		p, err := plan.Load(name, []byte(blocks[0][1]))
		if err != nil {
			t.Fatal(err)
		}
		if p.Asks() != capacity {
			t.Errorf("%s: it asks for a capacity: %v", name, p.Asks())
		}
	}
}

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
