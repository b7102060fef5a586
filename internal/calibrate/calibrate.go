// Package calibrate measures what the agents can do on this machine and how true their figures are, with servers whose
// truth is known: the ceiling, a server of 10 ms, a stall, two servers that are equal, and one that does 5 % more work. It
// conducts; servers, loads and the run that compares are its caller's Parts. It keeps one calibration for each fingerprint of a
// machine. It judges no run.
package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/verdict"
)

const (
	// constant is how long the constant server takes, and honest by how much a stall's p99 may be off.
	constant = 10 * time.Millisecond
	honest   = 0.03
	// pieces of work that the equal servers do for an answer, and more that the other one does: 5 %.
	pieces, more = 20, 1
	timeout      = 10 * time.Second
	checkShare   = 0.1
)

// Names of the servers that are compared.
const (
	equalA  = "null-a"
	equalB  = "null-b"
	planted = "null-planted"
)

// A Target is one server to compare, by its name and what is asked of it.
type Target struct{ Name, Path string }

// Design says how servers are compared.
type Design struct {
	Targets     []Target
	Blocks      int
	Phase       time.Duration
	Connections int
}

// Parts do the work.
type Parts struct {
	// Load sends a phase to a null server on a way, record.PathNginx or record.PathDirect.
	Load func(ctx context.Context, way, path string, p load.Phase) (Loaded, error)
	// Ask sends one request to that null server.
	Ask func(ctx context.Context, path string) error
	// Compare runs a plan in turns, each target a server of its own behind nginx, and returns its verdict.
	Compare func(ctx context.Context, d Design) (*figures.Verdict, error)
	// Progress is called before each step, with how long it will take.
	Progress func(text string, expect time.Duration)
}

// Loaded is what became of a phase.
type Loaded struct {
	stats.Totals
	Disturbed []string // by whom: others used the machine, or it is not known whether they did; none: it was left alone
	Late      []string // why a run would refuse it for an agent that fell behind; none: none did
}

// ErrDisturbed is returned when a phase was refused each time.
var ErrDisturbed = errors.New("calibrate: the machine was disturbed each time")

const (
	// attempts is how often a phase is tried that is refused.
	attempts = 4
	// longest is how long a calibration may take where phases and blocks are repeated, so that it ends within 6 minutes: on a
	// machine that others leave alone it takes 3.
	longest = 5*time.Minute + 30*time.Second
)

// lengths are those of the steps.
type lengths struct {
	ceiling, warmup, constant time.Duration
	stall, stalled            time.Duration // the phase, and how long nothing is answered in it
	blocks                    int
	phase                     time.Duration
}

func lengthsOf(short bool) lengths {
	const s = time.Second
	if short {
		return lengths{ceiling: s / 2, warmup: s / 2, constant: s, stall: 4 * s, stalled: s, blocks: 7, phase: s / 2}
	}
	return lengths{ceiling: 3 * s, warmup: s, constant: 3 * s, stall: 12 * s, stalled: 2 * s, blocks: 10, phase: 3 * s}
}

// Run calibrates. Where, with what agents and by which program is left to the caller to fill in.
func Run(ctx context.Context, p Parts, short bool) (record.Calibration, error) {
	began, c, l := time.Now(), record.Calibration{Short: short, Ceilings: map[string]float64{}}, lengthsOf(short)
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("%w, and it has taken %v: try again when the machine is quiet", ErrDisturbed, longest))
	defer cancel()
	steps := []func(context.Context, Parts, lengths, *record.Calibration) error{ceilings, constantServer, stall, compare}
	for _, step := range steps {
		if err := step(ctx, p, l, &c); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return c, err
		}
	}
	c.At, c.Seconds = time.Now(), time.Since(began).Seconds()
	return c, nil
}

// closed is a closed phase of some length.
func closed(connections int, d time.Duration) load.Phase {
	return load.Phase{
		Number: 1, Name: "closed", Model: load.Closed, Connections: connections, Duration: d, Timeout: timeout, CheckShare: checkShare,
	}
}

// ceilings finds how many answers per second there are at most, over several numbers of connections.
func ceilings(ctx context.Context, p Parts, l lengths, c *record.Calibration) error {
	counts := []int{16, 64}
	p.Progress("the ceiling of the agents, through nginx and directly", 2*(l.warmup+time.Duration(len(counts))*l.ceiling))
	for _, way := range []string{record.PathNginx, record.PathDirect} {
		if _, err := p.Load(ctx, way, "/", closed(counts[0], l.warmup)); err != nil {
			return err
		}
		for _, connections := range counts {
			sum, err := undisturbed(p, "the ceiling", l.ceiling, func() (Loaded, error) { return p.Load(ctx, way, "/", closed(connections, l.ceiling)) })
			if err != nil {
				return err
			}
			c.Ceilings[way] = max(c.Ceilings[way], sum.Goodput())
		}
		if c.Ceilings[way] == 0 {
			return errors.New("calibrate: the null server answered nothing")
		}
	}
	return nil
}

