package load

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/stats"
)

// Causes for which an agent is itself the limit. Those of Lost are among them.
const (
	CausePorts       = classPorts       // no local port was left
	CauseDescriptors = classDescriptors // no descriptor was left
	CauseMemory      = classMemory      // the kernel had no memory for a connection
	CausePermit      = "permit"         // the controller was silent, so it might not send
	CauseStopped     = "stopped"        // its process stood still
	CauseQuota       = "quota"          // a CPU quota held it back
	CauseStarved     = "starved"        // others had the cores
	CauseHost        = "host"           // the host took the machine's time
	CauseCollector   = "collector"      // its own garbage collector
	CauseLoop        = "loop"           // its loop had more to do than one core can
	CauseUnknown     = "unknown"        // it was late, and nothing of the above is seen
)

// Health is what one agent tells of itself in one phase: whether it, not what
// it loaded, was the limit.
type Health struct {
	Model    string
	Planned  int64
	Lost     map[string]int64 // by its own fault, by what it lacked
	Lateness *stats.Histogram
	Service  *stats.Histogram
	Strain   Strain
}

// Limit is one way in which an agent was the limit.
type Limit struct {
	Cause string `json:"cause"` // one of Causes
	Text  string `json:"text"`
	// InTime tells that it is about time and not about what was lacking: a disturbed machine may be behind it.
	InTime bool `json:"-"`
}

// LatenessBound is the lateness at the 99th percentile and the greatest it may
// be: 1 ms, or a tenth of the service time there. Both are read from the
// histograms even where too few samples forbid printing them.
func (h Health) LatenessBound() (late, bound time.Duration) {
	late, _ = h.Lateness.Quantile(0.99)
	service, _ := h.Service.Quantile(0.99)
	return late, max(time.Millisecond, service/10)
}

// Limited says why the agent was the limit: it lost more than 1 % of its share
// for lack of its own resources, or in the open model it was later than its bound. None: it was not.
func (h Health) Limited() []Limit {
	var out []Limit
	var lost int64
	for _, n := range h.Lost {
		lost += n
	}
	if share := float64(lost) / float64(max(h.Planned, 1)); share > 0.01 {
		for _, what := range slices.SortedFunc(maps.Keys(h.Lost), func(a, b string) int { return int(h.Lost[b] - h.Lost[a]) }) {
			out = append(out, h.losing(what))
		}
	}
	if late, bound := h.LatenessBound(); h.Model == Open && late > bound {
		cause, why := h.Strain.cause()
		out = append(out, Limit{cause, fmt.Sprintf("lateness p99 is %v, the bound is %v: %s", readable(late), readable(bound), why), true})
	}
	return out
}

// losing words what was lost for want of one thing.
func (h Health) losing(what string) Limit {
	n := fmt.Sprintf("%s of %s requests", thousands(h.Lost[what]), thousands(h.Planned))
	s := h.Strain
	switch what {
	case classDescriptors:
		return Limit{CauseDescriptors, fmt.Sprintf("%s lost for want of descriptors (limit %s, %s open)",
			n, thousands(s.most.DescriptorLimit), thousands(s.most.Descriptors)), false}
	case classPorts:
		return Limit{CausePorts, fmt.Sprintf("%s lost for want of local ports (%s of range %d to %d; %s held, %s connections of this machine in TIME_WAIT)",
			n, thousands(s.most.PortRange()), s.most.PortLow, s.most.PortHigh, thousands(s.most.Ports), thousands(s.most.TimeWait)), false}
	case classMemory:
		return Limit{CauseMemory, n + " lost because the kernel had no memory for their connections", false}
	case lostLoop:
		cause, why := s.cause()
		return Limit{cause, n + " taken up too late to be sent: " + why, true}
	}
	return Limit{CausePermit, n + " lost because the controller was silent", true}
}

