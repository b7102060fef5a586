package cli

import (
	"errors"
	"testing"

	"bakeoff/internal/figures"
)

// The error names the target, and counts the earlier runs that have a figure of it.
func TestUnexpected(t *testing.T) {
	for want, c := range map[string]struct {
		targets []figures.ExpectedTarget
		is      error
	}{
		"": {[]figures.ExpectedTarget{{Name: "a", Earlier: 6, Outcome: figures.AsBefore}}, nil},
		": b is worse than 6 earlier runs predict": {
			[]figures.ExpectedTarget{{Name: "a", Earlier: 2, Outcome: figures.NotComparable}, {Name: "b", Earlier: 6, Outcome: figures.Worse}}, errWorse,
		},
		": b is not comparable: 4 earlier runs of this plan on this machine with a figure of it, a prediction needs 5": {
			[]figures.ExpectedTarget{{Name: "a", Earlier: 6, Outcome: figures.Better}, {Name: "b", Earlier: 4, Outcome: figures.NotComparable}}, errNoBaseline,
		},
		": a is not comparable: it has no figure in this run": {[]figures.ExpectedTarget{{Name: "a", Earlier: 6, Outcome: figures.NotComparable}}, errNoBaseline},
	} {
		err := unexpected(figures.Expected{Earlier: 6, Fewest: 5, Targets: c.targets})
		if !errors.Is(err, c.is) || err != nil && err.Error() != c.is.Error()+want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
