package cli

import (
	"os"
	"strings"
	"testing"
)

// README.md lists every command that help shows.
func TestReadmeListsTheCommands(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range newRoot(Env{Getenv: os.Getenv}).Commands() {
		if !c.IsAvailableCommand() || c.Name() == "version" {
			continue
		}
		n++
		if !strings.Contains(string(readme), "\nbakeoff "+c.Name()+" ") {
			t.Errorf("README.md does not list bakeoff %s", c.Name())
		}
	}
	if n < 10 {
		t.Errorf("only %d commands found", n)
	}
}
