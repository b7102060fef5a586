package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/splitmix"
)

const (
	headerLimit  = 64 << 10 // bytes of one answer's header
	interimLimit = 8        // 1xx answers before the real one
	smallBody    = 16 << 10 // bytes of a body that is written with the header
	// longest bounds every time of a phase, so that their sums are times, too.
	longest = 366 * 24 * time.Hour
	// DefaultBodyLimit bounds the bytes of one body where a phase says nothing.
	DefaultBodyLimit = 1 << 20
)

// origin is where a connection goes.
type origin struct {
	address   string // host:port
	host      string // without the port: the name TLS asks for
	authority string // as the URL has it
	tls       bool
	secrets   *tls.Config // how TLS is agreed on; nil without it
	prefix    string      // of the path, without a final slash
	suffix    []byte      // what follows the request target
	places    *places     // the same where the key is in it; nil: it is not
	index     int         // in the job's URLs
	server    int         // which of the spread's
	name      string      // of the replica in the books when the answer names none; empty with a single URL
}

// socket is the path of the socket that connections are made to, where they are not made to an address.
func (o *origin) socket() (path string, ok bool) { return strings.CutPrefix(o.address, "unix:") }

// check refuses jobs that cannot be carried out as they are written.
func (j *Job) check() error {
	p := &j.Phase
	switch {
	case p.Model != Open && p.Model != Closed:
		return fmt.Errorf("load: model %q is neither %q nor %q", p.Model, Open, Closed)
	case p.Connections < 1:
		return fmt.Errorf("load: %d connections", p.Connections)
	case p.Duration <= 0 || p.Timeout <= 0:
		return fmt.Errorf("load: duration %v and time-out %v must be above 0", p.Duration, p.Timeout)
	case max(p.Duration, p.Timeout, p.Ramp, p.Think) > longest:
		return fmt.Errorf("load: duration %v, time-out %v, ramp %v and think time %v must be at most %v", p.Duration, p.Timeout, p.Ramp, p.Think, longest)
	case p.Ramp < 0 || p.Think < 0 || p.BodyLimit < 0 || p.Requests < 0:
		return errors.New("load: ramp, think time, body limit and number of requests must not be negative")
	case !(p.CheckShare >= 0 && p.CheckShare <= 1):
		return fmt.Errorf("load: check share %v is not within 0 and 1", p.CheckShare)
	case len(j.URLs) == 0:
		return errors.New("load: no URL")
	case len(j.Dial) != 0 && len(j.Dial) != len(j.URLs):
		return fmt.Errorf("load: %d addresses for %d URLs", len(j.Dial), len(j.URLs))
	case j.Workload == nil:
		return errors.New("load: no workload")
	}
	if err := j.Share.check(); err != nil {
		return err
	}
	if p.Model == Open && p.Connections < j.Share.Of {
		return fmt.Errorf("load: %d agents cannot share %d connections in the open model", j.Share.Of, p.Connections)
	}
	if p.BodyLimit == 0 {
		p.BodyLimit = DefaultBodyLimit
	}
	if j.Method == "" {
		j.Method = http.MethodGet
	}
	j.byURL, _ = j.Workload.(ByURL)
	j.byMove, _ = j.Workload.(ByMove)
	j.byStatus, _ = j.Workload.(ByStatus)
	j.explains, _ = j.Workload.(Explainer)
	j.checker = p.Checker()
	if k, ok := j.Workload.(ByKey); ok && j.holds(k.KeyMark()) {
		j.byKey = k
	}
	return nil
}

// Check says what in the job no engine can carry out, or nil. It does nothing
// and looks nothing up.
func (j Job) Check() error {
	if err := j.check(); err != nil {
		return err
	}
	if _, err := j.spread(); err != nil || j.Phase.Model == Closed {
		return err
	}
	_, err := NewSchedule(j.Seed, j.Phase, j.Share)
	return err
}

// FirstDue is when, after the start, the first request of this agent's share
// is due; ok is false where it has none or the job cannot be carried out.
func (j Job) FirstDue() (at time.Duration, ok bool) {
	if j.Phase.Model == Closed {
		at = closedStart(j.Phase, j.Share.Index)
		return at, j.Share.Index < j.Phase.Connections && at < j.Phase.Duration
	}
	s, err := NewSchedule(j.Seed, j.Phase, j.Share)
	if err != nil {
		return 0, false
	}
	_, at, ok = s.Next()
	return at, ok
}

