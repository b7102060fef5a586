package export

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// otlpFake is a server that decodes what it is sent with OpenTelemetry's own types, and keeps the last value of each point.
type otlpFake struct {
	// fault may answer in its place: request n, from 1, of that many points. Nil, nil: it takes them.
	fault func(r *http.Request, n int, points int) (*http.Response, error)

	mu       sync.Mutex
	requests int
	most     int // bytes of a request, unzipped
	resource map[string]string
	points   map[string]*metricspb.Metric // each with one data point, by name, attributes and time
	received int                          // points, those that were sent twice counted twice
}

func (f *otlpFake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method != http.MethodPost || r.URL.Path != "/v1/metrics" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Content-Encoding") != "gzip" {
		return nil, fmt.Errorf("asked for %s %s, %v", r.Method, r.URL.Path, r.Header)
	}
	zip, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		return nil, err
	}
	// MetricsData is on the wire what ExportMetricsServiceRequest is, whose package brings gRPC.
	var data metricspb.MetricsData
	if err := (proto.UnmarshalOptions{DiscardUnknown: false}).Unmarshal(text, &data); err != nil {
		return nil, err
	}
	if len(data.ProtoReflect().GetUnknown()) > 0 || len(data.ResourceMetrics) != 1 || len(data.ResourceMetrics[0].ScopeMetrics) != 1 {
		return nil, fmt.Errorf("not one scope of one resource: %v", &data)
	}
	metrics := data.ResourceMetrics[0].ScopeMetrics[0].Metrics
	f.requests++
	f.most = max(f.most, len(text))
	if f.fault != nil {
		if res, err := f.fault(r, f.requests, len(metrics)); res != nil || err != nil {
			return res, err
		}
	}
	f.resource = textsOf(data.ResourceMetrics[0].Resource.Attributes)
	f.take(metrics)
	return reply(http.StatusOK, "", nil), nil
}

func (f *otlpFake) take(metrics []*metricspb.Metric) {
	if f.points == nil {
		f.points = map[string]*metricspb.Metric{}
	}
	for _, m := range metrics {
		attributes, at := placeOf(m)
		f.points[fmt.Sprint(m.Name, attributes, at)] = m
		f.received++
	}
}

// placeOf is where a metric's one data point belongs.
func placeOf(m *metricspb.Metric) (attributes map[string]string, at uint64) {
	switch {
	case m.GetSum() != nil:
		p := m.GetSum().DataPoints[0]
		return textsOf(p.Attributes), p.TimeUnixNano
	case m.GetGauge() != nil:
		p := m.GetGauge().DataPoints[0]
		return textsOf(p.Attributes), p.TimeUnixNano
	}
	p := m.GetExponentialHistogram().DataPoints[0]
	return textsOf(p.Attributes), p.TimeUnixNano
}

