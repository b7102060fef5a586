package figures

import (
	"maps"
	"math"
	"slices"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// variedFrom is the width of the range of speeds from which the speed of the machine is said to have varied.
const variedFrom = 0.05

// Speed is how fast the machine was in the trials of a run, by a fixed piece of work that was timed in each. It corrects
// nothing and refuses nothing.
type Speed struct {
	Trials int     `json:"trials"`
	WorkS  float64 `json:"yardstick_s"` // median over trials of the mean CPU time of the work
	Low    float64 `json:"low"`         // the slowest and the fastest trial, as multiples of the median
	High   float64 `json:"high"`
	// Follows is how the throughput of trials follows it; nil: too few trials, or no closed phase.
	Follows *Follows `json:"throughput_follows,omitempty"`
}

// Follows is how the throughput of the first closed phase goes with the CPU time that the yardstick's work took in it, both as
// logarithms, less their means over the trials of a target, since a target that is slower than another is no slower machine, and
// then averaged over the targets of a block: where they took turns they met one machine, and a block is one observation of it.
type Follows struct {
	Phase       string  `json:"phase"`
	Blocks      int     `json:"blocks"`
	Correlation float64 `json:"correlation"`
	Slope       float64 `json:"slope"` // of the regression line: percent of answers for each percent of time
}

// fewestToFollow is how many blocks a correlation takes.
const fewestToFollow = 6

// follows computes it, from the trials that count.
func (s *Summary) follows() *Follows {
	i := slices.IndexFunc(s.Phases, func(p Phase) bool { return p.Model == "closed" })
	if i < 0 {
		return nil
	}
	work, goodput := s.blockMeans(s.Phases[i].Number)
	out := &Follows{Phase: s.Phases[i].Name, Blocks: len(work)}
	var xx, yy, xy float64
	x, y := centred(work), centred(goodput)
	for i := range x {
		xx, yy, xy = xx+x[i]*x[i], yy+y[i]*y[i], xy+x[i]*y[i]
	}
	if out.Blocks < fewestToFollow || xx == 0 || yy == 0 {
		return nil
	}
	out.Correlation, out.Slope = xy/math.Sqrt(xx*yy), xy/xx
	return out
}

// blockMeans are, block by block, the mean over targets of what both logarithms differ from their target's mean.
func (s *Summary) blockMeans(phase int) (work, goodput []float64) {
	blocks, times, rates := map[string][]int{}, map[string][]float64{}, map[string][]float64{}
	for _, t := range s.Trials {
		for _, f := range t.Phases {
			if t.Used && f.Number == phase && f.WorkS > 0 && f.Goodput > 0 {
				blocks[t.Target] = append(blocks[t.Target], t.Block)
				times[t.Target], rates[t.Target] = append(times[t.Target], math.Log(f.WorkS)), append(rates[t.Target], math.Log(f.Goodput))
			}
		}
	}
	xs, ys := map[int][]float64{}, map[int][]float64{}
	for _, name := range slices.Sorted(maps.Keys(blocks)) {
		x, y := centred(times[name]), centred(rates[name])
		for i, block := range blocks[name] {
			xs[block], ys[block] = append(xs[block], x[i]), append(ys[block], y[i])
		}
	}
	for _, block := range slices.Sorted(maps.Keys(xs)) {
		work, goodput = append(work, stats.Summarize(xs[block]).Mean), append(goodput, stats.Summarize(ys[block]).Mean)
	}
	return work, goodput
}

// centred are the values less their mean.
func centred(x []float64) []float64 {
	out, mean := make([]float64, len(x)), stats.Summarize(x).Mean
	for i, v := range x {
		out[i] = v - mean
	}
	return out
}

// Varied reports whether it varied by more than 5 %.
func (s *Speed) Varied() bool { return s != nil && s.High-s.Low > variedFrom }

// speed gives each trial its own, and returns that of all.
func speed(trials []Trial) *Speed {
	var all []float64
	for _, t := range trials {
		if t.WorkS > 0 {
			all = append(all, t.WorkS)
		}
	}
	if len(all) == 0 {
		return nil
	}
	out := &Speed{Trials: len(all), WorkS: stats.Summarize(all).Median, Low: math.Inf(1)}
	for i := range trials {
		if t := &trials[i]; t.WorkS > 0 {
			t.Speed = out.WorkS / t.WorkS
			out.Low, out.High = min(out.Low, t.Speed), max(out.High, t.Speed)
		}
	}
	return out
}

// works are the times of the yardstick's work by phase.
type works map[int]*work

type work struct {
	sum   float64 // nanoseconds
	times int
}

func (w works) add(s record.Series) {
	for _, core := range s.WorkNS {
		for _, ns := range core {
			if w[s.Phase] == nil {
				w[s.Phase] = &work{}
			}
			w[s.Phase].sum += float64(ns)
			w[s.Phase].times++
		}
	}
}

// mean is that of the phases, in seconds; 0 where nothing was timed.
func (w works) mean(phases []PhaseFigures) float64 {
	var sum work
	for _, f := range phases {
		if one := w[f.Number]; one != nil {
			sum.sum += one.sum
			sum.times += one.times
		}
	}
	return sum.sum / float64(max(sum.times, 1)) / 1e9
}
