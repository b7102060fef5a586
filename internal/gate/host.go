package gate

import (
	"strings"
	"time"

	"bakeoff/internal/record"
)

// Host adds up what the lines of series.jsonl say of the machine in one
// stretch of time, such as a phase. The zero value is ready for use.
type Host struct {
	own         map[string]*growth // CPU time of each member of the run's own tiers, workers aside
	first, last record.Series      // of the host
	samples     int
	strangers   []record.Stranger
}

// growth is by how much a counter grew, and where it is. What it falls by, because a process ended or began again, is not
// taken off: that time was used all the same.
type growth struct{ grew, last int64 }

// Add adds a line of the stretch.
func (h *Host) Add(s record.Series) {
	if s.Tier != "host" {
		h.addOwn(s)
		return
	}
	if h.samples == 0 {
		h.first = s
	}
	h.last = s
	h.samples++
	if len(s.Strangers) > 0 {
		h.strangers = s.Strangers
	}
}

// addOwn adds a line of a whole member: that of a single worker is part of it.
func (h *Host) addOwn(s record.Series) {
	if strings.Contains(s.Name, "/") {
		return
	}
	if h.own == nil {
		h.own = map[string]*growth{}
	}
	name := s.Tier + " " + s.Name
	u := h.own[name]
	if u == nil {
		u = &growth{last: s.CPUNS}
		h.own[name] = u
	}
	u.grew += max(s.CPUNS-u.last, 0)
	u.last = s.CPUNS
}

// since is by how much a value of the host grew; 0 where the kernel does not report it, or it fell.
func (h *Host) since(name string) float64 {
	before, known := h.first.Values[name]
	after, still := h.last.Values[name]
	if !known || !still {
		return 0
	}
	return max(after-before, 0)
}

// Seconds is how long the stretch was, by the host's samples.
func (h *Host) Seconds() float64 { return h.last.At.Sub(h.first.At).Seconds() }

// times are the columns of /proc/stat that together are all the time of all CPUs.
func times() []string {
	return []string{"user_ns", "nice_ns", "system_ns", "idle_ns", "iowait_ns", "irq_ns", "softirq_ns", "steal_ns"}
}

// passed is the time of all CPUs together, in nanoseconds.
func (h *Host) passed() (sum float64) {
	for _, name := range times() {
		sum += h.since(name)
	}
	return sum
}

// Cores is the number of CPUs that the run may use.
func (h *Host) Cores() float64 {
	if n := h.last.Values["cpus"]; n > 0 {
		return n
	}
	if h.Seconds() <= 0 {
		return 0
	}
	return h.passed() / h.Seconds() / float64(time.Second) // a record from before the number was kept
}

// apartFrom is the share of softirq time from which interrupts are measured and not sampled.
const apartFrom = 0.05

// softirqApart reports whether the kernel accounts the time of interrupts apart from that of the processes
// they interrupt (CONFIG_IRQ_TIME_ACCOUNTING). It does not say so; but where it merely samples, it hardly ever
// meets a hard interrupt, and that column stays at 0.
func (h *Host) softirqApart() bool {
	return h.last.Values["irq_ns"] > apartFrom*h.last.Values["softirq_ns"]
}

// foreign is the CPU time that neither the run's own tiers nor the kernel's threads used, in nanoseconds.
func (h *Host) foreign() float64 {
	rest := h.since("user_ns") + h.since("nice_ns") + h.since("system_ns") - h.since("kernel_threads_ns")
	if !h.softirqApart() {
		rest += h.since("irq_ns") + h.since("softirq_ns") // is in the processes' times too
	}
	return max(rest-h.used(), 0)
}

// used is the CPU time of the run's own tiers, in nanoseconds.
func (h *Host) used() (sum float64) {
	for _, u := range h.own {
		sum += float64(u.grew)
	}
	return sum
}

// quotaUsed is the share of the CPU quota, where there is one, that the run itself used.
func (h *Host) quotaUsed() float64 {
	cores := h.last.Values["quota_cores"]
	if cores <= 0 {
		return 0
	}
	return h.used() / (cores * h.Seconds() * float64(time.Second))
}

// Disturbance is what others did on the machine during that time; not Watched where its first or its last sample says nothing.
func (h *Host) Disturbance() record.Disturbance {
	passed, ns := h.passed(), h.Seconds()*float64(time.Second)
	if passed <= 0 || ns <= 0 {
		return record.Disturbance{}
	}
	foreign := h.foreign() / passed
	seen, known := h.last.Values["strangers_ns"]
	if !known { // nobody looked
		seen = foreign * passed
	}
	return record.Disturbance{
		Foreign: foreign, Steal: h.since("steal_ns") / passed,
		Throttled: h.since("throttled_ns") / ns, QuotaUsed: h.quotaUsed(), SwapIn: h.since("swap_in_pages") / h.Seconds(),
		Memory: h.since("pressure_memory_ns") / ns, IO: h.since("pressure_io_ns") / ns,
		CPUTimeNS: int64(passed), Seen: seen / passed, Strangers: h.strangers,
	}
}
