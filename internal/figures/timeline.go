package figures

import (
	"maps"
	"math"
	"slices"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// mostBins is how many points a phase has at most: longer ones are divided more coarsely.
const mostBins = 60

// Timeline is how one target's trials went, phase by phase, over its valid blocks.
type Timeline struct {
	Target string      `json:"target"`
	Phases []PhaseTime `json:"phases"` // the warm-up too
}

// PhaseTime is one phase of a timeline. Where targets took turns its time stands still while it is not the target's turn.
type PhaseTime struct {
	Number    int     `json:"number"`
	Name      string  `json:"name"`
	Model     string  `json:"model"`
	Warmup    bool    `json:"warmup,omitempty"`
	Rate      float64 `json:"rate,omitempty"` // offered, in the open model
	DurationS float64 `json:"duration_s"`     // the longest of any block
	StepS     float64 `json:"step_s"`         // between two points
	Bins      []Bin   `json:"bins"`
	Stalls    []Stall `json:"stalls,omitempty"` // of all blocks
	Windows   Looked  `json:"windows"`          // in which stalls were looked for
}

// Bin is one point of a timeline.
type Bin struct {
	AtS     float64 `json:"at_s"`     // where it begins, since the phase's start
	Goodput Spread  `json:"ok_per_s"` // over blocks
	// Median is that of each block's response times in the bin, in the closed model of its service times; only of blocks with
	// enough requests in it.
	Median Spread `json:"median_s"`
	// Slowest is the longest time of any block; SlowestOver says that it is a time-out, and longer than that.
	Slowest     float64 `json:"slowest_s"`
	SlowestOver bool    `json:"slowest_over,omitempty"`
	Requests    int64   `json:"requests"` // whose times were taken, in all blocks
}

// times gathers the windows of one phase of one trial.
type times struct {
	phase  record.Phase
	step   time.Duration
	counts instants // by the start of the window, of all agents
	lasted instants // likewise, with a slice that ended after the phase
	bins   map[time.Duration]*stats.Histogram
}

// instant is what the agents' windows of one begin add up to.
type instant struct {
	ok     int64
	length time.Duration
}

func (i *instant) rate() float64 { return float64(i.ok) / i.length.Seconds() }

// instants are them by that begin.
type instants map[time.Duration]*instant

func (all instants) add(w stats.Window) {
	one := all[w.Begin]
	if one == nil {
		one = &instant{}
		all[w.Begin] = one
	}
	one.ok += w.Books.OK
	one.length = max(one.length, w.Length)
}

func newTimes(p record.Phase) *times {
	base := time.Second
	if p.Turns != nil && p.Turns.SliceS > 0 {
		base = asDuration(p.Turns.SliceS)
	}
	return &times{phase: p, step: base * stepFactor(p.Duration(), base), counts: instants{}, lasted: instants{}, bins: map[time.Duration]*stats.Histogram{}}
}

func asDuration(s float64) time.Duration { return time.Duration(math.Round(s * float64(time.Second))) }

// stepFactor is how many windows a point takes, so that there are at most mostBins: a power of two, so that points of phases of
// different length can be joined.
func stepFactor(whole, base time.Duration) time.Duration {
	factor := time.Duration(1)
	for factor*base*mostBins < whole {
		factor *= 2
	}
	return factor
}

// add adds a window of an agent. What comes after sending has ended is no rate; its times belong to the last point.
func (t *times) add(w stats.Window) {
	sending := asDuration(t.phase.DurationS)
	if w.Length > 0 && w.End() <= sending && !w.Aside {
		t.counts.add(w)
	}
	if w.Length > 0 && w.Begin < sending && !w.Aside {
		t.lasted.add(w)
	}
	h := w.Response
	if t.phase.Model == "closed" || t.phase.Engine != "" {
		h = w.Service
	}
	if h == nil || sending <= 0 {
		return
	}
	at := min(w.Begin, sending-1).Truncate(t.step)
	if t.bins[at] == nil {
		t.bins[at] = stats.NewHistogram()
	}
	t.bins[at].Merge(h)
}

// rates are the answers per second of each point, of that step.
func (t *times) rates(step time.Duration) map[time.Duration]float64 {
	sums := instants{}
	for begin, one := range t.counts {
		at := begin.Truncate(step)
		if sums[at] == nil {
			sums[at] = &instant{}
		}
		sums[at].ok += one.ok
		sums[at].length += one.length
	}
	out := map[time.Duration]float64{}
	for at, sum := range sums {
		out[at] = sum.rate()
	}
	return out
}

// histograms are the times of each point, of that step.
func (t *times) histograms(step time.Duration) map[time.Duration]*stats.Histogram {
	if step == t.step {
		return t.bins
	}
	out := map[time.Duration]*stats.Histogram{}
	for begin, h := range t.bins {
		at := begin.Truncate(step)
		if out[at] == nil {
			out[at] = stats.NewHistogram()
		}
		out[at].Merge(h)
	}
	return out
}

// timelines are those of all targets over the trials that count.
func timelines(s *Summary) []Timeline {
	var out []Timeline
	for _, target := range s.Targets {
		var trials []Trial
		for _, t := range s.Trials {
			if t.Used && t.Target == target.Name {
				trials = append(trials, t)
			}
		}
		if len(trials) > 0 {
			out = append(out, timeline(target.Name, trials))
		}
	}
	return out
}

func timeline(target string, trials []Trial) Timeline {
	out := Timeline{Target: target}
	var numbers []int
	byNumber := map[int][]*times{}
	blocks := map[int][]int{}
	for _, t := range trials {
		for _, one := range t.times {
			n := one.phase.Number
			if byNumber[n] == nil {
				numbers = append(numbers, n)
			}
			byNumber[n], blocks[n] = append(byNumber[n], one), append(blocks[n], t.Block)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		out.Phases = append(out.Phases, phaseTime(byNumber[n], blocks[n]))
	}
	return out
}

// phaseTime joins a phase of several blocks. Warm-ups that end when they are steady may be longer in one block than in another.
func phaseTime(of []*times, blocks []int) PhaseTime {
	p := of[0].phase
	out := PhaseTime{Number: p.Number, Name: p.Name, Model: p.Model, Warmup: p.Warmup, Rate: p.Rate}
	var step time.Duration
	for _, one := range of {
		step, out.DurationS = max(step, one.step), max(out.DurationS, one.phase.DurationS)
	}
	out.StepS, out.Bins = step.Seconds(), bins(of, step)
	out.Stalls, out.Windows = stallsOf(of, blocks)
	return out
}

// bins joins the points of several blocks.
func bins(blocks []*times, step time.Duration) []Bin {
	rates, medians := map[time.Duration][]value{}, map[time.Duration][]value{}
	all := map[time.Duration]*Bin{}
	at := func(begin time.Duration) *Bin {
		if all[begin] == nil {
			all[begin] = &Bin{AtS: begin.Seconds()}
		}
		return all[begin]
	}
	for _, b := range blocks {
		for begin, rate := range b.rates(step) {
			at(begin)
			rates[begin] = append(rates[begin], value{v: rate})
		}
		for begin, h := range b.histograms(step) {
			at(begin).slowest(h)
			if p := h.Percentile(50); p.Needs == 0 {
				medians[begin] = append(medians[begin], value{seconds(p.Value), p.Censored})
			}
		}
	}
	var out []Bin
	for _, begin := range slices.Sorted(maps.Keys(all)) {
		b := all[begin]
		b.Goodput, b.Median = spread(rates[begin]), spread(medians[begin])
		out = append(out, *b)
	}
	return out
}

// slowest takes in the longest time of a histogram; a time-out is longer than whatever ended.
func (b *Bin) slowest(h *stats.Histogram) {
	longest, over := h.Max(), false
	for bound := range h.EachOver {
		longest, over = max(longest, bound), true
	}
	b.Requests += h.Count()
	if over && !b.SlowestOver || over == b.SlowestOver && longest.Seconds() > b.Slowest {
		b.Slowest, b.SlowestOver = longest.Seconds(), over
	}
}
