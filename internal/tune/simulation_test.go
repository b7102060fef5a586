package tune_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"bakeoff/internal/doctest"
	"bakeoff/internal/tune"
	"bakeoff/internal/verdict"
)

var update = flag.Bool("update", false, "write the simulations' table in docs/method.md")

const (
	methodDoc = "../../docs/method.md"
	fullRuns  = 1000
	cheapRuns = 200
	spread    = 0.02 // of the starts of a setting
	settings  = 12
	delta     = 0.03
)

// truth are the figures of twelve settings. The first is the plan's own.
type truth struct {
	says   string
	figure func(setting int) float64
	best   int // setting; -1: there is none
}

var truths = []truth{
	{"all 12 settings are equal", func(int) float64 { return 100 }, -1},
	{"one is 5 % ahead of the other 11", func(i int) float64 {
		if i == 7 {
			return 105
		}
		return 100
	}, 7},
	{"4 numbers of workers, 3 pools, each other value than the best costs 4 %", func(i int) float64 {
		figure := 100.0
		if i/3 != 2 {
			figure *= 0.96
		}
		if i%3 != 1 {
			figure *= 0.96
		}
		return figure
	}, 7},
}

// world draws the figure of a start.
type world struct {
	*rand.Rand
	of func(int) float64
}

func (w world) start(setting int) float64 { return w.of(setting) * math.Exp(spread*w.NormFloat64()) }

func name(setting int) string { return strconv.Itoa(setting) }

// search is the search of bakeoff tune for a plan of 7 blocks, in blocks of any speed.
func (w world) search() (best int, lead float64) {
	var s tune.Search
	for i := range settings {
		s.Left = append(s.Left, name(i))
	}
	var values []tune.Value
	for stage, blocks := 1, 3; len(s.Left) > 1; stage, blocks = stage+1, min(2*blocks, 7) {
		for block := range blocks {
			slower := math.Exp(0.1 * w.NormFloat64())
			for _, setting := range s.Left {
				i, _ := strconv.Atoi(setting)
				values = append(values, tune.Value{Stage: stage, Block: block, Setting: setting, Value: slower * w.start(i)})
			}
		}
		s.Halve((len(s.Left)+1)/2, values, verdict.Higher)
	}
	best, _ = strconv.Atoi(s.Left[0])
	for _, one := range tune.Compare(values, s.Ranked()) {
		if one.Name == name(0) {
			lead = 1 / float64(one.Ratio.Value)
		}
	}
	return best, lead
}

// confirm compares a setting with the plan's own in 7 blocks of their own.
func (w world) confirm(t *testing.T, best int) verdict.Comparison {
	t.Helper()
	var table verdict.Table
	for block := range 7 {
		for i, who := range []string{"best", "own"} {
			setting := []int{best, 0}[i]
			if err := table.Add(verdict.Cell{Block: name(block), Target: who, Value: w.start(setting)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := verdict.Judge(&table, verdict.Options{Delta: delta})
	if err != nil {
		t.Fatal(err)
	}
	return r.Comparisons[0]
}

// TestSimulatedSearch counts what is found where the truth is known, and how much better the setting that was chosen looks in the
// search than it is.
func TestSimulatedSearch(t *testing.T) {
	runs, chance := cheapRuns, 0.003
	if os.Getenv("BAKEOFF_LONG") != "" || *update {
		runs, chance = fullRuns, 0.001
	}
	var table strings.Builder
	table.WriteString("| truth | found | looks ahead, in the search | is ahead, in fresh trials | called better there |\n|---|---:|---:|---:|---:|\n")
	for number, of := range truths {
		found, better, others := 0, 0, 0
		var search, fresh float64
		for run := range runs {
			w := world{rand.New(rand.NewPCG(uint64(run), uint64(number))), of.figure}
			best, lead := w.search()
			if best == of.best {
				found++
			}
			if best == 0 {
				continue
			}
			c := w.confirm(t, best)
			others++
			search, fresh = search+math.Log(lead), fresh+math.Log(float64(c.Ratio))
			if c.Verdict == verdict.Better {
				better++
			}
		}
		search, fresh = math.Expm1(search/float64(others)), math.Expm1(fresh/float64(others))
		text := fmt.Sprint(found)
		if of.best < 0 {
			text = "-"
		}
		t.Logf("%s: found %d, %.2f %% and %.2f %%, better %d", of.says, found, 100*search, 100*fresh, better)
		fmt.Fprintf(&table, "| %s | %s | %.1f %% | %.1f %% | %d |\n", of.says, text, 100*search, math.Abs(100*fresh), better)
		if of.best >= 0 && found < runs*95/100 || of.best < 0 && better > runs/20 {
			t.Errorf("%s: found %d times, called better %d times", of.says, found, better)
		}
		if of.best < 0 && (search < 0.005 || math.Abs(fresh) > chance) {
			t.Errorf("%s: it looks ahead by %.2f %%, and is by %.2f %%", of.says, 100*search, 100*fresh)
		}
	}
	if runs == fullRuns {
		documented(t, "search", table.String())
	}
}

// documented checks that a section of the document is what the test wrote, or writes it.
func documented(t *testing.T, name, text string) {
	t.Helper()
	doctest.Check(t, methodDoc, name, text, *update, "go test ./internal/tune -run Simulated -update")
}
