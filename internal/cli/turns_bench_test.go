package cli_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/doctest"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

const (
	methodDoc = "../../docs/method.md"
	// wideBy is how much of the half-width of one target after another turns may have, where that is a noisy machine: one on
	// which the trials of a target vary by noisyFrom.
	wideBy    = 0.4
	noisyFrom = 0.08
)

// turnsBench has the targets of the demo, on 32 connections, without an open phase: the same measured seconds for each target, in turns and one after another.
const turnsBench = `name: bench-turns
blocks: %d
deployment: {replicas: 3, workers: 2, pool: 8}
targets:
  - recipe: django
    settings: {DATABASE_BOUND: semaphore}
  - flask
  - fastapi
warmup: 2s
pilot: 2s
turns: %s
phases: [{model: closed, connections: 32, duration: 4s}]
`

// benched is one run of it.
type benched struct {
	turns string
	*figures.Summary
}

// TestBenchTurns runs the demo's targets one after another, in turns, in turns, and one after another, and writes how wide the
// intervals are into docs/method.md. BAKEOFF_BENCH_BLOCKS=2 tries it out, scaled down and next to other runs, and writes nothing.
func TestBenchTurns(t *testing.T) {
	onlyBench(t)
	blocks, trying := benchBlocks(t, 7)
	dir := t.TempDir()
	binary := buildBench(t, dir)
	var runs []benched
	for i, turns := range []string{"off", "250ms", "250ms", "off"} {
		out := filepath.Join(dir, strconv.Itoa(i))
		plan := fmt.Sprintf(turnsBench, blocks, turns)
		if trying {
			plan = scaledDown(plan)
		}
		runs = append(runs, benched{turns, benchRun(t, binary, out, plan, trying)})
	}
	table, missed := turnsTable(runs)
	t.Log("\n" + table)
	if !trying {
		doctest.Write(t, methodDoc, "bench-turns", table)
	}
	for _, text := range missed {
		if trying {
			t.Log("missed: " + text)
		} else {
			t.Error("missed: " + text)
		}
	}
}

