package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// A search begins with firstSearch blocks, and doubles them whenever it halves the settings, up to those of the plan. Where that
// takes too long, stages have fewer, down to leastSearch.
const (
	firstSearch = 3
	leastSearch = 2
)

// ErrNothingToTune is returned for a plan whose targets have one setting each.
var ErrNothingToTune = errors.New("no target has several settings")

// TooLongError says that what was asked for takes longer than it may.
type TooLongError struct {
	Sum  string // what the time is made of
	Most time.Duration
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("%s, longer than --max-time %s", e.Sum, Duration(e.Most))
}

// Stage is a part of a tuning: a run of some targets and blocks.
type Stage struct {
	Targets int
	Blocks  int
	Takes   time.Duration // expected
}

// Schedule is how a tuning spends its time: the stages of the search, then the run that confirms what was found.
type Schedule struct {
	Search  []Stage
	Confirm Stage
}

// Takes is the time of all stages together.
func (s Schedule) Takes() time.Duration {
	total := s.Confirm.Takes
	for _, stage := range s.Search {
		total += stage.Takes
	}
	return total
}

// After is the time of what follows the stage number i of the search.
func (s Schedule) After(i int) time.Duration {
	rest := Schedule{Search: s.Search[i+1:], Confirm: s.Confirm}
	return rest.Takes()
}

// String is the sum: "search 12 targets x 3 blocks 6m10s + 6 x 6 6m3s, confirm 2 x 7 3m: 15m13s".
func (s Schedule) String() string {
	part := func(stage Stage) string {
		return fmt.Sprintf("%s x %s %s", show.Plural(stage.Targets, "target"), show.Plural(stage.Blocks, "block"), about(stage.Takes))
	}
	var search []string
	for _, stage := range s.Search {
		search = append(search, part(stage))
	}
	return fmt.Sprintf("search %s; confirm %s; %s in all", strings.Join(search, " + "), part(s.Confirm), about(s.Takes()))
}

// Untunable is what a search cannot rank settings by, though a run can compare them: figures of stages count together, so all stages
// need the same load.
func (p *Plan) Untunable() []Finding {
	i := p.primary()
	if p.Phases[i].RateOfPilot == 0 {
		return nil
	}
	return []Finding{{
		Path: fmt.Sprintf("phases[%d].rate_of_pilot", i), Hint: "give a rate, such as rate: 500",
		Text: "is not for bakeoff tune in the phase that decides: each stage of a search has a pilot of its own, so its rate would follow the slowest setting that is left",
	}}
}

// Half is how many settings a stage of a search leaves of that many.
func Half(settings int) int { return (settings + 1) / 2 }

// Tune is the schedule of a search for the best setting of each target by successive halving, and of the run that confirms it; most
// bounds its time, 0 does not. The number of blocks of every stage is fixed here, before the first one.
func (p *Plan) Tune(o Overhead, most time.Duration) (Schedule, error) {
	if !p.Swept() {
		return Schedule{}, ErrNothingToTune
	}
	blocks := firstSearch
	var s Schedule
	for left := p.counts(); len(left) > 0; left = halved(left) {
		s.Search = append(s.Search, p.stageOf(left, min(blocks, p.Blocks), o))
		blocks *= 2
	}
	finalists := p.counts()
	for i := range finalists {
		finalists[i] = 2
	}
	pairs := len(finalists) * (2*len(finalists) - 1)
	fewest := verdict.FewestBlocks(pairs)
	s.Confirm = p.stageOf(finalists, max(p.Blocks, fewest), o)
	for most > 0 && s.Takes() > most {
		if !p.cut(&s, fewest, o) {
			return s, &TooLongError{s.String(), most}
		}
	}
	return s, nil
}

// cut takes a block from the stage of the search that takes longest and can spare one, else from the run that confirms; false where
// none can.
func (p *Plan) cut(s *Schedule, fewest int, o Overhead) bool {
	longest := -1
	for i, stage := range s.Search {
		if stage.Blocks > leastSearch && (longest < 0 || stage.Takes > s.Search[longest].Takes) {
			longest = i
		}
	}
	stage := &s.Confirm
	switch {
	case longest >= 0:
		stage = &s.Search[longest]
	case s.Confirm.Blocks <= fewest:
		return false
	}
	stage.Blocks--
	stage.Takes = p.takes(stage.Targets, stage.Blocks, o)
	return true
}

// counts are how many settings those targets have that have several.
func (p *Plan) counts() (out []int) {
	for _, g := range p.Groups() {
		if len(g.Settings) > 1 {
			out = append(out, len(g.Settings))
		}
	}
	return out
}

// halved are the numbers after a stage, without those that are decided.
func halved(counts []int) (out []int) {
	for _, n := range counts {
		if n = Half(n); n > 1 {
			out = append(out, n)
		}
	}
	return out
}

func (p *Plan) stageOf(counts []int, blocks int, o Overhead) Stage {
	targets := 0
	for _, n := range counts {
		targets += n
	}
	return Stage{Targets: targets, Blocks: blocks, Takes: p.takes(targets, blocks, o)}
}

// takes is how long a run of that many targets and blocks takes.
func (p *Plan) takes(targets, blocks int, o Overhead) time.Duration {
	part := *p
	part.Targets, part.Blocks = p.Targets[:min(targets, len(p.Targets))], blocks
	return part.Expected(o)
}

// Part is the plan of one stage of a tuning: some of the targets, a number of blocks, and a name and a seed of its own. It has no
// thresholds: those are about targets that it may not have.
func (p *Plan) Part(name string, seed uint64, targets []string, blocks int) *Plan {
	part := *p
	part.Name = strings.TrimRight(p.Name[:min(len(p.Name), mostName-len(name)-1)], "-") + "-" + name
	part.Seed, part.Blocks, part.Thresholds = p.Seed+seed, blocks, nil
	part.Targets = slices.DeleteFunc(slices.Clone(p.Targets), func(t Target) bool { return !slices.Contains(targets, t.Name) })
	return &part
}