// connections are the numbers, over all agents, of this agent's connections.
func (j *Job) connections() []int {
	var own []int
	for c := j.Share.Index; c < j.Phase.Connections; c += j.Share.Of {
		own = append(own, c)
	}
	return own
}

// spread is how requests and connections go to the URLs.
func (j *Job) spread() (*spread, error) {
	origins, err := j.origins()
	if err != nil {
		return nil, err
	}
	s := newSpread(origins)
	return s, s.check(j.Phase, j.Share)
}

// origins resolves the base URLs and prepares everything of a request but its target.
func (j *Job) origins() ([]origin, error) {
	if !isToken(j.Method) {
		return nil, fmt.Errorf("load: method %q is not a token", j.Method)
	}
	out := make([]origin, 0, len(j.URLs))
	for i, raw := range j.URLs {
		u, err := url.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			return nil, fmt.Errorf("load: %q is not a base URL such as http://127.0.0.1:8080", raw)
		}
		o := origin{index: i, host: u.Hostname(), authority: u.Host, tls: u.Scheme == "https", prefix: strings.TrimSuffix(u.EscapedPath(), "/")}
		port := u.Port()
		if port == "" {
			port = map[bool]string{false: "80", true: "443"}[o.tls]
		}
		o.address = net.JoinHostPort(o.host, port)
		if len(j.Dial) > 0 {
			o.address = j.Dial[i]
		}
		if len(j.URLs) > 1 {
			o.name = u.Host
			if slices.ContainsFunc(out, func(other origin) bool { return other.authority == o.authority && other.address != o.address }) {
				o.name = o.address // another address of the same name
			}
		}
		if o.suffix, err = j.suffix(u.Host); err != nil {
			return nil, err
		}
		if j.byKey != nil {
			o.places = j.places(u.Host)
		}
		out = append(out, o)
	}
	return out, nil
}

// suffix is the rest of every request after its target, except for a large body.
func (j *Job) suffix(host string) ([]byte, error) {
	b := []byte(" HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, f := range j.Header {
		if err := f.Check(); err != nil {
			return nil, err
		}
		b = append(b, f.Name+": "+f.Value+"\r\n"...)
	}
	if j.Phase.Reconnect {
		b = append(b, "Connection: close\r\n"...)
	}
	if j.hasBody() {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(j.Body))
	}
	b = append(b, "\r\n"...)
	if len(j.Body) <= smallBody {
		b = append(b, j.Body...)
	}
	return b, nil
}

// large is the body that is written after the rest of a request, and not with it; nil: there is none. It is
// not copied for each connection, and an answer to it may come before all of it is written.
func (j *Job) large() []byte {
	if len(j.Body) <= smallBody || j.byKey != nil {
		return nil
	}
	return j.Body
}

// hasBody reports whether a request says how long its body is, be it 0: that of a method for
// which a body has a meaning does (RFC 9110, 8.6).
func (j *Job) hasBody() bool {
	switch j.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	}
	return len(j.Body) > 0
}

// Check says why a field cannot be in a request's header, or nil.
func (f Field) Check() error {
	if err := f.fault(); err != nil {
		return fmt.Errorf("load: header %q: %w", f.Name, err)
	}
	return nil
}

func (f Field) fault() error {
	if i := strings.IndexFunc(f.Name, func(c rune) bool { return c >= 0x80 || !isToken(string(c)) }); i >= 0 || f.Name == "" {
		return fmt.Errorf("%q cannot be in the name", f.Name[max(i, 0):min(max(i, 0)+1, len(f.Name))])
	}
	if i := strings.IndexFunc(f.Value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }); i >= 0 {
		return fmt.Errorf("%q cannot be in the value", f.Value[i:i+1])
	}
	switch http.CanonicalHeaderKey(f.Name) {
	case "Host", "Connection", "Content-Length", "Transfer-Encoding":
		return errors.New("it belongs to the engine")
	}
	return nil
}

