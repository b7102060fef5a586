package contract

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/show"
)

const (
	// dateTolerance is how far a Date may be from the time of its answer,
	// in addition to the second it is cut to: servers renew it once a second, and late on a busy machine.
	dateTolerance = 3 * time.Second
	// dateAdvance is the time after which an endpoint must say another Date.
	dateAdvance = dateTolerance + time.Second
)

// request sends one request, and looks at the Date of what comes back.
func (s *inspection) request(ctx context.Context, method string, at Endpoint, path string) answer {
	a := s.asker.ask(ctx, method, at.URL, path)
	if a.err == nil {
		s.findings.enter("date", at, s.examineDate(at, a))
		s.identify(at, a)
	}
	return a
}

// String is what an answer is, for people: the status and the start of the body.
func (a answer) String() string {
	if a.err != nil {
		return "no answer: " + a.err.Error()
	}
	return fmt.Sprintf("status %d, %s", a.status, a.shown)
}

// wrongType says what is wrong with the Content-Type, or "".
func wrongType(a answer) string {
	given := a.header.Values("Content-Type")
	kind, parameters, err := mime.ParseMediaType(strings.Join(given, ", "))
	charset, named := parameters["charset"]
	if err == nil && kind == "application/json" && (!named || strings.EqualFold(charset, "utf-8")) {
		return ""
	}
	return fmt.Sprintf("expected Content-Type application/json, got %q", given)
}

// dateSpan is what one endpoint said its time was, first and last.
type dateSpan struct {
	first, last     time.Time // as the header says
	firstAt, lastAt time.Time // when it was received
}

// examineDate says what is wrong with the Date of an answer (RFC 9110, 6.6.1),
// or "". Refusals are not looked at: servers that refuse a request before it reaches the
// application, such as gunicorn, put no Date on them.
func (s *inspection) examineDate(at Endpoint, a answer) string {
	if a.status != http.StatusOK {
		return ""
	}
	given := a.header.Values("Date")
	if len(given) != 1 {
		return fmt.Sprintf("expected one Date, got %q", given)
	}
	date, err := http.ParseTime(given[0])
	if err != nil {
		return fmt.Sprintf("expected a Date, got %q", given[0])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	span := s.dates[at.URL]
	if span == nil {
		span = &dateSpan{first: date, firstAt: a.read}
		s.dates[at.URL] = span
	}
	if a.asked.After(span.lastAt) {
		span.last, span.lastAt = date, a.asked
	}
	if date.Before(a.asked.Add(-time.Second-dateTolerance)) || date.After(a.read.Add(dateTolerance)) {
		return fmt.Sprintf("expected a Date near %s, got %q", a.read.UTC().Format(http.TimeFormat), given[0])
	}
	return ""
}

// checkDates enters whether the Date of each endpoint went on, where enough
// time passed to know. A full check waits until it has.
func (s *inspection) checkDates(ctx context.Context) error {
	for _, at := range s.all {
		span := s.dates[at.URL]
		if span == nil {
			continue
		}
		if s.Full {
			if err := pause(ctx, time.Until(span.firstAt.Add(dateAdvance))); err != nil {
				return err
			}
			s.request(ctx, http.MethodGet, at, "/ping")
		}
		if passed := span.lastAt.Sub(span.firstAt); passed >= dateAdvance && !span.last.After(span.first) {
			s.findings.enter("date", at, fmt.Sprintf("expected Date to advance, got the same after %s", passed.Round(time.Millisecond)))
		}
	}
	return nil
}

// checkPing asks for the nonce of each replica, and checks that the database
// saw nothing of it. What a pool does at the same time looks alike, so the count is repeated: a
// target that asks the database shows it every time.
func (s *inspection) checkPing(ctx context.Context) error {
	const times = 3
	var reads, rest int64
	for range times {
		for _, at := range s.all {
			s.findings.enter("ping", at, s.judgePing(at, s.request(ctx, http.MethodGet, at, "/ping")))
		}
		counted, err := s.since(ctx, 0)
		if err != nil {
			return err
		}
		if reads, rest = counted.Reads, others(counted); reads+rest == 0 {
			break
		}
	}
	problem := ""
	if reads+rest != 0 {
		problem = fmt.Sprintf("ping: sent %d requests, expected no statement, the database counted %d that read rows and %d others", len(s.all), reads, rest)
	}
	s.findings.enter("statements", Endpoint{}, problem)
	return nil
}

func (s *inspection) judgePing(at Endpoint, a answer) string {
	nonces := []string{at.Nonce}
	if at.Name == "" {
		nonces = s.nonces()
	}
	if a.err == nil && a.status == http.StatusOK && slices.Contains(nonces, strings.TrimSuffix(string(a.body), "\n")) {
		return ""
	}
	return fmt.Sprintf("asked /ping, expected status 200, %q, got %s", strings.Join(nonces, `" or "`), a)
}

// nonces are those of the replicas, each once.
func (s *inspection) nonces() []string {
	var out []string
	for _, at := range s.replicas {
		if !slices.Contains(out, at.Nonce) {
			out = append(out, at.Nonce)
		}
	}
	return out
}

// checkMethods sends what must not be answered as a lookup is.
func (s *inspection) checkMethods(ctx context.Context) error {
	l := s.present("")
	s.sideBySide(func(n int, at Endpoint) {
		if n > 0 && n < len(s.replicas) && !s.Full {
			return // one replica and the balancer will do
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			s.findings.enter("wrong method", at, refused(method, "/demo", s.request(ctx, method, at, demoPath(l.key))))
		}
		for _, path := range []string{"/nothing-here", "/demo/nothing-here?name=" + l.key} {
			s.findings.enter("unknown path", at, refused(http.MethodGet, path, s.request(ctx, http.MethodGet, at, path)))
		}
	})
	_, err := s.since(ctx, 0)
	return err
}

// refused says what is wrong with an answer that must be a refusal, or "".
func refused(method, path string, a answer) string {
	if a.err == nil && a.status >= 300 && a.status != http.StatusInternalServerError {
		return ""
	}
	return fmt.Sprintf("asked %s %s, expected a refusal, got %s", method, show.Excerpt(path, 60), a)
}

// checkIndex enters whether the lookup goes by the index on name.
func (s *inspection) checkIndex(ctx context.Context) error {
	index, err := s.Database.Explain(ctx, s.present("").key)
	if err != nil {
		return err
	}
	problem := ""
	if index != "name" {
		problem = fmt.Sprintf("expected the lookup to use index \"name\", EXPLAIN says %q", index)
	}
	s.findings.enter("index", Endpoint{}, problem)
	return nil
}
