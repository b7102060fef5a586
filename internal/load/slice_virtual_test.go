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
	round func(n int)   // its next round begins
	long  time.Duration // from when on a request of it takes long
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
			err := slices[i].Run(t.Context(), Slice{Start: time.Now().Add(time.Millisecond), Begin: begin, Length: length, RunIn: runIn, Long: v.long}, func(w stats.Window) { sums[i].Add(w) })
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
	return turned{queueing(served, d.next), d.round, max(50*ms, 16*mean)}, d // four times what an answer takes with the queue
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

// pausing is a server of two places that stands still for as long, now and then: after 1.1 s of work on average, whenever the last
// time was. A request takes 5 ms.
type pausing struct {
	*virtual
	pause  time.Duration
	mu     sync.Mutex
	rng    *rand.Rand
	next   int // the request that it stands still for
	until  time.Time
	pauses int
}

const (
	atOnce = 2
	each   = 5 * ms
)

func newPausing(pause time.Duration) *pausing {
	p := &pausing{pause: pause, rng: rand.New(rand.NewPCG(7, 8))}
	p.virtual = queueing(atOnce, func() time.Duration { return p.takes() + each })
	return p
}

// takes is how long the server stands still yet for a request that has a place now.
func (p *pausing) takes() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next--; p.next <= 0 {
		p.until = time.Now().Add(p.pause)
		p.next = 1 + int(p.rng.ExpFloat64()*atOnce*float64(1100*ms/each))
		p.pauses++
	}
	return max(time.Until(p.until), 0)
}

// truth is how many answers per second the server gives: the request in the other place is half done when a pause begins, and goes on.
func (p *pausing) truth(answers int64) float64 {
	work := float64(answers) * each.Seconds() / atOnce
	return float64(answers) / (work + float64(p.pauses)*(p.pause-each/2/atOnce).Seconds())
}

// In the closed model a pause of the server belongs to the slice in which it began, with all of its time; so as many are in the rate as
// in a phase at a stretch. Without that those of 200 ms would cost a quarter less than they do. Of those that are no longer than the
// run-in as many begin in one and last into the counted time as are cut off by an end. With BAKEOFF_LONG the rates are within 1 % of
// the truth.
func TestSlicesAndPauses(t *testing.T) {
	times, near := time.Duration(1), 0.018 // chance moves those of 200 ms by 0.4 %
	if long() {
		times, near = 6, 0.01
	}
	for _, c := range []struct{ pause, phase time.Duration }{
		{40 * ms, 100 * time.Second},
		{200 * ms, 400 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			phase := Phase{Model: Closed, Connections: 4 * atOnce, Duration: times*c.phase + 2, Timeout: 10 * time.Second}
			v := newPausing(c.pause)
			sum := inTurns(t, phase, 250*ms, 50*ms, turned{v.virtual, func(int) {}, 80 * ms})[0]
			is, want := sum.Goodput(), v.truth(sum.Books.OK)
			t.Logf("pauses of %v: %.1f/s in turns, the truth is %.1f/s, %+.2f %%", c.pause, is, want, 100*(is/want-1))
			if math.Abs(is/want-1) > near {
				t.Errorf("pauses of %v: %.1f/s in turns, the truth is %.1f/s, %+.2f %%", c.pause, is, want, 100*(is/want-1))
			}
		})
	}
}

// mixed is a server without a queue. Of a hundred answers that many take as long as is said, and the others 5 ms.
func mixed(share int, long time.Duration) *virtual {
	rng := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	return &virtual{handle: func(int) {
		mu.Lock()
		takes := each
		if rng.IntN(100) < share {
			takes = long
		}
		mu.Unlock()
		time.Sleep(takes)
	}}
}

