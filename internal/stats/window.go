package stats

import (
	"maps"
	"time"
)

// Window is what one agent saw in one stretch of a phase, such as a second. It
// counts each event in the window in which it happens; the sums over a phase are exact.
//
// What the loader does not measure is left out and not 0: its histogram or pointer is nil. A sum
// whose parts were not all measured was not measured either, since it would not be the sum.
type Window struct {
	Begin     time.Duration    `json:"begin_ns"` // since the phase's start
	Length    time.Duration    `json:"length_ns"`
	Aside     bool             `json:"aside,omitempty"` // of a slice: its run-in and what came after its end; booked, but in no rate
	Books     Books            `json:"books"`
	Outcomes  map[string]int64 `json:"outcomes,omitempty"`  // class of each answer or failure that is not ok, such as "reset", "refused", "status 500", "wrong id"
	Status    map[int]int64    `json:"status,omitempty"`    // whole answers by status code
	Unwritten int64            `json:"unwritten,omitempty"` // timeouts and errors whose request was not fully written
	Lost      map[string]int64 `json:"lost,omitempty"`      // by our own fault: "ports", "descriptors", "memory" (part of Books.Error), "loop", "permit" (part of Books.Dropped), "not permitted" (Error)
	Checked   int64            `json:"checked"`             // answers whose body was checked whole
	Wrong     int64            `json:"wrong,omitempty"`     // answers of the right status whose body, or its length, is wrong (part of Books.Bad)
	Hits      int64            `json:"hits"`                // answers expected to exist
	Misses    int64            `json:"misses"`              // answers expected not to exist
	Opened    int64            `json:"opened"`              // connections opened
	// Moves are the right answers about rows that changed during that time, by the number of the change; they are among the others.
	Moves map[int]MoveSeen `json:"moves,omitempty"`
	// Examples are one failure of each class of errors and of wrong answers, in words, without secrets.
	Examples map[string]string `json:"examples,omitempty"`
	// Received and Written are bytes of answers and requests, header and body; 0 where they were not counted. Those of
	// failed ones are among them. With TLS and HTTP/1.1 they are those of HTTP, with HTTP/2 those of the connection.
	Received int64 `json:"received_bytes,omitempty"`
	Written  int64 `json:"written_bytes,omitempty"`
	// Response is from the intended time, Service from the actual send, both
	// to the last byte; Lateness from the intended time to being taken up. Errors are outside, time-outs and
	// drops inside. Where Lateness was not measured, Books.Late and Books.Queued were not either.
	Response *Histogram `json:"response,omitempty"`
	Service  *Histogram `json:"service,omitempty"`
	Lateness *Histogram `json:"lateness,omitempty"`
	// BadResponse and BadService are the part of Response and Service that is of bad answers; nil where there is none.
	BadResponse *Histogram `json:"bad_response,omitempty"`
	BadService  *Histogram `json:"bad_service,omitempty"`
	// Replicas counts answers by the replica named in the answer header
	// X-Bakeoff-Replica, and with several URLs those without it by host and port.
	Replicas  map[string]Replica `json:"replicas,omitempty"`
	URLs      map[int]URL        `json:"urls,omitempty"`        // by index, where several were asked for and each is counted
	InFlight  *float64           `json:"in_flight_s,omitempty"` // integral of requests in flight, seconds
	ErrorTime float64            `json:"error_time_s"`          // sum of sent-to-end times of requests without a value in the histogram: errors and time-outs
	CPU       time.Duration      `json:"cpu_ns"`                // of the whole agent process, user + system
	GCPause   time.Duration      `json:"gc_pause_ns,omitempty"` // the collector's pauses of the whole agent process
	Resources *Resources         `json:"resources,omitempty"`   // what the agent had and lacked; nil: CPU and GCPause were not measured either
}

// ReplicaHeader is the header of an answer that names the replica which gave it.
const ReplicaHeader = "X-Bakeoff-Replica"

// Replica is what an agent saw of one replica.
type Replica struct {
	Answers int64      `json:"answers"`
	Errors  int64      `json:"errors"` // answers that were not ok
	Service *Histogram `json:"service,omitempty"`
}

// URL is what an agent saw of one of several URLs.
type URL struct { // what was sent is the sum of the four
	OK       int64         `json:"ok"`
	Bad      int64         `json:"bad,omitempty"`
	Timeout  int64         `json:"timeout,omitempty"`
	Error    int64         `json:"error,omitempty"`
	Status   map[int]int64 `json:"status,omitempty"`
	Response *Histogram    `json:"response,omitempty"`
	Service  *Histogram    `json:"service,omitempty"`
}

// A server chooses the names of replicas and, in part, of outcomes: a sum keeps that many
// of each, and counts the rest as Other.
const (
	MaxNames = 256
	Other    = "other"
)

// End is when the window ends, since the phase's start.
func (w Window) End() time.Duration { return w.Begin + w.Length }

