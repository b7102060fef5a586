package balancer

import (
	"math"
	"strings"
	"testing"

	"bakeoff/internal/platform"
)

// TestCommand wants the command of a folder with a space as one that a shell takes apart rightly.
func TestCommand(t *testing.T) {
	n := &Nginx{argv: []string{"/usr/sbin/nginx", "-p", "/tmp/my runs"}}
	if got, want := n.Command(), "/usr/sbin/nginx -p '/tmp/my runs'"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// workerless is nginx between the end of a worker and the start of the next.
type workerless struct{ platform.Process }

func (workerless) PID() int    { return math.MaxInt32 } // nobody's
func (workerless) PIDs() []int { return []int{math.MaxInt32} }

// Without a worker there is nothing to replace, and the next one would be taken for a new one.
func TestRedrawWithoutWorker(t *testing.T) {
	n := &Nginx{process: workerless{}, Counter: NewCounter("")}
	if err := n.Redraw(t.Context()); err == nil || !strings.Contains(err.Error(), "no worker process") {
		t.Errorf("%v", err)
	}
}