func textsOf(attributes []*commonpb.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range attributes {
		out[a.Key] = a.Value.GetStringValue()
		if _, is := a.Value.Value.(*commonpb.AnyValue_IntValue); is {
			out[a.Key] = fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return out
}

func (f *otlpFake) otlp() OTLP { return OTLP{URL: "http://127.0.0.1:1", transport: f} }

// finals are the last data points of the metrics of a name, by their attributes as text.
func (f *otlpFake) finals(name string) map[string]*metricspb.Metric {
	out, when := map[string]*metricspb.Metric{}, map[string]uint64{}
	for _, m := range f.points {
		if attributes, at := placeOf(m); m.Name == name && at > when[fmt.Sprint(attributes)] {
			out[fmt.Sprint(attributes)], when[fmt.Sprint(attributes)] = m, at
		}
	}
	return out
}

// last adds up the last values of a counter over all that has it.
func (f *otlpFake) last(t *testing.T, name, attribute, value string) (sum int64) {
	t.Helper()
	for _, m := range f.finals(name) {
		if attributes, _ := placeOf(m); attribute == "" || attributes[attribute] == value {
			s := m.GetSum()
			if !s.IsMonotonic || s.AggregationTemporality != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
				t.Errorf("%s is no cumulative counter: %v", name, s)
			}
			sum += s.DataPoints[0].GetAsInt()
		}
	}
	return sum
}

// TestOTLP writes a run with everything in it: the counts are those of the record, in whatever became of the requests, and
// the percentiles of each phase are in the bucket of the record's or in the one next to it.
func TestOTLP(t *testing.T) {
	f := &otlpFake{}
	dir := recordtest.Spoiled(t)
	counts, err := Backfill(t.Context(), dir, f.otlp(), func(text string) { t.Log(text) })
	if err != nil || !counts.Whole() || counts.Written == 0 || counts.Written != int64(f.received) {
		t.Fatalf("%+v, %d received, %v", counts, f.received, err)
	}
	want := sums(t, dir, "")
	for _, c := range []struct {
		name, attribute, value string
		want                   int64
	}{
		{"bakeoff.requests.planned", "", "", want.Books.Planned},
		{"bakeoff.requests.sent", "", "", want.Books.Sent},
		{"bakeoff.requests.dropped", "", "", want.Books.Dropped},
		{"bakeoff.requests.completed", "bakeoff.outcome", "ok", want.Books.OK},
		{"bakeoff.requests.completed", "bakeoff.outcome", "bad", want.Books.Bad},
		{"bakeoff.requests.completed", "bakeoff.outcome", "timeout", want.Books.Timeout},
		{"bakeoff.requests.completed", "bakeoff.outcome", "error", want.Books.Error},
		{"bakeoff.connections.opened", "", "", want.Opened},
		{"bakeoff.network.io", "network.io.direction", "receive", want.Received},
	} {
		if got := f.last(t, c.name, c.attribute, c.value); got != c.want {
			t.Errorf("%s of %s: %d, the record has %d", c.name, c.value, got, c.want)
		}
	}
	for class, n := range want.Outcomes {
		if got := f.last(t, "bakeoff.requests.failed", "error.type", class); got != n {
			t.Errorf("class %s: %d, the record has %d", class, got, n)
		}
	}
	f.percentiles(t, dir)
	for key, value := range map[string]string{"service.name": "bakeoff", "service.version": "0.1.0", "host.name": "bench", "host.cpu.model.name": "A CPU", "test.suite.name": "demo"} {
		if f.resource[key] != value {
			t.Errorf("resource: %s is %q", key, f.resource[key])
		}
	}
	if f.resource["service.instance.id"] == "" {
		t.Errorf("resource %v", f.resource)
	}
}

// TestOTLPOutcomes has each class of failures be the type of an error.
func TestOTLPOutcomes(t *testing.T) {
	f := &otlpFake{}
	r := oddRun(t)
	if _, err := Backfill(t.Context(), r.Dir(), f.otlp(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	for class, n := range map[string]int64{"status 503": 1, "wrong id": 1, "timeout": 1, "reset": 1, "not started": 2, "": 6} {
		attribute := map[bool]string{true: "error.type"}[class != ""]
		if got := f.last(t, "bakeoff.requests.failed", attribute, class); got != n {
			t.Errorf("class %q: %d, the record has %d", class, got, n)
		}
	}
}

// percentiles compares the histograms of each phase of a trial with the record's.
func (f *otlpFake) percentiles(t *testing.T, dir string) {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	type place struct{ block, target, attempt, number string }
	want := map[place]*stats.Totals{}
	for w, err := range Windows(r) {
		if err == nil {
			at := place{fmt.Sprint(w.Block), w.Target, fmt.Sprint(w.Attempt), newNaming("", r.Run()).name(w.Line.Phase)}
			if want[at] == nil {
				want[at] = &stats.Totals{}
			}
			want[at].Add(w.Line.Window)
		}
	}
	compared := 0
	for name, of := range map[string]func(*stats.Totals) *stats.Histogram{
		"bakeoff.response.duration": func(t *stats.Totals) *stats.Histogram { return t.Response },
		"bakeoff.service.duration":  func(t *stats.Totals) *stats.Histogram { return t.Service },
		"bakeoff.lateness.duration": func(t *stats.Totals) *stats.Histogram { return t.Lateness },
	} {
		for _, m := range f.finals(name) {
			attributes, _ := placeOf(m)
			totals := want[place{attributes["bakeoff.block"], attributes["bakeoff.target"], attributes["bakeoff.attempt"], attributes["bakeoff.phase"]}]
			p := m.GetExponentialHistogram().DataPoints[0]
			if totals == nil || p.Count != uint64(of(totals).Count()) || p.Count == 0 {
				t.Fatalf("%s %v: %d samples, the record has %+v", name, attributes, p.Count, totals)
			}
			for _, q := range []float64{0.5, 0.99} {
				value, _ := of(totals).Quantile(q)
				if got, should := quantileBucket(p, q), bucketOf(value); value > 0 && math.Abs(float64(got-should)) > 1 {
					t.Errorf("%s %v: quantile %g is in bucket %d, the record's in %d", name, attributes, q, got, should)
				}
			}
			compared++
		}
	}
	if compared < 30 {
		t.Errorf("%d histograms compared", compared)
	}
}

// name is that of a phase; attributes have no number.
func (s naming) name(number int) string { return s.phase(number).Name }

// quantileBucket is the index of the bucket with the sample at a quantile.
func quantileBucket(p *metricspb.ExponentialHistogramDataPoint, q float64) int32 {
	rank := uint64(math.Ceil(q * float64(p.Count)))
	seen := p.ZeroCount
	for i, n := range p.Positive.BucketCounts {
		if seen += n; seen >= rank {
			return p.Positive.Offset + int32(i)
		}
	}
	return math.MaxInt32
}

// TestOTLPBuckets has each value be in its bucket: above the lower bound, and at most the upper one.
func TestOTLPBuckets(t *testing.T) {
	for _, d := range []time.Duration{time.Nanosecond, time.Microsecond, 999 * time.Microsecond, time.Second, 2 * time.Second, 10 * time.Second, 119 * time.Second} {
		i := float64(bucketOf(d))
		low, high := math.Exp2(i/32), math.Exp2((i+1)/32)
		if s := d.Seconds(); s <= low || s > high*(1+1e-12) {
			t.Errorf("%v is in bucket %v, from %g to %g", d, i, low, high)
		}
	}
	h := stats.NewHistogram()
	h.RecordN(0, 3)
	h.RecordN(time.Second, 2)
	h.RecordOver(10 * time.Second)
	p := exponential(h, nil, time.Unix(0, 0), time.Unix(1, 0))
	var inside uint64
	for _, n := range p.Positive.BucketCounts {
		inside += n
	}
	if p.Count != 6 || p.ZeroCount+inside != 6 || *p.Max < 9.99 || *p.Max > 10.01 || *p.Min != 0 && p.ZeroCount > 0 {
		t.Errorf("%v", p)
	}
}

// partialAnswer is an answer of success that rejects that many points.
func partialAnswer(rejected int64, why string) string {
	success := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(rejected))
	success = protowire.AppendString(protowire.AppendTag(success, 2, protowire.BytesType), why)
	return string(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), success))
}

