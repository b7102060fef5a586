package cli

import (
	"bytes"
	"strings"
	"testing"

	"bakeoff/internal/controller"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
)

// What a target prints, a server answers or a recipe says reaches the terminal as text.
func TestStrangersTextIsInert(t *testing.T) {
	const evil = "\x1b[2J\u202e\x07"
	var out bytes.Buffer
	printFindings(&out, controller.Findings{Target: "a", Error: "its log ends with:\none" + evil + "\ntwo"})
	printFindings(&out, controller.Findings{
		Target: "a", Checks: []record.Check{{Name: "c", Detail: "got " + evil}}, Seen: []controller.Seen{{What: "protocol", Declared: "text", Seen: evil}},
	})
	printMissing(Env{Stdout: &out}, &plan.Plan{Name: "p"}, []target.Need{{What: "python" + evil, Package: evil}})
	if strings.ContainsAny(out.String(), "\x1b\u202e\x07") || !strings.Contains(out.String(), "\ntwo\n") || !strings.Contains(out.String(), "python") {
		t.Errorf("%q", out.String())
	}
}
