package export

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// metering turns what is followed of a run into OpenTelemetry's metrics: counters and exponential histograms that
// say, second by second, what a phase of a trial has come to since it began. A window that comes late is counted in
// the next second, so that the last point of a phase has all of it.
type metering struct {
	naming
	calendar
	emit   func(*metricspb.Metric) // each with one data point
	trials map[string]*metered     // by folder, while they are under way
}

// metered is one trial under way.
type metered struct {
	record.Begun
	streams map[int]*stream // by phase
}

// stream is one phase.
type stream struct {
	attributes []*commonpb.KeyValue
	start      time.Time
	sum        stats.Totals // of the seconds that are written
	written    time.Time    // begin of the last one
	newest     time.Time    // begin of the latest window
	open       []*second    // ascending
}

// second is one second that is not written yet.
type second struct {
	at  time.Time
	all stats.Totals
}

func newMetering(name string, run record.Run, emit func(*metricspb.Metric)) *metering {
	return &metering{naming: newNaming(name, run), emit: emit, trials: map[string]*metered{}}
}

// take shapes one item.
func (m *metering) take(item record.Item) error {
	switch {
	case item.Event != nil:
		return m.event(*item.Event)
	case item.Load != nil:
		if t := m.trials[item.Trial]; t != nil && m.timed(item.Trial, item.Load) {
			m.load(t, item.Load)
		}
	}
	return nil
}

func (m *metering) event(e record.Event) error {
	switch e.Kind {
	case record.EventBegun:
		var b record.Begun
		if err := json.Unmarshal(e.Fields, &b); err != nil {
			return err
		}
		m.trials[b.Folder] = &metered{Begun: b, streams: map[int]*stream{}}
	case record.EventTrial:
		var p record.Proof
		if err := json.Unmarshal(e.Fields, &p); err != nil {
			return err
		}
		m.ended(p, e.At)
	case record.EventAbandoned:
		var a record.Abandoned
		if err := json.Unmarshal(e.Fields, &a); err != nil {
			return err
		}
		m.flush(a.Folder)
	}
	return nil
}

// spoil changes nothing: what of a trial can be read is counted.
func (m *metering) spoil(string) {}

// finish writes all that has not been written.
func (m *metering) finish() {
	for _, folder := range slices.Sorted(maps.Keys(m.trials)) {
		m.flush(folder)
	}
}

// flush writes all of a trial that has not been written, and forgets it.
func (m *metering) flush(folder string) {
	t := m.trials[folder]
	if t == nil {
		return
	}
	for _, number := range slices.Sorted(maps.Keys(t.streams)) {
		m.write(t.streams[number], time.Time{})
	}
	delete(m.trials, folder)
}

// ended says whether a trial counts.
func (m *metering) ended(p record.Proof, at time.Time) {
	t := m.trials[p.Folder]
	if t == nil {
		return
	}
	m.flush(p.Folder)
	counts := int64(0)
	if p.Status == record.Valid {
		counts = 1
	}
	m.emit(&metricspb.Metric{
		Name: "bakeoff.trial.valid", Unit: "1", Description: "1: the trial counts; 0: it is refused.",
		Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: []*metricspb.NumberDataPoint{{
			Attributes: ofTrial(t.Begun), TimeUnixNano: nanos(at), Value: &metricspb.NumberDataPoint_AsInt{AsInt: counts},
		}}}},
	})
}

func ofTrial(t record.Begun) []*commonpb.KeyValue {
	return []*commonpb.KeyValue{textAttribute("bakeoff.target", t.Target), intAttribute("bakeoff.block", t.Block), intAttribute("bakeoff.attempt", t.Attempt)}
}

// load adds a window to its phase.
func (m *metering) load(t *metered, l *record.Load) {
	s := t.streams[l.Phase]
	if s == nil {
		s = &stream{start: l.At.Add(-l.Begin), attributes: append(ofTrial(t.Begun),
			textAttribute("bakeoff.phase", m.phase(l.Phase).Name), textAttribute("bakeoff.kind", kindOf(l.Phase)))}
		t.streams[l.Phase] = s
	}
	s.add(l)
	m.write(s, s.newest.Add(-settled))
}

// add adds a window to its second, or to the next one where that is written.
func (s *stream) add(l *record.Load) {
	at := l.At.Truncate(time.Second)
	if !at.After(s.written) {
		at = s.written.Add(time.Second)
	}
	i, found := slices.BinarySearchFunc(s.open, at, func(x *second, at time.Time) int { return x.at.Compare(at) })
	if !found {
		s.open = slices.Insert(s.open, i, &second{at: at})
	}
	s.open[i].all.Add(l.Window)
	if l.At.After(s.newest) {
		s.newest = l.At
	}
}

// write writes the seconds that had ended by a time, or all of them.
func (m *metering) write(s *stream, by time.Time) {
	for len(s.open) > 0 && (by.IsZero() || !s.open[0].at.Add(time.Second).After(by)) {
		s.sum.Merge(s.open[0].all)
		s.written, s.open = s.open[0].at, s.open[1:]
		m.points(s, s.written.Add(time.Second))
	}
}

