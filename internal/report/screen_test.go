package report

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"bakeoff/internal/figures"
	"bakeoff/internal/gate"
	"bakeoff/internal/limit"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// asScreen writes the screen, and fails where it is none.
func asScreen(t *testing.T, s *figures.Summary, others figures.Others) string {
	t.Helper()
	var b strings.Builder
	check(t, WriteScreen(&b, s, others, "bakeoff report runs/20261123T060000Z-demo --full", 0))
	out := b.String()
	if n := strings.Count(out, "\n"); n > screenLines {
		t.Errorf("%d lines:\n%s", n, out)
	}
	for line := range strings.Lines(out) {
		if n := show.Width(strings.TrimSuffix(line, "\n")); n > screenColumns {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	return out
}

// contest is a run in which each target answers by a tenth more than the next one.
func contest(blocks int, targets ...string) *recordtest.Run {
	r := recordtest.Of(blocks, targets...)
	r.ClosedS, r.OpenS = 1, 0
	r.Rate = func(target string, block int) int {
		rate := 900 * (1 + 0.02*math.Sin(float64(block*(1+len(target)))))
		for i, name := range targets {
			if name == target {
				rate *= math.Pow(1.1, float64(-i))
			}
		}
		return int(rate/2) * 2
	}
	return r
}

// The end of a run with everything on it: a verdict, a trial that was refused and repeated, one with a
// warning, a machine that others used, and other runs of the plan.
func TestScreen(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	earlier := contest(7, "fastapi", "flask", "django")
	earlier.Root, earlier.Head.Started = root, recordtest.Epoch().Add(-time.Hour)
	earlier.Rate = func(target string, block int) int {
		return map[string]int{"fastapi": 900, "flask": 800, "django": 700}[target] + 2*block
	}
	earlier.Write(t)
	r := contest(7, "fastapi", "flask", "django")
	r.Root = root
	r.Head.Baselines = []record.Baseline{
		{Seconds: 10.02, Cores: 2, Looks: 3, Disturbance: record.Disturbance{Foreign: 0.012, Steal: 0.003, CPUTimeNS: 20e9}},
		{Seconds: 10.01, Cores: 2, Looks: 1, Disturbance: record.Disturbance{CPUTimeNS: 20e9}},
	}
	refused := record.Reason{Code: record.CodeDisturbedHost, Text: "other programs used 31.0 % of this machine's CPU time"}
	w := r.Begin(t)
	for _, p := range r.Head.Order {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, func(tr *record.Trial) {
			switch {
			case p.Block == 3 && p.Target == "flask":
				tr.Status, tr.Reasons = record.Invalid, []record.Reason{refused}
			case p.Block == 4 && p.Target == "flask":
				tr.Warnings = []record.Reason{refused}
			}
		})
	}
	r.Trial(t, w, 3, 4, "flask", 2, nil)
	check(t, w.Finish(record.Complete, ""))
	reader := must[*record.Reader](t)(record.Open(w.Dir()))
	s := must[*figures.Summary](t)(figures.Build(reader))
	others := must[figures.Others](t)(figures.OtherRuns(reader, s))
	golden(t, "screen.txt", []byte(asScreen(t, s, others)))
}

// A run that a person stopped is no verdict on the screen, and no interval: only what was measured.
func TestScreenOfARunThatWasStopped(t *testing.T) {
	r := contest(7, "fastapi", "flask", "django")
	w := r.Begin(t)
	for _, p := range r.Head.Order[:18] {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
	check(t, w.Finish(record.Aborted, record.Interrupted))
	s := open(t, w)
	out := asScreen(t, s, figures.Others{})
	has(t, out, "demo, answers per second on 32 connections: no verdict: stopped before its 7 blocks (bakeoff run --resume goes on); 6 of 7 blocks of 1 s, one run")
	page, _, _ := strings.Cut(words(all(asPage(t, s), "main")[0]), "Block values")
	text, _, _ := strings.Cut(asText(t, s), "Medians over")
	markdown, _, _ := strings.Cut(asMarkdown(t, s), "Medians over")
	for name, said := range map[string]string{"screen": out, "text": text, "Markdown": markdown, "page": page} {
		for _, claim := range []string{"is better", "better: at least", "interval", "not told apart", "rank "} {
			if strings.Contains(said, claim) {
				t.Errorf("%q is on the %s:\n%s", claim, name, said)
			}
		}
	}
}

// The head line says on how many machines the run was, and of servers elsewhere from where they were loaded.
func TestMachinesInTheHeadLine(t *testing.T) {
	cluster := contest(7, "fastapi", "flask")
	cluster.Head.Platform, cluster.Head.Machine.Cores = "kubernetes", 12
	for _, name := range []string{"a", "b", "c", "d"} {
		cluster.Head.Nodes = append(cluster.Head.Nodes, record.Node{Name: name, BootID: strings.ReplaceAll(name, "d", "c")})
	}
	for want, s := range map[string]*figures.Summary{
		", one run on 3 machines (12 cores (kubernetes) of A CPU), ":    build(t, cluster.Write(t)),
		", one run on one machine (2 shared cores of A CPU), ":          build(t, contest(7, "fastapi", "flask").Write(t)),
		", one run on one machine (2 shared cores of A CPU), 2026":      build(t, recordtest.Servers(t, "127.0.0.1:8080")),
		", one run, loaded from one machine (2 cores of A CPU), 2026-1": build(t, recordtest.Servers(t, "127.0.0.1:8080", "10.0.0.1:80")),
	} {
		if got := headLine(s); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Of times the head line says which of both figures percentages are of, in every form; of answers per second nothing has to be said.
func TestPercentagesOfTimes(t *testing.T) {
	const of = "percentages are of the shorter time"
	r := recordtest.Of(6, "django", "fastapi")
	r.ClosedS, r.OpenHz = 0, 2600
	r.Plan("p99 at rate", "")
	times, rates := build(t, r.Write(t)), build(t, contest(7, "fastapi", "flask").Write(t))
	has(t, asScreen(t, times, figures.Others{}), "; "+of+"; 6 blocks of 4 s, one run on")
	for name, text := range map[string]string{"text": asText(t, times), "Markdown": asMarkdown(t, times), "page": words(asPage(t, times))} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), of) {
			t.Errorf("%s lacks %q:\n%s", name, of, text)
		}
	}
	if text := asText(t, rates); strings.Contains(strings.Join(strings.Fields(text), " "), of) {
		t.Errorf("rates are called times:\n%s", text)
	}
	two := twoVersions(t, 8, 0.8, func(r *recordtest.Run) {
		r.ClosedS, r.OpenS, r.OpenHz = 0, 4, 2600
		r.Plan("p99 at rate", "")
	})
	if markdown, _ := abText(t, two, false); !strings.Contains(markdown, " Percentages are of the shorter time. 8 blocks of 4 s, ") {
		t.Error(markdown)
	}
}

// Every pair, every name and every warning is in a whole report, whatever their number, and so are ties; a screen has some.
func TestWholeReportHasEveryPair(t *testing.T) {
	const long = "-which-no-screen-has-room-for"
	v := world(t, 14, 14, 1, 0.002, "closed").Verdict
	var names []string
	for i := range v.Targets {
		v.Targets[i].Name += long
		names = append(names, v.Targets[i].Name)
	}
	for i := range v.Comparisons {
		v.Comparisons[i].A += long
		v.Comparisons[i].B += long
	}
	for i := range v.Groups[0] {
		v.Groups[0][i] += long
	}
	s := build(t, contest(1, names...).Write(t))
	s.Verdict = v
	for block := range 24 {
		s.Verdict.Warnings = append(s.Verdict.Warnings, verdict.Warning{Code: figures.WarnNoValue, Text: fmt.Sprintf("block %d of flask: %s", block+1, strings.Repeat("why-not ", 30))})
	}
	pair := func(c verdict.Comparison) string { return c.A + c.B + s.Verdict.Words(c) }
	rows := map[string]bool{}
	for _, row := range all(asPage(t, s), "tr") {
		rows[words(row)] = true
	}
	markdown := asMarkdown(t, s)
	n := 0
	for i, a := range s.Verdict.Targets {
		for _, b := range s.Verdict.Targets[i+1:] {
			c, _ := s.Verdict.Pair(a.Name, b.Name)
			if n++; !rows[pair(c)] || !strings.Contains(markdown, "| "+c.A+" | "+c.B+" | "+s.Verdict.Words(c)+" |") || !strings.Contains(markdown, "| "+c.A+" | "+c.B+" | "+ratio(c.Ratio)) {
				t.Fatalf("no pair %s and %s:\n%s", c.A, c.B, markdown)
			}
		}
	}
	if n != 91 {
		t.Errorf("%d pairs", n)
	}
	text := strings.Join(strings.Fields(asText(t, s)), " ")
	for _, whole := range []string{text, strings.Join(strings.Fields(markdown), " "), strings.Join(strings.Fields(words(asPage(t, s))), " ")} {
		if !strings.Contains(whole, "a tie, within 3 %: "+s.Verdict.Groups[0][0]+", ") {
			t.Errorf("no tie:\n%s", whole)
		}
		for _, w := range s.Verdict.Warnings {
			if !strings.Contains(whole, "warning: "+strings.TrimSpace(w.Text)) {
				t.Fatalf("no warning %q:\n%s", w.Text, whole)
			}
		}
	}
	has(t, asScreen(t, s, figures.Others{}), "and 2 more targets", "(and 23 more like it)")
}

// Words that are longer than a line take the place of other pairs, not of what is below them.
func TestPairsInThatManyLines(t *testing.T) {
	s := world(t, 8, 12, 1, 3, "closed")
	s.Verdict.Unit, s.Verdict.Delta = figures.UnitAnswers, 0.0012345
	for _, lines := range []int{0, 4, 5, 12, 40} {
		if text := claimsIn(s.Verdict, 80, lines); strings.Count(text, "\n") > lines {
			t.Errorf("%d lines, want at most %d:\n%s", strings.Count(text, "\n"), lines, text)
		} else if (text == "") != (lines < 6) {
			t.Errorf("in %d lines: %q", lines, text)
		}
	}
}

// What other runs of the plan say is in every form that people read.
func TestOtherRunsInEveryForm(t *testing.T) {
	s := build(t, contest(7, "fastapi", "flask").Write(t))
	others := figures.Others{Runs: 1, Ratios: []figures.Ratios{{A: "fastapi", B: "flask", This: 1.1, Others: []float64{1.234}, Spread: 0.08}}}
	const want = "1 other run of this plan: fastapi by flask 1.234 (here 1.100, spread 8.3 %)"
	var text, markdown, page strings.Builder
	check(t, WriteText(&text, s, others, 0))
	check(t, WriteMarkdown(&markdown, s, others))
	check(t, WriteHTML(&page, s, others))
	has(t, asScreen(t, s, others), "other runs "+want)
	for line, form := range map[string]string{"* Other runs: ": text.String(), "\n" + OtherRunsPoint: markdown.String(), OtherRunsLine: page.String()} {
		if !strings.Contains(strings.Join(strings.Fields(form), " "), want) || !strings.Contains(form, line) {
			t.Errorf("no %q after %q:\n%s", want, line, form)
		}
	}
}

// Runs about which little may be said.
func TestScreensWithoutAVerdict(t *testing.T) {
	short := contest(2, "fastapi", "flask")
	short.Head.Short, short.Head.Shared = true, true
	short.Head.Baselines = []record.Baseline{{Cores: 2, WarnOnly: true}}
	golden(t, "screen-short.txt", []byte(asScreen(t, build(t, short.Write(t)), figures.Others{})))
	golden(t, "screen-spoiled.txt", []byte(asScreen(t, build(t, recordtest.Spoiled(t)), figures.Others{LeftOut: 2})))
	golden(t, "screen-servers.txt", []byte(asScreen(t, build(t, recordtest.Servers(t, "127.0.0.1:8080", "[::1]:8081")), figures.Others{})))
	empty := &recordtest.Run{Head: record.Run{Name: "bare"}}
	w := empty.Begin(t)
	check(t, w.Close())
	golden(t, "screen-empty.txt", []byte(asScreen(t, open(t, w), figures.Others{})))
}

// world is a run of that many targets, with a verdict that is made up: what matters is how much there is to
// say.
func world(t *testing.T, targets, blocks int, step, noise float64, model string) *figures.Summary {
	t.Helper()
	s := &figures.Summary{
		Run:     figures.Facts{Name: "a-plan-with-a-long-name", Platform: "local", Primary: "throughput", Blocks: blocks, Started: recordtest.Epoch()},
		Machine: record.Machine{Cores: 128, CPU: "Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz"},
		Caveats: []string{"SHARED MACHINE: another run was allowed at the same time; the two disturb each other"},
	}
	phase := figures.Phase{Name: "closed", Model: model, Connections: 1000, Rate: 12345.6, DurationS: 30}
	var table verdict.Table
	for i := range targets {
		name := fmt.Sprintf("a-target-with-a-name-%d", i)
		s.Targets = append(s.Targets, figures.Target{TargetInfo: record.TargetInfo{Name: name}, Valid: blocks})
		spread := figures.Spread{N: blocks, Min: 98_765.4, Median: 123_456.7, Max: 156_789.1}
		one := figures.PhaseTarget{Target: name, Blocks: blocks, Goodput: spread, Tiers: []figures.Tier{{Tier: "target", PerReqS: figures.Spread{N: blocks, Median: 0.0123}}}}
		for _, p := range figures.Percents() {
			one.Response = append(one.Response, figures.PercentileSpread{P: p, Spread: figures.Spread{N: blocks, Min: 0.0123, Median: 0.0234, Max: 12.3}})
		}
		phase.Targets = append(phase.Targets, one)
		for block := range blocks - i%2 {
			v := 100_000 * math.Pow(step, float64(i)) * math.Exp(noise*math.Sin(float64(block*block*(i+3)+i)))
			check(t, table.Add(verdict.Cell{Block: fmt.Sprint(block + 1), Target: name, Value: v}))
		}
		s.Limits = append(s.Limits, figures.Limit{Target: name, Tier: []string{"", limit.Target, limit.SharedMachine}[i%3], What: limit.CPU, Share: 0.97, Of: "of one core", More: "the busiest of 4; the next 95.0 %", Tiers: []figures.Utilisation{
			{Tier: "host", Share: 0.99}, {Tier: "target", Share: 0.81 + float64(i)/100}, {Tier: "database", Share: 0.1}, {Tier: "agent", Share: 0.05}, {Tier: "balancer", Share: 0.04},
		}})
	}
	s.Phases = []figures.Phase{phase}
	if model == "open" {
		s.Run.Primary = "p99 at rate"
	}
	s.Attempts = figures.Attempts{Planned: 8 * blocks, Run: 9 * blocks, Valid: 8 * blocks, Invalid: blocks, Warned: 3, Reasons: []figures.ReasonCount{{Code: record.CodeGeneratorLimited, Trials: 9}, {Code: record.CodeBooks, Trials: 1}}}
	v := figures.Verdict{Metric: s.Run.Primary, Phase: "closed", Unit: figures.UnitAnswers}
	v.Result = must[verdict.Result](t)(verdict.Judge(&table, verdict.Options{Delta: 0.03}))
	v.Head, s.Verdict = v.Result.Head(), &v
	return s
}

// From two to eight targets the end of a run fits a screen, whatever is to be said of them, and names every
// one.
func TestScreenFits(t *testing.T) {
	worlds := map[string]struct {
		step, noise float64
		blocks      int
	}{
		"all better": {1.2, 0.002, 12}, "all tied": {1, 0.002, 12}, "none told": {1, 0.2, 12}, "mixed": {1.03, 0.01, 12},
		"few blocks": {1.2, 0.01, 3}, "no spread": {1.2, 0, 12}, "wild": {1, 3, 12},
	}
	for targets := 2; targets <= 8; targets++ {
		for name, w := range worlds {
			for _, model := range []string{"closed", "open"} {
				if model == "open" && targets < 8 {
					continue
				}
				s := world(t, targets, w.blocks, w.step, w.noise, model)
				others := figures.Others{Runs: 5, Older: 12, LeftOut: 3}
				for _, target := range s.Verdict.Targets[1:] {
					others.Ratios = append(others.Ratios, figures.Ratios{A: s.Verdict.Targets[0].Name, B: target.Name, This: 1.234, Others: []float64{1.2, 1.3, 1.4, 1.5, 1.6}, Spread: 0.123})
				}
				out := asScreen(t, s, others)
				if t.Failed() {
					t.Fatalf("%d targets, %s, %s", targets, name, model)
				}
				_, tables, _ := strings.Cut(out, "\n\n")
				for _, target := range s.Verdict.Targets {
					if !strings.Contains(tables, target.Name+" ") {
						t.Errorf("%d targets, %s: %s is not in the tables:\n%s", targets, name, target.Name, out)
					}
				}
			}
		}
	}
}

// What is not steady is on the screen whole, with its figures.
func TestUnsteadyOnTheScreen(t *testing.T) {
	s := world(t, 3, 7, 1.2, 0.002, "open")
	var names []string
	var drifts []gate.Drift
	for i, target := range s.Targets {
		names = append(names, target.Name)
		for block := range 7 {
			drifts = append(drifts, gate.Drift{Target: target.Name, Block: block, Turns: true, Ratio: 1 - 0.234*float64(i/2) + 0.001*float64(block)})
		}
	}
	said := gate.Unsteady(gate.TrendsOf(record.Phase{Name: "a-phase-of-20-letters", Model: "open"}, names, drifts, 14))
	if len(said) != 1 {
		t.Fatalf("%q", said)
	}
	s.Caveats = append(s.Caveats, "NOT STEADY: "+said[0])
	out := strings.Join(strings.Fields(asScreen(t, s, figures.Others{})), " ")
	has(t, out, "* NOT STEADY: a-target-with-a-name-2 still gets faster in phase a-phase-of-20-letters compared with the others and needs a longer warm-up: p50 0.7", " from first to last third, 7 blocks")
}

// The head says that a target was not steady: it is what people quote.
func TestUnsteadyInTheHead(t *testing.T) {
	s := world(t, 2, 7, 1.2, 0.002, "closed")
	for _, steady := range []bool{true, false} {
		s.Trends = []gate.Trend{{Target: s.Targets[0].Name, Phase: "closed", Model: "closed", Change: gate.Change{Blocks: 7, Ratio: 1.2, Low: 1.1, High: 1.3, Steady: steady}}}
		if head := headLine(s); strings.Contains(head, " s in which not every target was steady, one run on one machine (") == steady {
			t.Errorf("steady %v: %s", steady, head)
		}
	}
}

// The head says how long the machine was watched at rest, and whether the look that counts is the quietest of several.
func TestRestInTheHead(t *testing.T) {
	look := func(seconds, foreign float64, looks int) record.Baseline {
		return record.Baseline{Seconds: seconds, Looks: looks, Disturbance: record.Disturbance{Foreign: foreign, CPUTimeNS: 20e9}}
	}
	for want, baselines := range map[string][]record.Baseline{
		"": {{Cores: 2}},
		"others used 1.2 % of it at rest (in 10 s)":                         {look(10.04, 0.012, 1)},
		"others used 0.0 % of it at rest (in 1 s)":                          {look(1.01, 0, 0)},
		"others used 1.2 % of it at rest (in 6 s, the quietest of 3 looks)": {look(6.01, 0.012, 3), look(10, 0.011, 1)},
		"what others used of it at rest is not known":                       {look(10, 0.5, 1), {Seconds: 10, Looks: 3}},
	} {
		if got := atRest(baselines); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The figure of a target that another tier limited is a bound.
func TestBoundsInTheRanking(t *testing.T) {
	for model, sign := range map[string]string{"closed": ">= ", "open": "<= "} {
		s := world(t, 3, 7, 1.2, 0.002, model)
		s.Limits[1].Foreign = true
		table := ranks(s, 0, 3)
		at := map[string]int{}
		for i, head := range table.Head {
			at[head] = i
		}
		figure := at["answers/s"] + at["p99"]
		for _, row := range table.Rows {
			if limited := row[at["target"]] == s.Targets[1].Name; figure == 0 || strings.HasPrefix(row[figure], sign) != limited {
				t.Errorf("%s: %q", model, row)
			}
		}
	}
}

// More targets than a screen holds are counted, and so are pairs.
func TestScreenOfManyTargets(t *testing.T) {
	s := world(t, 30, 20, 1.05, 0.002, "closed")
	s.Caveats = []string{strings.Repeat("word ", 2000), "b", "c", "d", "e"}
	s.Verdict.Head, s.Limits = "x", s.Limits[:1]
	out := asScreen(t, s, figures.Others{})
	has(t, out, "and 18 more targets", "and 2 more marks", "word word ...")
}

// The end of a run with twenty targets fits a screen, whatever is to be said of them.
func TestScreenOfTwenty(t *testing.T) {
	for name, noise := range map[string]float64{"told": 0.002, "some told": 0.02, "none told": 0.2} {
		for _, step := range []float64{1, 1.03, 1.2} {
			s := world(t, 20, 14, step, noise, "closed")
			s.Caveats = []string{strings.Repeat("word ", 50), strings.Repeat("word ", 50), strings.Repeat("word ", 50), "d"}
			s.Speed = &figures.Speed{Trials: 280, Low: 0.8, High: 1.2}
			s.Time.WallS, s.Time.Useful, s.Calibration = 12345, 0.5, &record.Calibration{}
			for _, what := range []string{"repeats", "pauses", "warm-up", "starts", "pilot", "checks", "set-up", "stops"} {
				s.Time.Shares = append(s.Time.Shares, figures.Share{Name: what, Share: 0.06})
			}
			others := figures.Others{Runs: 5, Older: 12, LeftOut: 3, Speeds: []float64{1, 0.8, 1, 1, 1}}
			for _, target := range s.Verdict.Targets[1:] {
				others.Ratios = append(others.Ratios, figures.Ratios{A: s.Verdict.Targets[0].Name, B: target.Name, This: 1.234, Others: []float64{1.2, 1.3, 1.4, 1.5, 1.6}, Spread: 0.123})
			}
			out := asScreen(t, s, others)
			if t.Failed() {
				t.Fatalf("%s, step %v:\n%s", name, step, out)
			}
		}
	}
}

// Words from outside reach the screen as text.
func TestHostileScreen(t *testing.T) {
	r := contest(1, "django")
	r.Head.Name, r.Head.Machine.CPU = "demo", "a\x1b[31m\u202eCPU"
	r.Head.Plan = json.RawMessage(`{"blocks":1,"primary":"throughput","allow_unfair":"because \u001b]0;x\u0007 of\nit"}`)
	out := asScreen(t, build(t, r.Write(t)), figures.Others{})
	if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || r == '\u202e') }); i >= 0 {
		t.Errorf("a control character: %q", out[max(0, i-20):i+20])
	}
	has(t, out, "UNFAIR BY PLAN: differences between targets were allowed: because \ufffd]0;x\ufffd of it")
}

