package figures

import (
	"math"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// comparedRun is a run of seven blocks of two targets, whose rates are this multiple of 1,000.
func comparedRun(t *testing.T, root string, day int, rate float64, change func(*recordtest.Run)) (*record.Reader, *Summary) {
	t.Helper()
	r := recordtest.Of(7, "django", "flask")
	r.ClosedS, r.OpenS, r.Root = 2, 0, root
	r.Head.Started = recordtest.Epoch().AddDate(0, 0, day)
	r.Rate = func(_ string, block int) int { return 2 * int(500*rate*(1+0.002*float64(block%3))) }
	if change != nil {
		change(r)
	}
	reader, err := record.Open(r.Write(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Build(reader)
	if err != nil {
		t.Fatal(err)
	}
	return reader, s
}

func labelled(label string, r *record.Reader, s *Summary) Labelled {
	return Labelled{label, r.Run(), s}
}

// Runs on one machine have intervals, those on another one a mark; what else differs is listed.
func TestCompare(t *testing.T) {
	root := t.TempDir()
	firstR, firstS := comparedRun(t, root, 0, 1, nil)
	slowR, slowS := comparedRun(t, root, 1, 0.9, func(r *recordtest.Run) {
		r.Head.Targets[1].Versions["flask"] = "9.9"
		r.Plan("throughput", `"delta":"5%"`)
	})
	farR, farS := comparedRun(t, root, 2, 2, func(r *recordtest.Run) { r.Head.Machine.Fingerprint = "elsewhere" })
	c, err := Compare([]Labelled{labelled("a", firstR, firstS), labelled("b", slowR, slowS), labelled("c", farR, farS)})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range c.Targets {
		a, b, far := target.Cells[0], target.Cells[1], target.Cells[2]
		if a.Blocks != 7 || a.Low.Known() || math.Abs(float64(b.Ratio)-0.9) > 0.005 || b.Excludes() != -1 || float64(b.Level) != 0.975 {
			t.Errorf("%s: %+v, %+v", target.Name, a, b)
		}
		if math.Abs(float64(far.Ratio)-2) > 0.01 || far.Low.Known() || far.High.Known() || !c.Runs[2].Elsewhere || c.Runs[1].Elsewhere {
			t.Errorf("%s on another machine: %+v", target.Name, far)
		}
	}
	otherwise, err := Compare([]Labelled{labelled("a", firstR, firstS), labelled("c", farR, farS), labelled("b", slowR, slowS), labelled("d", slowR, slowS)})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range otherwise.Targets { // of two runs and two targets four intervals hold together
		if got := target.Cells[2]; float64(got.Level) != 0.9875 || got.Excludes() != -1 || target.Cells[1].Low.Known() {
			t.Errorf("%s with the other machine before: %+v", target.Name, target.Cells)
		}
	}
	for _, want := range []Change{
		{"b", "flask: flask", "5.2.1", "9.9"}, {"b", "plan: delta", "", "5%"}, {"c", "machine: fingerprint", "ab12", "elsewhere"},
	} {
		if !slices.Contains(c.Changes, want) {
			t.Errorf("no %+v among %+v", want, c.Changes)
		}
	}
	if len(c.Changes) != 3 {
		t.Errorf("%+v", c.Changes)
	}
	other := *slowS
	other.Run.Primary = "p99 at rate"
	if _, err := Compare([]Labelled{labelled("a", firstR, firstS), labelled("b", slowR, &other)}); err == nil || !strings.Contains(err.Error(), `the primary metric of b is "p99 at rate"`) {
		t.Errorf("another metric: %v", err)
	}
}

// Two blocks are enough for an interval, in both runs, and all intervals hold together.
func TestComparedLevel(t *testing.T) {
	of := func(blocks int, targets ...string) Labelled {
		s := &Summary{Verdict: &Verdict{}}
		for _, target := range targets {
			s.Targets = append(s.Targets, Target{TargetInfo: record.TargetInfo{Name: target}})
			for block := range blocks {
				s.Verdict.Values = append(s.Verdict.Values, Value{block + 1, target, 100 + float64(block)})
			}
		}
		return Labelled{Summary: s}
	}
	for _, c := range []struct {
		first, other int
		level        float64 // 0: no interval
	}{{2, 2, 0.975}, {2, 3, 0.975}, {3, 2, 0.975}, {1, 3, 0}, {3, 1, 0}} {
		compared, err := Compare([]Labelled{of(c.first, "a", "b"), of(c.other, "a", "b")})
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range compared.Targets {
			if cell := target.Cells[1]; cell.Low.Known() != (c.level > 0) || c.level > 0 && float64(cell.Level) != c.level {
				t.Errorf("%d and %d blocks: %+v", c.first, c.other, cell)
			}
		}
	}
}

// A run is compared with five or more earlier ones of its plan on its machine, and with no others.
func TestExpect(t *testing.T) {
	root := t.TempDir()
	for day, rate := range []float64{1, 1.01, 0.99, 1.005} {
		comparedRun(t, root, day, rate, nil)
	}
	comparedRun(t, root, 5, 5, func(r *recordtest.Run) { r.Head.Machine.Fingerprint = "elsewhere" })
	comparedRun(t, root, 6, 5, func(r *recordtest.Run) { r.Head.PlanDigest = "another" })
	comparedRun(t, root, 30, 5, nil) // later
	this := t.TempDir()
	reader, s := comparedRun(t, this, 10, 0.9, nil)
	e, err := Expect(reader, s, root)
	if err != nil || e.Earlier != 4 || e.Fewest != 5 || e.Targets[0].Outcome != NotComparable || e.Targets[0].Low.Known() {
		t.Errorf("four earlier runs: %+v, %v", e, err)
	}
	comparedRun(t, root, 7, 0.995, nil)
	for rate, want := range map[float64]string{0.9: Worse, 1.1: Better, 1.002: AsBefore} {
		reader, s := comparedRun(t, this, 11, rate, nil)
		if e, err := Expect(reader, s, root); err != nil || e.Earlier != 5 || e.Targets[0].Outcome != want || e.Targets[1].Outcome != want {
			t.Errorf("%v times: %+v, %v", rate, e, err)
		}
	}
}

// Whether a figure that is lower is the worse one depends on the metric.
func TestExpectedDirection(t *testing.T) {
	earlier := []float64{100, 101, 99, 100.5, 99.5}
	for _, c := range []struct {
		next   float64
		lower  bool
		expect string
	}{{90, false, Worse}, {110, false, Better}, {100, false, AsBefore}, {90, true, Better}, {110, true, Worse}, {math.NaN(), false, NotComparable}} {
		if got := expected("a", earlier, c.next, 1, c.lower); got.Outcome != c.expect {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// Everything that figures may depend on and that is recorded is named where it differs, and nothing where it does not.
func TestCircumstances(t *testing.T) {
	head := func(change func(*record.Run)) record.Run {
		r := recordtest.Of(1, "django").Head
		r.Programs = []record.Program{{Name: "nginx", Path: "/n", Version: "1.22", SHA256: "0011223344556677"}}
		r.Calibration = &record.Calibration{At: recordtest.Epoch(), Ceilings: map[string]float64{record.PathNginx: 20000}}
		change(&r)
		return r
	}
	first := Labelled{Label: "a", Run: head(func(*record.Run) {})}
	if got := changes(first, Labelled{Label: "b", Run: head(func(*record.Run) {})}); got != nil {
		t.Errorf("the same run: %+v", got)
	}
	for want, change := range map[string]func(*record.Run){
		"program: nginx":                    func(r *record.Run) { r.Programs[0].SHA256 = "8899" },
		"program: mariadb":                  func(r *record.Run) { r.Programs = append(r.Programs, record.Program{Name: "mariadb", SHA256: "1"}) },
		"machine: limits":                   func(r *record.Run) { r.Machine.Limits.OpenFiles = 1024 },
		"machine: microcode":                func(r *record.Run) { r.Machine.Microcode = "0x1" },
		"machine: governor":                 func(r *record.Run) { r.Machine.Governor = "powersave" },
		"machine: memory":                   func(r *record.Run) { r.Machine.MemoryBytes = 4e9 },
		"machine: virtual":                  func(r *record.Run) { r.Machine.Virtual = "kvm" },
		"database: digest of the rows":      func(r *record.Run) { r.Database.Digest = "bb" },
		"database: rows":                    func(r *record.Run) { r.Database.Rows = 10 },
		"database: innodb_buffer_pool_size": func(r *record.Run) { r.Database.Settings["innodb_buffer_pool_size"] = "1" },
		"balancer: keepalive":               func(r *record.Run) { r.Balancer.Settings["keepalive"] = "1" },
		"calibration":                       func(r *record.Run) { r.Calibration.Ceilings[record.PathNginx] = 10000 },
		"django: workers":                   func(r *record.Run) { r.Targets[0].Workers = 9 },
		"django: access log": func(r *record.Run) {
			on := r.Targets[0].AccessLog == nil || !*r.Targets[0].AccessLog
			r.Targets[0].AccessLog = &on
		},
		"django: digest of the recipe": func(r *record.Run) { r.Targets[0].Digest = "x" },
		"bakeoff":                      func(r *record.Run) { r.Bakeoff = "9" },
	} {
		got := changes(first, Labelled{Label: "b", Run: head(change)})
		if len(got) != 1 || got[0].What != want || got[0].First == got[0].This {
			t.Errorf("%s: %+v", want, got)
		}
	}
}

// An earlier run that cannot be read is counted and left out; one without a figure of a target is none for that target.
func TestExpectWithoutSomeRuns(t *testing.T) {
	root := t.TempDir()
	for day := range 5 {
		comparedRun(t, root, day, 1+0.002*float64(day), func(r *recordtest.Run) {
			r.Change = func(trial *record.Trial) {
				if day == 4 && trial.Target == "flask" {
					trial.Status, trial.Reasons = record.Invalid, []record.Reason{{Code: record.CodeContract, Text: "x"}}
				}
			}
		})
	}
	bad := recordtest.Of(1, "django")
	bad.ClosedS, bad.OpenS, bad.Root, bad.Head.Started = 2, 0, root, recordtest.Epoch().AddDate(0, 0, 6)
	bad.Head.Plan = []byte(`{"blocks":"a plan of another version"}`)
	bad.Write(t)
	reader, s := comparedRun(t, t.TempDir(), 10, 1, nil)
	e, err := Expect(reader, s, root)
	if err != nil || e.Earlier != 5 || e.Unread != 1 {
		t.Fatalf("%+v, %v", e, err)
	}
	for _, target := range e.Targets {
		want := map[string]ExpectedTarget{"django": {Earlier: 5, Outcome: AsBefore}, "flask": {Earlier: 4, Outcome: NotComparable}}[target.Name]
		if target.Earlier != want.Earlier || target.Outcome != want.Outcome {
			t.Errorf("%+v, want %+v", target, want)
		}
	}
}
