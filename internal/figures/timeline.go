package figures

import (
	"cmp"
	"maps"
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
	DurationS float64 `json:"duration_s"`
	StepS     float64 `json:"step_s"` // between two points
	Bins      []Bin   `json:"bins"`
	Stalls    []Stall `json:"stalls,omitempty"` // of all blocks
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

// Stall is a stretch of a trial in which its rate of right answers was below half of what was usual in that phase.
type Stall struct {
	Block   int     `json:"block"`
	AtS     float64 `json:"at_s"`
	LengthS float64 `json:"length_s"`
	Rate    float64 `json:"ok_per_s"` // its lowest
	Usual   float64 `json:"usual_per_s"`
}

// A window is part of a stall where it has less than stalled of the median rate, if it would usually have fewest answers.
const (
	stalled       = 0.5
	fewestAnswers = 20
)

// times gathers the windows of one phase of one trial.
type times struct {
	phase  record.Phase
	step   time.Duration
	counts map[time.Duration]*instant // by the start of the window, of all agents
	bins   map[time.Duration]*stats.Histogram
}

// instant is what the agents' windows of one begin add up to.
type instant struct {
	ok     int64
	length time.Duration
}

func newTimes(p record.Phase) *times {
	base := time.Second
	if p.Turns != nil && p.Turns.SliceS > 0 {
		base = asDuration(p.Turns.SliceS)
	}
	return &times{phase: p, step: base * stepFactor(asDuration(p.DurationS), base), counts: map[time.Duration]*instant{}, bins: map[time.Duration]*stats.Histogram{}}
}

func asDuration(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// stepFactor is a round number of windows that a point takes, so that there are at most mostBins.
func stepFactor(whole, base time.Duration) time.Duration {
	for factor := time.Duration(1); ; factor *= 10 {
		for _, round := range []time.Duration{1, 2, 5} {
			if factor*round*base*mostBins >= whole {
				return factor * round
			}
		}
	}
}

// add adds a window of an agent. What comes after sending has ended is no rate; its times belong to the last point.
func (t *times) add(w stats.Window) {
	sending := asDuration(t.phase.DurationS)
	if w.Length > 0 && w.End() <= sending && !w.Aside {
		one := t.counts[w.Begin]
		if one == nil {
			one = &instant{}
			t.counts[w.Begin] = one
		}
		one.ok += w.Books.OK
		one.length = max(one.length, w.Length)
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

// rates are the answers per second of each point, in order.
func (t *times) rates() map[time.Duration]float64 {
	sums := map[time.Duration]*instant{}
	for begin, one := range t.counts {
		at := begin.Truncate(t.step)
		if sums[at] == nil {
			sums[at] = &instant{}
		}
		sums[at].ok += one.ok
		sums[at].length += one.length
	}
	out := map[time.Duration]float64{}
	for at, sum := range sums {
		out[at] = float64(sum.ok) / sum.length.Seconds()
	}
	return out
}

// stalls are those of this phase; neighbouring windows are one.
func (t *times) stalls(block int) []Stall {
	begins := slices.Sorted(maps.Keys(t.counts))
	var rates []float64
	for _, begin := range begins {
		rates = append(rates, float64(t.counts[begin].ok)/t.counts[begin].length.Seconds())
	}
	usual := stats.Summarize(rates).Median
	var out []Stall
	last := -1
	for i, begin := range begins {
		length := t.counts[begin].length.Seconds()
		if rates[i] >= stalled*usual || usual*length < fewestAnswers {
			continue
		}
		if last >= 0 && last == i-1 {
			s := &out[len(out)-1]
			s.LengthS, s.Rate = s.LengthS+length, min(s.Rate, rates[i])
		} else {
			out = append(out, Stall{Block: block, AtS: begin.Seconds(), LengthS: length, Rate: rates[i], Usual: usual})
		}
		last = i
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
		p := byNumber[n][0].phase
		one := PhaseTime{Number: n, Name: p.Name, Model: p.Model, Warmup: p.Warmup, Rate: p.Rate, DurationS: p.DurationS, StepS: byNumber[n][0].step.Seconds(), Bins: bins(byNumber[n])}
		for i, of := range byNumber[n] {
			one.Stalls = append(one.Stalls, of.stalls(blocks[n][i])...)
		}
		slices.SortStableFunc(one.Stalls, func(a, b Stall) int { return cmp.Compare(a.AtS, b.AtS) })
		out.Phases = append(out.Phases, one)
	}
	return out
}

// bins joins the points of several blocks.
func bins(blocks []*times) []Bin {
	rates, medians := map[time.Duration][]value{}, map[time.Duration][]value{}
	all := map[time.Duration]*Bin{}
	at := func(begin time.Duration) *Bin {
		if all[begin] == nil {
			all[begin] = &Bin{AtS: begin.Seconds()}
		}
		return all[begin]
	}
	for _, b := range blocks {
		for begin, rate := range b.rates() {
			at(begin)
			rates[begin] = append(rates[begin], value{v: rate})
		}
		for begin, h := range b.bins {
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
