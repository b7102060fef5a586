package load

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Schedule walks one agent's share of an open-model phase: the arrivals of the
// whole, numbered n = 0, 1, 2, ... in order of time, and this agent takes
// those with n mod Of == Index. The instants are a pure function of (seed,
// phase number, rate, kind of arrivals), never of the share: the union over
// all agents is the plan, to the nanosecond.
//
// Arrival n comes when the expected number of arrivals, the integral of the
// rate, reaches n (constant) or the n-th point of a Poisson process of
// rate 1 (time rescaling, Brown et al., Neural Computation 14, 2002).
type Schedule struct {
	curve  curve
	end    time.Duration
	share  Share
	rng    *rand.Rand // nil for constant arrivals
	n      uint64     // number of the next arrival among all
	demand float64    // the integral at which it comes
	most   uint64     // arrivals of the whole; 0: as many as come within the phase
}

// maxRate is where the instants of a schedule, whole nanoseconds, would begin to coincide.
const maxRate = 1e9

// NewSchedule returns the share's schedule of an open-model phase. It refuses
// rates that are negative, above one a nanosecond, or zero all along.
func NewSchedule(seed uint64, phase Phase, share Share) (*Schedule, error) {
	if err := share.check(); err != nil {
		return nil, err
	}
	c, err := newCurve(phase)
	if err != nil {
		return nil, err
	}
	s := &Schedule{curve: c, end: phase.Duration, share: share, most: uint64(max(phase.Requests, 0))}
	switch phase.Arrivals {
	case Poisson, "":
		s.rng = rand.New(rand.NewPCG(seed, uint64(phase.Number)^0x9e3779b97f4a7c15))
		s.demand = s.gap()
	case Constant:
	default:
		return nil, fmt.Errorf("load: arrivals %q are neither %q nor %q", phase.Arrivals, Constant, Poisson)
	}
	return s, nil
}

// check refuses shares that are no part of a whole.
func (s Share) check() error {
	if s.Of < 1 || s.Index < 0 || s.Index >= s.Of {
		return fmt.Errorf("load: no agent %d of %d", s.Index, s.Of)
	}
	return nil
}

// part is how many of the numbers below whole belong to this share.
func (s Share) part(whole int64) int64 {
	return max(0, (whole-int64(s.Index)+int64(s.Of)-1)/int64(s.Of))
}

// mine reports whether number n of the whole belongs to this share.
func (s Share) mine(n uint64) bool { return n%uint64(s.Of) == uint64(s.Index) }

// Next returns the next arrival of the share: its number over all agents and its
// intended time since the phase's start. ok is false after the last one.
func (s *Schedule) Next() (n uint64, at time.Duration, ok bool) {
	for !s.spent() {
		seconds, reached := s.curve.inverse(s.demand)
		// Compared before it is converted: a rare arrival may be later than a duration can hold.
		if !reached || seconds*1e9 >= float64(s.end) {
			return 0, 0, false
		}
		at = time.Duration(seconds * 1e9)
		n = s.n
		s.n++
		if s.rng == nil {
			s.demand = float64(s.n)
		} else {
			s.demand += s.gap()
		}
		if s.share.mine(n) {
			return n, at, true
		}
	}
	return 0, 0, false
}

// spent reports whether all the requests of the phase have come, be it before its end.
func (s *Schedule) spent() bool { return s.most > 0 && s.n >= s.most }

// gap draws from the exponential distribution of mean 1.
func (s *Schedule) gap() float64 { return -math.Log1p(-s.rng.Float64()) }

// curve is a piecewise linear rate with its integral.
type curve struct {
	pieces []piece
	at     int // the piece in which the last inverse was found
}

// piece is one stretch of linearly changing rate.
type piece struct {
	from, to   float64 // seconds; to may be infinite
	rate, rise float64 // at from, per second; change per second
	before     float64 // integral of the rate up to from
	until      float64 // integral up to to
}

var errNoRate = errors.New("load: the rate is always zero")

// newCurve checks the phase's rates and integrates them.
func newCurve(phase Phase) (curve, error) {
	points := phase.Profile
	if len(points) == 0 {
		points = []RatePoint{{Rate: phase.Rate}}
	}
	var c curve
	greatest := 0.0
	for i, p := range points {
		if !(p.Rate >= 0 && p.Rate <= maxRate) {
			return c, fmt.Errorf("load: rate %v is not from 0 to %.0f", p.Rate, maxRate)
		}
		if p.At < 0 || i > 0 && p.At < points[i-1].At {
			return c, fmt.Errorf("load: rate point %d is earlier than the one before it", i)
		}
		greatest = max(greatest, p.Rate)
	}
	if greatest == 0 {
		return c, errNoRate
	}
	c.add(0, points[0].At.Seconds(), points[0].Rate, points[0].Rate)
	for i := 1; i < len(points); i++ {
		c.add(points[i-1].At.Seconds(), points[i].At.Seconds(), points[i-1].Rate, points[i].Rate)
	}
	last := points[len(points)-1]
	c.add(last.At.Seconds(), math.Inf(1), last.Rate, last.Rate)
	return c, nil
}

// add appends a piece; one of no length is left out.
func (c *curve) add(from, to, first, last float64) {
	if to <= from {
		return
	}
	p := piece{from: from, to: to, rate: first}
	if len(c.pieces) > 0 {
		p.before = c.pieces[len(c.pieces)-1].until
	}
	switch {
	case !math.IsInf(to, 1):
		p.rise = (last - first) / (to - from)
		p.until = p.before + (to-from)*(first+last)/2
	case first > 0:
		p.until = math.Inf(1)
	default:
		p.until = p.before
	}
	c.pieces = append(c.pieces, p)
}

// inverse returns the seconds at which the integral reaches demand, which must
// not fall from call to call; false when it never does.
func (c *curve) inverse(demand float64) (float64, bool) {
	for c.at < len(c.pieces)-1 && (c.pieces[c.at].until < demand || c.pieces[c.at].until == c.pieces[c.at].before) {
		c.at++
	}
	p := c.pieces[c.at]
	if demand > p.until || p.until == p.before {
		return 0, false
	}
	rest := demand - p.before
	if rest <= 0 {
		return p.from, true
	}
	if p.rise == 0 {
		return p.from + rest/p.rate, true
	}
	// rest = rate t + rise t^2 / 2, solved without cancellation.
	root := math.Sqrt(max(p.rate*p.rate+2*p.rise*rest, 0))
	return p.from + min(2*rest/(p.rate+root), p.to-p.from), true
}

// closedStart is when connection c of the whole begins.
func closedStart(phase Phase, c int) time.Duration {
	if phase.Connections == 0 {
		return 0
	}
	return time.Duration(float64(phase.Ramp) * float64(c) / float64(phase.Connections))
}