// Answers that take much longer than the median, also longer than a slice, count in the closed model as often, and as long, as in a phase
// at a stretch, though each slice begins without any under way, and those under way at its end are in none. Without that one in a
// hundred of 300 ms would count by a fifth too little, and every tenth by a quarter too much. With BAKEOFF_LONG the rates are within 1 % of the
// truth.
func TestSlicesAndLongAnswers(t *testing.T) {
	times, near := time.Duration(1), 0.05 // chance moves them by up to 1.3 %
	if long() {
		times, near = 20, 0.01
	}
	for _, c := range []struct {
		share int // in a hundred
		long  time.Duration
		phase time.Duration
	}{
		{10, 60 * ms, 10 * time.Second},
		{1, 300 * ms, 10 * time.Second},
		{10, 300 * ms, 100 * time.Second},
		{10, time.Second, 200 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			phase := Phase{Model: Closed, Connections: 32, Duration: times*c.phase + 2, Timeout: 10 * time.Second}
			is := inTurns(t, phase, 250*ms, 50*ms, turned{mixed(c.share, c.long), func(int) {}, 50 * ms})[0].Goodput()
			share := float64(c.share) / 100
			truth := 32 / ((1-share)*each.Seconds() + share*c.long.Seconds())
			t.Logf("%d in 100 answers take %v: %.1f/s, the truth is %.1f/s: %+.2f %%", c.share, c.long, is, truth, 100*(is/truth-1))
			if math.Abs(is/truth-1) > near {
				t.Errorf("%d in 100 answers take %v: %.1f/s, the truth is %.1f/s: %+.2f %%", c.share, c.long, is, truth, 100*(is/truth-1))
			}
		})
	}
}

// What a long request adds to the counted time and takes from it, averaged over the connections of the phase, is in the counted window.
func TestLongRequestsOfASlice(t *testing.T) {
	for name, c := range map[string]struct {
		sent, ended, long, think, want time.Duration
	}{
		"within it":                      {160 * ms, 290 * ms, 50 * ms, 0, 0},
		"cut off":                        {160 * ms, 400 * ms, 50 * ms, 0, 98 * ms},
		"cut off, but not long":          {260 * ms, 310 * ms, 50 * ms, 0, 0},
		"cut off, and nobody asks":       {160 * ms, 400 * ms, 0, 0, 0},
		"of the run-in":                  {120 * ms, 210 * ms, 50 * ms, 0, -58 * ms},
		"of the run-in, not behind it":   {100 * ms, 151 * ms, 50 * ms, 0, 1 * ms},
		"wholly in the run-in":           {80 * ms, 140 * ms, 50 * ms, 0, 0},
		"of the run-in, and cut off":     {120 * ms, 400 * ms, 50 * ms, 0, -150 * ms},
		"cut off, by one that thinks":    {160 * ms, 400 * ms, 50 * ms, 20 * ms, 108 * ms},
		"of the run-in, one that thinks": {120 * ms, 210 * ms, 50 * ms, 20 * ms, -68 * ms},
	} {
		b := newBook(&Job{Phase: Phase{Model: Closed, Connections: 8, Duration: time.Second, Timeout: time.Second, Think: c.think}}, func() use { return use{} })
		for range 2 { // the second one begins from scratch
			b.begin(Slice{Begin: 50 * ms, Length: 250 * ms, RunIn: 100 * ms, Long: c.long})
			for _, at := range []time.Duration{150 * ms, 250 * ms} { // 2 and 6 ms: 4 ms are usual
				b.sent(int64(at))
				b.finished(&result{intended: int64(at), sent: int64(at), ended: int64(at + (at-100*ms)/25), answered: true, status: 200})
			}
			b.sent(int64(c.sent))
			b.finished(&result{intended: int64(c.sent), sent: int64(c.sent), ended: int64(c.ended), answered: true, status: 200})
			windows := b.over(int64(500*ms), true)
			if got := windows[1].Beyond * 8; windows[0].Beyond != 0 || got != c.want {
				t.Errorf("%s: %v beyond, want %v; run-in %v", name, got, c.want, windows[0].Beyond)
			}
		}
	}
}
