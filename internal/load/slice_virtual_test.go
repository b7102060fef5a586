package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/stats"
)

// queueing is a server in memory with so many places, each of which takes as long for a request as it is given.
func queueing(places int, takes func() time.Duration) *virtual {
	free := make(chan struct{}, places)
	return &virtual{handle: func(int) {
		free <- struct{}{}
		time.Sleep(takes())
		<-free
	}}
}

func constant(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

func exponential(mean time.Duration, seed uint64) func() time.Duration {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 1))
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(rng.ExpFloat64() * float64(mean))
	}
}

// inTurns carries out a closed phase on each of the servers in turns and returns what each came to.
func inTurns(t *testing.T, phase Phase, length, runIn time.Duration, servers ...*virtual) []stats.Totals {
	t.Helper()
	sums := make([]stats.Totals, len(servers))
	slices := make([]Slices, len(servers))
	for i, v := range servers {
		sums[i].Sending = phase.Duration
		var err error
		if slices[i], err = v.engine().(Slicer).Slices(t.Context(), Job{
			URLs: []string{"http://virtual"}, Workload: echoWork{}, Seed: 3, Share: Share{0, 1}, Phase: phase,
		}); err != nil {
			t.Fatal(err)
		}
	}
	for begin := time.Duration(0); begin+length <= phase.Duration; begin += length {
		for i := range servers {
			err := slices[i].Run(t.Context(), Slice{Start: time.Now().Add(time.Millisecond), Begin: begin, Length: length, RunIn: runIn}, func(w stats.Window) { sums[i].Add(w) })
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, s := range slices {
		s.Close()
		servers[i].wait.Wait()
	}
	return sums
}

// What slices say of a server is the truth: 32 connections keep 8 places busy, so that the throughput is 8 by the
// service time, and of two servers the ratio of theirs.
func TestSlicesSayTheTruth(t *testing.T) {
	const ms = time.Millisecond
	rounds := 21 // histograms are handed on every fourth or second slice, and after the last
	if long() {
		rounds = 201
	}
	for _, c := range []struct {
		name          string
		mean          time.Duration
		length, runIn time.Duration // at least ten median response times, and two
		takes         func(mean time.Duration, seed uint64) func() time.Duration
		within, ratio float64
	}{
		{"constant", 5 * ms, 250 * ms, 50 * ms, func(m time.Duration, _ uint64) func() time.Duration { return constant(m) }, 0.01, 0.005},
		{"constant", 20 * ms, 800 * ms, 160 * ms, func(m time.Duration, _ uint64) func() time.Duration { return constant(m) }, 0.01, 0.005},
		{"constant", 100 * ms, 4000 * ms, 800 * ms, func(m time.Duration, _ uint64) func() time.Duration { return constant(m) }, 0.01, 0.005},
		{"exponential", 5 * ms, 250 * ms, 50 * ms, exponential, 0, 0},
		{"exponential", 20 * ms, 800 * ms, 160 * ms, exponential, 0, 0},
	} {
		t.Run(fmt.Sprint(c.name, " ", c.mean), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				phase := Phase{Model: Closed, Connections: 32, Duration: time.Duration(rounds)*c.length + 2, Timeout: 10 * time.Second}
				slower := c.mean * 105 / 100
				sums := inTurns(t, phase, c.length, c.runIn, queueing(8, c.takes(c.mean, 1)), queueing(8, c.takes(slower, 2)))
				within, ratio := c.within, c.ratio
				if within == 0 { // three times the standard error of a Poisson count
					n := 8 / c.mean.Seconds() * float64(rounds) * (c.length - c.runIn).Seconds()
					within = 3 / math.Sqrt(n)
					ratio = within * math.Sqrt2
				}
				for i, mean := range []time.Duration{c.mean, slower} {
					truth := 8 / mean.Seconds()
					if got := sums[i].Goodput(); math.Abs(got/truth-1) > within {
						t.Errorf("%v: %.2f/s, the truth is %.2f/s", mean, got, truth)
					}
					if err := sums[i].Exact(); err != nil || sums[i].Books.OK != sums[i].Books.Sent || sums[i].Opened != 32 {
						t.Errorf("%v: %v, %+v, %d connections", mean, err, sums[i].Books, sums[i].Opened)
					}
					if inFlight, recorded := *sums[i].InFlight, float64(sums[i].Service.Count())*sums[i].Service.Mean().Seconds(); math.Abs(inFlight/recorded-1) > 0.005 {
						t.Errorf("%v: Little's law: %.3f s in flight, %.3f s recorded", mean, inFlight, recorded)
					}
				}
				if got := sums[0].Goodput() / sums[1].Goodput(); math.Abs(got/1.05-1) > ratio {
					t.Errorf("ratio %.4f, the truth is 1.05", got)
				}
			})
		})
	}
}
