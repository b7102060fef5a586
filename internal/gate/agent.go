package gate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// open is the model in which arrivals come by a schedule, as plans and records call it.
const open = "open"

const (
	// maxLost is the share of its requests that an agent may lose by its own fault.
	maxLost = 0.01
	// minLateness is a lateness that is never too much.
	minLateness = time.Millisecond
	// lateShare is how much of the service time at the same quantile the lateness may be.
	lateShare = 0.1
)

// Health is what one agent reports about itself in one phase: whether it, not what
// it loaded, was the limit.
type Health struct {
	Model    string
	Planned  int64
	Lost     map[string]int64 // by its own fault, by what it lacked
	Lateness *stats.Histogram // nil: not measured
	Service  *stats.Histogram
	Strain   Strain
	// Driver: the agent asked the database itself. Nothing is said of the answers but how long they take at the median, from their
	// send.
	Driver bool
}

// Limit is one way in which an agent was the limit.
type Limit struct {
	Cause string `json:"cause"` // one of record's causes
	Text  string `json:"text"`
	// InTime says that it is about time and not about what was lacking: a disturbed machine may be behind it.
	InTime bool `json:"-"`
}

// LatenessBound is the lateness at the 99th percentile and the greatest it may
// be: 1 ms, or a tenth of the service time there. Of a driver both are medians: nothing else is said
// about it. Both are read from the histograms even where too few samples forbid printing them.
func (h Health) LatenessBound() (late, bound time.Duration) {
	if h.Lateness == nil || h.Service == nil {
		return 0, minLateness
	}
	at, _ := h.judgedAt()
	late, _ = h.Lateness.Quantile(at)
	service, _ := h.Service.Quantile(at)
	return late, max(minLateness, time.Duration(lateShare*float64(service)))
}

// judgedAt is the quantile at which lateness is judged, and what it is called there.
func (h Health) judgedAt() (at float64, name string) {
	if h.Driver {
		return 0.5, "median lateness"
	}
	return 0.99, "lateness p99"
}

// Limited says why the agent was the limit: it lost more than 1 % of its share
// for lack of its own resources, or in the open model it was later than its bound. None: it was not. The processor time that it took
// is no reason: of a driver it is part of the answer, and of others the ceiling says when it may matter.
func (h Health) Limited() []Limit {
	var out []Limit
	var lost int64
	for _, n := range h.Lost {
		lost += n
	}
	if float64(lost) > maxLost*float64(h.Planned) {
		most := func(a, b string) int { return cmp.Or(cmp.Compare(h.Lost[b], h.Lost[a]), cmp.Compare(a, b)) }
		for _, what := range slices.SortedFunc(maps.Keys(h.Lost), most) {
			out = append(out, h.losing(what))
		}
	}
	if late, bound := h.LatenessBound(); h.Model == open && late > bound {
		cause, why := h.Strain.cause()
		_, name := h.judgedAt()
		text := fmt.Sprintf("%s is %s, at most %s is allowed: %s", name, show.Duration(late), show.Duration(bound), why)
		out = append(out, Limit{cause, text, true})
	}
	return out
}

// losing words what was lost for want of one thing.
func (h Health) losing(what string) Limit {
	n := fmt.Sprintf("%s of %s requests", show.Count(h.Lost[what]), show.Count(h.Planned))
	s := h.Strain
	switch what {
	case record.CauseDescriptors:
		return Limit{what, fmt.Sprintf("%s lost because no descriptors were left (limit %s, %s open)",
			n, show.Count(s.most.DescriptorLimit), show.Count(s.most.Descriptors)), false}
	case record.CausePorts:
		return Limit{what, fmt.Sprintf("%s lost because no local ports were left (%s of range %d to %d; %s held, %s connections of this machine in TIME_WAIT)",
			n, show.Count(s.most.PortRange()), s.most.PortLow, s.most.PortHigh, show.Count(s.most.Ports), show.Count(s.most.TimeWait)), false}
	case record.CauseMemory:
		return Limit{what, n + " lost because the kernel had no memory for their connections", false}
	case record.CauseLoop:
		cause, why := s.cause()
		return Limit{cause, n + " taken up too late to be sent: " + why, true}
	}
	return Limit{record.CausePermit, n + " lost because the controller was silent", true}
}

