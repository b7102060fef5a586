package cli_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bakeoff/internal/doctest"
	"bakeoff/internal/figures"
	"bakeoff/internal/verdict"
)

const (
	trustDoc = "../../docs/trust.md"
	// mostTrust is what all checks may cost at most: the CPU time per answer of target and database with them, divided by that without.
	mostTrust = 1.03
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

// withoutTrust leaves every check out.
const withoutTrust = "trust: {lookups: off, moves: off, bodies: off, salt: off, statements: off, account: shared, user: shared, processes: off, record: off}\n"

// trusted is what one run says of one target.
type trusted struct{ perSecond, target, database float64 }

// TestBenchTrust runs the same plan with all checks, without, without, with, and so on, and writes the ratios into docs/trust.md: a ratio
// for each two runs that follow each other. BAKEOFF_BENCH_BLOCKS=2 tries it out, with two pairs, and writes nothing.
func TestBenchTrust(t *testing.T) {
	onlyBench(t)
	pairs, trying := benchBlocks(t, 8)
	dir := t.TempDir()
	binary := buildBench(t, dir)
	rows, duration := 100_000, "8s"
	if trying {
		rows, duration = 20_000, "2s"
	}
	ratios := map[string][]trusted{}
	for pair := range pairs {
		found := map[bool]map[string]trusted{}
		for i, with := range []bool{pair%2 == 0, pair%2 == 1} {
			trust := ""
			if !with {
				trust = withoutTrust
			}
			s := benchFigures(t, binary, filepath.Join(dir, strconv.Itoa(2*pair+i)), fmt.Sprintf(trustBench, rows, duration, trust), trying)
			found[with] = trustedIn(t, s)
		}
		for name, on := range found[true] {
			if off, both := found[false][name]; both {
				ratios[name] = append(ratios[name], trusted{on.perSecond / off.perSecond, on.target / off.target, on.database / off.database})
			}
		}
		for name, on := range found[true] {
			off := found[false][name]
			t.Logf("pair %d, %s: with %.0f/s, %.1f us target, %.1f us database; without %.0f/s, %.1f us, %.1f us", pair+1, name,
				on.perSecond, 1e6*on.target, 1e6*on.database, off.perSecond, 1e6*off.target, 1e6*off.database)
		}
	}
	table, missed := trustTable(ratios)
	t.Log("\n" + table)
	if !trying {
		doctest.Write(t, trustDoc, "bench-trust", table)
	}
	for _, text := range missed {
		if trying {
			t.Log("missed: " + text)
		} else {
			t.Error("missed: " + text)
		}
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

// trustTable is the table of the document, and which of the promises do not hold.
func trustTable(ratios map[string][]trusted) (string, []string) {
	var b strings.Builder
	b.WriteString("| target | answers per second | CPU per answer of the target | of the database | pairs of runs |\n|---|---:|---:|---:|---:|\n")
	var missed []string
	for _, name := range []string{"go-nethttp", "go-nethttp-prepared"} {
		of := func(figure func(trusted) float64) verdict.Estimate {
			var values []float64
			for _, one := range ratios[name] {
				values = append(values, figure(one))
			}
			return verdict.MeanOf(values, 1)
		}
		words := func(e verdict.Estimate) string {
			return fmt.Sprintf("%.3f (%.3f to %.3f)", float64(e.Value), float64(e.Low), float64(e.High))
		}
		target, database := of(func(r trusted) float64 { return r.target }), of(func(r trusted) float64 { return r.database })
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %d |\n", name, words(of(func(r trusted) float64 { return r.perSecond })), words(target), words(database), len(ratios[name]))
		for what, e := range map[string]verdict.Estimate{"the target": target, "the database": database} {
			if float64(e.Low) > mostTrust || !e.Known() {
				missed = append(missed, fmt.Sprintf("%s: the checks cost %s of the CPU time per answer of %s, at most %v is promised", name, words(e), what, mostTrust))
			}
		}
	}
	return b.String(), missed
}