// otlpFaults are the ways in which a server can fail, with what then must have become of the points.
func otlpFaults() []struct {
	name     string
	do       func(f *otlpFake) func(r *http.Request, n int, points int) (*http.Response, error)
	want     func(c Counts, all int64) bool
	requests int
} {
	type answer = func(*http.Request, int, int) (*http.Response, error)
	always := func(status int) func(*otlpFake) answer {
		return func(*otlpFake) answer {
			return func(*http.Request, int, int) (*http.Response, error) { return reply(status, "no", nil), nil }
		}
	}
	hang := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	refusedFinally := func(c Counts, all int64) bool { return c.Written == 0 && c.Refused == all && c.Retries == 0 }
	return []struct {
		name     string
		do       func(f *otlpFake) func(r *http.Request, n int, points int) (*http.Response, error)
		want     func(c Counts, all int64) bool
		requests int
	}{
		{"well", nil, whole, 60},
		{"absent", func(*otlpFake) answer {
			return func(*http.Request, int, int) (*http.Response, error) { return nil, errRefusedConnection }
		}, nothing, 20},
		{"dies and comes back", func(*otlpFake) answer {
			return func(_ *http.Request, n int, _ int) (*http.Response, error) {
				if n > 5 && n < 9 {
					return nil, errRefusedConnection
				}
				return nil, nil
			}
		}, whole, 60},
		{"hangs", func(*otlpFake) answer {
			return func(r *http.Request, _, _ int) (*http.Response, error) { return hang(r) }
		}, nothing, 20},
		{"hangs from the third request on", func(*otlpFake) answer {
			return func(r *http.Request, n, _ int) (*http.Response, error) {
				if n <= 2 {
					return nil, nil
				}
				return hang(r)
			}
		}, func(c Counts, all int64) bool { return c.Written > 0 && c.Left > 0 && c.Written+c.Left == all }, 20},
		{"400", always(400), func(c Counts, all int64) bool { return c.Written == 0 && c.Refused == all }, 200},
		{"401", always(401), refusedFinally, 20},
		{"500", always(500), refusedFinally, 20},
		{"413", func(*otlpFake) answer {
			return func(_ *http.Request, _, points int) (*http.Response, error) {
				if points > 20 {
					return reply(413, "too large", nil), nil
				}
				return nil, nil
			}
		}, whole, 600},
		{"429", func(*otlpFake) answer {
			return func(_ *http.Request, n, _ int) (*http.Response, error) {
				if n%2 == 1 {
					return reply(429, "too many", http.Header{"Retry-After": {"1"}}), nil
				}
				return nil, nil
			}
		}, whole, 60},
		{"503 three times", func(*otlpFake) answer {
			return func(_ *http.Request, n, _ int) (*http.Response, error) {
				if n <= 3 {
					return reply(503, "starting", nil), nil
				}
				return nil, nil
			}
		}, whole, 60},
		{"ten times slow", func(*otlpFake) answer {
			return func(r *http.Request, _, _ int) (*http.Response, error) {
				time.Sleep(2 * time.Second)
				return nil, r.Context().Err()
			}
		}, whole, 60},
		{"rejects a part", func(*otlpFake) answer {
			return func(_ *http.Request, n, _ int) (*http.Response, error) {
				if n == 2 {
					return reply(200, partialAnswer(3, "out of order"), nil), nil
				}
				return nil, nil
			}
		}, func(c Counts, all int64) bool {
			return c.Refused == 3 && c.Written == all-3 && c.Left == 0 && strings.Contains(c.Cause, "out of order")
		}, 60},
		{"closes in the middle of an answer", func(f *otlpFake) answer {
			return func(_ *http.Request, n, _ int) (*http.Response, error) {
				if n%3 == 1 {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: broken{}}, nil
				}
				return nil, nil
			}
		}, func(c Counts, all int64) bool { return whole(c, all) && c.Retries > 0 }, 60},
	}
}

