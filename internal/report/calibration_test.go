package report

import (
	"strings"
	"testing"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
)

// calibrationFaked is one that a machine may have.
func calibrationFaked() record.Calibration {
	return record.Calibration{
		At: time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC), Seconds: 154, Bakeoff: "1", Engine: "native", Agents: 2,
		Rest:     record.Baseline{Seconds: 5.003, Looks: 1, Disturbance: record.Disturbance{Foreign: 0.013, Steal: 0.001, CPUTimeNS: 10e9}},
		Ceilings: map[string]float64{record.PathNginx: 21_340, record.PathDirect: 49_298},
		Constant: record.ConstantServer{ServerS: 0.01, P50S: 0.0102, P99S: 0.0111},
		Stall:    record.Stall{StallS: 2, RateS: 500, ForS: 12, TrueS: 1.883, SeenS: 1.88, Honest: true},
		Noise:    record.Noise{Blocks: 10, PhaseS: 3, SD: 0.006, Detects: 0.0182, Ratio: 1.0012, Low: 0.995, High: 1.0074, Verdict: "equivalent"},
		Planted:  record.Planted{More: 0.05, Ratio: 1.048, Low: 1.04, High: 1.056, Verdict: "better", Found: true},
	}
}

func TestWriteCalibration(t *testing.T) {
	var b strings.Builder
	if err := WriteCalibration(&b, calibrationFaked(), "/cache/x.json"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"21,340 answers/s", "49,298 answers/s", "p50 10.2 ms", "true 1.88 s: within 3 %", "equivalent", "5 % more work than null-a", "found: null-a is better", "ratio 1.0480 [1.0400, 1.0560]",
		"on this machine bakeoff shows differences from 1.8 % (p <= 0.05 of one pair, 10 blocks of 3.00 s, null servers; 2026-11-28); better and worse also need more than delta",
		"more than delta; before it others used 1.4 % of the machine (in 5 s)", "kept in /cache/x.json",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	bad := calibrationFaked()
	bad.Rest = record.Baseline{}
	bad.Stall.Honest, bad.Planted.Found, bad.Planted.Verdict = false, false, "inconclusive"
	b.Reset()
	if err := WriteCalibration(&b, bad, ""); err != nil || strings.Contains(b.String(), "before it") || !strings.Contains(b.String(), "more than 3 % apart") ||
		!strings.Contains(b.String(), "not found: null-a and it are not told apart") || !strings.Contains(b.String(), "; not kept") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// Every report says how small a difference its machine shows, or that nobody knows.
func TestReportsSayTheCalibration(t *testing.T) {
	s := &figures.Summary{}
	if rows := outcome(s, figures.Others{}).Rows; strings.Contains(strings.Join(rows[len(rows)-1], " "), "calibrated") {
		t.Errorf("%q", rows)
	}
	c := calibrationFaked()
	s.Calibration = &c
	rows := outcome(s, figures.Others{}).Rows
	if last := strings.Join(rows[len(rows)-1], " "); !strings.HasPrefix(last, "calibrated on this machine bakeoff shows differences from 1.8 %") {
		t.Errorf("%q", last)
	}
	if text := calibrationInWords(&c, figures.Facts{Started: c.At}); !strings.Contains(text, "ceiling 21,340 answers/s through nginx") || !strings.Contains(text, "5 % more work was found") {
		t.Error(text)
	}
	const old, other = "; it was older than 30 days, so that its ceiling decided nothing", "; it was made by another version of bakeoff, 1, so that its ceiling decided nothing"
	for _, run := range []struct {
		after   time.Duration
		version string
		said    string
	}{{record.CalibrationLasts, "1", ""}, {record.CalibrationLasts + time.Second, "1", old}, {time.Hour, "2", other}} {
		s.Run.Started, s.Run.Bakeoff = c.At.Add(run.after), run.version
		rows := outcome(s, figures.Others{}).Rows
		if row := rows[len(rows)-1][1]; !strings.HasSuffix(row, "more than delta"+run.said) {
			t.Errorf("%+v: %q", run, row)
		}
		if text := calibrationInWords(&c, s.Run); !strings.Contains(text, "(in 5 s)"+run.said+"; ceiling") {
			t.Errorf("%+v: %q", run, text)
		}
	}
	if text := calibrationInWords(nil, figures.Facts{}); !strings.Contains(text, "none of this machine") {
		t.Error(text)
	}
}
