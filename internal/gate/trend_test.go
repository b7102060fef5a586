package gate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"bakeoff/internal/record"
)

// driftsOf are those of blocks in which these targets took turns, or did not.
func driftsOf(turns bool, blocks int, ratio func(target string, block int) float64, names ...string) (out []Drift) {
	for block := range blocks {
		for _, name := range names {
			out = append(out, Drift{Target: name, Block: block + 1, Attempt: 1, Turns: turns, Ratio: ratio(name, block)})
		}
	}
	return out
}

func closedPhase() record.Phase { return record.Phase{Name: "closed", Model: "closed"} }

// Over all blocks a drift is found that no single trial shows, and of six steady trends at most 5 %
// of runs call one unsteady, however noisy the windows.
func TestTrends(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const runs, targets, blocks = 300, 6, 7
	trend := func(cv, rho, drifting float64) Trend {
		of := driftsOf(false, blocks, func(string, int) float64 {
			levels := noisy(rng, 20, cv, rho)
			for i := range levels {
				levels[i] += drifting * float64(i) / 19
			}
			ratio, _ := phaseAt(levels).levels.Drift()
			return ratio
		}, "django")
		return TrendsOf(closedPhase(), []string{"django"}, of, targets)[0]
	}
	wrong := 0
	for range runs {
		bad := false
		for range targets {
			bad = bad || !trend(0.15, 0.7, 0).Steady
		}
		if bad {
			wrong++
		}
	}
	found := 0
	for range runs {
		if got := trend(0.02, 0, 0.12); !got.Steady && got.Ratio > 1.03 && got.Low > 1 && got.High > got.Ratio && got.Relative == nil {
			found++
		}
	}
	t.Logf("%d of %d steady runs called unsteady, %d of %d drifts of 12 %% found", wrong, runs, found, runs)
	if wrong > runs*8/100 || found < runs*95/100 {
		t.Error("want at most 8 % and at least 95 %")
	}
	of := func(ratios ...float64) []Trend {
		return TrendsOf(closedPhase(), []string{"django"}, driftsOf(false, len(ratios), func(_ string, block int) float64 { return ratios[block] }, "django"), 1)
	}
	if got := of(2, 2); len(got) != 0 {
		t.Errorf("two blocks: %+v", got)
	}
	if got := of(1.02, 1.02, 1.0201); len(Unsteady(got)) != 0 {
		t.Errorf("2 %%: %+v", got)
	}
	got := strings.Join(Unsteady(of(1.2, 1.25, 1.22, 1.18)), "\n")
	want := "django still gets faster in phase closed and needs a longer warm-up: rate 1.21 times (1.17 to 1.26) from first to last third, 4 blocks"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Where targets take turns, a target is judged relative to the others of the same block: a machine that changes is
// said once and accuses none, and hides none.
func TestRelativeTrends(t *testing.T) {
	wobble := func(block int) float64 { return 0.002 * math.Sin(float64(3*block)) }
	slows := func(block int) float64 { return -0.3 + 0.15*math.Sin(float64(block)) } // the machine, by another amount in each block
	swing := func(block int) float64 { return 0.25 * math.Cos(math.Pi*float64(block)) }
	three := []string{"django", "flask", "fastapi"}
	for name, c := range map[string]struct {
		names []string
		log   func(target string, block int) float64
		want  []string // beginnings
	}{
		"steady": {three, func(n string, b int) float64 { return wobble(b + len(n)) }, nil},
		"the machine slows down": {three, func(n string, b int) float64 { return slows(b) + wobble(b+len(n)) }, []string{
			"all targets get slower in phase closed (or the machine does): rate 0.7",
		}},
		"all warm up": {three, func(n string, b int) float64 { return 0.2 + wobble(b+len(n)) }, []string{
			"all targets still get faster in phase closed (or the machine does): rate 1.22 times (1.2",
		}},
		"one warms up": {three, func(n string, b int) float64 {
			return wobble(b+len(n)) + map[string]float64{"flask": 0.1}[n]
		}, []string{
			"flask still gets faster in phase closed compared with the others and needs a longer warm-up: rate 1.1",
		}},
		"one warms up, hidden by the machine": {three, func(n string, b int) float64 {
			return slows(b) + wobble(b+len(n)) + map[string]float64{"flask": 0.3}[n]
		}, []string{
			"the others get slower in phase closed compared with flask, or the machine does and flask needs a longer warm-up: rate 0.74",
		}},
		"one warms up more than the machine slows down": {three, func(n string, b int) float64 {
			return slows(b) + wobble(b+len(n)) + map[string]float64{"flask": 0.8}[n]
		}, []string{
			"flask still gets faster in phase closed compared with the others and needs a longer warm-up: rate 2.2",
			"the other targets get slower in phase closed (or the machine does): rate 0.7",
		}},
		"two of three warm up": {three, func(n string, b int) float64 {
			return wobble(b+len(n)) + map[string]float64{"flask": 0.1, "fastapi": 0.1}[n]
		}, []string{
			"the others still get faster in phase closed compared with django: a longer warm-up is needed; rate 1.1",
		}},
		"two of three slow down": {three, func(n string, b int) float64 {
			return wobble(b+len(n)) - map[string]float64{"flask": 0.1, "fastapi": 0.1}[n]
		}, []string{
			"the others get slower in phase closed compared with django, or the machine does and django needs a longer warm-up: rate 0.9",
		}},
		"one with much noise warms up next to one with none": {three, func(n string, b int) float64 {
			return wobble(b+len(n)) + map[string]float64{"flask": 0.2 + swing(b), "fastapi": 0.05 - swing(b)}[n]
		}, []string{
			"all targets still get faster in phase closed (or the machine does): rate 1.09",
		}},
		"one of twelve warms up, and another has much noise": {strings.Split("abcdefghijkl", ""), func(n string, b int) float64 {
			return wobble(b+int(n[0])) + map[string]float64{"b": 0.1, "d": 0.15 + 1.2*swing(b)}[n]
		}, []string{
			"b still gets faster in phase closed compared with the others and needs a longer warm-up: rate 1.1",
		}},
		"two of five change, one each way": {[]string{"a", "b", "c", "d", "e"}, func(n string, b int) float64 {
			return wobble(b+int(n[0])) + map[string]float64{"b": 0.2, "d": -0.15}[n]
		}, []string{
			"b still gets faster in phase closed compared with the others and needs a longer", "d gets slower in phase closed compared with the others: rate 0.86",
		}},
		"one of two slows down": {three[:2], func(n string, b int) float64 { return wobble(b+len(n)) + map[string]float64{"django": -0.2}[n] }, []string{
			"django gets slower in phase closed compared with flask: rate 0.8",
		}},
		"the second of two slows down": {three[:2], func(n string, b int) float64 { return wobble(b+len(n)) + map[string]float64{"flask": -0.2}[n] }, []string{
			"flask gets slower in phase closed compared with django: rate 0.8",
		}},
	} {
		all := TrendsOf(closedPhase(), c.names, driftsOf(true, 7, func(n string, b int) float64 { return math.Exp(c.log(n, b)) }, c.names...), Trends(1, len(c.names), true))
		got := Unsteady(all)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %q; %+v", name, got, c.want, all)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], c.want[i]) {
				t.Errorf("%s: %q, want %q", name, got[i], c.want[i])
			}
		}
	}
}

