package calibrate

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/verdict"
)

// machine is one whose servers do as they say.
type machine struct {
	asked   []string
	stalled time.Duration        // that the server will hold its answers
	hides   bool                 // the agents wait in a stall as a closed model does
	rates   map[string]float64   // by way
	values  map[string][]float64 // of blocks, by target; nil: the planted one is 5 % slower
	err     error
	// disturbed is how many phases of a step others disturb, late in how many an agent falls behind.
	disturbed, late map[string]int
	designed        Design
}

func (m *machine) parts() Parts {
	return Parts{
		Load: m.load, Ask: func(_ context.Context, path string) error {
			m.asked = append(m.asked, path)
			words := strings.Split(path, "/")
			var err error
			m.stalled, err = time.ParseDuration(words[3])
			return err
		},
		Compare: m.compare, Progress: func(string, time.Duration) {},
	}
}

func (m *machine) load(_ context.Context, way, path string, p load.Phase) (Loaded, error) {
	time.Sleep(p.Duration)
	w := stats.Window{Length: p.Duration, Service: stats.NewHistogram(), Response: stats.NewHistogram()}
	n := int64(m.rates[way] * p.Duration.Seconds())
	step := stepOf(path, p)
	disturbed := m.disturbed[step] > 0
	switch step {
	case "constant":
		n = int64(float64(p.Connections) * 100 * p.Duration.Seconds())
		w.Service.RecordN(map[bool]time.Duration{false: 10 * time.Millisecond, true: 20 * time.Millisecond}[disturbed], n)
	case "stall":
		n = int64(p.Rate * p.Duration.Seconds())
		for i := range n { // the stall begins with the phase; what has waited is answered at the ceiling
			due := time.Duration(float64(i) / p.Rate * float64(time.Second))
			left := m.stalled + time.Duration(float64(i)/m.rates[way]*float64(time.Second)) - due
			if m.hides && i >= 8 {
				left = 0
			}
			if disturbed {
				left += time.Second
			}
			w.Response.Record(max(left, time.Millisecond))
		}
	}
	w.Books = stats.Books{Planned: n, Sent: n, OK: n}
	sum := stats.Totals{Sending: p.Duration}
	sum.Add(w)
	out := Loaded{Totals: sum}
	if disturbed {
		m.disturbed[step]--
		out.Books.OK /= 2 // it looks slower then
		out.Disturbed = []string{"others"}
	}
	if m.late[step] > 0 {
		m.late[step]--
		out.Late = []string{"late"}
	}
	return out, m.err
}

// stepOf names the step that a phase belongs to.
func stepOf(path string, p load.Phase) string {
	switch {
	case strings.HasPrefix(path, "/wait/"):
		return "constant"
	case p.Model == load.Open:
		return "stall"
	case p.Duration == 3*time.Second:
		return "ceiling"
	}
	return "warm-up"
}

func (m *machine) compare(_ context.Context, d Design) (*figures.Verdict, error) {
	m.designed = d
	var table verdict.Table
	for _, t := range d.Targets {
		for block := range d.Blocks {
			value := 1000 * (1 + 0.002*math.Sin(float64(block*7)+float64(t.Name[5])))
			if values := m.values[t.Name]; values != nil {
				value = values[block]
			} else if t.Name == planted {
				value /= 1.05
			}
			if err := table.Add(verdict.Cell{Block: string(rune('a' + block)), Target: t.Name, Value: value}); err != nil {
				return nil, err
			}
		}
	}
	r, err := verdict.Judge(&table, verdict.Options{Delta: 0.03, Better: verdict.Higher})
	return &figures.Verdict{Result: r}, err
}

func good() *machine {
	return &machine{rates: map[string]float64{record.PathNginx: 20_000, record.PathDirect: 40_000}}
}

func TestCalibration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := good()
		c, err := Run(t.Context(), m.parts(), false)
		if err != nil {
			t.Fatal(err)
		}
		if c.Ceilings[record.PathNginx] != 20_000 || c.Ceilings[record.PathDirect] != 40_000 {
			t.Errorf("ceilings %v", c.Ceilings)
		}
		if math.Abs(c.Constant.P50S-0.01) > 1e-4 || c.Constant.ServerS != 0.01 {
			t.Errorf("%+v", c.Constant)
		}
		if len(m.asked) != 1 || m.asked[0] != "/stall/3s/2s" || !c.Stall.Honest || math.Abs(c.Stall.TrueS-1.883) > 0.001 || c.Stall.RateS != 500 {
			t.Errorf("%v: %+v", m.asked, c.Stall)
		}
		if c.Noise.Blocks != 10 || c.Noise.Verdict != string(verdict.Equivalent) || c.Noise.Detects < 0.001 || c.Noise.Detects > 0.01 {
			t.Errorf("%+v", c.Noise)
		}
		if !c.Planted.Found || c.Planted.More != 0.05 || math.Abs(c.Planted.Ratio-1.05) > 0.005 {
			t.Errorf("%+v", c.Planted)
		}
		if d := m.designed; len(d.Targets) != 3 || d.Targets[0].Path != d.Targets[1].Path || d.Targets[0].Path != "/work/20" || d.Targets[2].Path != "/work/21" {
			t.Errorf("%+v", d)
		}
		if c.Seconds < 20 || c.Seconds > 60 || c.Short {
			t.Errorf("%v s without the comparison", c.Seconds)
		}
		if c, err := Run(t.Context(), good().parts(), true); err != nil || !c.Short || c.Seconds > 12 || !c.Stall.Honest {
			t.Errorf("short: %v s, %+v, %v", c.Seconds, c.Stall, err)
		}
	})
}