// undisturbed is a step, of that length, whose load counts: what others made of it would be kept for as long as the calibration
// lasts, and said in every report.
func undisturbed(p Parts, step string, long time.Duration, load func() (Loaded, error)) (Loaded, error) {
	var sum Loaded
	why := ""
	for attempt := range attempts {
		if attempt > 0 {
			p.Progress(step+" again, since "+why, long)
		}
		var err error
		if sum, err = load(); err != nil || len(sum.Disturbed)+len(sum.Late) == 0 {
			return sum, err
		}
		why = strings.Join(slices.Concat(sum.Disturbed, sum.Late), "; ")
	}
	return sum, fmt.Errorf("%w: %s", ErrDisturbed, why)
}

// constantServer looks at a server of 10 ms.
func constantServer(ctx context.Context, p Parts, l lengths, c *record.Calibration) error {
	const step = "a server that takes 10 ms"
	p.Progress(step, l.constant)
	sum, err := undisturbed(p, step, l.constant, func() (Loaded, error) {
		return p.Load(ctx, record.PathNginx, "/wait/"+constant.String(), closed(8, l.constant))
	})
	if err != nil {
		return err
	}
	if sum.Service == nil || sum.Service.Count() == 0 {
		return errors.New("calibrate: the server of 10 ms answered nothing")
	}
	p50, _ := sum.Service.Quantile(0.5)
	p99, _ := sum.Service.Quantile(0.99)
	c.Constant = record.ConstantServer{ServerS: constant.Seconds(), P50S: p50.Seconds(), P99S: p99.Seconds()}
	return nil
}

const (
	// mostStallRate bounds the rate of the stall's phase, and stallShare is the share of the ceiling that it takes.
	mostStallRate = 500
	stallShare    = 0.1
)

// stall has the server answer nothing for a while under a constant rate. All answers that are due while it
// lasts wait, so the p99 of the response time is S - (1 - u) 0.01 T: S the stall, T the phase, u the rate over that at
// which what has waited is answered, which is the ceiling.
func stall(ctx context.Context, p Parts, l lengths, c *record.Calibration) error {
	step := fmt.Sprintf("a stall of %v", l.stalled)
	p.Progress(step, l.stall)
	ceiling := c.Ceilings[record.PathNginx]
	rate := math.Floor(min(mostStallRate, stallShare*ceiling))
	if rate < 1 {
		return fmt.Errorf("calibrate: the agents reach %.1f requests per second only", ceiling)
	}
	sum, err := undisturbed(p, step, l.stall, func() (Loaded, error) {
		if err := p.Ask(ctx, fmt.Sprintf("/stall/%v/%v", l.stall/4, l.stalled)); err != nil {
			return Loaded{}, err
		}
		sum, err := p.Load(ctx, record.PathNginx, "/", load.Phase{
			Number: 1, Name: "open", Model: load.Open, Connections: 64, Rate: rate, Arrivals: load.Constant, Duration: l.stall,
			Timeout: timeout, CheckShare: checkShare,
		})
		sum.Late = nil // in the rush after the stall, and part of what is seen
		return sum, err
	})
	if err != nil {
		return err
	}
	if sum.Response == nil || sum.Response.Count() == 0 {
		return errors.New("calibrate: nothing was answered around the stall")
	}
	seen, _ := sum.Response.Quantile(0.99)
	truth := l.stalled.Seconds() - (1-rate/ceiling)*0.01*l.stall.Seconds()
	c.Stall = record.Stall{
		StallS: l.stalled.Seconds(), RateS: rate, ForS: l.stall.Seconds(), TrueS: truth, SeenS: seen.Seconds(),
		Honest: math.Abs(seen.Seconds()-truth) <= honest*truth,
	}
	return nil
}

// compare runs two equal servers and one that does more work.
func compare(ctx context.Context, p Parts, l lengths, c *record.Calibration) error {
	work := func(n int) string { return fmt.Sprintf("/work/%d", n) }
	d := Design{Blocks: l.blocks, Phase: l.phase, Connections: 4, Targets: []Target{
		{equalA, work(pieces)}, {equalB, work(pieces)}, {planted, work(pieces + more)},
	}}
	p.Progress("two equal servers and one that does 5 % more work, in turns", time.Duration(3*l.blocks)*(l.phase+2*time.Second))
	v, err := p.Compare(ctx, d)
	if err != nil {
		return err
	}
	same, ok := v.Pair(equalA, equalB)
	slower, found := v.Pair(equalA, planted)
	if !ok || !found || math.IsNaN(same.SD()) || math.IsNaN(slower.SD()) {
		return errors.New("calibrate: the three servers have too few valid blocks in common")
	}
	c.Noise = record.Noise{
		Blocks: same.Blocks, PhaseS: l.phase.Seconds(), SD: same.SD(),
		Detects: verdict.Detectable(same.Blocks, verdict.UpperSD(same.SD(), same.Blocks), 1),
		Ratio:   float64(same.Ratio), Low: float64(same.Low), High: float64(same.High), Verdict: string(same.Verdict),
	}
	c.Planted = record.Planted{
		More: float64(more) / pieces, Ratio: float64(slower.Ratio), Low: float64(slower.Low), High: float64(slower.High),
		Verdict: string(slower.Verdict), Found: slower.Verdict == verdict.Better,
	}
	return nil
}
