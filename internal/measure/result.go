package measure

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
	"bakeoff/internal/threshold"
)

// Result is what is printed as JSON. Rates are per second, over
// duration_ns; goodput is that of the answers that came within it.
type Result struct {
	// What was asked for, by what, and when: URLs as they are asked for, the open model's rate per second (null in the
	// closed one; of a ramp its points), the start of sending.
	Method  string           `json:"method"`
	URLs    []string         `json:"urls"`
	Dialled []string         `json:"addresses"` // of each URL: where its connections were made to
	Model   string           `json:"model"`
	Rate    *float64         `json:"rate"`
	Ramp    []load.RatePoint `json:"ramp,omitempty"`
	Engine  string           `json:"engine"`
	Version string           `json:"version"`
	Start   time.Time        `json:"start"`
	Planned int64            `json:"planned"`
	Sent    int64            `json:"sent"`
	OK      int64            `json:"ok"`
	Bad     int64            `json:"bad"`
	Timeout int64            `json:"timeout"`
	Error   int64            `json:"error"`
	Dropped int64            `json:"dropped"`
	Late    int64            `json:"late"`
	Queued  int64            `json:"queued"`
	// Errors are those of Error by class, Status all whole answers by code.
	Errors map[string]int64 `json:"errors"`
	// Examples are one failure of each class, in words, without secrets.
	Examples     map[string]string `json:"error_examples"`
	Status       map[string]int64  `json:"status"`
	Duration     int64             `json:"duration_ns"`
	OfferedRate  float64           `json:"offered_rate"`
	AchievedRate float64           `json:"achieved_rate"`
	Goodput      float64           `json:"goodput"`
	Response     times             `json:"response_time_ns"`
	Service      times             `json:"service_time_ns"`
	Lateness     times             `json:"lateness_ns"`
	// Those of ok answers alone.
	OKResponse times `json:"ok_response_time_ns"`
	OKService  times `json:"ok_service_time_ns"`
	// Bytes of answers and requests, header and body, failed ones included.
	Received       int64   `json:"received_bytes"`
	Written        int64   `json:"written_bytes"`
	ReceivedSecond float64 `json:"received_bytes_per_second"`
	WrittenSecond  float64 `json:"written_bytes_per_second"`
	Opened         int64   `json:"connections_opened"`
	// ByURL is there where several were asked for.
	ByURL []urlResult `json:"by_url,omitempty"`
	// SamplesNeeded names every percentile that is null in one of the three,
	// Censored every figure that is only a lower bound.
	SamplesNeeded map[string]int64 `json:"samples_needed"`
	Censored      []string         `json:"censored"`
	CPU           int64            `json:"cpu_ns"` // of all agents, user and system
	// StartSpread is the greatest difference between the agents' actual starts; null for a single one.
	StartSpread *int64   `json:"start_spread_ns"`
	Valid       bool     `json:"valid"`
	Reasons     []string `json:"reasons"`
	// Requirements are those that were asked for, each with what it came to.
	Requirements []threshold.Outcome `json:"requirements"`
	// Limits are the causes behind reasons that begin with "generator-limited", Agents what each agent used.
	Limits []agentLimit `json:"generator_limits"`
	Agents []agentUse   `json:"agents"`
}

// agentUse is what one agent used: its CPU time and the greatest of each of its resources, with their limits.
type agentUse struct {
	Agent           int     `json:"agent"`
	CPU             int64   `json:"cpu_ns"`
	Cores           float64 `json:"cores"` // it might use
	GCPause         int64   `json:"gc_pause_ns"`
	Descriptors     int64   `json:"descriptors"`
	DescriptorLimit int64   `json:"descriptor_limit"`
	Ports           int64   `json:"ports"`
	PortLow         int64   `json:"port_low"`
	PortHigh        int64   `json:"port_high"`
}

// times is one distribution in nanoseconds; null where nothing may be said.
type times struct {
	Min   *int64 `json:"min"`
	Mean  *int64 `json:"mean"`
	P50   *int64 `json:"p50"`
	P90   *int64 `json:"p90"`
	P95   *int64 `json:"p95"`
	P99   *int64 `json:"p99"`
	P999  *int64 `json:"p99.9"`
	P9999 *int64 `json:"p99.99"`
	Max   *int64 `json:"max"`
}

// figure is one line of a distribution.
type figure struct {
	name     string // such as "p99"
	value    time.Duration
	known    bool
	censored bool  // value is a lower bound
	needs    int64 // samples for it to be known
}

// percentiles are those that are given.
var percentiles = [...]float64{50, 90, 95, 99, 99.9, 99.99}

func percentileName(p float64) string { return "p" + strconv.FormatFloat(p, 'f', -1, 64) }