// points are what a phase has come to at a time.
func (m *metering) points(s *stream, at time.Time) {
	w := &s.sum
	counter := func(name, unit, description string, n int64, more ...*commonpb.KeyValue) {
		m.emit(&metricspb.Metric{Name: name, Unit: unit, Description: description, Data: &metricspb.Metric_Sum{Sum: &metricspb.Sum{
			AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE, IsMonotonic: true,
			DataPoints: []*metricspb.NumberDataPoint{{
				Attributes: slices.Concat(s.attributes, more), StartTimeUnixNano: nanos(s.start), TimeUnixNano: nanos(at),
				Value: &metricspb.NumberDataPoint_AsInt{AsInt: n},
			}},
		}}})
	}
	counter("bakeoff.requests.planned", "{request}", "Requests that the schedule asked for.", w.Books.Planned)
	counter("bakeoff.requests.sent", "{request}", "Requests that were sent.", w.Books.Sent)
	counter("bakeoff.requests.dropped", "{request}", "Requests that were never sent.", w.Books.Dropped)
	for _, o := range []struct {
		name string
		n    int64
	}{{"ok", w.Books.OK}, {"bad", w.Books.Bad}, {"timeout", w.Books.Timeout}, {"error", w.Books.Error}} {
		counter("bakeoff.requests.completed", "{request}", "What became of the requests that were sent.", o.n, textAttribute("bakeoff.outcome", o.name))
	}
	failed := map[string]int64{}
	for _, class := range sorted(w.Outcomes) { // which of them are the first is always the same
		failed[m.few("outcome", class)] += w.Outcomes[class]
	}
	for _, class := range sorted(failed) {
		counter("bakeoff.requests.failed", "{request}", "Requests that were not answered correctly, by class.", failed[class], textAttribute("error.type", class))
	}
	counter("bakeoff.connections.opened", "{connection}", "Connections that were opened.", w.Opened)
	counter("bakeoff.network.io", "By", "Bytes of requests and answers.", w.Written, textAttribute("network.io.direction", "transmit"))
	counter("bakeoff.network.io", "By", "Bytes of requests and answers.", w.Received, textAttribute("network.io.direction", "receive"))
	for _, d := range []struct {
		name, description string
		of                *stats.Histogram
	}{
		{"response", "From the intended time to the last byte; what timed out or was never sent at its bound.", w.Response},
		{"service", "From the send to the last byte; what timed out at its bound.", w.Service},
		{"lateness", "From the intended time until the request was taken up.", w.Lateness},
	} {
		if d.of != nil {
			m.emit(&metricspb.Metric{Name: "bakeoff." + d.name + ".duration", Unit: "s", Description: d.description, Data: &metricspb.Metric_ExponentialHistogram{
				ExponentialHistogram: &metricspb.ExponentialHistogram{
					AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
					DataPoints:             []*metricspb.ExponentialHistogramDataPoint{exponential(d.of, s.attributes, s.start, at)},
				},
			}})
		}
	}
}

func nanos(t time.Time) uint64 { return uint64(t.UnixNano()) }

// otlpScale is the scale of the exponential histograms: 2^5 buckets for each doubling, so that one is 2.2 % wide. It is
// the same for all, so that they can be added up.
const otlpScale = 5

// bucketOf is the bucket of a duration above 0: bucket i has what is above 2^(i/32) s, up to 2^((i+1)/32) s.
func bucketOf(d time.Duration) int32 {
	return int32(math.Ceil(math.Log2(d.Seconds())*(1<<otlpScale))) - 1
}

// exponential is a histogram in seconds. A sample that is only known to exceed a bound is at it.
func exponential(h *stats.Histogram, attributes []*commonpb.KeyValue, start, at time.Time) *metricspb.ExponentialHistogramDataPoint {
	out := &metricspb.ExponentialHistogramDataPoint{
		Attributes: attributes, StartTimeUnixNano: nanos(start), TimeUnixNano: nanos(at), Scale: otlpScale, Count: uint64(h.Count()),
	}
	counts := map[int32]uint64{}
	sum, least, most := 0.0, math.Inf(1), 0.0
	for _, each := range []func(func(time.Duration, int64) bool){h.Each, h.EachOver} {
		for d, n := range each {
			sum, least, most = sum+d.Seconds()*float64(n), min(least, d.Seconds()), max(most, d.Seconds())
			if d <= 0 {
				out.ZeroCount += uint64(n)
				continue
			}
			counts[bucketOf(d)] += uint64(n)
		}
	}
	out.Sum = &sum
	if h.Count() > 0 {
		out.Min, out.Max = &least, &most
	}
	if len(counts) > 0 {
		first, last := slices.Min(slices.Collect(maps.Keys(counts))), slices.Max(slices.Collect(maps.Keys(counts)))
		out.Positive = &metricspb.ExponentialHistogramDataPoint_Buckets{Offset: first, BucketCounts: make([]uint64, last-first+1)}
		for i, n := range counts {
			out.Positive.BucketCounts[i-first] = n
		}
	}
	return out
}
