package capacity

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Batch is what was counted in one second of a stage.
type Batch struct {
	Planned int64 // requests that the schedule asked for
	Failed  int64 // of them without a right answer: bad, timed out, in error, dropped
	Answers int64 // with a response time; timed out and dropped ones have one beyond every bound
	Slow    int64 // of them slower than the objective's bound
}

// Stage is one stretch of load at one rate.
type Stage struct {
	Rate    float64 // arrivals per second
	Batches []Batch // the seconds of the stage
	Limited bool    // the generator could not keep the rate: nothing is known of the server
}

// Sum adds the batches up.
func (s Stage) Sum() (sum Batch) {
	for _, b := range s.Batches {
		sum.Planned += b.Planned
		sum.Failed += b.Failed
		sum.Answers += b.Answers
		sum.Slow += b.Slow
	}
	return sum
}

// Class is what a stage says of its rate.
type Class string

// The classes. Undecided is a rate whose interval has what the objective allows in it.
const (
	Passes    Class = "passes"
	Fails     Class = "fails"
	Undecided Class = "undecided"
)

// Finding is a stage, or several of one rate, against the objective.
type Finding struct {
	Rate   float64 `json:"rate"`
	Slow   float64 `json:"slow"` // share of answers slower than the bound
	Low    float64 `json:"low"`  // its 95 % interval, from batches of one second
	High   float64 `json:"high"`
	Errors float64 `json:"errors"` // share of planned requests without a right answer
	Misses float64 `json:"misses"` // the greater of both shares, in units of what is allowed
	Class  Class   `json:"class"`
}

// Meets reports whether the objective is met by the shares themselves, decided or not.
func (f Finding) Meets() bool { return f.Misses <= 1 }

// counted is what a batch counted, and of how many.
type counted func(Batch) (n, of int64)

func slowAnswers(b Batch) (n, of int64)    { return b.Slow, b.Answers }
func failedRequests(b Batch) (n, of int64) { return b.Failed, b.Planned }

// Judge holds a stage against the objective. Answers that wait in one queue are not independent, and errors come in groups, so the
// intervals are those of batches, not of a binomial distribution.
func (o Objective) Judge(s Stage) Finding {
	sum := s.Sum()
	f := Finding{Rate: s.Rate, Slow: part(slowAnswers(sum)), Errors: part(failedRequests(sum)), Class: Undecided}
	half, halfErrors := s.halfWidth(slowAnswers), s.halfWidth(failedRequests)
	f.Low, f.High = max(0, f.Slow-half), min(1, f.Slow+half)
	f.Misses = max(f.Slow/o.Allowed(), f.Errors/o.Errors)
	switch {
	case sum.Answers == 0:
		f.Slow, f.Low, f.High, f.Misses, f.Class = 1, 1, 1, 1/o.Allowed(), Fails
	case f.Low > o.Allowed() || f.Errors-halfErrors > o.Errors:
		f.Class = Fails
	case sum.Answers >= int64(o.Requests()) && f.High <= o.Allowed() && f.Errors+halfErrors <= o.Errors:
		f.Class = Passes
	}
	return f
}

func part(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// halfWidth is half the 95 % interval of a share, by Student's t over the batches; 1 where there are fewer than two.
func (s Stage) halfWidth(count counted) float64 {
	variance, batches := s.variance(count)
	if batches < 2 {
		return 1
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(batches - 1)}.Quantile(0.975)
	_, of := count(s.Sum())
	return t * math.Sqrt(variance) / float64(of)
}

// variance is that of a number, from the batches that have any of it.
func (s Stage) variance(count counted) (variance float64, batches int) {
	share := part(count(s.Sum()))
	for _, b := range s.Batches {
		n, of := count(b)
		if n == 0 && of == 0 {
			continue
		}
		apart := float64(n) - share*float64(of)
		variance += apart * apart
		batches++
	}
	if batches < 2 {
		return 0, batches
	}
	return variance * float64(batches) / float64(batches-1), batches
}

// Sums adds up the stages of each rate, in ascending order. Those that the generator limited are left out.
func Sums(stages []Stage) []Stage {
	var out []Stage
	for _, s := range stages {
		if s.Limited {
			continue
		}
		at := slices.IndexFunc(out, func(o Stage) bool { return o.Rate == s.Rate })
		if at < 0 {
			out = append(out, Stage{Rate: s.Rate})
			at = len(out) - 1
		}
		out[at].Batches = append(out[at].Batches, s.Batches...)
	}
	slices.SortFunc(out, func(a, b Stage) int {
		if a.Rate < b.Rate {
			return -1
		}
		return 1
	})
	return out
}

// Bounds are the relevant ones of RFC 9971.
type Bounds struct {
	Lower    float64 // the greatest rate below Upper that passes; 0: none does
	Upper    float64 // the smallest rate that fails; infinite: none does
	Inverted bool    // a rate above Upper passes
}

// Bounds are those of decided findings. Stages of one rate are added up.
func (o Objective) Bounds(stages []Stage) Bounds {
	b := Bounds{Upper: math.Inf(1)}
	for _, s := range Sums(stages) {
		switch o.Judge(s).Class {
		case Fails:
			b.Upper = min(b.Upper, s.Rate)
		case Passes:
			if s.Rate < b.Upper {
				b.Lower = s.Rate
			} else {
				b.Inverted = true
			}
		}
	}
	return b
}
