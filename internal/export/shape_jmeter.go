package export

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/stats"
)

// The schema jmeter is what the InfluxDB listener of JMeter 5.6 writes, name by name and type by type: the
// measurement jmeter, the tag statut, percentiles such as pct90.0, numbers as floats, one point every 5 s at the
// end of the interval, annotations in events. The application is the target.
const (
	measureJMeter       = "jmeter"
	measureJMeterEvents = "events"
	jmeterEvery         = 5 * time.Second
)

// pathOf is the path that a URL asks for: without its query, since there may be many of those.
func pathOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.EscapedPath() == "" {
		return "/"
	}
	return u.EscapedPath()
}

// label is what a target is asked for, as the name of JMeter's sampler.
func (s *naming) label(target string) string {
	if label := s.labels[target]; label != "" {
		return label
	}
	return "GET /demo"
}

// annotate writes an annotation as JMeter does.
func (s *shaper) annotate(t *shaped, at time.Time, text string) {
	tags := []Tag{{"application", t.Target}, {"title", "ApacheJMeter"}}
	s.emit(Point{measureJMeterEvents, tags, []Field{{"text", s.run + ", block " + strconv.Itoa(t.Block) + ": " + text}}, at})
}

// jmeterPoints writes one interval of a target.
func (s *shaper) jmeterPoints(target string, b *bucket) {
	w, at := &b.all, b.at.Add(jmeterEvery)
	failed := w.Books.Bad + w.Books.Timeout + w.Books.Error
	all := w.Books.OK + failed
	write := func(transaction, statut string, fields []Field) {
		s.emit(Point{measureJMeter, []Tag{{"application", target}, {"statut", statut}, {"transaction", transaction}}, fields, at})
	}
	bytes := []Field{{"hit", float64(all)}, {"sb", float64(w.Written)}, {"rb", float64(w.Received)}}
	times, ok := w.Response, w.OKResponse()
	if times == nil {
		times, ok = w.Service, w.OKService()
	}
	total := []Field{{"count", float64(all)}, {"countError", float64(failed)}}
	if ok != nil && w.Books.OK > 0 {
		total = append(total, extremes(ok)...)
	}
	write("all", "all", append(append(total, bytes...), percentiles(times)...))
	label := s.label(target)
	one := func(statut string, count int64, h *stats.Histogram) {
		if count > 0 {
			fields := append([]Field{{"count", float64(count)}}, extremes(h)...)
			write(label, statut, append(append(fields, bytes...), percentiles(h)...))
		}
	}
	one("all", all, times)
	one("ok", w.Books.OK, ok)
	bad := w.BadResponse
	if w.Response == nil {
		bad = w.BadService
	}
	one("ko", failed, bad)
	s.jmeterErrors(target, label, w, at)
	if n := float64(b.connections); n > 0 {
		write("internal", "", []Field{{"minAT", n}, {"maxAT", n}, {"meanAT", n}, {"startedT", n}, {"endedT", 0.0}})
	}
}

// jmeterErrors writes how many there were of each class of failures.
func (s *shaper) jmeterErrors(target, label string, w *stats.Totals, at time.Time) {
	counts := map[string]int64{}
	for _, class := range sorted(w.Outcomes) { // which of them are the first is always the same
		counts[s.few("outcome", class)] += w.Outcomes[class]
	}
	for _, class := range sorted(counts) {
		code, message := "Non HTTP response code: "+class, "Non HTTP response message: "+class
		if status, ok := strings.CutPrefix(class, "status "); ok {
			number, _ := strconv.Atoi(status) // 0 has no text
			code, message = status, http.StatusText(number)
		}
		if message == "" {
			message = "none"
		}
		tags := []Tag{{"application", target}, {"responseCode", code}, {"responseMessage", message}, {"transaction", label}}
		s.emit(Point{measureJMeter, tags, []Field{{"count", float64(counts[class])}}, at})
	}
}

func extremes(h *stats.Histogram) []Field {
	if h == nil || h.Count() == h.Over() {
		return nil
	}
	return []Field{{"avg", ms(h.Mean())}, {"min", ms(h.Min())}, {"max", ms(h.Max())}}
}

// percentiles of the interval; what timed out or was never sent counts as a lower bound.
func percentiles(h *stats.Histogram) []Field {
	if h == nil || h.Count() == 0 {
		return nil
	}
	var out []Field
	for _, p := range []float64{50, 90, 95, 99} {
		value, _ := h.Quantile(p / 100)
		out = append(out, Field{"pct" + strconv.FormatFloat(p, 'f', 1, 64), ms(value)})
	}
	return out
}

// everyTag is a point that has all tags of JMeter's measurement: InfluxDB 3 takes no tag into a table that its
// first point did not have.
func everyTag(at time.Time) Point {
	return Point{measureJMeter, []Tag{
		{"application", "none"}, {"responseCode", "none"}, {"responseMessage", "none"}, {"statut", "none"}, {"transaction", "internal"},
	}, []Field{{"startedT", 0.0}}, at}
}
