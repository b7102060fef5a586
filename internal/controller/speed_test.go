package controller

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
)

// A machine whose clock slows down in the middle of a run: every trial is valid, and the record shows its speed, with turns
// and without. The yardstick starts behind the agents, ends with the run and leaves no file.
func TestSpeedOfTheMachine(t *testing.T) {
	for _, turns := range []string{"", "turns: 250ms\n"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			first := time.Duration(0)
			w.work = func(at time.Duration) int64 {
				if first == 0 {
					first = at
				}
				if at-first > 75*time.Second {
					return 2_000_000
				}
				return 1_600_000
			}
			dir, _ := conducted(t, w.options(t, "blocks: 4\n"+turns+twoTargets+closedOnly))
			r, err := record.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			s, err := figures.Build(r)
			if err != nil {
				t.Fatal(err)
			}
			if s.Attempts.Valid != 8 || s.Speed == nil || s.Speed.Trials != 8 || !s.Speed.Varied() || s.Speed.High/s.Speed.Low < 1.2 {
				t.Errorf("%+v, speed %+v", s.Attempts, s.Speed)
			}
			if a, z := s.Trials[0].WorkS, s.Trials[7].WorkS; a != 0.0016 || z != 0.002 {
				t.Errorf("%v s in the first trial, %v s in the last", a, z)
			}
			wantList(t, "what happened", w.happened("yardstick"), "yardstick starts", "yardstick ends, its file <nil>")
			if _, err := os.Stat(filepath.Join(dir, "yardstick")); !os.IsNotExist(err) {
				t.Errorf("its file is left: %v", err)
			}
			if all := strings.Join(w.happened(""), ", "); !strings.Contains(all, "agents start, yardstick starts") || !strings.Contains(all, "file <nil>, agents end") {
				t.Error(all)
			}
		})
	}
}
