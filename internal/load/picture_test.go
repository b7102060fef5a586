package load

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

// moments notes when each request was sent and when its answer was there: the
// engine asks for the target at the send and for the check at the end.
type moments struct {
	echoWork
	start       time.Time
	mu          sync.Mutex
	sent, ended map[uint64]time.Duration
}

func (m *moments) AppendTarget(dst []byte, stream, n uint64) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent[n] = time.Since(m.start)
	return m.echoWork.AppendTarget(dst, stream, n)
}

func (m *moments) Check(stream, n uint64, status int, body []byte) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[n] = time.Since(m.start)
	return m.echoWork.Check(stream, n, status, body)
}

// TestBenchStallPicture draws each request of one measured stall by both
// clocks. It runs with BAKEOFF_BENCH=1.
func TestBenchStallPicture(t *testing.T) {
	if os.Getenv("BAKEOFF_BENCH") == "" {
		t.Skip("set BAKEOFF_BENCH=1")
	}
	s := stallRun{2 * time.Second, 30 * time.Second, 400}
	server := (&loadtest.Freezer{After: 14 * time.Second, Length: s.stall, Pause: ms}).Start(t)
	start := time.Now().Add(100 * ms)
	server.Begin(start)
	m := &moments{start: start, sent: map[uint64]time.Duration{}, ended: map[uint64]time.Duration{}}
	job := s.job(server.URL(), start, 20)
	job.Workload, job.Phase.CheckShare = m, 1
	sum := collectAll(t, NewRaw(1), 1, job)
	if sum.Books.OK != sum.Books.Planned || len(m.ended) != int(sum.Books.OK) {
		t.Fatalf("books %+v, %d noted", sum.Books, len(m.ended))
	}
	p := picture{from: 13 * time.Second, to: 17500 * ms, high: 2200 * ms, truth: server.Freeze(s.rate).Quantile(0.99, s.duration)}
	for n := range uint64(sum.Books.OK) {
		due := time.Duration(float64(n) / s.rate * 1e9)
		if due < p.from || due > p.to {
			continue
		}
		p.honest = append(p.honest, dot{due, m.ended[n] - due})
		p.blind = append(p.blind, dot{m.sent[n], m.ended[n] - m.sent[n]})
	}
	p.response, p.service = percentilesOf(sum.Response), percentilesOf(sum.Service)
	t.Logf("from when it was due: %s; from the send: %s; truth p99 %v", p.response, p.service, p.truth)
	if err := os.WriteFile("../../docs/stall.svg", []byte(p.svg(s)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func percentilesOf(h *stats.Histogram) string {
	p50, _ := h.Quantile(0.5)
	p99, _ := h.Quantile(0.99)
	return fmt.Sprintf("p50 %s, p99 %s", loadtest.Milliseconds(p50), loadtest.Milliseconds(p99))
}

// dot is one request: a moment of the run, and how long it took.
type dot struct{ at, took time.Duration }

// picture is one stall as two clocks see it.
type picture struct {
	from, to, high    time.Duration
	honest, blind     []dot
	response, service string
	truth             time.Duration
}

const (
	pictureWidth, pictureHeight             = 860, 430
	pictureLeft, pictureRight, pictureTop   = 60, 20, 96
	pictureBottom                           = 46
	honestColour, blindColour, pictureMuted = "#c2410c", "#1d4ed8", "#666666"
)

func (p *picture) x(at time.Duration) float64 {
	return pictureLeft + (pictureWidth-pictureLeft-pictureRight)*float64(at-p.from)/float64(p.to-p.from)
}

func (p *picture) y(took time.Duration) float64 {
	return pictureHeight - pictureBottom - (pictureHeight-pictureTop-pictureBottom)*float64(took)/float64(p.high)
}

func (p *picture) svg(s stallRun) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="13">
<rect width="%[1]d" height="%[2]d" fill="#ffffff"/>
`, pictureWidth, pictureHeight)
	text := func(x, y float64, more, format string, args ...any) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, more, fmt.Sprintf(format, args...))
	}
	text(pictureLeft, 24, `font-weight="bold"`, "One stall by two clocks: %v requests a second for %v, 20 connections, all answers held for %v", s.rate, s.duration, s.stall)
	fmt.Fprintf(&b, `<circle cx="%d" cy="44" r="4" fill="%s"/><circle cx="%d" cy="66" r="4" fill="%s"/>`+"\n", pictureLeft+5, honestColour, pictureLeft+5, blindColour)
	text(pictureLeft+16, 48, `fill="`+honestColour+`"`, "from when each request was due (response time): %s; the truth is p99 %s", p.response, loadtest.Milliseconds(p.truth))
	text(pictureLeft+16, 70, `fill="`+blindColour+`"`, "from when it was sent (service time; all that coordinated omission leaves): %s", p.service)
	fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#f1f1f1"/>`+"\n", p.x(14*time.Second), pictureTop,
		p.x(14*time.Second+s.stall)-p.x(14*time.Second), pictureHeight-pictureTop-pictureBottom)
	text(p.x(14*time.Second)+6, pictureTop+16, `fill="`+pictureMuted+`"`, "the server answers nothing")
	for took := time.Duration(0); took <= 2*time.Second; took += 500 * ms {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1[3]f" stroke="#dddddd"/>`+"\n", pictureLeft, pictureWidth-pictureRight, p.y(took))
		text(pictureLeft-8, p.y(took)+4, `text-anchor="end" fill="`+pictureMuted+`"`, "%.1f s", took.Seconds())
	}
	for at := p.from; at <= p.to; at += 500 * ms {
		text(p.x(at), pictureHeight-pictureBottom+18, `text-anchor="middle" fill="`+pictureMuted+`"`, "%.1f s", at.Seconds())
	}
	text(pictureLeft, pictureHeight-8, `fill="`+pictureMuted+`"`, "across: when the clock starts; up: until the last byte of the answer. Each request is a dot of each colour.")
	under := 0
	for _, d := range p.blind {
		if d.took > time.Second {
			under++
		}
	}
	text(p.x(14*time.Second)+22, p.y(2*time.Second)+2, `fill="`+blindColour+`"`, "%d requests were under way: the only slow ones by this clock", under)
	p.dots(&b, p.honest, honestColour)
	p.dots(&b, p.blind, blindColour)
	b.WriteString("</svg>\n")
	return b.String()
}

// dots draws one path of round points.
func (p *picture) dots(b *strings.Builder, all []dot, colour string) {
	fmt.Fprintf(b, `<path stroke="%s" stroke-width="4" stroke-linecap="round" stroke-opacity="0.6" d="`, colour)
	for _, d := range slices.Backward(all) {
		if x := p.x(d.at); x >= pictureLeft && x <= pictureWidth-pictureRight {
			fmt.Fprintf(b, "M%.1f %.1fh0", x, p.y(d.took))
		}
	}
	b.WriteString(`"/>` + "\n")
}
