package gate

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

const (
	// fewestWindows is how many windows a phase needs before a step in it can be distinguished from noise.
	fewestWindows = 12
	// beyondNoise is by how many times the noise from one window to the next the thirds must differ. On
	// rented machines, where windows of a second vary by 12 to 20 % and the correlation of neighbours is
	// 0.6 to 0.8, the difference of two thirds varies by up to 2.8 times that noise.
	beyondNoise = 8
	// minStep is a step that is never too much.
	minStep = 0.05
)

// point is what one window of one agent says of the level of a phase.
type point struct {
	begin   time.Duration
	answers int64
	seconds float64
	latency float64 // median response time in seconds; 0: not measured
}

// Levels is the level of a phase, window by window: the rate of right answers, and in the open model, where
// the plan sets the rate, the median response time.
type Levels struct {
	phase  record.Phase
	points []point // one per agent and window
}

// NewLevels begins the levels of a phase.
func NewLevels(p record.Phase) *Levels { return &Levels{phase: p} }

// Add adds a window of an agent. One that does not lie wholly within the sending time says nothing of the level,
// nor does what is aside of a slice.
func (l *Levels) Add(w stats.Window) {
	if w.Length <= 0 || w.End() > l.phase.Duration() || w.Aside {
		return
	}
	one := point{begin: w.Begin, answers: w.Books.OK, seconds: w.Length.Seconds()}
	if l.phase.Model == open && w.Response.Count() > 0 { // no other level asks for it
		median, _ := w.Response.Quantile(0.5)
		one.latency = median.Seconds()
	}
	l.points = append(l.points, one)
}

// logs are the natural logarithms of the levels in order. Windows without one are left out: a stall is no step.
func (l *Levels) logs() (out []float64) {
	for _, one := range l.windows() {
		level := float64(one.answers) / one.seconds
		if l.phase.Model == open {
			level = one.latency / float64(max(one.answers, 1))
		}
		if level > 0 {
			out = append(out, math.Log(level))
		}
	}
	return out
}

// settling are the logarithms of the rates of a warm-up, which has the closed model. A window without answers has one, too, minus
// infinity: a target that stands still is not steady.
func (l *Levels) settling() (out []float64) {
	for _, one := range l.windows() {
		out = append(out, math.Log(float64(one.answers)/one.seconds))
	}
	return out
}

// windows are those of all agents together, in order.
func (l *Levels) windows() (out []*point) {
	at := map[time.Duration]*point{}
	for _, one := range l.points {
		sum := at[one.begin]
		if sum == nil {
			sum = &point{begin: one.begin}
			at[one.begin] = sum
		}
		sum.latency += one.latency * float64(one.answers) // weighted
		sum.answers += one.answers
		sum.seconds = max(sum.seconds, one.seconds)
	}
	for _, begin := range slices.Sorted(maps.Keys(at)) {
		out = append(out, at[begin])
	}
	return out
}

// drift is the logarithm of the level in the last third over that in the first, each the median of its
// windows, so that a stall does not count; false where there are fewer than three windows.
func drift(levels []float64) (float64, bool) {
	third := len(levels) / 3
	if third == 0 {
		return 0, false
	}
	return median(levels[len(levels)-third:]) - median(levels[:third]), true
}

// Drift is the level in the last third over that in the first, each the median of its windows; false where
// there are fewer than three windows.
func (l *Levels) Drift() (ratio float64, known bool) {
	d, known := drift(l.logs())
	return math.Exp(d), known
}

// noiseOf is by how much neighbouring windows differ, as the standard deviation of one of them: slow changes
// and single steps hardly count.
func noiseOf(levels []float64) float64 {
	var steps []float64
	for i := range levels[1:] {
		steps = append(steps, math.Abs(levels[i+1]-levels[i]))
	}
	const normal = 0.6745 // the median of the absolute value of a normal variable of deviation 1
	return median(steps) / normal / math.Sqrt2
}

// steady refuses a measured phase whose level steps by more than its own windows' noise explains.
func (p *Phase) steady() []record.Reason {
	levels := p.levels.logs()
	if p.Warmup || p.Phase.Stage != nil || len(levels) < fewestWindows {
		return nil
	}
	d, _ := drift(levels)
	if math.Abs(d) <= max(minStep, beyondNoise*noiseOf(levels)) {
		return nil
	}
	ratio := math.Exp(d)
	return []record.Reason{{Code: record.CodeNotSteady, Text: fmt.Sprintf("%s in the last third is %s that of the first, more than the noise of its windows explains: %s",
		p.metric(), manyTimes(ratio), direction(p.Model, ratio))}}
}

// Ready reports whether a warm-up may end as far as this target goes: it is steady now.
func (p *Phase) Ready() bool { return Ends(p.levels.settling()) }

// Settling is how a warm-up ended.
func (p *Phase) Settling() Settling {
	levels := p.levels.settling()
	if p.Phase.Settling != nil && Ends(levels) {
		return Settled
	}
	return Settle(levels)
}

// settled warns of a warm-up that ended while the level still changed.
func (p *Phase) settled() []record.Reason {
	if !p.Warmup || p.Settling() != Unsettled {
		return nil
	}
	return []record.Reason{{Code: record.CodeNotSteady, Text: fmt.Sprintf("%v in its last %d windows: a longer warm-up is needed", Unsettled, SettlingWindows)}}
}

// metric names what the level is.
func (p *Phase) metric() string {
	if p.Model == open {
		return "the median response time"
	}
	return "the rate of right answers"
}

// direction says what a change of the level means.
func direction(model string, ratio float64) string {
	if getsFaster(model, ratio) {
		return "still getting faster, a longer warm-up is needed"
	}
	return "getting slower"
}

// getsFaster reports whether a level in the last third that is a multiple of the first one's is the better one.
func getsFaster(model string, ratio float64) bool { return (model == open) == (ratio < 1) }

func manyTimes(ratio float64) string { return fmt.Sprintf("%.2f times", ratio) }

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