// A comparison says how much each changed: the target itself and the others, in the blocks that they were in together.
func TestWordsOfComparisons(t *testing.T) {
	exactly := func(logs map[string]float64) func(string, int) float64 {
		return func(n string, b int) float64 { return math.Exp(logs[n] + 0.001*float64(b%2)) }
	}
	for name, c := range map[string]struct {
		model string
		logs  map[string]float64
		names []string
		want  string
	}{
		"the target": {"closed", map[string]float64{"a": 0.2, "c": 0.02}, []string{"a", "b", "c"}, "a still gets faster in phase p compared with the others and needs a longer warm-up: " +
			"rate 1.21 times (1.21 to 1.21) from first to last third, 4 blocks; itself 1.22 times, the others 1.01 times on average"},
		"the others": {"closed", map[string]float64{"b": 0.2, "c": 0.2}, []string{"a", "b", "c"}, "the others still get faster in phase p compared with a: a longer warm-up is needed; " +
			"rate 1.22 times (1.22 to 1.22) from first to last third, 4 blocks; the others 1.22 times on average, a itself 1.00 times"},
		"one of two": {"closed", map[string]float64{"a": -0.2}, []string{"a", "b"}, "a gets slower in phase p compared with b: " +
			"rate 0.82 times (0.82 to 0.82) from first to last third, 4 blocks; itself 0.82 times, b 1.00 times"},
		"a response time": {"open", map[string]float64{"b": 0.2, "c": 0.2}, []string{"a", "b", "c"}, "the others get slower in phase p compared with a, or the machine does and a needs a longer warm-up: " +
			"p50 1.22 times (1.22 to 1.22) from first to last third, 4 blocks; the others 1.22 times on average, a itself 1.00 times"},
	} {
		drifts := driftsOf(true, 4, exactly(c.logs), c.names...)
		drifts = append(drifts, driftsOf(false, 3, func(string, int) float64 { return 1 }, c.names...)...) // alone, on another machine
		got := Unsteady(TrendsOf(record.Phase{Name: "p", Model: c.model}, c.names, drifts, 1))
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %q\nwant %q", name, got, c.want)
		}
	}
}