// TestOTLPFaults follows a run, in virtual time, into servers that fail in every way: the run takes as long as it takes, the
// end at most 10 s more, every point is accounted for, and the whole run can be written afterwards.
func TestOTLPFaults(t *testing.T) {
	want := &otlpFake{}
	for _, c := range otlpFaults() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &otlpFake{}
				if c.do != nil {
					f.fault = c.do(f)
				}
				dir, counts, took := follows(t, f.otlp(), record.Complete)
				f.fault, want.points, want.received = nil, nil, 0
				afterwards, err := Backfill(t.Context(), dir, want.otlp(), func(string) {})
				all := int64(want.received)
				if err != nil || afterwards.Written != all || !afterwards.Whole() || all < 200 {
					t.Fatalf("afterwards %+v, %d points: %v", afterwards, all, err)
				}
				if took > 10*time.Second {
					t.Errorf("the end took %v", took)
				}
				if !c.want(counts, all) || counts.Written+counts.Refused+counts.Left != all {
					t.Errorf("%d points: %+v", all, counts)
				}
				if f.requests > c.requests || f.most > mostBytes+mostBytes/8 {
					t.Errorf("%d requests of up to %d bytes", f.requests, f.most)
				}
				if sent := want.last(t, "bakeoff.requests.sent", "", ""); sent != 2*2*20*lasts {
					t.Errorf("%d requests sent, not %d", sent, 2*2*20*lasts)
				}
				if c.name == "well" {
					f.equals(t, want)
				}
			})
		})
	}
}