// Agents that hide a stall are not called honest; noise that hides 5 % does not find it.
func TestCalibrationOfABadMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := good()
		m.hides = true
		m.values = map[string][]float64{planted: {900, 1100, 800, 1000, 1200, 700, 1000, 950, 1050, 1000}}
		c, err := Run(t.Context(), m.parts(), false)
		if err != nil || c.Stall.Honest || c.Planted.Found || c.Planted.Verdict != string(verdict.Inconclusive) {
			t.Errorf("%v: %+v %+v", err, c.Stall, c.Planted)
		}
	})
}

// However often blocks are repeated, a calibration takes 6 minutes at most, with what starts and stops its servers.
func TestCalibrationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := good().parts()
		p.Compare = func(ctx context.Context, _ Design) (*figures.Verdict, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		began := time.Now()
		_, err := Run(t.Context(), p, false)
		if took := time.Since(began); !errors.Is(err, ErrDisturbed) || took > 345*time.Second || took < 300*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

func TestCalibrationFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := good()
		m.err = errors.New("faked")
		if _, err := Run(t.Context(), m.parts(), true); !errors.Is(err, m.err) {
			t.Errorf("%v", err)
		}
		if _, err := Run(t.Context(), (&machine{}).parts(), true); err == nil || !strings.Contains(err.Error(), "answered nothing") {
			t.Errorf("a dead server: %v", err)
		}
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stopped)
		if _, err := Run(ctx, m.parts(), true); !errors.Is(err, stopped) {
			t.Errorf("interrupted: %v", err)
		}
	})
}

// A phase of any step that others disturb is repeated, and does not count; one that they always disturb ends the calibration. So
// does an agent that falls behind, except in the rush after the stall.
func TestStepsDisturbed(t *testing.T) {
	for _, step := range []string{"ceiling", "constant", "stall"} {
		synctest.Test(t, func(t *testing.T) {
			var said []string
			run := func(disturbed, late int) (record.Calibration, *machine, error) {
				m := good()
				m.disturbed, m.late = map[string]int{step: disturbed}, map[string]int{step: late}
				p := m.parts()
				said = nil
				p.Progress = func(text string, _ time.Duration) { said = append(said, text) }
				c, err := Run(t.Context(), p, false)
				return c, m, err
			}
			c, m, err := run(attempts-1, 0)
			if err != nil || c.Ceilings[record.PathNginx] != 20_000 || math.Abs(c.Constant.P50S-0.01) > 1e-4 || !c.Stall.Honest {
				t.Errorf("%s: %v, %+v", step, err, c)
			}
			if again := strings.Count(strings.Join(said, "\n"), " again, since others"); again != attempts-1 {
				t.Errorf("%s: %q", step, said)
			}
			if want := map[bool]int{false: 1, true: attempts}[step == "stall"]; len(m.asked) != want {
				t.Errorf("%s: asked for a stall %d times, want %d", step, len(m.asked), want)
			}
			if _, _, err = run(attempts, 0); !errors.Is(err, ErrDisturbed) || !strings.HasSuffix(err.Error(), ": others") {
				t.Errorf("%s, always disturbed: %v", step, err)
			}
			if _, _, err = run(0, attempts); errors.Is(err, ErrDisturbed) != (step != "stall") {
				t.Errorf("%s, always late: %v", step, err)
			}
		})
	}
}

// A calibration is kept for its machine, and for no other.
func TestKept(t *testing.T) {
	cache := t.TempDir()
	if c, err := Kept(cache, "one"); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	for _, rate := range []float64{1, 2} { // the second takes the first one's place
		path, err := Keep(cache, record.Calibration{Fingerprint: "one", Ceilings: map[string]float64{"nginx": rate}})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := Kept(cache, "one"); err != nil || c == nil || c.Ceilings["nginx"] != rate {
			t.Errorf("%s: %+v, %v", path, c, err)
		}
	}
	if c, err := Kept(cache, "two"); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := Keep(cache, record.Calibration{Fingerprint: "../../out"}); err != nil {
		t.Error(err)
	}
	if _, err := Kept(cache, "out"); err == nil || !strings.Contains(err.Error(), "of another machine") {
		t.Errorf("%v", err)
	}
}