// What the plan leaves out of the checks is in the head of a report.
func TestChecksLeftOutOnScreen(t *testing.T) {
	r := contest(1, "django")
	r.Head.ChecksLeftOut = []string{"moves: off", "account: shared"}
	has(t, asScreen(t, build(t, r.Write(t)), figures.Others{}), "CHECKS LEFT OUT by the plan (trust): moves: off, account: shared;")
}

func TestTrialsInWords(t *testing.T) {
	for want, a := range map[string]figures.Attempts{
		"24 planned, 24 run: 24 valid":                            {Planned: 24, Run: 24, Valid: 24},
		"24 planned, 26 run: 24 valid, 2 invalid: disturbed-host": {Planned: 24, Run: 26, Valid: 24, Invalid: 2, Reasons: []figures.ReasonCount{{Code: "disturbed-host", Trials: 2}}},
		"9 planned, 9 run: 4 valid (1 with a warning), 1 unfinished, 1 damaged, 3 invalid, most often books (2)": {
			Planned: 9, Run: 9, Valid: 4, Warned: 1, Unfinished: 1, Damaged: 1, Invalid: 3, Reasons: []figures.ReasonCount{{Code: "books", Trials: 2}, {Code: "witness", Trials: 1}},
		},
		"21 planned, 24 run: 21 valid, 3 invalid: disturbed-host (1), and 2 that took turns with them": {
			Planned: 21, Run: 24, Valid: 21, Invalid: 3, Reasons: []figures.ReasonCount{{Code: "block", Trials: 2}, {Code: "disturbed-host", Trials: 1}},
		},
		"21 planned, 27 run: 21 valid, 6 invalid, most often books (2), and 3 that took turns with them": {
			Planned: 21, Run: 27, Valid: 21, Invalid: 6, Reasons: []figures.ReasonCount{{Code: "block", Trials: 3}, {Code: "books", Trials: 2}, {Code: "witness", Trials: 1}},
		},
		"21 planned, 24 run: 21 valid, 3 invalid: block": {Planned: 21, Run: 24, Valid: 21, Invalid: 3, Reasons: []figures.ReasonCount{{Code: "block", Trials: 3}}},
	} {
		if got := trials(a); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLimitsInWords(t *testing.T) {
	tiers := func(target, host float64) []figures.Utilisation {
		return []figures.Utilisation{{Tier: "host", Share: host}, {Tier: "target", Share: target}, {Tier: "database", Share: 0.2}}
	}
	for want, limits := range map[string][]figures.Limit{
		"not known: no tier was sampled":                               nil,
		"none shown: the busiest is target 41 to 50 %":                 {{Target: "a", Tiers: tiers(0.41, 0.6)}, {Target: "b", Tiers: tiers(0.5, 0.6)}},
		"the shared machine, 97 % busy: target 61 % and database 20 %": {{Target: "a", Tier: limit.SharedMachine, Share: 0.97, Tiers: tiers(0.61, 0.97)}},
		"a: target CPU, 92 % of the machine's cores; b: none shown: the busiest is target 30 %": {
			{Target: "a", Tier: limit.Target, What: limit.CPU, Share: 0.92, Of: "of the machine's cores", Tiers: tiers(0.92, 0.97)}, {Target: "b", Tiers: tiers(0.3, 0.5)},
		},
		"balancer CPU, 97 to 99 % of one core": {
			{Target: "a", Tier: limit.Balancer, What: limit.CPU, Share: 0.97, Of: "of one core", More: "x"}, {Target: "b", Tier: limit.Balancer, What: limit.CPU, Share: 0.99, Of: "of one core"},
		},
		"a: target CPU, 92 % of the machine's cores; b: target CPU, 97 % of one core": {
			{Target: "a", Tier: limit.Target, What: limit.CPU, Share: 0.92, Of: "of the machine's cores"}, {Target: "b", Tier: limit.Target, What: limit.CPU, Share: 0.97, Of: "of one core"},
		},
		"database queue, 94 % of a statement's time is waiting; 16 ran at a time": {
			{Target: "a", Tier: limit.Database, What: limit.Queue, Share: 0.94, Of: "of a statement's time is waiting", More: "16 ran at a time"},
		},
		"target listen queue, 2.9 % of new connections were dropped (a-1)": {
			{Target: "a", Tier: limit.Target, What: limit.Listen, Share: 0.029, Of: "of new connections were dropped", Member: "a-1"},
		},
	} {
		if got := limitedBy(limits); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A machine whose speed varied from trial to trial is said, and one that was steady is not.
func TestSpeedOnTheScreen(t *testing.T) {
	for slow, want := range map[int64]string{1_650_000: "", 2_000_000: "its speed was 0.80 to 1.00 of its median)"} {
		r := contest(7, "fastapi", "flask")
		r.Work = func(target string, block int) int64 {
			if target == "flask" && block == 3 {
				return slow
			}
			return 1_600_000
		}
		s := build(t, r.Write(t))
		out := asScreen(t, s, figures.Others{})
		head, _, _ := strings.Cut(out, "\n\n")
		head = strings.ReplaceAll(head, "\n", " ")
		if strings.Contains(out, "its speed was") != (want != "") || !strings.Contains(head, want) {
			t.Errorf("a trial at %d ns, want %q:\n%s", slow, want, out)
		}
		var full strings.Builder
		check(t, WriteText(&full, s, figures.Others{}, 100))
		if n := strings.Count(full.String(), "1.60 ms"); n < 13 || !strings.Contains(full.String(), "Speed of this machine") {
			t.Errorf("%d trials at 1.60 ms, want 13:\n%s", n, full.String())
		}
		cell := fmt.Sprintf("%.2f\n", 1.6e6/float64(slow))
		_, books, _ := strings.Cut(full.String(), "Books: ")
		books, _, _ = strings.Cut(books, "\n\n")
		books += "\n"
		if !strings.Contains(books, "speed") || strings.Count(books, cell) != 1 || strings.Count(books, "1.00\n") != 13 {
			t.Errorf("the books of 14 trials have no speed of %q and 13 of 1.00:\n%s", cell, books)
		}
		if said := strings.Contains(full.String(), "correlation "); !said {
			t.Errorf("no correlation:\n%s", full.String())
		}
		for _, speed := range []float64{0.97, 0.8} {
			out := asScreen(t, s, figures.Others{Speeds: []float64{speed}})
			if said := strings.Contains(out, "another speed of the machine, 0.800 of its speed here"); said != (speed == 0.8) {
				t.Errorf("another run at %v of the speed:\n%s", speed, out)
			}
		}
	}
}
