package gate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// windowOf is a window of an agent that was on time, whose requests took 5 ms each.
func windowOf(books stats.Books) stats.Window {
	w := stats.Window{
		Length: time.Second, Books: books, InFlight: new(0.005 * float64(books.Answered())),
		Lateness: stats.NewHistogram(), Service: stats.NewHistogram(), Response: stats.NewHistogram(),
	}
	w.Lateness.RecordN(50*time.Microsecond, books.Answered())
	w.Service.RecordN(5*ms, books.Answered())
	return w
}

// phaseOf is a phase of the open model in which agent 1 saw these windows.
func phaseOf(witness record.Witness, windows ...stats.Window) *Phase {
	p := NewPhase(record.Phase{Number: 1, Name: "open", Model: "open", DurationS: 1, Witness: witness})
	for _, w := range windows {
		p.Load(1, w)
	}
	return p
}

func seen(n int64) record.Witness { return record.Witness{DatabaseReads: n, BalancerTotal: n} }

func codes(reasons []record.Reason) (out []string) {
	for _, r := range reasons {
		out = append(out, r.Code)
	}
	return out
}

// A phase whose level steps far beyond the noise of its windows is refused, and one that does not step is not.
func TestJudgeSteps(t *testing.T) {
	for _, step := range []float64{0, 0.5} {
		levels := make([]float64, 2*fewestWindows)
		for i := range levels {
			levels[i] = 0.01 * float64(i%2)
			if i >= fewestWindows {
				levels[i] += step
			}
		}
		p := phaseAt(levels)
		p.Witness = record.Witness{DatabaseReads: NotCounted, BalancerTotal: NotCounted}
		if got, want := codes(p.Judge(nil).Reasons), map[bool][]string{true: {record.CodeNotSteady}}[step > 0]; !slices.Equal(got, want) {
			t.Errorf("a step of %v: %v, want %v", step, got, want)
		}
	}
}

