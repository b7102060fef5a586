package figures

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// headline says in one line what was done: "7 blocks of 8 s on 2 shared cores: a, b and c".
func headline(s *Summary) string {
	out := s.BlocksInWords() + ofWhat(s)
	if s.Run.Short {
		out += " (short)"
	}
	return out
}

// BlocksInWords says how many blocks are whole, and how long each target is measured in one: "7 blocks of 8
// s", "4 of 7 blocks of 8 s".
func (s *Summary) BlocksInWords() string {
	out := show.Plural(s.Run.Blocks, "block")
	if done := s.blocksDone(); done < s.Run.Blocks {
		out = fmt.Sprintf("%d of %s", done, out)
	}
	if l := s.length(); l > 0 {
		out += " of " + show.Span(l.Seconds())
	}
	return out
}

// CoresInWords names the cores of the agents' machine, and whether every tier shares them: "2 shared cores".
func (s *Summary) CoresInWords() string {
	if s.Run.Platform == record.PlatformImported {
		return "a machine that is not known"
	}
	if s.Run.Platform == "" || s.Running() && !s.Here() {
		return show.Plural(s.Machine.Cores, "core")
	}
	if s.Run.Platform == "local" {
		if s.Machine.Cores == 1 {
			return "1 shared core"
		}
		return fmt.Sprintf("%d shared cores", s.Machine.Cores)
	}
	return fmt.Sprintf("%s (%s)", show.Plural(s.Machine.Cores, "core"), s.Run.Platform)
}

// blocksDone is the number of blocks in which every target has a valid trial.
func (s *Summary) blocksDone() int {
	valid := map[int]int{}
	for _, t := range s.Trials {
		if t.Used {
			valid[t.Block]++
		}
	}
	done := 0
	for _, n := range valid {
		if n == len(s.Targets)-s.withoutBlocks() {
			done++
		}
	}
	return done
}

// mark sets what a reader must know before any figure: first what the run was, then what makes its figures doubtful, then what they
// lack a proof of. A screen has room for the first few only.
func (s *Summary) mark(live bool) {
	s.Caveats = slices.Concat(s.conducted(live), s.doubts(), s.unproven())
	s.Marks = slices.Clone(s.Caveats)
	for _, t := range s.Targets {
		if t.Valid < s.Run.Blocks {
			s.Marks = append(s.Marks, fmt.Sprintf("%s has a valid trial in %d of %s", t.Name, t.Valid, show.Plural(s.Run.Blocks, "block")))
		}
	}
	if n := show.Plural(len(s.Problems), "problem"); len(s.Problems) > 0 {
		s.Marks = append(s.Marks, fmt.Sprintf("DAMAGED: %s in the run directory, listed below; damaged trials are left out", n))
		s.Caveats = append(s.Caveats, fmt.Sprintf("DAMAGED: %s in the run directory; damaged trials are left out", n))
	}
}

// conducted is what the run was, and how it ended.
func (s *Summary) conducted(live bool) (out []string) {
	add := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	if s.Run.Platform == record.PlatformImported {
		add("IMPORTED: another program measured, with one trial per target; nothing may be claimed from these figures")
	}
	if s.Run.Short {
		add("SHORT: scaled down to see that everything works; nothing may be claimed from these figures")
	}
	if s.Run.Search != "" {
		add("SEARCH, %s: these figures choose a setting, and the best of several looks better than it is; what is claimed is the verdict of the run that confirms it", s.Run.Search)
	}
	if s.Run.Shared {
		add("SHARED MACHINE: another run was allowed at the same time; the two disturb each other")
	}
	switch {
	case live:
		add("UNDER WAY: %d of %d trials finished so far", s.Run.Finished, s.Run.Planned)
	case s.Run.Status == record.Aborted:
		add("ABORTED: %s; %d of %d trials finished", cmp.Or(s.Run.Reason, "no reason given"), s.Run.Finished, s.Run.Planned)
	case s.Run.Status == record.Incomplete:
		add("INCOMPLETE: the run was killed; %d of %d trials finished", s.Run.Finished, s.Run.Planned)
	}
	return out
}

// doubts are what makes the figures doubtful themselves.
func (s *Summary) doubts() (out []string) {
	add := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	if d := s.Database; d.DigestAtEnd != "" && d.DigestAtFill != "" && d.DigestAtEnd != d.DigestAtFill {
		add("TABLE CHANGED: its digest at the end is not the one at the fill")
	}
	for _, rest := range s.Baselines {
		if text := gate.Restless(record.Baseline{Container: rest.Container}, rest.Disturbance); text != "" {
			add("NOT AT REST: before anything was loaded, %s", text)
		}
	}
	if text := s.unwatched(); text != "" {
		add("NOT WATCHED: it is not known whether others used the machine %s", text)
	}
	for _, text := range gate.Unsteady(s.Trends) {
		add("NOT STEADY: %s", text)
	}
	for _, text := range s.nearCeiling() {
		add("NEAR THE CEILING of the agents %s", text)
	}
	return out
}

