package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// tuned is a plan of these targets with 7 blocks of one phase of 4 s, in turns.
func tuned(t *testing.T, targets string) *Plan {
	t.Helper()
	return load(t, "name: p\nwarmup: 1s\nturns: 250ms\nphases: [{model: closed, connections: 8, duration: 4s}]\nbudget: {connections: 1000, workers: 20}\ntargets:\n"+targets)
}

// usual is what a run costs in addition.
func usual() Overhead {
	return Overhead{Setup: 10 * time.Second, Trial: 3 * time.Second, Together: time.Second, Phase: 500 * time.Millisecond, Slice: 5 * time.Millisecond, Turns: true}
}

func stages(s Schedule) (out []string) {
	for _, stage := range append(slices.Clone(s.Search), s.Confirm) {
		out = append(out, fmt.Sprintf("%dx%d", stage.Targets, stage.Blocks))
	}
	return out
}

// Each stage leaves half of the settings and doubles the blocks; the confirming run has two settings of each target, and blocks
// enough for a verdict on all pairs.
func TestTuneSchedule(t *testing.T) {
	two := "- {recipe: a, sweep: {workers: [1, 2, 3, 4], pool: [1, 2, 3]}}\n- {recipe: b, sweep: {workers: [1, 2, 3]}}\n- c\n"
	for name, c := range map[string]struct {
		targets string
		most    time.Duration
		want    string
	}{
		"one target":        {targets: "- {recipe: a, sweep: {workers: [1, 2, 3, 4], pool: [1, 2, 3]}}\n", want: "12x3 6x6 3x7 2x7 2x7"},
		"two settings":      {targets: "- {recipe: a, sweep: {workers: [1, 2]}}\n", want: "2x3 2x7"},
		"two targets":       {targets: two, want: "15x3 8x6 3x7 2x7 4x8"},
		"in less time":      {targets: two, most: 920 * time.Second, want: "15x2 8x4 3x7 2x7 4x8"},
		"in the least time": {targets: "- {recipe: a, sweep: {workers: [1, 2]}}\n", most: 135 * time.Second, want: "2x2 2x6"},
	} {
		t.Run(name, func(t *testing.T) {
			p := tuned(t, c.targets)
			s, err := p.Tune(usual(), c.most)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(stages(s), " "); got != c.want {
				t.Errorf("%s, want %s: %s", got, c.want, s)
			}
			if c.most > 0 && s.Takes() > c.most {
				t.Errorf("it takes %v of %v", s.Takes(), c.most)
			}
			sum := s.Search[0].Takes + s.After(0)
			if sum != s.Takes() {
				t.Errorf("the first stage and what follows take %v, all %v", sum, s.Takes())
			}
		})
	}
}

// What cannot be done in the time is refused, with the sum of the least that it takes.
func TestTuneTooLong(t *testing.T) {
	_, err := tuned(t, "- {recipe: a, sweep: {workers: [1, 2, 3, 4]}}\n").Tune(usual(), time.Minute)
	var long *TooLongError
	if !errors.As(err, &long) || long.Most != time.Minute {
		t.Fatal(err)
	}
	for _, want := range []string{"search 4 targets x 2 blocks ", " + 2 targets x 2 blocks ", "; confirm 2 targets x 6 blocks ", " in all, longer than --max-time 1m"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if _, err := tuned(t, "- a\n- b\n").Tune(usual(), 0); !errors.Is(err, ErrNothingToTune) {
		t.Error(err)
	}
}

// A rate that follows the pilot is refused in the phase that decides, and there alone: each stage would have another load.
func TestUntunable(t *testing.T) {
	const share = "{name: open, model: open, rate_of_pilot: 0.6, duration: 4s}"
	for phases, want := range map[string]string{
		"primary: p99 at rate\nphases:\n  - {model: closed, connections: 8, duration: 4s, pair: connections}\n  - {name: ping, model: open, rate_of_pilot: 0.5, duration: 4s, ask: ping}\n  - " + share + "\n": "p.yaml:8:46: phases[2].rate_of_pilot: is not for bakeoff tune in the phase that decides",
		"phases:\n  - " + share + "\n": "p.yaml:5:46: phases[0].rate_of_pilot: is not for bakeoff tune in the phase that decides",
		"primary: throughput\nphases:\n  - {model: closed, connections: 8, duration: 4s}\n  - " + share + "\n":                      "",
		"primary: p99 at rate\nphases:\n  - {name: a, model: open, rate: 50, duration: 4s}\n  - " + share + "\n":                    "",
		"primary: p99 at rate\nphases:\n  - {name: a, model: open, rate: 50, duration: 4s, pair: connections}\n  - " + share + "\n": "",
	} {
		text := "name: p\ntargets: [{recipe: a, sweep: {workers: [1, 2]}}]\npilot: 1s\n" + phases
		p := load(t, text)
		findings := p.Untunable()
		if want == "" {
			if len(findings) > 0 {
				t.Errorf("%s: %+v", phases, findings)
			}
			continue
		}
		if err := Locate("p.yaml", []byte(text), findings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", phases, err, want)
		}
	}
}

// A part of a tuning is a plan of its own, with another order of trials.
func TestTunePart(t *testing.T) {
	p := tuned(t, "- {recipe: a, sweep: {workers: [1, 2, 3, 4]}}\n- b\n")
	p.Name = strings.Repeat("n", 62) + "-"
	p.Thresholds = []string{"closed: b.throughput > 1/s"}
	part := p.Part("search-1", 1, []string{"a-w4", "a-w2"}, 5)
	q, err := Load("part", part.YAML())
	if err != nil {
		t.Fatal(err)
	}
	if got := namesOf(q.Targets); !slices.Equal(got, []string{"a-w2", "a-w4"}) || q.Blocks != 5 || q.Seed == p.Seed || len(q.Thresholds) > 0 {
		t.Errorf("%q, %+v", got, q)
	}
	if !strings.HasPrefix(q.Name, "nnn") || !strings.HasSuffix(q.Name, "n-search-1") || len(p.Targets) != 5 {
		t.Errorf("%q of %q", q.Name, p.Name)
	}
}

// The sum of a run is its whole time.
func TestSum(t *testing.T) {
	p := tuned(t, "- {recipe: a, sweep: {workers: [1, 2, 3, 4]}}\n")
	got := p.Sum(usual())
	whole := about(p.Expected(usual()))
	if !strings.HasPrefix(got, "4 targets: ") || !strings.Contains(got, " before block 1 + 7 blocks of ") || !strings.HasSuffix(got, " = "+whole) {
		t.Errorf("%s, and the whole is %s", got, whole)
	}
}