// Each way to falsify a million right answers is caught, by the rule that is for it.
func TestJudge(t *testing.T) {
	const million = 1_000_000
	good := stats.Books{Planned: million, Sent: million, OK: million}
	for name, c := range map[string]struct {
		spoil   func(w *stats.Window)
		witness record.Witness
		codes   []string
	}{
		"all agree":            {nil, seen(million), nil},
		"nobody else counts":   {nil, record.Witness{DatabaseReads: NotCounted, BalancerTotal: NotCounted}, nil},
		"one lost by an agent": {func(w *stats.Window) { w.Books.OK-- }, seen(million), []string{"books"}},
		"one lost and forgotten": {func(w *stats.Window) {
			w.Books = stats.Books{Planned: million - 1, Sent: million - 1, OK: million - 1}
		}, seen(million), []string{"witness", "witness"}},
		"one answer counted twice": {func(w *stats.Window) { w.Books.OK++ }, seen(million), []string{"books"}},
		"one request counted twice": {func(w *stats.Window) {
			w.Books = stats.Books{Planned: million + 1, Sent: million + 1, OK: million + 1}
		}, seen(million), []string{"witness", "witness"}},
		"fast 503s": {func(w *stats.Window) {
			w.Books.OK, w.Books.Bad = million-million/50, million/50
			w.Outcomes = map[string]int64{"status 503": million / 50}
		}, record.Witness{DatabaseReads: million - million/50, BalancerTotal: million}, []string{"witness", "wrong-answers"}},
		"one in a thousand wrong": {func(w *stats.Window) { w.Books.OK, w.Books.Bad = million-1000, 1000 }, seen(million), nil},
		"one more":                {func(w *stats.Window) { w.Books.OK, w.Books.Bad = million-1001, 1001 }, seen(million), []string{"wrong-answers"}},
		"dropped": {func(w *stats.Window) {
			w.Books = stats.Books{Planned: million, Sent: million - 5000, Dropped: 5000, OK: million - 5000}
		}, seen(million - 5000), []string{"wrong-answers"}},
		"one wrong body":           {func(w *stats.Window) { w.Books.OK, w.Books.Bad, w.Wrong = million-1, 1, 1 }, seen(million), []string{"wrong-answers"}},
		"nothing due":              {func(w *stats.Window) { *w = windowOf(stats.Books{}) }, seen(0), []string{"wrong-answers"}},
		"the database asked twice": {nil, record.Witness{DatabaseReads: 2 * million, BalancerTotal: million}, []string{"witness"}},
		"the slowest tenth left out": {func(w *stats.Window) {
			w.Service.Reset()
			w.Service.RecordN(4*ms, million/10*9)
		}, seen(million), []string{"littles-law"}},
		"the database never asked": {nil, record.Witness{DatabaseReads: 0, BalancerTotal: million}, []string{"witness"}},
		"an agent that was late": {func(w *stats.Window) {
			w.Lateness = allOf(3 * ms)
		}, seen(million), []string{"generator-limited"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := windowOf(good)
			if c.spoil != nil {
				c.spoil(&w)
			}
			j := phaseOf(c.witness, w).Judge(nil)
			if got := codes(j.Reasons); !slices.Equal(got, c.codes) || j.Warnings != nil {
				t.Errorf("%v %v, want %v", j.Reasons, j.Warnings, c.codes)
			}
			for _, r := range j.Reasons {
				if !strings.HasPrefix(r.Text, "phase open: ") || !Decides(r.Code) {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// Requests of 1 to 1,000 ms, which a generator that does not record the slowest of them, or records them as
// faster than they were, cannot hide: the time they were in flight is measured apart.
func TestLittlesLaw(t *testing.T) {
	whole := func() stats.Window {
		w := windowOf(stats.Books{})
		w.Books = stats.Books{Planned: 1000, Sent: 1000, OK: 997, Timeout: 2, Error: 1}
		sum := 0.0
		for i := range 997 {
			took := time.Duration(i+1) * ms
			w.Service.Record(took)
			sum += took.Seconds()
		}
		w.Service.RecordOver(10 * time.Second)
		w.Service.RecordOver(10 * time.Second)
		w.ErrorTime = 10 + 10 + 0.5
		w.InFlight = new(sum + w.ErrorTime)
		return w
	}
	upTo := func(w *stats.Window, last int) {
		w.Service = stats.NewHistogram()
		for i := range last {
			w.Service.Record(time.Duration(i+1) * ms)
		}
	}
	for name, c := range map[string]struct {
		spoil func(w *stats.Window)
		text  string
	}{
		"all recorded":                     {func(*stats.Window) {}, ""},
		"within 2 %":                       {func(w *stats.Window) { w.InFlight = new(*w.InFlight * 1.015) }, ""},
		"the slowest 10 % left out":        {func(w *stats.Window) { upTo(w, 897) }, "the requests in flight add up to 518 s, the times recorded of them to 423 s: 18.3 % apart, at most 2.0 %"},
		"time-outs taken for nothing":      {func(w *stats.Window) { w.ErrorTime = 0.5 }, "the requests in flight add up to 518 s"},
		"answers recorded twice":           {func(w *stats.Window) { w.Service.Merge(w.Service) }, "the requests in flight add up to 518 s, the times recorded of them to 1,01"},
		"in flight counted twice":          {func(w *stats.Window) { w.InFlight = new(*w.InFlight * 2) }, "the requests in flight add up to 1,036 s"},
		"a loader that measures no flight": {func(w *stats.Window) { upTo(w, 500); w.InFlight = nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := whole()
			c.spoil(&w)
			p := phaseOf(seen(1000), w)
			got := littlesLaw(p.Totals())
			if (len(got) == 1) != (c.text != "") || len(got) == 1 && !strings.HasPrefix(got[0].Text, c.text) {
				t.Errorf("%+v, want %q", got, c.text)
			}
		})
	}
}

// hostLines are the first and the last of a phase of 10 s on two busy CPUs; our target uses all of them
// but what others use and the host takes away, in seconds.
func hostLines(others, stolen float64) (first, last []record.Series) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	line := func(user, steal float64) record.Series {
		return record.Series{At: at, Phase: 1, Tier: "host", Name: "host", Values: map[string]float64{
			"cpus": 2, "user_ns": user * 1e9, "idle_ns": 0, "steal_ns": steal * 1e9, "irq_ns": 0, "softirq_ns": 0,
		}}
	}
	first = []record.Series{{At: at, Phase: 1, Tier: "target", Name: "django-1"}, line(0, 0)}
	at = at.Add(10 * time.Second)
	own := int64((20 - others - stolen) * 1e9)
	last = []record.Series{{At: at, Phase: 1, Tier: "target", Name: "django-1", CPUNS: own}, line(20-stolen, stolen)}
	last[1].Values["strangers_ns"] = others * 1e9
	last[1].Strangers = []record.Stranger{{Name: "cc1", PID: 500, CPUNS: int64(others * 1e9)}}
	return first, last
}

// The cause of what an agent lost or why it was late is in the record. A disturbed machine is blamed for
// lateness, never for what an agent lacked; and what others did refuses the phase by itself.
func TestJudgeNamesTheCause(t *testing.T) {
	good := stats.Books{Planned: 1000, Sent: 1000, OK: 1000}
	late := windowOf(good)
	late.Lateness = allOf(3 * ms)
	late.Resources = &stats.Resources{Stopped: int64(203 * ms)}
	lacking := windowOf(good)
	lacking.Lost = map[string]int64{"descriptors": 500}
	lacking.Resources = &stats.Resources{Descriptors: 64, DescriptorLimit: 64}
	const open = "500 of 1,000 requests lost because no descriptors were left (limit 64, 64 open)"
	for name, c := range map[string]struct {
		w             stats.Window
		others, steal float64
		warmup        bool
		want          []string // code, cause: part of the text
		warning       string
	}{
		"stopped":        {late, 0, 0, false, []string{"generator-limited stopped: agent 1: lateness p99 is 3.00 ms, at most 1.00 ms is allowed: it stood still for 203 ms at second 0 (the host took 0.0 %"}, ""},
		"no descriptors": {lacking, 0, 0, false, []string{"generator-limited descriptors: agent 1: " + open}, ""},
		"stopped on a disturbed host": {late, 0, 4, false, []string{
			"disturbed-host : the host of this virtual machine took 20.0 % of its CPU time away",
			"disturbed-host stopped: agent 1: lateness p99 is 3.00 ms, at most 1.00 ms is allowed: it stood still for 203 ms at second 0 (the host took 20.0 %",
		}, ""},
		"no descriptors, stolen cores": {lacking, 0, 4, false, []string{
			"disturbed-host : the host of this virtual machine took 20.0 %",
			"generator-limited descriptors: agent 1: " + open,
		}, ""},
		"others":                {windowOf(good), 4, 0, false, []string{"disturbed-host : other programs used 20.0 % of this machine's CPU time: cc1 (pid 500) 20.0 %"}, ""},
		"others in the warm-up": {windowOf(good), 4, 0, true, nil, ""},
		"others a little":       {windowOf(good), 1.5, 0, false, nil, "disturbed-host: phase open: other programs used 7.5 % of this machine's CPU time: cc1 (pid 500) 7.5 %"},
	} {
		t.Run(name, func(t *testing.T) {
			p := phaseOf(seen(1000), c.w)
			p.Warmup = c.warmup
			first, last := hostLines(c.others, c.steal)
			for _, line := range slices.Concat(first, last) {
				p.Series(line)
			}
			j := p.Judge(&record.Baseline{})
			if len(j.Reasons) != len(c.want) {
				t.Fatalf("%+v", j.Reasons)
			}
			for i, r := range j.Reasons {
				got := r.Code + " " + r.Cause + ": " + strings.TrimPrefix(r.Text, "phase open: ")
				if !strings.HasPrefix(got, c.want[i]) {
					t.Errorf("%s\nwant %s", got, c.want[i])
				}
			}
			var warned string
			for _, w := range j.Warnings {
				warned += w.Code + ": " + w.Text
			}
			if warned != c.warning {
				t.Errorf("warned %q, want %q", warned, c.warning)
			}
		})
	}
}

// The reason names the classes of what was wrong, and what the agents lost themselves is not left to look
// like the server's doing.
func TestReasonsNameTheClasses(t *testing.T) {
	w := windowOf(stats.Books{Planned: 100, Sent: 100, OK: 90, Bad: 10})
	w.Outcomes = map[string]int64{"wrong id": 7, "status 500": 3}
	if r := phaseOf(seen(100), w).Judge(nil).Reasons; len(r) != 1 || !strings.HasSuffix(r[0].Text, "(status 500 3, wrong id 7)") {
		t.Errorf("reasons: %v", r)
	}
	for lost, want := range map[int64]string{0: "", 30: "; 30 of them lost by the agents themselves", 100: "; all of them lost by the agents themselves"} {
		w := windowOf(stats.Books{Planned: 1000, Sent: 900, Dropped: 100, OK: 900})
		w.Lost = map[string]int64{"loop": lost}
		got := phaseOf(seen(900), w).Judge(nil).Reasons
		if got[0].Code != record.CodeWrongAnswers || !strings.HasSuffix(got[0].Text, "dropped 100"+want) {
			t.Errorf("%d lost: %+v", lost, got)
		}
	}
}

// A phase in turns lacks the rounds that were left out with no other in their place: one may be missing, or 2 %.
func TestRoundsLeftOut(t *testing.T) {
	for _, c := range []struct {
		turns record.PhaseTurns
		want  string
	}{
		{record.PhaseTurns{Rounds: 16, LeftOut: 1}, ""},
		{record.PhaseTurns{Rounds: 16, LeftOut: 2}, "in 2 of 16 rounds an agent was late or stood still, and they are left out; one may be, or 2 %"},
		{record.PhaseTurns{Rounds: 18, LeftOut: 2, Replaced: 2}, ""},
		{record.PhaseTurns{Rounds: 19, LeftOut: 4, Replaced: 3}, ""},
		{record.PhaseTurns{Rounds: 19, LeftOut: 5, Replaced: 3}, "in 5 of 19 rounds an agent was late or stood still, and they are left out, 2 of them with no other in their place; one may be, or 2 %"},
		{record.PhaseTurns{Slices: 100, LeftOut: 2}, ""},
		{record.PhaseTurns{Slices: 100, LeftOut: 3}, "in 3 of 100 rounds an agent was late or stood still, and they are left out; one may be, or 2 %"},
	} {
		p := &Phase{Phase: record.Phase{Turns: &c.turns}}
		got := ""
		if reasons := p.leftOut(); len(reasons) > 0 {
			got = reasons[0].Text
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.turns, got, c.want)
		}
		if p.Warmup = true; p.leftOut() != nil {
			t.Errorf("%+v: a warm-up is refused", c.turns)
		}
	}
}

// The reason for a wrong body has its key, what was expected and what came, and is one of its own.
func TestWrongBodyIsNamed(t *testing.T) {
	w := windowOf(stats.Books{Planned: 1000, Sent: 1000, OK: 998, Bad: 2})
	w.Wrong, w.Checked = 2, 900
	w.Outcomes = map[string]int64{"wrong id": 1, "wrong length": 1}
	w.Examples = map[string]string{"reset": "by peer", "wrong id": `key "a" of length 1: expected exists true, id 7, got exists true, id 8`}
	r := phaseOf(seen(1000), w).Judge(nil).Reasons
	want := `phase open: 2 answers with a wrong body (none may be), of 900 checked; wrong id: key "a" of length 1: expected exists true, id 7, got exists true, id 8`
	if len(r) != 1 || r[0].Code != record.CodeWrongAnswers || r[0].Text != want {
		t.Errorf("%+v, want %s", r, want)
	}
}