// equals compares what two servers have.
func (f *otlpFake) equals(t *testing.T, o *otlpFake) {
	t.Helper()
	if len(f.points) != len(o.points) {
		t.Errorf("%d points, and %d", len(f.points), len(o.points))
	}
	for key, m := range f.points {
		if !proto.Equal(m, o.points[key]) {
			t.Fatalf("%s: %v, and %v", key, m, o.points[key])
		}
	}
}

// TestOTLPSecrets has a token and headers go where they belong, into no message, and to no path but that of metrics.
func TestOTLPSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &otlpFake{fault: func(r *http.Request, _, _ int) (*http.Response, error) {
			if r.Header.Get("Authorization") != "Bearer hunter2" || r.Header.Get("X-Key") != "hunter3" || strings.Contains(r.URL.String(), "hunter") {
				return nil, errors.New("asked without what proves who asks")
			}
			return reply(503, "no", nil), nil
		}}
		to := f.otlp()
		to.URL += "/v1/metrics"
		to.Token, to.Headers = "hunter2", http.Header{"X-Key": {"hunter3"}}
		var said bytes.Buffer
		_, err := Backfill(t.Context(), recordtest.Of(1, "a").Write(t), to, func(text string) { said.WriteString(text) })
		if text := fmt.Sprint(err) + said.String(); strings.Contains(text, "hunter") || !strings.Contains(text, "status 503: no") {
			t.Errorf("said: %s", text)
		}
	})
}

// TestOTLPLate counts a window that comes late in the next second, and none twice: counters never fall.
func TestOTLPLate(t *testing.T) {
	var emitted []*metricspb.Metric
	m := newMetering("run", record.Run{}, func(metric *metricspb.Metric) { emitted = append(emitted, metric) })
	begun := record.Begun{Folder: "1-1-a", Block: 1, Position: 1, Target: "a", Attempt: 1}
	m.trials[begun.Folder] = &metered{Begun: begun, streams: map[int]*stream{}}
	window := func(second int, n int64) {
		w := stats.Window{Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: n}}
		if err := m.take(record.Item{Trial: begun.Folder, Load: &record.Load{Phase: 1, At: time.Unix(1000+int64(second), 0), Window: w}}); err != nil {
			t.Fatal(err)
		}
	}
	for second := range 8 {
		window(second, 10)
	}
	window(2, 5)
	window(8, 10)
	m.finish()
	var got []int64
	for _, e := range emitted {
		if e.Name == "bakeoff.requests.sent" {
			got = append(got, e.GetSum().DataPoints[0].GetAsInt())
		}
	}
	if diff := cmp.Diff([]int64{10, 20, 30, 40, 50, 65, 75, 85, 95}, got); diff != "" || !slices.IsSorted(got) {
		t.Errorf("sent, second by second:\n%s", diff)
	}
}

// TestFewClasses has the first 64 classes of failures, by name, as classes of their own, whatever the order of a map is.
func TestFewClasses(t *testing.T) {
	outcomes := map[string]int64{}
	want := map[string]int64{stats.Other: 6}
	for i := range mostNames + 6 {
		class := fmt.Sprintf("class %02d", i)
		outcomes[class] = 1
		if i < mostNames {
			want[class] = 1
		}
	}
	otlp, influx := map[string]int64{}, map[string]int64{}
	m := newMetering("run", record.Run{}, func(metric *metricspb.Metric) {
		if metric.Name == "bakeoff.requests.failed" {
			p := metric.GetSum().DataPoints[0]
			otlp[p.Attributes[len(p.Attributes)-1].Value.GetStringValue()] = p.GetAsInt()
		}
	})
	m.points(&stream{sum: stats.Totals{Window: stats.Window{Outcomes: outcomes}}}, time.Unix(1, 0))
	s := &shaper{naming: newNaming("run", record.Run{}), emit: func(p Point) {
		influx[strings.TrimPrefix(p.Tags[1].Value, "Non HTTP response code: ")] += int64(p.Fields[0].Value.(float64))
	}}
	s.jmeterErrors("a", "GET /", &stats.Totals{Window: stats.Window{Outcomes: outcomes}}, time.Unix(1, 0))
	for name, got := range map[string]map[string]int64{"OTLP": otlp, "InfluxDB": influx} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
