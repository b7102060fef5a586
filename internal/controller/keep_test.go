package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The first trial of a run is left running until the user interrupts, and each of its processes has the line that starts it.
func TestKeep(t *testing.T) {
	for _, turns := range []string{"", "turns: 250ms\n"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.info.Command = "mariadbd --here"
			o := w.options(t, "blocks: 1\n"+turns+twoTargets+closedOnly)
			o.Keep = true
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Hour, func() { cancel(ErrInterrupted) })
			if _, err := Run(ctx, o); !errors.Is(err, ErrInterrupted) || time.Since(w.began) < time.Hour {
				t.Errorf("ended after %v with %v", time.Since(w.began), err)
			}
			first, lines := o.Plan.Trials()[0].Target, []string{}
			for _, e := range w.events {
				if e.Verbatim {
					lines = append(lines, e.Text)
					if !e.Lasting {
						t.Errorf("%q does not stay", e.Text)
					}
				}
			}
			if len(lines) != 4 || !strings.HasPrefix(lines[0], "block 1, "+first+" is left running until you interrupt; its logs are in ") ||
				!slices.Equal(lines[1:], []string{"loaded at http://" + first, "mariadbd --here", "start " + first}) {
				t.Errorf("turns %q: %q", turns, lines)
			}
			if starts, stops := len(w.happened("start ")), len(w.happened("stop ")); starts != stops || (starts == 1) != (turns == "") {
				t.Errorf("turns %q: %d starts, %d stops", turns, starts, stops)
			}
		})
	}
}

// Nothing is left running where the first trial has no target, or the run has ended for another reason.
func TestNothingToKeep(t *testing.T) {
	for _, turns := range []string{"", "turns: 250ms\n"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			o := w.options(t, "blocks: 1\n"+turns+twoTargets+closedOnly)
			o.Keep = true
			for _, target := range o.Plan.Targets {
				w.script[target.Name] = []act{{check: errFaked}}
			}
			conducted(t, o, "faked")
			if took := time.Since(w.began); took > time.Minute {
				t.Errorf("turns %q: it took %v", turns, took)
			}
		})
	}
}
