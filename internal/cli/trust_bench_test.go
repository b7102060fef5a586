package cli_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/doctest"
	"bakeoff/internal/figures"
	"bakeoff/internal/verdict"
)

const (
	trustDoc  = "../../docs/trust.md"
	trustCost = "../figures/checkcost.go"
	// mostTrust is the aim: what all checks may cost at most of the CPU time per answer.
	mostTrust = 0.03
)

// trustBench is the fastest target, in both protocols, with all checks or without any.
const trustBench = `name: bench-trust
blocks: 1
dataset: {rows: %d}
deployment: {replicas: 1, workers: 2, pool: 8}
targets:
  - go-nethttp
  - {recipe: go-nethttp, variant: prepared, name: go-nethttp-prepared}
warmup: 2s
turns: 250ms
phases: [{model: closed, connections: 32, duration: %s}]
%s`

// trustArms are the plans that are compared, by what is left out of them. The first leaves nothing out. What each row of the table divides
// by are the runs of one of the others: those without its checks.
var trustArms = []struct{ row, without string }{
	{"", ""},
	{"`lookups`", "trust: {lookups: off}\n"},
	{"`moves`", "trust: {moves: off}\n"},
	{allChecks, "trust: {lookups: off, moves: off, bodies: off, salt: off, statements: off, account: shared, user: shared, processes: off, record: off}\n"},
}

const allChecks = "all"

// trusted is what one run says of one target.
type trusted struct{ perSecond, target, database float64 }

// by is each figure divided by that of a run without.
func (t trusted) by(o trusted) trusted {
	return trusted{t.perSecond / o.perSecond, t.target / o.target, t.database / o.database}
}

// trustRow names what was left out, and the target.
type trustRow struct{ checks, target string }

// TestBenchTrust runs the same plan with all checks, without some, and without any, then in the opposite order, and so on, and writes the
// ratios into docs/trust.md, and the one for the database into the program. BAKEOFF_BENCH_BLOCKS=2 tries it out, with two rounds, and
// writes nothing.
func TestBenchTrust(t *testing.T) {
	onlyBench(t)
	rounds, trying := benchBlocks(t, 8)
	dir := t.TempDir()
	binary := buildBench(t, dir)
	rows, duration := 100_000, "8s"
	if trying {
		rows, duration = 20_000, "2s"
	}
	ratios := map[trustRow][]trusted{}
	for round := range rounds {
		found := make([]map[string]trusted, len(trustArms))
		for i := range trustArms {
			if round%2 == 1 {
				i = len(trustArms) - 1 - i
			}
			name := filepath.Join(dir, fmt.Sprintf("%d-%d", round, i))
			found[i] = trustedIn(t, benchFigures(t, binary, name, fmt.Sprintf(trustBench, rows, duration, trustArms[i].without), trying))
		}
		for i, arm := range trustArms {
			for name, one := range found[i] {
				t.Logf("round %d, %s, without %s: %.0f/s, %.1f us target, %.1f us database", round+1, name, cmp.Or(arm.row, "nothing"),
					one.perSecond, 1e6*one.target, 1e6*one.database)
				if on, both := found[0][name]; both && i > 0 {
					row := trustRow{arm.row, name}
					ratios[row] = append(ratios[row], on.by(one))
				}
			}
		}
	}
	table, most := trustTable(ratios)
	t.Log("\n" + table)
	if most > mostTrust {
		t.Logf("the checks cost the database %.1f %% of its CPU time per answer; at most %.0f %% is the aim", 100*most, 100*mostTrust)
	}
	if !trying {
		doctest.Write(t, trustDoc, "bench-trust", table)
		writeChecksCost(t, most)
	}
}

// writeChecksCost writes what the checks cost the database into the program, which says it in every report.
func writeChecksCost(t *testing.T, cost float64) {
	t.Helper()
	text, err := os.ReadFile(trustCost)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^const checksCost = .*$`)
	if !line.Match(text) {
		t.Fatalf("%s: no constant", trustCost)
	}
	if err := os.WriteFile(trustCost, line.ReplaceAll(text, fmt.Appendf(nil, "const checksCost = %.3f", cost)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// trustedIn is what a run says of each target that has a valid trial.
func trustedIn(t *testing.T, s *figures.Summary) map[string]trusted {
	t.Helper()
	out := map[string]trusted{}
	for _, trial := range s.Trials {
		if len(trial.Phases) == 0 {
			continue
		}
		phase := trial.Phases[0]
		one := trusted{perSecond: phase.Goodput}
		for _, r := range phase.Resources {
			switch {
			case strings.Contains(r.Name, "/"): // a worker of what counts already
			case r.Tier == "target":
				one.target += r.PerReqS
			case r.Tier == "database":
				one.database += r.PerReqS
			}
		}
		if one.perSecond > 0 && one.target > 0 && one.database > 0 {
			out[trial.Target] = one
		}
	}
	if len(out) == 0 {
		t.Logf("no target has a valid trial: %+v", s.Unusable)
	}
	return out
}

// trustTable is the table of the document, and the greatest part of the database's CPU time per answer that all checks cost.
func trustTable(ratios map[trustRow][]trusted) (table string, most float64) {
	var b strings.Builder
	b.WriteString("| checks | target | answers per second | CPU per answer of the target | of the database | pairs of runs |\n|---|---|---:|---:|---:|---:|\n")
	for _, arm := range slices.Backward(trustArms[1:]) {
		for _, name := range []string{"go-nethttp", "go-nethttp-prepared"} {
			pairs := ratios[trustRow{arm.row, name}]
			of := func(figure func(trusted) float64) verdict.Estimate {
				var values []float64
				for _, one := range pairs {
					values = append(values, figure(one))
				}
				return verdict.MeanOf(values, 1)
			}
			words := func(e verdict.Estimate) string {
				return fmt.Sprintf("%.3f (%.3f to %.3f)", float64(e.Value), float64(e.Low), float64(e.High))
			}
			database := of(func(r trusted) float64 { return r.database })
			fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %d |\n", arm.row, name, words(of(func(r trusted) float64 { return r.perSecond })),
				words(of(func(r trusted) float64 { return r.target })), words(database), len(pairs))
			if arm.row == allChecks {
				most = max(most, float64(database.Value)-1)
			}
		}
	}
	return b.String(), most
}
