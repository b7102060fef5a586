package plan_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"bakeoff/internal/plan"
)

// The plan of docs/method.md is one, too.
func TestPlanOfMethod(t *testing.T) {
	method, err := os.ReadFile("../../docs/method.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(method), -1)
	if len(blocks) != 1 {
		t.Fatalf("%d plans found", len(blocks))
	}
	p, err := plan.Load("method.md", []byte(blocks[0][1]))
	if err != nil {
		t.Fatal(err)
	}
	if !p.Asks() {
		t.Error("it asks for no capacity")
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
