package measure

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"bakeoff/internal/stats"
)

// Files are the files a measurement is written to as it goes on. Writing
// never disturbs it: the first error is reported at the end.
type Files struct {
	hlog, hgrm, windows *file
	header              bool  // of the hlog was written
	start               int64 // of the phase, Unix time in ms, as exactly as the first second's arrival shows
	err                 error
}

// file is one of them; nil where it is not asked for.
type file struct {
	file *os.File
	*bufio.Writer
}

// Paths name the files a measurement is written to; empty: not asked for.
type Paths struct{ HLog, HGRM, Windows string }

// OpenError is a file that cannot be written.
type OpenError struct {
	Flag string // such as "hlog"
	Err  error
}

func (e *OpenError) Error() string { return fmt.Sprintf("--%s: %v", e.Flag, e.Err) }
func (e *OpenError) Unwrap() error { return e.Err }

// OpenFiles makes the files asked for, or none; the error is an OpenError.
func OpenFiles(p Paths) (*Files, error) {
	l := &Files{}
	for _, one := range []struct {
		flag, path string
		place      **file
	}{{"hlog", p.HLog, &l.hlog}, {"hgrm", p.HGRM, &l.hgrm}, {"window-json", p.Windows, &l.windows}} {
		if one.path == "" {
			continue
		}
		f, err := os.Create(one.path)
		if err != nil {
			return nil, errors.Join(&OpenError{one.flag, err}, l.Close(nil))
		}
		*one.place = &file{f, bufio.NewWriter(f)}
	}
	return l, nil
}

func (l *Files) fail(err error) {
	if l.err == nil && err != nil {
		l.err = fmt.Errorf("load: %w", err)
	}
}

// window writes one agent's window.
func (l *Files) window(agent int, w stats.Window) {
	if l.windows == nil {
		return
	}
	l.fail(json.NewEncoder(l.windows).Encode(struct {
		Agent int `json:"agent"`
		stats.Window
	}{agent, w}))
	l.fail(l.windows.Flush()) // whatever ends this process, what is measured by now is there
}

// second writes the times of one second of all agents, with two tags.
func (l *Files) second(m *Measurement, t *tally) {
	if l.hlog == nil {
		return
	}
	w := hdrhistogram.NewHistogramLogWriter(l.hlog)
	if !l.header {
		l.header = true
		l.start = time.Now().Add(-min(t.End(), m.phase.Duration)).UnixMilli()
		l.fail(errors.Join(w.OutputComment("[Logged by bakeoff load; nanoseconds; time-outs and drops with their bound; errors left out]"),
			w.OutputLogFormatVersion(), w.OutputStartTime(l.start), w.OutputLegend()))
	}
	for _, one := range []struct {
		tag string
		h   *stats.Histogram
	}{{"response", t.Response}, {"service", t.Service}} {
		h := one.h.HDR()
		h.SetTag(one.tag)
		h.SetStartTimeMs(l.start + t.Begin.Milliseconds())
		h.SetEndTimeMs(l.start + t.End().Milliseconds())
		l.fail(w.OutputIntervalHistogram(h))
	}
	l.fail(l.hlog.Flush())
}

// Close writes what is left; m is nil when nothing was measured.
func (l *Files) Close(m *Measurement) error {
	if l.hgrm != nil && m != nil {
		_, err := m.total.Response.HDR().PercentilesPrint(l.hgrm, 5, float64(time.Millisecond))
		l.fail(err)
	}
	for _, f := range []*file{l.hlog, l.hgrm, l.windows} {
		if f != nil {
			l.fail(f.Flush())
			l.fail(f.file.Close())
		}
	}
	return l.err
}
