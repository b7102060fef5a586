package verdict

import "maps"

// Bound says that a figure only bounds what was asked for. Empty: it is the figure itself.
type Bound string

// The bounds of figures.
const (
	AtLeast Bound = "at least"
	AtMost  Bound = "at most"
	About   Bound = "about" // it may be more and may be less
)

// bounds are all of them, as a file may have them.
var bounds = []Bound{"", AtLeast, AtMost, About}

// measurement is what limits a figure that a table has as a bound, where nobody says more of it.
const measurement = "measurement"

// withBounds adds the targets that have a figure which is only a bound.
func (o Options) withBounds(t *Table) Options {
	capped, most := maps.Clone(o.Capped), maps.Clone(o.AtMost)
	mark := func(of *map[string]string, target string) {
		if *of == nil {
			*of = map[string]string{}
		}
		if (*of)[target] == "" {
			(*of)[target] = measurement
		}
	}
	for target, cells := range t.cells {
		for _, c := range cells {
			least := c.Bound == AtLeast && o.Better == Higher || c.Bound == AtMost && o.Better == Lower
			if c.Bound == About || c.Bound != "" && least {
				mark(&capped, target)
			}
			if c.Bound == About || c.Bound != "" && !least {
				mark(&most, target)
			}
		}
	}
	o.Capped, o.AtMost = capped, most
	return o
}
