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

// queueing is a server in memory with that many places; each takes as long for a request as it is
// given.
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

// What slices say of a server is the truth: 32 connections keep 8 places busy, so that the throughput is 8
// by the service time, and of two servers the ratio of theirs.
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

// extending runs one slice to which time is added while a request is stuck, as an agent and its controller
// do.
func extending(t *testing.T, s Slices, slice Slice, stall time.Duration, emit func(stats.Window)) (end time.Duration) {
	t.Helper()
	const ahead, step = 10 * ms, 50 * ms
	end = slice.Begin + slice.Length
	begun := slice.Start
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Until(begun.Add(end - slice.Begin - ahead))):
			}
			if !s.Stuck(stall) || !s.Extend(end+step) {
				return
			}
			end += step
		}
	})
	if err := s.Run(t.Context(), slice, emit); err != nil {
		t.Error(err)
	}
	close(over)
	watching.Wait()
	return end
}

// A stall in one slice is met by all arrivals that a phase at a stretch would have sent into it: the same
// requests wait equally long, and not only those of the rest of the slice.
func TestSlicesMeetAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phase := Phase{Model: Open, Connections: 500, Rate: 200, Duration: 10 * time.Second, Timeout: 10 * time.Second}
		stalling := func() *virtual {
			var mu sync.Mutex
			var until time.Time
			return &virtual{handle: func(n int) {
				mu.Lock()
				if n == 600 {
					until = time.Now().Add(2 * time.Second)
				}
				wait := time.Until(until)
				mu.Unlock()
				time.Sleep(max(wait, 0) + 3*ms)
			}}
		}
		job := Job{URLs: []string{"http://virtual"}, Workload: echoWork{}, Seed: 5, Share: Share{0, 1}, Phase: phase, Start: time.Now()}
		whole := stalling()
		truth := collectAll(t, whole.engine(), 1, job)
		whole.wait.Wait()
		for _, c := range []struct {
			stall time.Duration
			is    bool
		}{{50 * ms, true}, {time.Hour, false}} {
			v := stalling()
			slices, err := v.engine().(Slicer).Slices(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			sum := stats.Totals{Sending: phase.Duration}
			turns := 0
			for at := time.Duration(0); at < phase.Duration; turns++ {
				length := min(250*ms, phase.Duration-at)
				at = extending(t, slices, Slice{Start: time.Now(), Begin: at, Length: length}, c.stall, func(w stats.Window) { sum.Add(w) })
				time.Sleep(300 * ms) // another's turn
			}
			slices.Close()
			v.wait.Wait()
			if err := sum.Exact(); err != nil || sum.Books.Planned != truth.Books.Planned || sum.Books.OK != truth.Books.OK {
				t.Errorf("%v, books %+v, at a stretch %+v", err, sum.Books, truth.Books)
			}
			same := true
			for _, q := range []float64{0.5, 0.9, 0.95, 0.99} {
				is, _ := sum.Response.Quantile(q)
				want, _ := truth.Response.Quantile(q)
				same = same && math.Abs(is.Seconds()/want.Seconds()-1) < 0.03
				t.Logf("stall from %v, %d turns: p%.0f %v, at a stretch %v", c.stall, turns, 100*q, is, want)
			}
			if same != c.is {
				t.Errorf("stall from %v: the same as at a stretch: %v, want %v", c.stall, same, c.is)
			}
		}
	})
}
