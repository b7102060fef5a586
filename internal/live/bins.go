package live

import (
	"cmp"
	"slices"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Point is a second of load on one target, or several seconds of a long phase. Where targets take turns its time stands
// still while it is not the target's turn.
type Point struct {
	S float64 `json:"s"` // where it begins, seconds of load since the phase's start
	// Rates per second: planned by the schedule, answered, answered correctly.
	Offered  float64 `json:"offered"`
	Answered float64 `json:"answered"`
	OK       float64 `json:"ok"`
	// NotOK is the share of what ended that was not answered correctly: bad, timed out, failed or dropped.
	NotOK float64 `json:"not_ok"`
	// Times are the percentiles of Percents in seconds; null where too few requests support one.
	Times []*float64 `json:"times"`
	// Over says for each of Times that it falls among time-outs: it is longer than that.
	Over []bool   `json:"over,omitempty"`
	Late *float64 `json:"late"` // share of what was planned that the agents took up late; null: not measured
	// Lateness is the p99 of the agents' own delay; null where too few requests support it, or it was not measured.
	Lateness *float64 `json:"lateness"`
	// CPU is the CPU time of the target per answer from the start of the phase to the end of the point, in seconds; null: not known.
	CPU *float64 `json:"cpu"`
	// Requests are those whose times are in the point.
	Requests int64 `json:"requests"`
}

// trial is one trial as far as it has come.
type trial struct {
	folder, target string
	block, attempt int
	status         string // empty while it is under way
	phases         map[int]*phase
	sampled        time.Time // when the newest line of the tiers was; zero: there is none
}

// phase is one phase of a trial.
type phase struct {
	number   int
	closed   bool // its times are service times
	step     time.Duration
	duration time.Duration // of sending; 0: not known
	bins     []*bin        // by where they begin
	sum      stats.Books
	right    stats.Totals // of correct answers alone, for the rate of the whole phase
	median   *middle      // of the times, once the trial is over; nil: too few requests
	outcomes map[string]int64
	replicas map[string]int64
	times    *stats.Histogram // of the phase so far; nil once the trial is over
	spent    spent
	// What the load engine does not measure, in some window at least: response times, and whether the agents were late.
	noResponse, noLateness bool
}

// bin is a point under way.
type bin struct {
	trial    *trial
	phase    *phase
	at       time.Duration
	lengths  map[time.Duration]time.Duration // of the windows that count in rates, by their beginning
	rates    stats.Books
	longer   stats.Books   // of windows that reach beyond the end of sending, for a point that has no others
	lasted   time.Duration // of those
	books    stats.Books
	times    *stats.Histogram
	lateness *stats.Histogram
	// noLateness: some window does not say whether its agent was late.
	noLateness bool
	answered   int64
	end        time.Time             // of its last window, by the controller's clock; zero where lines do not say it
	agents     map[int]time.Duration // how far the windows of each agent reach
	point      Point                 // once its histograms are let go
	settled    bool
	changed    bool
}

// load takes in a window of an agent.
func (s *State) load(folder string, l *record.Load) {
	t := s.of(folder)
	p := s.phaseOf(t, l.Phase)
	if len(p.bins) == 0 && s.phaseIn(t, l.Phase).Model == "" { // the plan is not known: what has a response time of its own is open
		p.closed = l.Response == nil
	}
	p.sum.Add(l.Books)
	p.right.Add(stats.Window{Begin: l.Begin, Length: l.Length, Aside: l.Aside, Books: stats.Books{OK: l.Books.OK}})
	p.count(l)
	b := p.bin(l.Begin)
	if b == nil {
		b = s.newBin(t, p, l)
	}
	b.add(l)
	s.last = b
	s.agent(l)
}

// phaseOf is a phase of a trial, made when it is first heard of.
func (s *State) phaseOf(t *trial, number int) *phase {
	if p := t.phases[number]; p != nil {
		return p
	}
	of := s.phaseIn(t, number)
	p := &phase{number: number, closed: of.Model != "open", duration: time.Duration(of.DurationS * float64(time.Second)), step: time.Second, outcomes: map[string]int64{}, replicas: map[string]int64{}}
	for p.duration > 0 && p.duration > p.step*mostBins {
		p.step *= 2
	}
	p.times, p.right.Sending = stats.NewHistogram(), p.duration
	t.phases[number] = p
	return p
}

// count adds up what the phase has so far.
func (p *phase) count(l *record.Load) {
	for class, n := range l.Outcomes {
		addNamed(p.outcomes, class, n)
	}
	for name, r := range l.Replicas {
		addNamed(p.replicas, name, r.Answers)
	}
	if h := p.timesOf(l); h != nil && p.times != nil {
		p.times.Merge(h)
	}
	p.noResponse = p.noResponse || l.Response == nil
	p.noLateness = p.noLateness || l.Lateness == nil
}

// service reports whether the times are service times.
func (p *phase) service() bool { return p.closed || p.noResponse }

func (p *phase) timesOf(l *record.Load) *stats.Histogram {
	if p.closed || l.Response == nil {
		return l.Service
	}
	return l.Response
}

// addNamed counts under a name that a server may have chosen: beyond a number of them all are one.
func addNamed(to map[string]int64, name string, n int64) {
	if _, known := to[name]; !known && len(to) >= mostReplicas {
		name = stats.Other
	}
	to[name] += n
}

// bin is the point that a window belongs to, nil where there is none yet.
func (p *phase) bin(begin time.Duration) *bin {
	at := p.place(begin)
	for _, b := range slices.Backward(p.bins) {
		if b.at == at {
			return b
		}
		if b.at < at {
			break
		}
	}
	return nil
}

// place is where the point begins that holds a moment. What comes after sending has ended belongs to the last one.
func (p *phase) place(begin time.Duration) time.Duration {
	if p.duration > 0 {
		begin = min(begin, p.duration-1)
	}
	return max(0, begin).Truncate(p.step)
}

func (s *State) newBin(t *trial, p *phase, l *record.Load) *bin {
	if len(p.bins) >= mostBins {
		s.points -= p.coarsen()
		if b := p.bin(l.Begin); b != nil {
			return b
		}
	}
	b := &bin{trial: t, phase: p, at: p.place(l.Begin), lengths: map[time.Duration]time.Duration{}, agents: map[int]time.Duration{}, times: stats.NewHistogram()}
	i, _ := slices.BinarySearchFunc(p.bins, b.at, func(o *bin, at time.Duration) int { return cmp.Compare(o.at, at) })
	p.bins = slices.Insert(p.bins, i, b)
	p.settle(openBins)
	s.points++
	s.bound()
	return b
}

// settle lets go of the histograms of all but the newest points.
func (p *phase) settle(keep int) {
	for _, b := range p.bins[:max(0, len(p.bins)-keep)] {
		b.settle()
	}
	if keep == 0 && p.times != nil {
		if m := p.times.Percentile(50); m.Needs == 0 {
			p.median = &middle{m.Value.Seconds(), m.Censored}
		}
		p.times = nil
	}
}

// coarsen joins points in pairs where the length of a phase was not known and is too great, and says how many went.
func (p *phase) coarsen() (gone int) {
	p.step *= 2
	var out []*bin
	for _, b := range p.bins {
		b.at, b.changed = b.at.Truncate(p.step), true
		b.point.S = b.at.Seconds()
		if len(out) > 0 && out[len(out)-1].at == b.at {
			out[len(out)-1].join(b)
			continue
		}
		out = append(out, b)
	}
	gone = len(p.bins) - len(out)
	p.bins = out
	return gone
}

// join takes in the point behind. Where one is settled the rates are averaged, and percentiles are those of the worse of the two.
func (b *bin) join(o *bin) {
	b.answered += o.answered
	b.end = later(b.end, o.end)
	if !b.settled && !o.settled {
		b.joinOpen(o)
		return
	}
	b.settle()
	o.settle()
	x, y := &b.point, o.point
	x.Offered, x.Answered, x.OK = (x.Offered+y.Offered)/2, (x.Answered+y.Answered)/2, (x.OK+y.OK)/2
	x.NotOK = max(x.NotOK, y.NotOK)
	if x.Late != nil && (y.Late == nil || *y.Late > *x.Late) {
		x.Late = y.Late
	}
	x.slower(y)
	if y.Lateness != nil && (x.Lateness == nil || *y.Lateness > *x.Lateness) {
		x.Lateness = y.Lateness
	}
	x.Requests += y.Requests
}

// slower takes each time that is longer in another point.
func (x *Point) slower(y Point) {
	for i, t := range y.Times {
		if t == nil || x.Times[i] != nil && *t < *x.Times[i] {
			continue
		}
		longer := isOver(y.Over, i) || isOver(x.Over, i) && *t == *x.Times[i]
		x.Times[i] = t
		if longer && x.Over == nil {
			x.Over = make([]bool, len(x.Times))
		}
		if x.Over != nil {
			x.Over[i] = longer
		}
	}
}

func isOver(of []bool, i int) bool { return i < len(of) && of[i] }

// joinOpen adds up what was counted.
func (b *bin) joinOpen(o *bin) {
	b.noLateness = b.noLateness || o.noLateness
	b.rates.Add(o.rates)
	b.longer.Add(o.longer)
	b.lasted += o.lasted
	b.books.Add(o.books)
	b.times.Merge(o.times)
	for begin, length := range o.lengths {
		b.lengths[begin] = max(b.lengths[begin], length)
	}
	for agent, reached := range o.agents {
		b.agents[agent] = max(b.agents[agent], reached)
	}
	switch {
	case b.lateness == nil:
		b.lateness = o.lateness
	case o.lateness != nil:
		b.lateness.Merge(o.lateness)
	}
}

// add adds a window. One that belongs to a settled point is in the sums of the phase alone.
func (b *bin) add(l *record.Load) {
	b.agents[l.Agent] = max(b.agents[l.Agent], l.End())
	b.answered += l.Books.Answered()
	if !l.At.IsZero() {
		b.end = later(b.end, l.At.Add(l.Length))
	}
	if b.settled {
		return
	}
	b.changed = true
	b.books.Add(l.Books)
	sending := b.phase.duration
	switch {
	case l.Length == 0 || l.Aside:
	case sending == 0 || l.End() <= sending:
		b.rates.Add(l.Books)
		b.lengths[l.Begin] = max(b.lengths[l.Begin], l.Length)
	default:
		b.longer.Add(l.Books)
		b.lasted = max(b.lasted, l.Length)
	}
	if h := b.phase.timesOf(l); h != nil {
		b.times.Merge(h)
	}
	if l.Lateness == nil {
		b.noLateness = true
		return
	}
	if b.lateness == nil {
		b.lateness = stats.NewHistogram()
	}
	b.lateness.Merge(l.Lateness)
}

// whole reports whether every agent that has sent in this phase has given all windows of the point: before that its rate would
// be too low.
func (b *bin) whole() bool {
	if b.settled || b.trial.status != "" {
		return true
	}
	end := b.at + b.phase.step
	if b.phase.duration > 0 {
		end = min(end, b.phase.duration)
	}
	newer := b.phase.bins[len(b.phase.bins)-1].at > b.at
	for agent := range b.phase.seen() {
		reached := b.agents[agent] >= end
		if !reached && !(newer && b.phase.passed(agent, b.at)) {
			return false
		}
	}
	return len(b.agents) > 0
}

// seen are the agents that have sent in the newest points.
func (p *phase) seen() map[int]bool {
	out := map[int]bool{}
	for _, b := range p.bins[max(0, len(p.bins)-openBins):] {
		for agent := range b.agents {
			out[agent] = true
		}
	}
	return out
}

// passed reports whether an agent has a window in a later point.
func (p *phase) passed(agent int, at time.Duration) bool {
	for _, b := range slices.Backward(p.bins) {
		if b.at <= at {
			return false
		}
		if _, has := b.agents[agent]; has {
			return true
		}
	}
	return false
}

// settle turns what was counted into a point and lets go of the histograms.
func (b *bin) settle() {
	if b.settled {
		return
	}
	b.point = b.now()
	b.settled = true
	b.lengths, b.times, b.lateness = nil, nil, nil
}

// now is the point as it is.
func (b *bin) now() Point {
	if b.settled {
		return b.point
	}
	out := Point{S: b.at.Seconds(), Requests: b.times.Count()}
	of, length := b.rates, time.Duration(0)
	for _, l := range b.lengths {
		length += l
	}
	if length == 0 {
		of, length = b.longer, b.lasted
	}
	if s := length.Seconds(); s > 0 {
		out.Offered, out.OK, out.Answered = float64(of.Planned)/s, float64(of.OK)/s, float64(of.Answered())/s
	}
	failed := b.books.Bad + b.books.Timeout + b.books.Error + b.books.Dropped
	if ended := failed + b.books.OK; ended > 0 {
		out.NotOK = float64(failed) / float64(ended)
	}
	out.Times, out.Over = percentiles(b.times)
	if b.lateness == nil || b.noLateness { // a sum of parts that were not all measured was not measured
		return out
	}
	out.Late = new(float64(b.books.Late) / float64(max(1, b.books.Planned)))
	if p := b.lateness.Percentile(99); p.Needs == 0 {
		out.Lateness = new(p.Value.Seconds())
	}
	return out
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// percentiles are those of Percents, nil where too few requests support one.
func percentiles(h *stats.Histogram) (times []*float64, over []bool) {
	some := false
	for _, percent := range Percents() {
		p := h.Percentile(percent)
		var v *float64
		if p.Needs == 0 {
			v = new(p.Value.Seconds())
		}
		times, over = append(times, v), append(over, p.Needs == 0 && p.Censored)
		some = some || over[len(over)-1]
	}
	if !some {
		over = nil
	}
	return times, over
}

// newest is the newest whole point.
func (s *State) newest() *Last {
	if s.last == nil {
		return nil
	}
	p := s.last.phase
	for _, b := range slices.Backward(p.bins) {
		if !b.whole() {
			continue
		}
		out := &Last{Target: b.trial.target, Phase: p.number, Open: !p.closed, Point: b.now()}
		out.CPU = p.perAnswer(b)
		if p.times != nil {
			out.SoFar, out.SoFarOver = percentiles(p.times)
		}
		return out
	}
	return nil
}
