package capacity_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/doctest"
	"bakeoff/internal/verdict"
)

var update = flag.Bool("update", false, "write the simulations' table in docs/method.md")

const (
	methodDoc   = "../../docs/method.md"
	fullRuns    = 100
	cheapRuns   = 15
	coverRuns   = 100 // of the first, whose interval shows little in fewer
	stageLength = 30 * time.Second
	ceiling     = 4096 // of the generator
	blindStart  = 100
	serviceRate = 1000
)

var objective = capacity.Objective{Percentile: 0.99, Bound: 50 * time.Millisecond, Errors: 0.001}

// truth is the rate at which an M/M/1 queue's response time, exponential with mu - rate, has the bound as its percentile.
func truth(mu float64) float64 { return mu + math.Log(objective.Allowed())/objective.Bound.Seconds() }

// server answers a stage that begins with nothing under way.
type server interface {
	stage(rate float64) capacity.Stage
}

// overdue is from when on an answer that has not come extends a slice.
const overdue = 0.05

// queue is an M/M/1 queue, simulated request by request.
type queue struct {
	mu     float64
	slice  float64 // seconds after which nothing is under way any more, as in turns; 0: there are no slices
	random *rand.Rand
}

func newQueue(mu float64, run, stream int) *queue {
	return &queue{mu: mu, random: rand.New(rand.NewPCG(uint64(run), uint64(stream)))}
}

func (q *queue) stage(rate float64) capacity.Stage {
	seconds := int(objective.Length(rate, stageLength).Seconds())
	s := capacity.Stage{Rate: rate, Batches: make([]capacity.Batch, seconds)}
	arrival, free, end := 0.0, 0.0, q.slice
	for {
		arrival += q.random.ExpFloat64() / rate
		if arrival >= float64(seconds) {
			return s
		}
		for q.slice > 0 && arrival >= end {
			if free-end > overdue { // the slice goes on
				end += overdue
			} else {
				free, end = end, end+q.slice
			}
		}
		free = max(arrival, free) + q.random.ExpFloat64()/q.mu
		b := &s.Batches[int(arrival)]
		b.Planned++
		b.Answers++
		if free-arrival > objective.Bound.Seconds() {
			b.Slow++
		}
	}
}

// spoiltQueue serves more slowly for good once it was overloaded.
type spoiltQueue struct{ *queue }

func (q spoiltQueue) stage(rate float64) capacity.Stage {
	s := q.queue.stage(rate)
	if rate > serviceRate {
		q.mu = 0.7 * serviceRate
	}
	return s
}

// bandQueue serves slowly at rates between a quarter and a half of what it serves at others.
type bandQueue struct{ *queue }

func (q bandQueue) stage(rate float64) capacity.Stage {
	slow := *q.queue
	if rate > serviceRate/4 && rate < serviceRate/2 {
		slow.mu = 0.3 * serviceRate
	}
	return slow.stage(rate)
}

// cappedServer is asked by a generator that keeps no rate above its own limit.
type cappedServer struct {
	server
	limit float64
}

func (c cappedServer) stage(rate float64) capacity.Stage {
	s := c.server.stage(rate)
	s.Limited = rate > c.limit
	return s
}

// search carries a pilot search out.
func search(s server, start, ceiling float64) (capacity.Result, []capacity.Stage) {
	pilot := capacity.Search{Objective: objective, Start: start, Ceiling: ceiling}
	var stages []capacity.Stage
	for {
		rate, more := pilot.Next(stages)
		if !more {
			return pilot.Result(stages), stages
		}
		stages = append(stages, s.stage(rate))
	}
}

// measured is a target measured as a run does: a pilot search, then blocks.
type measured struct {
	pilot  capacity.Result
	values []float64
	spent  int // seconds of stages
}

func measure(s server, blocks int) measured { return measureOn(s, s, blocks) }

// measureOn is the same where the server of the blocks is asked in another way than that of the search.
func measureOn(alone, s server, blocks int) measured {
	found, stages := search(alone, blindStart, ceiling)
	out := measured{pilot: found, spent: seconds(stages...)}
	if found.Centre == 0 {
		out.values = slices.Repeat([]float64{math.NaN()}, blocks)
		return out
	}
	all := make([][]capacity.Stage, blocks)
	var reached []float64
	for i := range all {
		centre := capacity.Centre(found.Centre, reached)
		for {
			rate, more := objective.Next(centre, ceiling, all[i])
			if !more {
				break
			}
			all[i] = append(all[i], s.stage(rate))
		}
		reached = append(reached, all[i][len(all[i])-1].Rate)
		out.spent += seconds(all[i]...)
	}
	for _, v := range objective.Values(all) {
		if v.Kind == capacity.Rate {
			out.values = append(out.values, v.Rate)
		} else {
			out.values = append(out.values, math.NaN())
		}
	}
	return out
}

