package target

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"bakeoff/internal/platform"
	"bakeoff/internal/record"
)

// remains is a process that has ended and left others behind.
type remains struct {
	platform.Process
	left []platform.Leftover
}

func (r remains) Left() []platform.Leftover { return r.left }
func (r remains) HeldBy() string            { return platform.HeldByGuard }

// Only workers that said they are ready before the load are a part of the replica: no line that comes later makes a process one, and
// none that nobody can read makes them be forgiven.
func TestLateReadyLinesClaimNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line string
		pid  int
		want error
	}{
		"a worker":           {"", 11, nil},
		"another":            {"", 12, ErrLeft},
		"said to be one":     {`bakeoff: ready {"pid":12,"pool":1,"protocol":"text"}`, 12, ErrLeft},
		"in an unread line":  {"bakeoff: ready {", 12, ErrLeft},
		"a worker, and that": {"bakeoff: ready {", 11, nil},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(c.line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := &Replica{
			process: remains{left: []platform.Leftover{{PID: c.pid}}},
			tail:    tail{path: path}, claimed: []record.Worker{{PID: 11}},
		}
		if err := r.left(); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