// Merge adds o, which stays as it is: another part of the same stretch, or a stretch after it. The
// window then reaches from the earlier begin to the later end.
func (w *Window) Merge(o Window) {
	end := max(w.End(), o.End())
	w.Begin = min(w.Begin, o.Begin)
	w.Length = end - w.Begin
	w.Aside = w.Aside && o.Aside
	w.Books.Add(o.Books)
	addNamed(&w.Outcomes, o.Outcomes)
	addCounts(&w.Status, o.Status)
	addCounts(&w.Lost, o.Lost)
	w.Unwritten += o.Unwritten
	w.Checked += o.Checked
	w.Wrong += o.Wrong
	w.Hits += o.Hits
	w.Misses += o.Misses
	w.Opened += o.Opened
	w.mergeExamples(o.Examples)
	w.mergeMoves(o.Moves)
	w.Received += o.Received
	w.Written += o.Written
	w.BadResponse, w.BadService = either(w.BadResponse, o.BadResponse), either(w.BadService, o.BadService)
	w.mergeURLs(o.URLs)
	w.Response = joined(w.Response, o.Response)
	w.Service = joined(w.Service, o.Service)
	w.Lateness = joined(w.Lateness, o.Lateness)
	w.mergeReplicas(o.Replicas)
	w.mergeInFlight(o.InFlight)
	w.ErrorTime += o.ErrorTime
	w.CPU += o.CPU
	w.GCPause += o.GCPause
	w.mergeResources(o.Resources)
}

func (w *Window) mergeReplicas(o map[string]Replica) {
	if w.Replicas == nil && len(o) > 0 {
		w.Replicas = map[string]Replica{}
	}
	for name, r := range o {
		name = known(w.Replicas, name)
		sum, seen := w.Replicas[name]
		if !seen {
			sum.Service = emptyLike(r.Service)
		}
		sum.Answers += r.Answers
		sum.Errors += r.Errors
		sum.Service = joined(sum.Service, r.Service)
		w.Replicas[name] = sum
	}
}

func (w *Window) mergeURLs(o map[int]URL) {
	if w.URLs == nil && len(o) > 0 {
		w.URLs = map[int]URL{}
	}
	for index, u := range o {
		sum, seen := w.URLs[index]
		if !seen {
			sum.Response, sum.Service = emptyLike(u.Response), emptyLike(u.Service)
		}
		sum.OK += u.OK
		sum.Bad += u.Bad
		sum.Timeout += u.Timeout
		sum.Error += u.Error
		addCounts(&sum.Status, u.Status)
		sum.Response, sum.Service = joined(sum.Response, u.Response), joined(sum.Service, u.Service)
		w.URLs[index] = sum
	}
}

// mergeExamples keeps one example of each class, whatever the order.
func (w *Window) mergeExamples(o map[string]string) {
	for class, words := range o {
		class = known(w.Examples, class)
		if first, seen := w.Examples[class]; seen && first <= words {
			continue
		}
		if w.Examples == nil {
			w.Examples = map[string]string{}
		}
		w.Examples[class] = words
	}
}

// OKResponse is the part of Response that is of ok answers; nil where it is not known.
func (w *Window) OKResponse() *Histogram { return w.okOf(w.Response, w.BadResponse) }

// OKService is the part of Service that is of ok answers; nil where it is not known.
func (w *Window) OKService() *Histogram { return w.okOf(w.Service, w.BadService) }

func (w *Window) okOf(all, bad *Histogram) *Histogram {
	if all == nil || bad.Count() != w.Books.Bad {
		return nil
	}
	return all.answeredBut(bad)
}

func (w *Window) mergeInFlight(o *float64) {
	if w.InFlight == nil || o == nil {
		w.InFlight = nil
		return
	}
	w.InFlight = new(*w.InFlight + *o)
}

func (w *Window) mergeResources(o *Resources) {
	if w.Resources == nil || o == nil {
		w.Resources = nil
		return
	}
	sum := *w.Resources
	sum.Add(*o)
	w.Resources = &sum
}

// joined adds o to h; nil where one of them was not measured.
func joined(h, o *Histogram) *Histogram {
	if h == nil || o == nil {
		return nil
	}
	h.Merge(o)
	return h
}

// either adds o to h, which is made where it is needed: nil stands for no sample.
func either(h, o *Histogram) *Histogram {
	if h == nil && o != nil {
		h = NewHistogram()
	}
	if o != nil {
		h.Merge(o)
	}
	return h
}

// emptyLike is an empty histogram, or nil where h was not measured.
func emptyLike(h *Histogram) *Histogram {
	if h == nil {
		return nil
	}
	return NewHistogram()
}

// known is the name under which to count: itself, or Other where there are enough others.
func known[V any](names map[string]V, name string) string {
	if _, seen := names[name]; !seen && len(names) >= MaxNames {
		return Other
	}
	return name
}

// addNamed adds to a map that is made when first needed and grows no further than MaxNames and Other.
func addNamed(to *map[string]int64, from map[string]int64) {
	if *to == nil && len(from) > 0 {
		*to = map[string]int64{}
	}
	for name, n := range from {
		(*to)[known(*to, name)] += n
	}
}

// addCounts adds to a map that is made when first needed.
func addCounts[K comparable](to *map[K]int64, from map[K]int64) {
	if *to == nil {
		*to = maps.Clone(from)
		return
	}
	for key, n := range from {
		(*to)[key] += n
	}
}
