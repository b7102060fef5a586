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

// draws are the service times of a server: the n-th request of a round takes what the n-th of the same round takes at every other
// server of the same seed, by its own mean.
type draws struct {
	mean time.Duration
	seed uint64
	of   func(*rand.Rand) float64 // in means

	mu  sync.Mutex
	rng *rand.Rand
	n   int
	sum float64 // of all draws, in means
}

// drawn are the two kinds of service times.
var drawn = map[string]func(*rand.Rand) float64{
	"constant":    func(*rand.Rand) float64 { return 1 },
	"exponential": (*rand.Rand).ExpFloat64,
}

// round begins one.
func (d *draws) round(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rng = rand.New(rand.NewPCG(d.seed, uint64(n)))
}

func (d *draws) next() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.of(d.rng)
	d.n, d.sum = d.n+1, d.sum+x
	return time.Duration(x * float64(d.mean))
}

// A turned is a server in turns with others.
type turned struct {
	*virtual
	round func(n int) // its next round begins
}

// inTurns carries out a closed phase on each of the servers in turns and returns what each came to.
func inTurns(t *testing.T, phase Phase, length, runIn time.Duration, servers ...turned) []stats.Totals {
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
	n := 0
	for begin := time.Duration(0); begin+length <= phase.Duration; begin += length {
		n++
		for i, v := range servers {
			v.round(n)
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

// served is how many requests the servers of TestSlicesSayTheTruth carry out at once, of those on 32 connections.
const served = 8

// truthOf is a comparison of two servers of known throughput: the second one takes 5 % longer for each request.
type truthOf struct {
	kind          string
	mean          time.Duration
	length, runIn time.Duration // at least ten median response times, and two
	rounds        int
}

// said is what a comparison says of the two, in turns and one after the other in whole phases.
type said struct{ turned, whole, raw [2]float64 } // raw: in turns, as counted

func (s said) ratio() float64      { return s.turned[0] / s.turned[1] }
func (s said) wholeRatio() float64 { return s.whole[0] / s.whole[1] }

// slower is the second server's mean.
func (c truthOf) slower() time.Duration { return c.mean * 105 / 100 }

// phase is that of each of the servers.
func (c truthOf) phase() Phase {
	return Phase{Model: Closed, Connections: 32, Duration: time.Duration(c.rounds)*c.length + 2, Timeout: 10 * time.Second}
}

// server is one of them, and its service times.
func (c truthOf) server(mean time.Duration, seed uint64) (turned, *draws) {
	d := &draws{mean: mean, seed: seed, of: drawn[c.kind]}
	d.round(0)
	return turned{queueing(served, d.next), d.round}, d
}

// say carries it out. What is said is put right by the mean of what the servers drew, which is known: then chance moves it less.
func (c truthOf) say(t *testing.T, seed uint64) (out said) {
	means := [2]time.Duration{c.mean, c.slower()}
	var both []turned
	var drew []*draws
	for _, mean := range means {
		v, d := c.server(mean, seed)
		both, drew = append(both, v), append(drew, d)
	}
	for i, sum := range inTurns(t, c.phase(), c.length, c.runIn, both...) {
		out.raw[i] = sum.Goodput()
		out.turned[i] = out.raw[i] * drew[i].sum / float64(drew[i].n)
		c.exact(t, means[i], sum)
	}
	for i, mean := range means {
		v, d := c.server(mean, seed)
		sum := collectAll(t, v.engine(), 1, Job{
			URLs: []string{"http://virtual"}, Workload: echoWork{}, Seed: 3, Share: Share{0, 1}, Phase: c.phase(), Start: time.Now(),
		})
		v.wait.Wait()
		out.whole[i] = float64(sum.Books.OK) / c.phase().Duration.Seconds() * d.sum / float64(d.n)
	}
	return out
}

// exact checks the books of a server in turns, and Little's law.
func (c truthOf) exact(t *testing.T, mean time.Duration, sum stats.Totals) {
	t.Helper()
	if err := sum.Exact(); err != nil || sum.Books.OK != sum.Books.Sent || sum.Opened != 32 {
		t.Errorf("%v: %v, %+v, %d connections", mean, err, sum.Books, sum.Opened)
	}
	if inFlight, recorded := *sum.InFlight, float64(sum.Service.Count())*sum.Service.Mean().Seconds(); math.Abs(inFlight/recorded-1) > 0.005 {
		t.Errorf("%v: Little's law: %.3f s in flight, %.3f s recorded", mean, inFlight, recorded)
	}
}

// What slices say of a server is the truth: 32 connections keep 8 places busy, so that the throughput is 8
// by the service time, and of two servers the ratio of theirs. With BAKEOFF_LONG there are five times as many rounds, from five seeds,
// and whole phases agree with what the slices say.
func TestSlicesSayTheTruth(t *testing.T) {
	rounds, seeds := 41, 1 // histograms are handed on every fourth or second slice, and after the last
	if long() {
		rounds, seeds = 201, 5
	}
	for _, c := range []truthOf{
		{"constant", 5 * ms, 250 * ms, 50 * ms, rounds},
		{"constant", 20 * ms, 800 * ms, 160 * ms, rounds},
		{"constant", 100 * ms, 4000 * ms, 800 * ms, rounds},
		{"exponential", 5 * ms, 250 * ms, 50 * ms, rounds},
		{"exponential", 20 * ms, 800 * ms, 160 * ms, rounds},
		{"exponential", 100 * ms, 4000 * ms, 800 * ms, rounds},
	} {
		t.Run(fmt.Sprint(c.kind, " ", c.mean), func(t *testing.T) {
			var mean said
			for seed := range seeds {
				synctest.Test(t, func(t *testing.T) {
					one := c.say(t, uint64(seed+1))
					for i := range 2 {
						mean.turned[i] += one.turned[i] / float64(seeds)
						mean.whole[i] += one.whole[i] / float64(seeds)
						mean.raw[i] += one.raw[i] / float64(seeds)
					}
				})
			}
			c.judge(t, mean)
		})
	}
}

// judge compares with the truth: throughput within 1 %, the ratio within 0.5 %.
func (c truthOf) judge(t *testing.T, got said) {
	for i, mean := range []time.Duration{c.mean, c.slower()} {
		truth := served / mean.Seconds()
		t.Logf("%s %v: in turns %.2f/s (%+.2f %%; as counted %+.2f %%), in a whole phase %.2f/s (%+.2f %%), the truth is %.2f/s", c.kind, mean,
			got.turned[i], 100*(got.turned[i]/truth-1), 100*(got.raw[i]/truth-1), got.whole[i], 100*(got.whole[i]/truth-1), truth)
		if long() && math.Abs(got.raw[i]/truth-1) > 0.01 {
			t.Errorf("%v: %.2f/s were counted, the truth is %.2f/s", mean, got.raw[i], truth)
		}
		if math.Abs(got.turned[i]/truth-1) > 0.01 {
			t.Errorf("%v: %.2f/s, the truth is %.2f/s", mean, got.turned[i], truth)
		}
		if math.Abs(got.turned[i]/got.whole[i]-1) > 0.01 {
			t.Errorf("%v: %.2f/s in turns, %.2f/s in a whole phase", mean, got.turned[i], got.whole[i])
		}
	}
	t.Logf("%s %v: ratio %.4f in turns, %.4f in whole phases, the truth is 1.05", c.kind, c.mean, got.ratio(), got.wholeRatio())
	if math.Abs(got.ratio()/1.05-1) > 0.005 {
		t.Errorf("ratio %.4f, the truth is 1.05", got.ratio())
	}
	if math.Abs(got.ratio()/got.wholeRatio()-1) > 0.005 {
		t.Errorf("ratio %.4f in turns, %.4f in whole phases", got.ratio(), got.wholeRatio())
	}
}

// The counted time of a slice is cut into windows of equal length, and each event is booked in the one it happens in; what comes
// before and after them is aside.
func TestPartsOfASlice(t *testing.T) {
	for _, c := range []struct {
		parts int
		ok    []int64 // aside, and of each part
		held  []float64
	}{
		{0, []int64{4, 5}, []float64{0, 0.04}},
		{1, []int64{4, 5}, []float64{0, 0.04}},
		{3, []int64{4, 2, 1, 2}, []float64{0, 0.01, 0.02, 0.01}},
	} {
		b := newBook(&Job{Phase: Phase{Duration: time.Second, Timeout: time.Second}}, func() use { return use{} })
		b.begin(Slice{Begin: 100 * ms, Length: 100 * ms, RunIn: 40 * ms, Parts: c.parts})
		ends := func(sent, ended time.Duration) {
			b.finished(&result{intended: int64(sent), sent: int64(sent), ended: int64(ended), answered: true, status: 200})
		}
		for _, at := range []time.Duration{100 * ms, 140*ms - 1, 140 * ms, 150 * ms, 160 * ms, 190 * ms, 200*ms - 1, 200 * ms, 205 * ms} {
			switch at {
			case 150 * ms:
				b.sent(int64(at)) // and it takes 40 ms
				at = 159 * ms
			case 190 * ms:
				ends(150*ms, at)
				continue
			}
			b.sent(int64(at))
			ends(at, at)
		}
		windows := b.over(int64(210*ms), true)
		if len(windows) != len(c.ok) || windows[0].Begin != 100*ms || windows[0].Length != 40*ms {
			t.Fatalf("%d parts: %+v", c.parts, windows)
		}
		begin := 140 * ms
		for i, w := range windows {
			if w.Books.OK != c.ok[i] || math.Abs(*w.InFlight-c.held[i]) > 1e-6 || w.Aside != (i == 0) {
				t.Errorf("%d parts, window %d: %d ok, %v s in flight, want %d and %v", c.parts, i, w.Books.OK, *w.InFlight, c.ok[i], c.held[i])
			}
			if i > 0 && w.Begin != begin || i > 0 && w.Length != 60*ms/time.Duration(len(windows)-1) {
				t.Errorf("%d parts: window %d begins at %v and lasts %v", c.parts, i, w.Begin, w.Length)
			}
			if all := w.Response.Count(); all != map[bool]int64{true: 9}[i == len(windows)-1] {
				t.Errorf("%d parts: window %d has %d times", c.parts, i, all)
			}
			begin = max(begin, w.End())
		}
	}
}

// A slice that is extended when its end has passed counts again from then on; what came in between is aside.
func TestExtendedBehindItsEnd(t *testing.T) {
	b := newBook(&Job{Phase: Phase{Duration: time.Second, Timeout: time.Second}}, func() use { return use{} })
	b.begin(Slice{Length: 50 * ms})
	answer := func(at time.Duration) {
		b.sent(int64(at))
		b.finished(&result{intended: int64(at), sent: int64(at), ended: int64(at), answered: true, status: 200})
	}
	answer(10 * ms)
	answer(55 * ms)
	b.extend(100 * ms)
	answer(70 * ms)
	answer(105 * ms)
	windows := b.over(int64(110*ms), true)
	if len(windows) != 2 || windows[0].Books.OK != 2 || windows[1].Books.OK != 2 || windows[1].Length != 100*ms {
		t.Errorf("%+v", windows)
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

// pausing is a server of eight places that stands still for as long, now and then: after 1.1 s of work on average.
func pausing(pause time.Duration) *virtual {
	const each = 5 * ms
	places := make(chan struct{}, served)
	rng := rand.New(rand.NewPCG(7, 8))
	next := 0
	var mu sync.Mutex
	var until time.Time
	return &virtual{handle: func(n int) {
		places <- struct{}{}
		mu.Lock()
		if n >= next {
			until = time.Now().Add(pause)
			next = n + 1000 + rng.IntN(1520) // 8 places have 1600/s
		}
		wait := time.Until(until)
		mu.Unlock()
		time.Sleep(max(wait, 0) + each)
		<-places
	}}
}

// In the closed model a slice ends at its time: what of a server's pause comes after that is in no rate. Pauses that are no longer
// than the run-in cost what they do in a whole phase, as many begin in one run-in and last into the counted time as are cut off by an
// end; of those of 200 ms a quarter is missing.
func TestSlicesAndPauses(t *testing.T) {
	for _, c := range []struct {
		pause       time.Duration
		least, most float64 // in turns compared with a whole phase
	}{
		{40 * ms, 0.985, 1.015},
		{200 * ms, 1.02, 1.07},
	} {
		synctest.Test(t, func(t *testing.T) {
			phase := Phase{Model: Closed, Connections: 32, Duration: 40*time.Second + 2, Timeout: 10 * time.Second}
			in := inTurns(t, phase, 250*ms, 50*ms, turned{pausing(c.pause), func(int) {}})
			v := pausing(c.pause)
			whole := collectAll(t, v.engine(), 1, Job{
				URLs: []string{"http://virtual"}, Workload: echoWork{}, Seed: 3, Share: Share{0, 1}, Phase: phase, Start: time.Now(),
			})
			v.wait.Wait()
			is, want := in[0].Goodput(), float64(whole.Books.OK)/phase.Duration.Seconds()
			t.Logf("pauses of %v: %.1f/s in turns, %.1f/s in a whole phase, %+.2f %%", c.pause, is, want, 100*(is/want-1))
			if is < c.least*want || is > c.most*want {
				t.Errorf("pauses of %v: %.1f/s in turns, %.1f/s in a whole phase: %.3f of it, want %.3f to %.3f", c.pause, is, want, is/want, c.least, c.most)
			}
		})
	}
}

// mixed is a server without a queue. Nine of ten answers take 5 ms, and the others as long as is said.
func mixed(long time.Duration) *virtual {
	rng := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	return &virtual{handle: func(int) {
		mu.Lock()
		takes := 5 * ms
		if rng.Float64() < 0.1 {
			takes = long
		}
		mu.Unlock()
		time.Sleep(takes)
	}}
}

// Run-in and slice go by the median. In the closed model answers that take much longer are too few in slices that are no longer than
// they: each slice begins without any under way, and those under way at its end count in none.
func TestSlicesAndLongAnswers(t *testing.T) {
	for _, c := range []struct {
		long, length time.Duration
		least, most  float64 // in turns compared with the truth
	}{
		{60 * ms, 250 * ms, 0.97, 1.01},
		{300 * ms, 250 * ms, 0.7, 0.8},
		{300 * ms, 3 * time.Second, 0.97, 1.03},
	} {
		synctest.Test(t, func(t *testing.T) {
			phase := Phase{Model: Closed, Connections: 32, Duration: 30*time.Second + 2, Timeout: 10 * time.Second}
			is := inTurns(t, phase, c.length, 50*ms, turned{mixed(c.long), func(int) {}})[0].Goodput()
			truth := 32 / (0.9*0.005 + 0.1*c.long.Seconds())
			t.Logf("every tenth answer takes %v, in slices of %v: %.1f/s, the truth is %.1f/s: %+.2f %%", c.long, c.length, is, truth, 100*(is/truth-1))
			if is < c.least*truth || is > c.most*truth {
				t.Errorf("every tenth answer takes %v, in slices of %v: %.1f/s, the truth is %.1f/s: %.3f of it, want %.3f to %.3f", c.long, c.length, is, truth, is/truth, c.least, c.most)
			}
		})
	}
}

// sharing is a server whose requests share that many cores evenly, so that each takes the longer the more are under way.
func sharing(cores int, mean time.Duration) *virtual {
	rng := rand.New(rand.NewPCG(5, 6))
	var mu sync.Mutex
	active := 0
	return &virtual{handle: func(int) {
		mu.Lock()
		active++
		left := rng.ExpFloat64() * float64(mean)
		for left > 0 {
			pace := min(1, float64(cores)/float64(active))
			mu.Unlock()
			time.Sleep(ms)
			mu.Lock()
			left -= pace * float64(ms)
		}
		active--
		mu.Unlock()
	}}
}

// What is under way at the end of a slice is answered sooner than under load: that must not make the rate better than that of a phase at a
// stretch.
func TestSlicesOnSharedCores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phase := Phase{Model: Closed, Connections: 16, Duration: 60*time.Second + 2, Timeout: 10 * time.Second}
		is := inTurns(t, phase, 250*ms, 50*ms, turned{sharing(2, 3*ms), func(int) {}})[0].Goodput()
		v := sharing(2, 3*ms)
		whole := collectAll(t, v.engine(), 1, Job{
			URLs: []string{"http://virtual"}, Workload: echoWork{}, Seed: 3, Share: Share{0, 1}, Phase: phase, Start: time.Now(),
		})
		v.wait.Wait()
		want := float64(whole.Books.OK) / phase.Duration.Seconds()
		t.Logf("%.1f/s in turns, %.1f/s at a stretch, %+.2f %%", is, want, 100*(is/want-1))
		if math.Abs(is/want-1) > 0.015 {
			t.Errorf("%.1f/s in turns, %.1f/s at a stretch", is, want)
		}
	})
}
