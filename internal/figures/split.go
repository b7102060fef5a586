package figures

import (
	"maps"
	"math"
	"slices"
	"time"

	"bakeoff/internal/stats"
	"bakeoff/internal/verdict"
)

// stretchOf is how much of a phase's time is one part of a block: the connections are redrawn no more often.
const stretchOf = time.Second

// Split is what the spread of a pair's blocks is made of, and what twice the time would do for its interval.
type Split struct {
	verdict.Split
	verdict.Halves
}

// stretches are the answers in the counted windows of a phase, by their start.
type stretches map[time.Duration]*stretch

type stretch struct {
	ok      int64
	seconds float64
}

func (s stretches) add(w stats.Window, sending time.Duration) {
	if w.Aside || w.Length <= 0 || w.End() > sending {
		return
	}
	if s[w.Begin] == nil {
		s[w.Begin] = &stretch{}
	}
	s[w.Begin].ok += w.Books.OK
	s[w.Begin].seconds = max(s[w.Begin].seconds, w.Length.Seconds())
}

// rates are the right answers per second in each stretch, by its number; one without any is left out.
func (s stretches) rates() map[int]float64 {
	sums := map[int]stretch{}
	for begin, one := range s {
		at := int(begin / stretchOf)
		sums[at] = stretch{sums[at].ok + one.ok, sums[at].seconds + one.seconds}
	}
	out := map[int]float64{}
	for at, sum := range sums {
		if sum.ok > 0 {
			out[at] = float64(sum.ok) / sum.seconds
		}
	}
	return out
}

// splits takes the spread of every pair apart. Only where targets took turns their parts were measured together,
// and only answers per second are a sum over parts.
func (s *Summary) splits(v *Verdict, phase Phase) []Split {
	used := slices.DeleteFunc(slices.Clone(s.Trials), func(t Trial) bool { return !t.Used })
	if v.Unit != UnitAnswers || slices.ContainsFunc(used, func(t Trial) bool { return !t.turns }) {
		return nil
	}
	var out []Split
	for _, c := range v.Comparisons {
		parts := make([][]float64, s.Run.Blocks)
		for block := range parts {
			parts[block] = logRatios(ratesOf(used, c.A, block+1, phase.Number), ratesOf(used, c.B, block+1, phase.Number))
		}
		if split, ok := verdict.NewSplit(c.A, c.B, parts); ok {
			out = append(out, Split{split, split.Halves(len(v.Comparisons), phase.DurationS, s.besides(phase))})
		}
	}
	return out
}

func ratesOf(trials []Trial, target string, block, phase int) map[int]float64 {
	for _, t := range trials {
		if t.Target != target || t.Block != block {
			continue
		}
		for _, f := range t.Phases {
			if f.Number == phase {
				return f.stretches.rates()
			}
		}
	}
	return nil
}

// logRatios are those of the parts that both have, in order.
func logRatios(a, b map[int]float64) (out []float64) {
	for _, at := range slices.Sorted(maps.Keys(a)) {
		if b[at] > 0 {
			out = append(out, math.Log(a[at]/b[at]))
		}
	}
	return out
}

// besides is how long a trial takes in addition to the phase, on average over all finished ones.
func (s *Summary) besides(phase Phase) float64 {
	sum := 0.0
	for _, step := range s.Time.Steps {
		sum += step.Seconds
	}
	return max(0, sum/float64(max(1, len(s.Trials)+len(s.Pilot)))-phase.DurationS)
}