// Strain is what kept an agent from its work in a phase, from its windows.
type Strain struct {
	windows                                                  int
	until                                                    time.Duration   // the end of the last window
	most                                                     stats.Resources // the greatest of each gauge
	stopped, starved, throttled, stolen, paused, waited, hot delay
}

// delay is time that something took, by the windows in which it did.
type delay struct {
	sum, worst time.Duration
	at         int // the second in which the worst window began
	windows    int // in which it took anything
	seconds    int // in which such windows began
	last       int // the last of those
}

func (d *delay) add(second int, took time.Duration) {
	if took <= 0 {
		return
	}
	if d.windows == 0 || second != d.last {
		d.seconds++
	}
	d.sum += took
	d.windows++
	d.last = second
	if took > d.worst {
		d.worst, d.at = took, second
	}
}

// busyCore is the share of a window from which a loop has no time left.
const busyCore = 0.9

// Add adds a window of the same agent.
func (s *Strain) Add(w stats.Window) {
	second := int(w.Begin / time.Second)
	s.windows++
	s.until = max(s.until, w.End())
	s.paused.add(second, w.GCPause)
	m := w.Resources
	if m == nil {
		return
	}
	s.most.Add(*m)
	s.stopped.add(second, time.Duration(m.Stopped))
	s.starved.add(second, time.Duration(m.Starved))
	s.throttled.add(second, time.Duration(m.Throttled))
	s.stolen.add(second, time.Duration(m.Stolen))
	var busiest time.Duration
	if len(m.LoopCPU) > 0 {
		busiest = time.Duration(slices.Max(m.LoopCPU))
		s.waited.add(second, time.Duration(slices.Max(m.LoopWait)))
	}
	full := busyCore * w.Length.Seconds()
	if full > 0 && (busiest.Seconds() >= full || m.Cores >= 1 && w.CPU.Seconds() >= full*m.Cores) {
		s.hot.add(second, max(busiest, min(w.CPU, w.Length)))
	}
}

// Most are the greatest gauges of all windows: descriptors and ports with their limits.
func (s Strain) Most() stats.Resources { return s.most }

// enough is the share of the time from which something counts as the cause of
// lateness: half of the hundredth of the arrivals that the 99th percentile leaves out.
const enough = 0.005

// cause names what explains lateness best, and words everything that is part of it.
func (s Strain) cause() (string, string) {
	over := time.Duration(enough * float64(s.until))
	coreless := s.starved
	if s.waited.sum > coreless.sum {
		coreless = s.waited // many short waits
	}
	if s.throttled.sum >= over && s.throttled.sum >= coreless.sum/2 {
		coreless = delay{} // the quota explains it
	}
	found := []explanation{
		{record.CauseStopped, s.stopped, "it stood still for", ""},
		{record.CauseQuota, s.throttled, fmt.Sprintf("its CPU quota (%s cores) held it back for", show.Decimal(s.most.Cores)), ""},
		{record.CauseStarved, coreless, "it was ready to run and had no core for", ""},
		{record.CauseCollector, s.paused, "its garbage collector paused it for", ""},
		{record.CauseHost, s.stolen, "the host took this machine's cores away for", ""},
	}
	found = slices.DeleteFunc(found, func(e explanation) bool { return e.delay.sum == 0 || e.delay.sum < over })
	slices.SortStableFunc(found, func(a, b explanation) int { return cmp.Compare(b.delay.sum, a.delay.sum) })
	if s.hot.windows > 0 && 2*s.hot.windows >= s.windows {
		found = append(found, explanation{record.CauseLoop, s.hot, "its loop was busy all the time for", "; more agents or a lower rate would help"})
	}
	if len(found) == 0 {
		return record.CauseUnknown, "the cause is not known: it was not stopped, had a core, and was not busy all the time"
	}
	var words []string
	for _, e := range found {
		words = append(words, e.String())
	}
	return found[0].cause, strings.Join(words, "; ")
}

// explanation is one thing that delayed an agent, in words.
type explanation struct {
	cause         string
	delay         delay
	before, after string
}

func (e explanation) String() string {
	when := fmt.Sprintf("at second %d", e.delay.at)
	if e.delay.windows > 1 {
		when = fmt.Sprintf("in %s, most at second %d (%s)", show.Plural(e.delay.seconds, "second"), e.delay.at, show.Duration(e.delay.worst))
	}
	return fmt.Sprintf("%s %s %s%s", e.before, show.Duration(e.delay.sum), when, e.after)
}