// benchBlocks is how many blocks a bench has, and whether it is only tried out.
func benchBlocks(t *testing.T, usual int) (blocks int, trying bool) {
	t.Helper()
	text := os.Getenv("BAKEOFF_BENCH_BLOCKS")
	if text == "" {
		return usual, false
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n, true
}

// scaledDown is a plan of a bench that is only tried out.
func scaledDown(plan string) string {
	return strings.NewReplacer("duration: 4s", "duration: 2s", "pilot: 2s\n", "", "pilot: 1s\n", "", "2s\n", "1s\n", "replicas: 3, workers: 2", "replicas: 1, workers: 1").Replace(plan) +
		"dataset: {rows: 20000}\n"
}

// buildBench builds the program into a folder.
func buildBench(t *testing.T, dir string) string {
	t.Helper()
	binary := filepath.Join(dir, "bakeoff")
	build := exec.Command("go", "build", "-o", binary, "bakeoff")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// benchRun is one run of the program that compares targets, and its figures.
func benchRun(t *testing.T, binary, out, plan string, shared bool) *figures.Summary {
	t.Helper()
	s := benchFigures(t, binary, out, plan, shared)
	if s.Verdict == nil {
		t.Fatalf("no verdict: %s", s.NoVerdict)
	}
	return s
}

// benchFigures are those of one run of the program. A run with too few valid trials is shown all the same.
func benchFigures(t *testing.T, binary, out, plan string, shared bool) *figures.Summary {
	t.Helper()
	file := out + ".yaml"
	if err := os.WriteFile(file, []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", file, "--out", out}
	if shared {
		args = append(args, "--share-machine")
	}
	began := time.Now()
	said, err := exec.Command(binary, args...).CombinedOutput()
	t.Logf("%s, %v:\n%s", time.Since(began).Round(time.Second), err, said)
	listed, listErr := record.List(out)
	if listErr != nil || len(listed) != 1 {
		t.Fatalf("%d runs in %s, %v", len(listed), out, listErr)
	}
	r, err := record.Open(listed[0].Dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// turnsTable is the table of the document, and which of the promises do not hold.
func turnsTable(runs []benched) (string, []string) {
	var b strings.Builder
	first := runs[0]
	b.WriteString("| run | turns |")
	for _, c := range first.Verdict.Comparisons {
		fmt.Fprintf(&b, " %s / %s |", c.A, c.B)
	}
	b.WriteString(" trials vary by | useful | time | speed of the machine |\n|---:|---|" + strings.Repeat("---:|", len(first.Verdict.Comparisons)) + "---:|---:|---:|---|\n")
	for i, run := range runs {
		fmt.Fprintf(&b, "| %d | %s |", i+1, run.turns)
		for _, c := range run.Verdict.Comparisons {
			fmt.Fprintf(&b, " %.3f +-%.1f %% |", float64(c.Ratio), 100*math.Expm1(half(run, c.A, c.B)))
		}
		speed := "not measured"
		if run.Speed != nil {
			speed = fmt.Sprintf("%.2f to %.2f of its median", run.Speed.Low, run.Speed.High)
		}
		fmt.Fprintf(&b, " %.1f %% | %.0f %% | %s | %s |\n", 100*variation(run), 100*run.Time.Useful, show.Span(math.Round(run.Time.WallS)), speed)
	}
	off, on := rms(runs[0], runs[3]), rms(runs[1], runs[2])
	var missed []string
	noisy := max(variation(runs[0]), variation(runs[3])) >= noisyFrom
	bound := 1.0
	if noisy {
		bound = wideBy
	}
	if on > bound*off {
		missed = append(missed, fmt.Sprintf("half-widths in turns are %.2f of those one after another, at most %v is promised", on/off, bound))
	}
	missed = append(missed, apartBetween(runs)...)
	fmt.Fprintf(&b, "\nRoot mean square of the half-widths: +-%.1f %% one after another, +-%.1f %% in turns, %.2f of it\n(at most %v is promised where trials vary by %s 8 %%).\n",
		100*math.Expm1(off), 100*math.Expm1(on), on/off, bound, map[bool]string{true: "at least", false: "less than"}[noisy])
	return b.String(), missed
}

// apartBetween are the pairs whose ratios in turns and one after another do not agree within their intervals.
func apartBetween(runs []benched) (out []string) {
	for _, c := range runs[0].Verdict.Comparisons {
		for _, pair := range [][2]benched{{runs[0], runs[1]}, {runs[3], runs[2]}} {
			a, _ := pair[0].Verdict.Pair(c.A, c.B)
			b, _ := pair[1].Verdict.Pair(c.A, c.B)
			distance := math.Abs(math.Log(float64(a.Ratio / b.Ratio)))
			if reach := half(pair[0], c.A, c.B) + half(pair[1], c.A, c.B); distance > reach {
				out = append(out, fmt.Sprintf("%s / %s is %.3f one after another and %.3f in turns: further apart than both intervals reach", c.A, c.B, a.Ratio, b.Ratio))
			}
		}
	}
	return out
}

// half is the half-width of a pair's interval, as a log-ratio.
func half(run benched, a, b string) float64 {
	c, _ := run.Verdict.Pair(a, b)
	return math.Log(float64(c.High / c.Ratio))
}

// rms is the root mean square of the half-widths of all pairs of the runs.
func rms(runs ...benched) float64 {
	sum, n := 0.0, 0.0
	for _, run := range runs {
		for _, c := range run.Verdict.Comparisons {
			one := half(run, c.A, c.B)
			sum, n = sum+one*one, n+1
		}
	}
	return math.Sqrt(sum / n)
}

// variation is the coefficient of variation of a target's trials, the root mean square over all targets.
func variation(run benched) float64 {
	values := map[string][]float64{}
	for _, v := range run.Verdict.Values {
		values[v.Target] = append(values[v.Target], v.Value)
	}
	squares := 0.0
	for _, of := range values {
		mean, sum := 0.0, 0.0
		for _, v := range of {
			mean += v / float64(len(of))
		}
		for _, v := range of {
			sum += (v - mean) * (v - mean)
		}
		squares += sum / float64(max(1, len(of)-1)) / (mean * mean) / float64(len(values))
	}
	return math.Sqrt(squares)
}

// redrawsBench is two targets in short blocks, with connections that are redrawn or kept.
const redrawsBench = `name: bench-redraws
blocks: %d
deployment: {replicas: 3, workers: 2, pool: 8}
targets: [fastapi, flask]
warmup: 1s
pilot: 1s
turns: 250ms
keep_connections: %t
phases: [{model: closed, connections: 32, duration: 4s}]
`

// TestBenchRedraws runs two targets with connections that are redrawn, kept, kept, and redrawn, and prints how the ratio spreads
// over the blocks of each, and by how much that may differ by chance. BAKEOFF_BENCH_BLOCKS=2 tries it out.
func TestBenchRedraws(t *testing.T) {
	onlyBench(t)
	blocks, trying := benchBlocks(t, 14)
	dir := t.TempDir()
	binary := buildBench(t, dir)
	squares := map[bool][]float64{}
	for i, kept := range []bool{false, true, true, false} {
		plan := fmt.Sprintf(redrawsBench, blocks, kept)
		if trying {
			plan = scaledDown(plan)
		}
		s := benchRun(t, binary, filepath.Join(dir, strconv.Itoa(i)), plan, trying)
		c := s.Verdict.Comparisons[0]
		squares[kept] = append(squares[kept], c.SD()*c.SD())
		t.Logf("connections kept: %t: %s/%s %.3f, spread of the ratio between blocks %.1f %% (%d blocks)", kept, c.A, c.B, float64(c.Ratio), 100*math.Expm1(c.SD()), c.Blocks)
	}
	sd := func(kept bool) float64 { return math.Sqrt((squares[kept][0] + squares[kept][1]) / 2) }
	low, high := ratiosByChance(2 * (blocks - 1))
	t.Logf("spread redrawn / kept: %.2f (%.1f and %.1f %%); by chance %.2f to %.2f in 95 of 100", sd(false)/sd(true), 100*math.Expm1(sd(false)), 100*math.Expm1(sd(true)), low, high)
}

// ratiosByChance is between which bounds 95 % of the ratios lie of two standard deviations with that many degrees of freedom each,
// whose truth is the same: by simulation.
func ratiosByChance(freedom int) (low, high float64) {
	random := rand.New(rand.NewPCG(1, 2))
	sum := func() (sum float64) {
		for range freedom {
			x := random.NormFloat64()
			sum += x * x
		}
		return sum
	}
	ratios := make([]float64, 4000)
	for i := range ratios {
		ratios[i] = math.Sqrt(sum() / sum())
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/40], ratios[len(ratios)-len(ratios)/40]
}