// Of runs in which nothing changes, few say that something does, over all trends together.
func TestNothingChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	const runs, blocks = 1000, 7
	names, wrong := []string{"a", "b", "c"}, 0
	for range runs {
		machine := make([]float64, blocks)
		for i := range machine {
			machine[i] = 0.15 * rng.NormFloat64()
		}
		drifts := driftsOf(true, blocks, func(_ string, b int) float64 { return math.Exp(machine[b] + 0.1*rng.NormFloat64()) }, names...)
		if len(Unsteady(TrendsOf(closedPhase(), names, drifts, Trends(1, len(names), true)))) > 0 {
			wrong++
		}
	}
	if wrong == 0 || wrong > runs*5/100 {
		t.Errorf("%d of %d runs are called unsteady, want some and at most 5 %%", wrong, runs)
	}
	documented(t, fmt.Sprintf("Of 1,000 simulated runs of three targets in which nothing changes, %d report something.", wrong))
}

// documented looks for a sentence in docs/method.md.
func documented(t *testing.T, want string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/method.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(doc)), " "), want) {
		t.Errorf("docs/method.md: want %q", want)
	}
}

// Only targets of one attempt at a block met the same machine.
func TestSharedBlocks(t *testing.T) {
	names := []string{"a", "b"}
	slow := driftsOf(true, 4, func(string, int) float64 { return 0.8 }, names...)
	for i := range slow {
		if slow[i].Target == "b" {
			slow[i].Attempt = 2
		}
	}
	apart := driftsOf(false, 4, func(string, int) float64 { return 0.8 }, names...)
	for name, drifts := range map[string][]Drift{"other attempts": slow, "one after another": apart} {
		all := TrendsOf(closedPhase(), names, drifts, 4)
		if len(all) != 2 || all[0].Relative != nil || all[1].Relative != nil || len(Unsteady(all)) != 2 {
			t.Errorf("%s: %+v", name, all)
		}
	}
	// Each in two blocks, and all together in three.
	few := driftsOf(true, 1, func(string, int) float64 { return 0.8 }, names...)
	few = append(few, Drift{"b", 2, 1, true, 0.8}, Drift{"c", 2, 1, true, 0.8}, Drift{"c", 3, 1, true, 0.8}, Drift{"a", 3, 1, true, 0.8})
	if all := TrendsOf(closedPhase(), []string{"a", "b", "c"}, few, 4); len(all) != 0 {
		t.Errorf("no target has enough blocks: %+v", all)
	}
}

// Of simulated runs on a machine whose noise all targets share, few accuse a steady target, and one that warms
// up by 10 % is found where its own change is lost in what the machine does.
func TestRelativeTrendsSimulated(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	const runs, blocks = 300, 7
	names := []string{"a", "b", "c"}
	simulated := func(warms float64) (alone, relative int) {
		for range runs {
			var drifts []Drift
			for block := range blocks {
				machine := 0.15 * rng.NormFloat64()
				for _, name := range names {
					d := machine + 0.02*rng.NormFloat64()
					if name == "b" {
						d += warms
					}
					drifts = append(drifts, Drift{name, block, 1, true, math.Exp(d)})
				}
			}
			own, compared := false, false
			for _, trend := range TrendsOf(closedPhase(), names, drifts, Trends(2, len(names), true)) {
				own = own || trend.Target == "b" && !trend.Steady
				compared = compared || trend.Relative != nil && !trend.Relative.Steady && (trend.Target == "b" || warms == 0)
			}
			if own {
				alone++
			}
			if compared {
				relative++
			}
		}
		return alone, relative
	}
	_, wrong := simulated(0)
	alone, found := simulated(0.1)
	t.Logf("%d of %d steady runs accuse a target; of %d in which one warms up by 10 %%, %d show it by itself, %d relative to the others", wrong, runs, runs, alone, found)
	if wrong > runs*5/100 || found < runs*95/100 || alone > runs/2 {
		t.Error("want at most 5 %, at least 95 %, and at most half")
	}
	documented(t, fmt.Sprintf("Of %d simulated runs on a machine that changes by 15 %% in a block, %d show a target that warms up by 10 %% relative to the others, and %d by itself.", runs, found, alone))
}