func seconds(stages ...capacity.Stage) (sum int) {
	for _, s := range stages {
		sum += len(s.Batches)
	}
	return sum
}

// known are the values of the blocks that have one.
func (m measured) known() (out []float64) {
	for _, v := range m.values {
		if !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

// bisected is how many seconds it takes to find the truth to 3 % in every block by bisection of all rates up to the
// ceiling, one stage a step.
func bisected(s server, blocks int) (spent int) {
	for range blocks {
		low, high := 0.0, float64(ceiling)
		for (high-low)/2 > 0.03*(high+low)/2 {
			middle := (low + high) / 2
			stage := s.stage(middle)
			if objective.Judge(stage).Meets() {
				low = middle
			} else {
				high = middle
			}
			spent += seconds(stage)
		}
	}
	return spent
}

// count is how many of the runs something must hold in.
type count struct {
	says    string
	atLeast int // of 100
}

// trialOf is a simulated truth: holds says of one run what of the counts holds.
type trialOf struct {
	says   string
	counts []count
	holds  func(run int) []bool
}

func within(value, truth, part float64) bool { return math.Abs(value/truth-1) <= part }

func oneQueue(run int) []bool {
	m := measure(newQueue(serviceRate, run, 0), 7)
	mean := verdict.MeanOf(m.known(), 1)
	want := truth(serviceRate)
	return []bool{
		within(float64(mean.Value), want, 0.03),
		float64(mean.Low) <= want && want <= float64(mean.High),
		m.spent <= bisected(newQueue(serviceRate, run, 1), 7),
		m.pilot.Outcome == capacity.Found && within(m.pilot.Centre, want, 0.1),
		len(m.known()) == 7,
	}
}

func twoQueues(run int) []bool {
	a, b := measure(newQueue(1.05*serviceRate, run, 2), 10), measure(newQueue(serviceRate, run, 3), 10)
	var table verdict.Table
	for block := range a.values {
		for name, v := range map[string]float64{"a": a.values[block], "b": b.values[block]} {
			table.Expect(strconv.Itoa(block+1), name)
			if math.IsNaN(v) {
				continue
			}
			if err := table.Add(verdict.Cell{Block: strconv.Itoa(block + 1), Target: name, Value: v}); err != nil {
				panic(err) // a rate is above 0
			}
		}
	}
	r, err := verdict.Judge(&table, verdict.Options{Delta: verdict.DefaultDelta})
	if err != nil {
		panic(err) // the options are right
	}
	return []bool{r.Comparisons[0].Verdict == verdict.Better}
}

func sameQueues(run int) []bool {
	a, b := measure(newQueue(serviceRate, run, 4), 10), measure(newQueue(serviceRate, run, 5), 10)
	ratios := make([]float64, 0, 10)
	for i := range a.values {
		if r := a.values[i] / b.values[i]; !math.IsNaN(r) {
			ratios = append(ratios, r)
		}
	}
	mean := verdict.MeanOf(ratios, 1)
	return []bool{float64(mean.Low) <= 1 && 1 <= float64(mean.High)}
}

func impossible(run int) []bool {
	found, _ := search(newQueue(60, run, 6), blindStart, ceiling)
	return []bool{found.Outcome == capacity.Impossible && found.Centre == 0}
}

func aboveCeiling(run int) []bool {
	known, _ := search(newQueue(serviceRate, run, 7), blindStart, 500)
	found, _ := search(cappedServer{newQueue(serviceRate, run, 8), 500}, blindStart, math.Inf(1))
	return []bool{
		known.Outcome == capacity.AtLeast && known.Lower == 500,
		found.Outcome == capacity.AtLeast && found.Lower <= 500 && found.Lower > 500/1.21 && found.Upper == 0,
	}
}

// belowCeiling is a server whose capacity is below the generator's limit, and a step of the search above it.
func belowCeiling(run int) []bool {
	found, _ := search(cappedServer{newQueue(serviceRate/2, run, 11), 500}, blindStart, math.Inf(1))
	return []bool{found.Outcome == capacity.Found && within(found.Centre, truth(serviceRate/2), 0.1)}
}

// sliced is a server that is searched for without interruption, and measured in slices.
func sliced(run int) []bool {
	alone, turns := newQueue(serviceRate, run, 12), newQueue(serviceRate, run, 13)
	turns.slice = 1
	m := measureOn(alone, turns, 7)
	mean := float64(verdict.MeanOf(m.known(), 1).Value)
	return []bool{len(m.known()) == 7, within(mean, truth(serviceRate), 0.03)}
}

// slowed is a server that does less in the blocks than in the search, by more than the stages of one block reach down.
func slowed(run int) []bool {
	m := measureOn(newQueue(1.15*serviceRate, run, 14), newQueue(serviceRate, run, 15), 7)
	mean := float64(verdict.MeanOf(m.known(), 1).Value)
	return []bool{len(m.known()) >= 5, within(mean, truth(serviceRate), 0.03)}
}

func spoilt(run int) []bool {
	found, _ := search(spoiltQueue{newQueue(serviceRate, run, 9)}, 0.7*serviceRate, ceiling)
	return []bool{found.Hysteresis && found.Outcome == capacity.Found && within(found.Centre, truth(0.7*serviceRate), 0.1)}
}

func notMonotone(run int) []bool {
	found, _ := search(bandQueue{newQueue(serviceRate, run, 10)}, 0.7*serviceRate, ceiling)
	return []bool{found.Inverted && found.Outcome == capacity.Found && within(found.Centre, serviceRate/4, 0.1)}
}

var simulated = []trialOf{
	{"M/M/1, 1000/s, 7 blocks", []count{
		{"the mean is within 3 % of 907.9/s", 95},
		{"the interval holds 907.9/s", 90},
		{"no more seconds of stages than a bisection to 3 % in each block, the pilot search included", 100},
		{"the pilot search is within 10 %", 90},
		{"every block has a value", 90},
	}, oneQueue},
	{"M/M/1, 1050/s and 1000/s, 10 blocks", []count{{"the first is better, by the rules above with a margin of 3 %", 95}}, twoQueues},
	{"M/M/1, 1000/s twice, 10 blocks", []count{{"the interval of the ratio holds 1", 90}}, sameQueues},
	{"M/M/1, 60/s, whose p99 is 77 ms without any load", []count{{"impossible", 100}}, impossible},
	{"M/M/1, 1000/s, and a generator for 500/s", []count{
		{"the ceiling is known: at least 500/s", 100}, {"it shows: at least a rate of 413/s to 500/s", 100},
	}, aboveCeiling},
	{"M/M/1, 500/s, and a generator for 500/s", []count{{"the search is within 10 % of 407.9/s", 90}}, belowCeiling},
	{"M/M/1, 1000/s, 7 blocks in slices of 1 s", []count{{"every block has a value", 90}, {"the mean is within 3 % of 907.9/s", 95}}, sliced},
	{"M/M/1, 1150/s in the search and 1000/s in 7 blocks", []count{{"5 blocks have a value", 95}, {"the mean is within 3 % of 907.9/s", 95}}, slowed},
	{"M/M/1, 1000/s, and 700/s for good after an overload", []count{{"found out, and within 10 % of 607.9/s, which holds after it", 90}}, spoilt},
	{"M/M/1, 1000/s, but 300/s where asked for 250/s to 500/s", []count{{"found out, and within 10 % of 250/s, up to which all rates pass", 90}}, notMonotone},
}

// TestSimulatedCapacity counts what is found where the truth is known, in virtual time. The counts are the same on every
// machine.
func TestSimulatedCapacity(t *testing.T) {
	runs := cheapRuns
	if os.Getenv("BAKEOFF_LONG") != "" || *update {
		runs = fullRuns
	}
	var table strings.Builder
	table.WriteString("| truth | what is counted | of 100 | must be |\n|---|---|---:|---:|\n")
	for i, s := range simulated {
		held, runs := make([]int, len(s.counts)), runs
		if i == 0 {
			runs = max(runs, coverRuns)
		}
		for run := range runs {
			for i, ok := range s.holds(run) {
				if ok {
					held[i]++
				}
			}
		}
		for i, c := range s.counts {
			t.Logf("%s: %s: %d of %d", s.says, c.says, held[i], runs)
			fmt.Fprintf(&table, "| %s | %s | %d | >= %d |\n", s.says, c.says, held[i], c.atLeast)
			if held[i] < c.atLeast*runs/100 {
				t.Errorf("%s: %q in %d of %d, must be >= %d %%", s.says, c.says, held[i], runs, c.atLeast)
			}
		}
	}
	if runs == fullRuns {
		documented(t, "capacity", table.String())
	}
}

// documented checks that a section of the document is what the test wrote, or writes it.
func documented(t *testing.T, name, text string) {
	t.Helper()
	doctest.Check(t, methodDoc, name, text, *update, "go test ./internal/capacity -run Simulated -update")
}