// Strain is what kept an agent from its work in a phase, from its windows.
type Strain struct {
	seconds                                                  int
	most                                                     stats.Resources // the greatest of each gauge
	stopped, starved, throttled, stolen, paused, waited, hot toll
}

// toll is time that something took, by seconds.
type toll struct {
	sum, worst time.Duration
	at         int // the second of worst
	seconds    int // in which it took anything
}

func (t *toll) add(second int, d time.Duration) {
	if d <= 0 {
		return
	}
	t.sum += d
	t.seconds++
	if d > t.worst {
		t.worst, t.at = d, second
	}
}

// busyCore is the share of a window from which a loop has no time left.
const busyCore = 0.9

// Add adds a window of the same agent.
func (s *Strain) Add(w stats.Window) {
	second := int(w.Begin / time.Second)
	s.seconds = max(s.seconds, second+1)
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
	busiest := time.Duration(0)
	if len(m.LoopCPU) > 0 {
		busiest = time.Duration(slices.Max(m.LoopCPU))
		s.waited.add(second, time.Duration(slices.Max(m.LoopWait)))
	}
	full := busyCore * w.Length.Seconds()
	if full > 0 && (busiest.Seconds() >= full || m.Cores >= 1 && w.CPU.Seconds() >= full*m.Cores) {
		s.hot.add(second, max(busiest, min(w.CPU, w.Length)))
	}
}

// Most are the greatest gauges of all seconds: descriptors and ports with their limits.
func (s Strain) Most() stats.Resources { return s.most }

// enough is the share of the time from which something counts as the cause of
// lateness: half of the hundredth of the arrivals that the 99th percentile leaves out.
const enough = 0.005

// cause names what explains lateness best, and words everything that is part of it.
func (s Strain) cause() (string, string) {
	over := time.Duration(enough * float64(s.seconds) * float64(time.Second))
	held := s.starved
	if s.waited.sum > held.sum {
		held = s.waited // many short waits
	}
	if s.throttled.sum >= over && s.throttled.sum >= held.sum/2 {
		held = toll{} // the quota explains it
	}
	tales := []tale{
		{CauseStopped, s.stopped, "it stood still for", ""},
		{CauseQuota, s.throttled, fmt.Sprintf("its CPU quota (%s cores) held it back for", strconv.FormatFloat(s.most.Cores, 'g', 3, 64)), ""},
		{CauseStarved, held, "it was ready to run and had no core for", ""},
		{CauseCollector, s.paused, "its own collector paused it for", ""},
		{CauseHost, s.stolen, "the host took this machine's cores away for", ""},
	}
	tales = slices.DeleteFunc(tales, func(t tale) bool { return t.toll.sum == 0 || t.toll.sum < over })
	slices.SortStableFunc(tales, func(a, b tale) int { return int(b.toll.sum - a.toll.sum) })
	if s.hot.seconds > 0 && 2*s.hot.seconds >= s.seconds {
		tales = append(tales, tale{CauseLoop, s.hot, "its loop was busy all the time for", "; more agents or a lower rate would help"})
	}
	if len(tales) == 0 {
		return CauseUnknown, "what kept it is not known: it was not stopped, had a core, and was not busy all the time"
	}
	var words []string
	for _, t := range tales {
		words = append(words, t.String())
	}
	return tales[0].cause, strings.Join(words, "; ")
}

// tale is one thing that took time, in words.
type tale struct {
	cause         string
	toll          toll
	before, after string
}

func (t tale) String() string {
	when := fmt.Sprintf("at second %d", t.toll.at)
	if t.toll.seconds > 1 {
		when = fmt.Sprintf("in %d seconds, most at second %d (%v)", t.toll.seconds, t.toll.at, readable(t.toll.worst))
	}
	return fmt.Sprintf("%s %v %s%s", t.before, readable(t.toll.sum), when, t.after)
}

// thousands writes a count with commas.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// readable leaves three digits or so of a duration.
func readable(d time.Duration) time.Duration {
	switch {
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