// Unsteady reports whether any target changes over the blocks while its phases last; the marks say which, and by how much.
func (s *Summary) Unsteady() bool { return len(gate.Unsteady(s.Trends)) > 0 }

// unwatched is when it is not known whether others used the machine: "before anything was loaded, and in 2 trials"; empty: never.
func (s *Summary) unwatched() string {
	var when []string
	if slices.ContainsFunc(s.Baselines, func(b record.Baseline) bool { return b.Seconds > 0 && !b.Watched() }) {
		when = append(when, "before anything was loaded")
	}
	trials := 0
	for _, t := range s.Trials {
		if t.Used && slices.ContainsFunc(t.Warnings, func(w record.Reason) bool { return w.Code == record.CodeNotWatched }) {
			trials++
		}
	}
	if trials > 0 {
		when = append(when, "in "+show.Plural(trials, "trial"))
	}
	return strings.Join(when, ", and ")
}

// unproven are what the figures lack a proof of.
func (s *Summary) unproven() (out []string) {
	add := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	if s.Run.AllowUnfair != "" {
		add("UNFAIR BY PLAN: differences between targets were allowed: %s", s.Run.AllowUnfair)
	}
	if less := s.Run.ChecksLeftOut; len(less) > 0 {
		add("CHECKS LEFT OUT by the plan (trust): %s; a target that cheats may not be found (docs/trust.md)", strings.Join(less, ", "))
	}
	if d := s.Database; len(d.Uncounted) > 0 {
		add("LOOKUPS NOT PROVEN: the database server does not count, for each answer, %s", strings.Join(d.Uncounted, "; "))
	}
	if d := s.Database; d.AccountReason != "" {
		more := ""
		if d.Kind == "external" { // whose account may read all tables of the schema
			more = ", and a target that reads in bakeoff_moves which rows will change can answer all others from a copy of the table"
		}
		add("ONE DATABASE ACCOUNT for all trials: what a trial leaves in the database may reach the next one%s; %s", more, d.AccountReason)
	}
	s.markStill(add)
	s.markUnequal(add)
	return out
}

// markStill says in which phases no rows changed, and why.
func (s *Summary) markStill(add func(format string, a ...any)) {
	const less = "a target that answers from a copy of the table is found by fewer checks"
	if why := s.Database.MovesReason; why != "" {
		add("NO ROWS CHANGED during the phases: %s; %s", less, why)
		return
	}
	for _, why := range slices.Sorted(maps.Keys(s.still)) {
		names, noun := s.still[why], "phase"
		if len(names) > 1 {
			noun = "phases"
		}
		add("NO ROWS CHANGED in %s %s: %s; %s", noun, show.List(names), less, why)
	}
}

// ofWhat is the rest of the headline: where, and which targets.
func ofWhat(s *Summary) string {
	var names []string
	for _, t := range s.Targets {
		names = append(names, t.Name)
	}
	switch {
	case len(names) == 0:
		return " on " + s.CoresInWords()
	case !s.Running():
		return " on " + s.CoresInWords() + ": " + show.List(names)
	case s.Here():
		return fmt.Sprintf(" of %s on %s: %s", show.Plural(len(names), "running server"), s.CoresInWords(), show.List(names))
	}
	return fmt.Sprintf(" of %s, loaded from %s: %s", show.Plural(len(names), "running server"), s.CoresInWords(), show.List(names))
}

// Here reports whether all running servers are on the machine of the agents.
func (s *Summary) Here() bool {
	return !slices.ContainsFunc(s.Targets, func(t Target) bool {
		at, err := netip.ParseAddrPort(t.Address)
		return err != nil || !at.Addr().IsLoopback()
	})
}

// length is how long a trial measures: its measured phases and stages, as far as they count. Rounds that were made up extend some
// trials, and stages have a length of their own, so it is the median of the valid ones. Without one it is what was planned.
func (s *Summary) length() time.Duration {
	var each []float64
	for _, t := range s.Trials {
		var sum float64
		for _, f := range t.measured() {
			sum += f.DurationS - f.leftOutS
		}
		if t.Used && sum > 0 {
			each = append(each, sum)
		}
	}
	if len(each) > 0 {
		slices.Sort(each)
		return asDuration(each[len(each)/2])
	}
	var planned float64
	for _, p := range s.Phases {
		planned += p.DurationS
	}
	return asDuration(planned)
}