// figures are min, mean, the percentiles and max of a distribution, in this
// order. Time-outs and drops count with their bound, which makes what depends
// on one a lower bound.
func figures(h *stats.Histogram) []figure {
	some := h.Count() > 0
	low, lowCensored := h.Quantile(1e-12)
	mean, meanCensored := h.MeanAtLeast()
	most, mostCensored := h.MaxAtLeast()
	out := []figure{
		{name: "min", value: low, known: some, censored: lowCensored},
		{name: "mean", value: mean, known: some, censored: meanCensored},
	}
	for _, p := range percentiles {
		f := h.Percentile(p)
		out = append(out, figure{name: percentileName(p), value: f.Value, known: f.Needs == 0, censored: f.Censored, needs: f.Needs})
	}
	return append(out, figure{name: "max", value: most, known: some, censored: mostCensored})
}

// timesOf are the figures of a distribution that are known.
func timesOf(h *stats.Histogram) (t times) {
	places := []**int64{&t.Min, &t.Mean, &t.P50, &t.P90, &t.P95, &t.P99, &t.P999, &t.P9999, &t.Max}
	for i, f := range figures(h) {
		if f.known {
			*places[i] = new(int64(f.value))
		}
	}
	return t
}

// note writes the figures of a distribution into the result.
func (r *Result) note(t *times, h *stats.Histogram) {
	*t = timesOf(h)
	for _, f := range figures(h) {
		if f.needs > 0 {
			r.SamplesNeeded[f.name] = f.needs
		}
		if f.known && f.censored && !slices.Contains(r.Censored, f.name) {
			r.Censored = append(r.Censored, f.name)
		}
	}
}

// Result sums the measurement of a job up.
func (m *Measurement) Result(j *Job) Result {
	b := m.total.Books
	r := Result{
		Method: j.method(), URLs: j.URLs, Dialled: j.Task.Dial, Model: m.phase.Model, Engine: j.Task.Engine, Version: j.Version, Start: m.began,
		Received: m.total.Received, Written: m.total.Written, Opened: m.total.Opened, Examples: m.total.examples(),
		Planned: b.Planned, Sent: b.Sent, OK: b.OK, Bad: b.Bad, Timeout: b.Timeout, Error: b.Error, Dropped: b.Dropped,
		Late: b.Late, Queued: b.Queued, Errors: m.total.errors(), Status: map[string]int64{}, Duration: int64(m.passed),
		SamplesNeeded: map[string]int64{}, Censored: []string{}, CPU: int64(m.total.CPU), Reasons: []string{},
	}
	for code, n := range m.total.Status {
		r.Status[strconv.Itoa(code)] = n
	}
	if s := m.passed.Seconds(); s > 0 {
		r.OfferedRate, r.AchievedRate, r.Goodput = float64(b.Planned)/s, float64(b.Sent)/s, m.total.Goodput()
		r.ReceivedSecond, r.WrittenSecond = float64(r.Received)/s, float64(r.Written)/s
	}
	if m.phase.Model == load.Open {
		if r.Ramp = m.phase.Profile; len(r.Ramp) == 0 {
			r.Rate = &m.phase.Rate
		}
	}
	r.OKResponse, r.OKService = timesOf(m.total.OKResponse()), timesOf(m.total.OKService())
	r.ByURL = m.byURL(j)
	r.note(&r.Response, m.total.Response)
	r.note(&r.Service, m.total.Service)
	r.note(&r.Lateness, m.total.Lateness)
	if m.spread != nil {
		ns := int64(*m.spread)
		r.StartSpread = &ns
	}
	r.Reasons = append(r.Reasons, m.reasons()...)
	r.Valid = len(r.Reasons) == 0
	r.Limits, r.Agents = m.limits(), m.uses()
	r.Requirements = m.judge(j, r)
	return r
}

// uses are what the agents used, in order.
func (m *Measurement) uses() []agentUse {
	out := []agentUse{}
	for i, a := range m.agents {
		most := a.strain.Most()
		out = append(out, agentUse{
			Agent: i, CPU: int64(a.CPU), Cores: most.Cores, GCPause: int64(a.GCPause),
			Descriptors: most.Descriptors, DescriptorLimit: most.DescriptorLimit,
			Ports: most.Ports, PortLow: most.PortLow, PortHigh: most.PortHigh,
		})
	}
	return out
}

// errors are the outcomes that are neither a whole answer nor a time-out.
func (t *tally) errors() map[string]int64 {
	out := map[string]int64{}
	maps.Copy(out, t.Outcomes)
	maps.DeleteFunc(out, func(class string, _ int64) bool {
		return class == "timeout" || strings.HasPrefix(class, "status ")
	})
	// A window names that many outcomes only; statuses beyond that are among "other".
	surplus := -t.Books.Error
	for _, n := range out {
		surplus += n
	}
	if out["other"] -= surplus; out["other"] <= 0 {
		delete(out, "other")
	}
	return out
}

// examples are those of errors and time-outs; what only happened at the end of an interruption has none.
func (t *tally) examples() map[string]string {
	out := map[string]string{}
	for class, words := range t.Examples {
		out[class] = show.Inert(words)
	}
	return out
}

// fault says whose doing an error class is, and what it means.
func fault(class string) (whose, means string) {
	if class == agentLost {
		return load.Ours, "the agent that sent it was lost"
	}
	for _, c := range load.Classes() {
		if c.Name == class {
			return c.Fault, c.Means
		}
	}
	return load.Nobody, ""
}
