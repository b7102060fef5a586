package figures

import (
	"bakeoff/internal/show"
)

// equalTime is the part of its time by which a target may have had more of a phase than another one of its block.
const equalTime = 0.01

// unequal is where targets that took turns had unequal times of a phase.
type unequal struct {
	blocks int
	most   float64 // how much more one had
	of     string  // which
	block  int
}

// markUnequal says in which phases a target had more than 1 % more time than another one of the same block: stalls extend the slices of
// the open model, also the last one.
func (s *Summary) markUnequal(add func(format string, a ...any)) {
	for i, found := range s.unequal() {
		if found.blocks > 0 {
			add("UNEQUAL TIMES in phase %s: in %s a target was measured for over %s longer than another, at most for %s (%s, block %d), because requests that were not answered extended its slices",
				s.Phases[i].Name, show.Plural(found.blocks, "block"), show.Percent(equalTime), show.Percent(found.most), found.of, found.block)
		}
	}
}

// unequal looks at the valid trials of each measured phase.
func (s *Summary) unequal() []unequal {
	out := make([]unequal, len(s.Phases))
	for i, p := range s.Phases {
		least, longest := map[int]float64{}, map[int]float64{}
		of := map[int]string{}
		for _, t := range s.Trials {
			seconds := t.lasted(p.Number)
			if !t.Used || !t.turns || seconds == 0 {
				continue
			}
			if least[t.Block] == 0 || seconds < least[t.Block] {
				least[t.Block] = seconds
			}
			if seconds > longest[t.Block] {
				longest[t.Block], of[t.Block] = seconds, t.Target
			}
		}
		for block := 1; block <= s.Run.Blocks; block++ {
			out[i].note(block, of[block], longest[block], least[block])
		}
	}
	return out
}

// note takes in the target of a block that had most time.
func (u *unequal) note(block int, of string, longest, least float64) {
	more := longest/least - 1
	if least == 0 || more <= equalTime {
		return
	}
	if u.blocks++; more > u.most {
		u.most, u.of, u.block = more, of, block
	}
}

// lasted is how much time of its own the target had in a phase, in seconds; 0: it was not measured.
func (t *Trial) lasted(number int) float64 {
	for i := range t.Phases {
		if t.Phases[i].Number == number {
			return t.Phases[i].DurationS
		}
	}
	return 0
}
