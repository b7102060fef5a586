package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/record"
)

// starts is how closely together the agents began the phases so far.
type starts struct {
	phases int
	worst  time.Duration
	where  string // the trial and phase of the worst
	doubt  time.Duration
}

// startsNote begins the note about them.
const startsNote = "agents began each phase within "

// add takes the phases of a trial; those that one agent alone ran have no spread.
func (s *starts) add(t record.Trial) {
	for _, p := range t.Phases {
		if len(p.Starts) < 2 {
			continue
		}
		s.phases++
		if spread := time.Duration(p.StartSpreadNS); spread > s.worst {
			s.worst = spread
			s.where = fmt.Sprintf("block %d, %s, attempt %d, phase %s", t.Block, t.Target, t.Attempt, p.Name)
		}
		for _, a := range p.Starts {
			s.doubt = max(s.doubt, time.Duration(a.ClockErrorNS))
		}
	}
}

// note puts what was seen into the run's notes, in place of what an earlier
// part of the run said.
func (s *starts) note(rec *record.Run) {
	if s.phases == 0 {
		return
	}
	text := fmt.Sprintf("%s%v of each other over %d phases (target: at most %v", startsNote, s.worst.Round(time.Microsecond), s.phases, fleet.StartWithin)
	if s.worst > fleet.StartWithin {
		text += ", exceeded; the worst: " + s.where
	}
	if rec.Platform != "local" { // there is one clock there
		text += fmt.Sprintf("; each start is known to +-%v", s.doubt.Round(time.Microsecond))
	}
	rec.Notes = slices.DeleteFunc(rec.Notes, func(n string) bool { return strings.HasPrefix(n, startsNote) })
	rec.Notes = append(rec.Notes, text+")")
}
