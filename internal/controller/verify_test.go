package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"bakeoff/internal/target"
)

// TestVerifySeen shows what is declared against what was seen, and a target that keeps no connection of the balancer's.
func TestVerifySeen(t *testing.T) {
	for name, c := range map[string]struct {
		act    act
		failed string
		seen   string // of the balancer's connections
	}{
		"as declared":        {act{open: 9}, "", "3 to flask-1"},
		"closes connections": {act{open: 9, drops: true}, "balancer's connections", "0 to flask-1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script["flask"] = []act{c.act}
				w.lines["flask"] = 7
				var found Findings
				err := Verify(t.Context(), w.options(t, "blocks: 1\n"+oneTarget+closedOnly), func(f Findings) { found = f })
				if errors.Is(err, ErrContract) != (c.failed != "") || err != nil && c.failed == "" {
					t.Fatalf("%v", err)
				}
				for _, check := range found.Checks {
					if !check.OK && check.Name != c.failed {
						t.Errorf("failed: %+v", check)
					}
				}
				rows := fmt.Sprint(found.Seen)
				for _, want := range []string{
					"{database connections at most 1 replica x 16 = 16 9 after the start", "{protocol text ", "{keep-alive 1m15s ",
					"{access log off 7 lines", "{balancer's connections kept open: " + c.seen,
				} {
					if !strings.Contains(rows, want) {
						t.Errorf("%q is not in %s", want, rows)
					}
				}
			})
		})
	}
}

// What a target does when it is stopped is found in addition to what was found before, and hides nothing of it.
func TestVerifyStop(t *testing.T) {
	left := fmt.Errorf("flask-1: %w: process 7 (sleep)", target.ErrLeft)
	for name, c := range map[string]struct {
		act   act
		words []string
	}{
		"not ready, and left something": {act{deploy: fmt.Errorf("flask-1: %w", target.ErrNotReady), stop: left}, []string{"not ready in time", "process 7 (sleep)"}},
		"left something":                {act{open: 1, stop: left}, []string{"process 7 (sleep)"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.script["flask"] = []act{c.act}
			var found Findings
			err := Verify(t.Context(), w.options(t, "blocks: 1\n"+oneTarget+closedOnly), func(f Findings) { found = f })
			if !errors.Is(err, ErrContract) || found.OK() {
				t.Errorf("%s: %v, %+v", name, err, found)
			}
			for _, words := range c.words {
				if !strings.Contains(found.Error, words) {
					t.Errorf("%s: %q, want %q in it", name, found.Error, words)
				}
			}
		})
	}
	if err := new(Findings).stopped(errFaked); !errors.Is(err, errFaked) {
		t.Errorf("another error: %v", err)
	}
}
