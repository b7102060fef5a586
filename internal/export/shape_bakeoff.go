package export

import (
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Measurements of the schema bakeoff. Each has one set of tags, and every point has all of them; no field is
// named like a tag: InfluxDB 3 demands that.
const (
	measureWindows   = "bakeoff"           // a target's phase in one second
	measureReplicas  = "bakeoff_replicas"  // one replica in that second
	measureResources = "bakeoff_resources" // a process tree, or the machine, in a second
	measurePhases    = "bakeoff_phases"    // the exact figures of a phase whose trial has ended
	measureEvents    = "bakeoff_events"    // a phase begins, a trial has ended
)

// windowPoints writes one second of a phase and of its replicas.
func (s *shaper) windowPoints(t *shaped, tags []Tag, b *bucket) {
	w, on := &b.all, b.span()
	fields := []Field{
		{"on_ms", ms(on)},
		{"planned", w.Books.Planned},
		{"sent", w.Books.Sent},
		{"dropped", w.Books.Dropped},
		{"ok", w.Books.OK},
		{"bad", w.Books.Bad},
		{"timeout", w.Books.Timeout},
		{"error", w.Books.Error},
		{"unwritten", w.Unwritten},
		{"checked", w.Checked},
		{"hits", w.Hits},
		{"misses", w.Misses},
		{"opened", w.Opened},
		{"received_bytes", w.Received},
		{"written_bytes", w.Written},
		{"error_time_s", w.ErrorTime},
	}
	if on > 0 {
		fields = append(fields, Field{"offered_per_s", rate(b.counted.Planned, on)}, Field{"sent_per_s", rate(b.counted.Sent, on)},
			Field{"ok_per_s", rate(b.counted.OK, on)}, Field{"bad_per_s", rate(b.counted.Bad+b.counted.Timeout+b.counted.Error, on)})
	}
	if w.Lateness != nil {
		fields = append(fields, Field{"late", w.Books.Late}, Field{"queued", w.Books.Queued})
	}
	if w.InFlight != nil {
		fields = append(fields, Field{"in_flight_s", *w.InFlight})
	}
	if w.Resources != nil {
		fields = append(fields, Field{"agents_cpu_ns", int64(w.CPU)}, Field{"agents_gc_pause_ns", int64(w.GCPause)},
			Field{"agents_stopped_ns", w.Resources.Stopped}, Field{"agents_starved_ns", w.Resources.Starved})
	}
	fields = append(fields, distribution("response", w.Response)...)
	fields = append(fields, distribution("service", w.Service)...)
	fields = append(fields, distribution("lateness", w.Lateness)...)
	s.emit(Point{measureWindows, tags, fields, b.at})
	var answers int64
	for _, r := range w.Replicas {
		answers += r.Answers
	}
	replicas := s.fewReplicas(t.Target, w.Replicas)
	for _, name := range sorted(replicas) {
		r := replicas[name]
		fields := []Field{{"answers", r.Answers}, {"errors", r.Errors}}
		if answers > 0 {
			fields = append(fields, Field{"share", float64(r.Answers) / float64(answers)})
		}
		s.emit(Point{measureReplicas, with(tags, Tag{"replica", name}), append(fields, distribution("service", r.Service)...), b.at})
	}
}

// fewReplicas has those beyond the first 64 of a target as one.
func (s *shaper) fewReplicas(target string, all map[string]stats.Replica) map[string]stats.Replica {
	out := map[string]stats.Replica{}
	for _, name := range sorted(all) {
		few := s.few("replica of "+target, name)
		r, one := out[few], all[name]
		r.Answers, r.Errors = r.Answers+one.Answers, r.Errors+one.Errors
		if one.Service != nil {
			if r.Service == nil {
				r.Service = stats.NewHistogram()
			}
			r.Service.Merge(one.Service)
		}
		out[few] = r
	}
	return out
}

// distribution are a histogram's fields; none where it was not measured or is empty. Percentiles are those of its own
// samples, however few.
func distribution(name string, h *stats.Histogram) []Field {
	if h == nil || h.Count() == 0 {
		return nil
	}
	out := []Field{
		{name + "_count", h.Count()}, {name + "_over", h.Over()}, {name + "_mean_ms", ms(h.Mean())}, {name + "_min_ms", ms(h.Min())}, {name + "_max_ms", ms(h.Max())},
	}
	for _, p := range []float64{50, 90, 95, 99} {
		value, _ := h.Quantile(p / 100)
		out = append(out, Field{name + "_p" + strconv.FormatFloat(p, 'g', -1, 64) + "_ms", ms(value)})
	}
	return out
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func rate(n int64, d time.Duration) float64 { return float64(n) / d.Seconds() }

// series writes one sample of a tier's member; workers are left out, whose process ids are new in every trial.
func (s *shaper) series(t *shaped, x record.Series) {
	if strings.Contains(x.Name, "/") || !s.named("member", x.Name) {
		return
	}
	phase := "none"
	if x.Phase >= 0 {
		phase = s.phase(x.Phase).Name
	}
	fields := []Field{{"cpu_ns", x.CPUNS}, {"rss_bytes", x.RSSBytes}}
	if x.PSSBytes > 0 {
		fields = append(fields, Field{"pss_bytes", x.PSSBytes})
	}
	key := x.Tier + " " + x.Name
	if before, ok := t.last[key]; ok && x.At.After(before.At) && x.CPUNS >= before.CPUNS {
		fields = append(fields, Field{"cores", float64(x.CPUNS-before.CPUNS) / float64(x.At.Sub(before.At))})
	}
	t.last[key] = x
	for _, name := range sorted(x.Values) {
		fields = append(fields, Field{name, x.Values[name]})
	}
	s.emit(Point{measureResources, []Tag{
		{"member", x.Name}, {"phase", phase}, {"run", s.run}, {"target", t.Target}, {"tier", x.Tier},
	}, fields, x.At})
}

// summaryPoints are the exact figures of a finished trial, and that it has ended.
func summaryPoints(run string, t figures.Trial, ended time.Time, ends map[int]time.Time) []Point {
	begun := record.Begun{Block: t.Block, Position: t.Position, Target: t.Target, Attempt: t.Attempt}
	valid, text := int64(0), t.Status
	if t.Status == record.Valid {
		valid = 1
	}
	for _, r := range t.Reasons {
		text += "; " + r.Words()
	}
	out := []Point{{measureEvents, []Tag{{"kind", "trial"}, {"run", run}, {"target", t.Target}}, []Field{
		{"title", t.Status}, {"text", "block " + strconv.Itoa(t.Block) + ", " + t.Target + ": " + text}, {"block_number", int64(t.Block)},
	}, ended}}
	for _, p := range t.Phases {
		kind := kindOf(p.Number)
		if t.Block == 0 {
			kind = "pilot"
		}
		fields := []Field{
			{"valid", valid},
			{"status", t.Status},
			{"model", p.Model},
			{"duration_s", p.DurationS},
			{"planned", p.Books.Planned},
			{"sent", p.Books.Sent},
			{"dropped", p.Books.Dropped},
			{"ok", p.Books.OK},
			{"bad", p.Books.Bad},
			{"timeout", p.Books.Timeout},
			{"error", p.Books.Error},
			{"offered_per_s", p.Offered},
			{"achieved_per_s", p.Achieved},
			{"goodput_per_s", p.Goodput},
			{"imbalance", p.Imbalance},
			{"connections_opened", p.Opened},
		}
		if len(p.Lateness) > 0 && !p.Lateness[0].Unmeasured {
			fields = append(fields, Field{"late", p.Books.Late}, Field{"queued", p.Books.Queued})
		}
		if n := p.Witness.DatabaseReads; n >= 0 {
			fields = append(fields, Field{"database_reads", n}, Field{"reads_per_request", p.Witness.ReadsPerRequest})
		}
		if n := p.Witness.BalancerTotal; n >= 0 {
			fields = append(fields, Field{"balancer_requests", n})
		}
		fields = append(fields, supported("response", p.Response)...)
		fields = append(fields, supported("service", p.Service)...)
		fields = append(fields, supported("lateness", p.Lateness)...)
		out = append(out, Point{measurePhases, phaseTags(run, begun, p.Name, kind), fields, ends[p.Number]})
	}
	return out
}

// supported are the percentiles that enough samples support.
func supported(name string, percentiles []figures.Percentile) []Field {
	var out []Field
	for _, p := range percentiles {
		if p.Needs == 0 && !p.Unmeasured {
			out = append(out, Field{name + "_p" + strings.ReplaceAll(strconv.FormatFloat(p.P, 'g', -1, 64), ".", "_") + "_ms", p.Seconds * 1000})
		}
	}
	return out
}
