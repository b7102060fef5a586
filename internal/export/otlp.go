package export

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"bakeoff/internal/record"
)

// OTLP says where a server is that takes OpenTelemetry's metrics over HTTP, as protobuf.
type OTLP struct {
	URL        string // of the server, such as http://127.0.0.1:4318; /v1/metrics is added where it does not end so
	Token      string // sent as a bearer token; empty: none
	Headers    http.Header
	CAFile     string        // PEM; empty: the system's authorities
	AllowHosts []string      // that may be sent to in addition to this machine
	Timeout    time.Duration // of one request; 0: 10 s

	transport http.RoundTripper // in place of the network; nil but in tests
}

// metricsPath is where a server takes metrics.
const metricsPath = "/v1/metrics"

// receiver is an OTLP being written to. Resource and scope are set before the first point is made.
type receiver struct {
	*client
	at       string // its URL as it was given
	resource []byte // encoded: the run
	scope    []byte // encoded: the program
}

func (o OTLP) open() (taker, former, error) {
	c, err := reach{
		kind: "otlp", url: strings.TrimSuffix(strings.TrimSuffix(o.URL, "/"), metricsPath), caFile: o.CAFile, allowHosts: o.AllowHosts,
		timeout: o.Timeout, transport: o.transport, authorize: o.authorize,
	}.connect()
	r := &receiver{client: c, at: o.URL}
	return r, r.form, err
}

func (o OTLP) authorize(req *http.Request) {
	for name, values := range o.Headers {
		req.Header[name] = values
	}
	if o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+o.Token)
	}
}

func (r *receiver) name() string { return "otlp at " + r.at }

// begin has nothing to ask: every such server takes the same.
func (r *receiver) begin(context.Context) error { return nil }

// form is the former of metrics.
func (r *receiver) form(dir string, run record.Run, put func([]byte), omit func()) forming {
	name := filepath.Base(dir)
	r.resource, r.scope = encoded(resourceOf(name, run)), encoded(&commonpb.InstrumentationScope{Name: "bakeoff", Version: valid(run.Bakeoff)})
	m := newMetering(name, run, func(metric *metricspb.Metric) {
		put(encoded(&metricspb.ScopeMetrics{Metrics: []*metricspb.Metric{metric}}))
	})
	m.omit = omit
	m.starts = func() map[string]map[int]time.Time { return startsOf(dir) }
	return m
}

// encoded is a message on the wire. One of valid texts cannot fail.
func encoded(m proto.Message) []byte {
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil
	}
	return out
}

// Numbers of the fields that a request is put together of: an ExportMetricsServiceRequest has one kind of field, and
// the points of a batch are the metrics of one scope of one resource.
const (
	fieldResourceMetrics = 1 // of the request
	fieldResource        = 1 // of ResourceMetrics
	fieldScopeMetrics    = 2
	fieldScope           = 1 // of ScopeMetrics
)

// request is the request of a batch, whose text is the metrics of a ScopeMetrics.
func (r *receiver) request(metrics []byte) []byte {
	bytesField := func(to []byte, number protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
	}
	scoped := append(bytesField(nil, fieldScope, r.scope), metrics...)
	ofResource := bytesField(bytesField(nil, fieldResource, r.resource), fieldScopeMetrics, scoped)
	return bytesField(nil, fieldResourceMetrics, ofResource)
}

func (r *receiver) post(ctx context.Context, metrics []byte) error {
	return r.export(ctx, r.request(metrics))
}

// export sends a request, and says what its answer means.
func (r *receiver) export(ctx context.Context, request []byte) error {
	packed, err := zipped(request)
	if err != nil {
		return err
	}
	res, body, err := r.ask(ctx, http.MethodPost, metricsPath, packed, http.Header{
		"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"gzip"},
	})
	if err != nil {
		return err
	}
	return taken(res, body)
}

// taken is what an answer to metrics means. The protocol names the answers after which the same may be sent again; after
// any other it must not be.
func taken(res *http.Response, body []byte) error {
	switch status := res.StatusCode; {
	case status/100 == 2:
		if rejected, why := partial(body); rejected > 0 {
			return &refusal{status: status, dropped: rejected, text: why}
		}
		return nil
	case status == http.StatusTooManyRequests, status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		t := later(res, body)
		t.text = statusText(body)
		return t
	default:
		return &refusal{status: status, final: !refused(status), text: statusText(body)}
	}
}

// partial is how many points an answer says were rejected, and why. An answer that is no message says nothing.
func partial(body []byte) (rejected int, why string) {
	success := field(body, 1)
	if n, size := protowire.ConsumeVarint(varint(success, 1)); size > 0 {
		rejected = int(min(n, 1<<31-1))
	}
	return rejected, said(field(success, 2))
}

// statusText is what an answer with an error says: a google.rpc.Status, or plain text.
func statusText(body []byte) string {
	if message := field(body, 2); len(message) > 0 {
		return valid(said(message))
	}
	return valid(said(body))
}

// field is the content of a message's field of bytes; nil where there is none.
func field(message []byte, number protowire.Number) []byte {
	value, kind := fieldOf(message, number)
	if kind != protowire.BytesType {
		return nil
	}
	content, size := protowire.ConsumeBytes(value)
	if size < 0 {
		return nil
	}
	return content
}

// varint begins with the number in a message's field; nil where there is none.
func varint(message []byte, number protowire.Number) []byte {
	value, kind := fieldOf(message, number)
	if kind != protowire.VarintType {
		return nil
	}
	return value
}

// fieldOf is what follows the tag of a field.
func fieldOf(message []byte, number protowire.Number) ([]byte, protowire.Type) {
	for len(message) > 0 {
		found, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, -1
		}
		message = message[size:]
		if found == number {
			return message, kind
		}
		if size = protowire.ConsumeFieldValue(found, kind, message); size < 0 {
			return nil, -1
		}
		message = message[size:]
	}
	return nil, -1
}

// valid is a text that a message may hold.
func valid(text string) string { return strings.ToValidUTF8(text, "?") }

// resourceOf describes a run by the attributes that OpenTelemetry has names for, and by its own name.
func resourceOf(name string, run record.Run) *resourcepb.Resource {
	var out resourcepb.Resource
	for _, a := range []struct{ key, value string }{
		{"service.name", "bakeoff"},
		{"service.version", run.Bakeoff},
		{"service.instance.id", name},
		{"test.suite.name", run.Name},
		{"host.name", run.Machine.Hostname},
		{"host.cpu.model.name", run.Machine.CPU},
		{"os.type", "linux"},
		{"os.description", run.Machine.OS},
		{"bakeoff.run", name},
	} {
		if a.value != "" {
			out.Attributes = append(out.Attributes, textAttribute(a.key, a.value))
		}
	}
	return &out
}

func textAttribute(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: valid(value)}}}
}

func intAttribute(key string, value int) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(value)}}}
}