// isToken reports whether s is a token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// appendRequest builds one request in dst; an error means the workload's
// target would break the request's framing.
func (j *Job) appendRequest(dst []byte, o *origin, stream, n uint64) ([]byte, error) {
	dst = append(dst, j.Method...)
	dst = append(dst, ' ')
	dst = append(dst, o.prefix...)
	from := len(dst)
	dst = j.appendTarget(dst, o, stream, n)
	if len(dst) == from || dst[from] != '/' {
		return dst, errRequest
	}
	for _, c := range dst[from:] {
		if c <= ' ' || c >= 0x7f {
			return dst, errRequest
		}
	}
	if o.places != nil {
		return o.places.append(dst, j.byKey, stream, n), nil
	}
	return append(dst, o.suffix...), nil
}

// appendTarget appends what the workload asks of the URL.
func (j *Job) appendTarget(dst []byte, o *origin, stream, n uint64) []byte {
	if j.byURL != nil {
		return j.byURL.AppendTargetOf(dst, o.index, stream, n)
	}
	return j.Workload.AppendTarget(dst, stream, n)
}

// stream is the identity of a sequence of requests; connection is -1 in the open model.
func (j *Job) stream(connection int) uint64 {
	return uint64(j.Phase.Number)<<32 | uint64(connection+1)
}

// checks reports whether the body of the answer to request n of a stream is checked.
func (j *Job) checks(stream, n uint64) bool { return j.checker.Checks(stream, n) }

// A Checker picks the answers of a phase whose body is checked: a pure function of the phase's salt and of a request's identity,
// so that all agents agree, and a reader of the record with them.
type Checker struct {
	share float64
	key   splitmix.Key
}

// Checker picks CheckShare of the phase's answers.
func (p Phase) Checker() Checker { return Checker{p.CheckShare, splitmix.NewKey(p.Salt, "checks")} }

// Checks reports whether the answer to request n of a stream is among them.
func (c Checker) Checks(stream, n uint64) bool {
	if c.share >= 1 {
		return true
	}
	drawn := splitmix.Mix(splitmix.Mix(stream) ^ n)
	if !c.key.IsZero() {
		drawn = c.key.Draw(stream, n)
	}
	return float64(drawn>>11)/(1<<53) < c.share
}

// moving is the change that concerns a request; -1: none.
func (j *Job) moving(stream, n uint64) int {
	if j.byMove == nil {
		return -1
	}
	return j.byMove.Moving(stream, n)
}

// rightStatus reports whether a status is that of an ok answer.
func (j *Job) rightStatus(status int) bool {
	if j.byStatus != nil {
		return j.byStatus.RightStatus(status)
	}
	return status == http.StatusOK
}

// judge fills in what a whole answer is worth. body is nil where it was not kept.
func (j *Job) judge(r *result, length int64, body []byte) {
	r.answered = true
	r.hit, r.known = j.Workload.Hit(r.stream, r.n)
	if r.move = 1 + j.moving(r.stream, r.n); r.move > 0 {
		r.after, r.hit, r.class = j.byMove.Moved(r.stream, r.n, r.status, body)
		r.checked = j.checks(r.stream, r.n) // the body was kept in any case
		if r.wrong = r.class != "" && j.rightStatus(r.status); r.wrong {
			r.words = fmt.Sprintf("right neither before the row changed nor after it: got %.200q", body)
			if j.explains != nil {
				r.words = j.explains.Explain(r.stream, r.n, length, body) + ", which is right neither before the row changed nor after it"
			}
		}
		return
	}
	switch {
	case !j.rightStatus(r.status):
		r.class = statusClass(r.status)
	case !j.Workload.Length(r.stream, r.n, length):
		r.class, r.wrong = "wrong length", true
	case r.checked:
		r.class = j.Workload.Check(r.stream, r.n, r.status, body)
		r.wrong = r.class != ""
	}
	if r.wrong && j.explains != nil {
		if !r.checked {
			body = nil
		}
		r.words = j.explains.Explain(r.stream, r.n, length, body)
	}
}

// monotonic is moment with a monotonic reading, even if t came from another process.
func monotonic(t time.Time) time.Time {
	now := time.Now()
	return now.Add(t.Sub(now))
}
