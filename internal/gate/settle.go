package gate

import (
	"cmp"
	"math"
	"slices"
)

// Settling is what the last windows of a warm-up say.
type Settling int

// What a warm-up may be.
const (
	TooShort  Settling = iota // there are fewer windows than the test needs
	Unsettled                 // the level still changes
	Noisy                     // windows vary so much that a change of 10 % could not be distinguished from noise
	Settled                   // no change is seen
)

// String is what may be said of a warm-up that ends there.
func (s Settling) String() string {
	return [...]string{"too few windows to say", "no steady state", "a trend could not be distinguished from noise", "steady"}[s]
}

const (
	// SettlingWindows is how many windows are looked at, the last ones.
	SettlingWindows = 20
	// mostNoise is the noise from window to window above which a change of 10 % cannot be distinguished from it: where
	// neighbours are correlated, as on rented machines, noise of that size alone makes such changes.
	mostNoise = 0.047
	// mostJoined is the same of windows that were joined: of many lengths the first is taken at which the noise looks small
	// enough, and its noise may be more than that.
	mostJoined = 0.03
	// fewestOfLevel is how many windows each of two levels has at least.
	fewestOfLevel = 3
	// mostScan and mostSpread are the bounds of the two statistics below. Of steady series with independent
	// noise 7 % pass the first and 2 % the second; simulated, see TestSettling.
	mostScan   = 2.75
	mostSpread = 1.25
	// endScan and endSpread are those of the rule that ends a warm-up: wider, as it asks settlingLooks times in a row, each
	// lookEvery windows after the last, so that a whole warm-up of many looks errs as seldom as one look. See TestWarmupEnds.
	endScan       = 3.2
	endSpread     = 1.3
	lookEvery     = 10
	settlingLooks = 2
	// EndingWindows is how many windows a warm-up needs before it can end.
	EndingWindows = SettlingWindows + (settlingLooks-1)*lookEvery
)

// Settle tests whether the level of the last windows is steady; levels are their natural logarithms, as
// those of rates, and minus infinity for a window without answers. Where they are Noisy a warm-up ends at its greatest length, and
// the run goes on.
//
// The noise is that from one window to the next, which slow changes hardly enter (von Neumann, 1941). The level
// changes where two levels, split anywhere, differ by more than that noise explains (drifts and
// steps), or where the windows vary among each other by more than neighbours do (what goes up and down).
// Short windows have more noise than long ones: where it is too much, and there are enough of them, neighbours are joined.
func Settle(levels []float64) Settling {
	found := atLength(levels, SettlingWindows, func(joined []float64, noise float64) Settling { return settle(joined, noise, mostScan, mostSpread) })
	if found == Noisy && stood(levels[len(levels)-SettlingWindows:]) {
		return Unsettled
	}
	return found
}

// Ends reports whether a warm-up of these levels so far may end: whether it passed its last settlingLooks looks, and has not fallen
// since. One that passed earlier, and waits for other targets, must still be steady when they are.
func Ends(levels []float64) bool { return atLength(levels, EndingWindows, looks) == Settled }

// atLength is what a test says of windows of the least length at which noise does not hide a change; it needs that many of them.
func atLength(levels []float64, needs int, test func(joined []float64, noise float64) Settling) Settling {
	if len(levels) < needs {
		return TooShort
	}
	found := test(levels, mostNoise)
	for m := 2; found == Noisy && len(levels)/m >= needs; m++ {
		found = test(joined(levels, m), mostJoined)
	}
	return found
}

// joined are windows m times as long; what is left at the end makes none.
func joined(levels []float64, m int) []float64 {
	var out []float64
	for whole := range slices.Chunk(levels[:len(levels)/m*m], m) {
		sum := 0.0
		for _, v := range whole {
			sum += math.Exp(v)
		}
		out = append(out, math.Log(sum/float64(m)))
	}
	return out
}

// looks are Settled where the last settlingLooks of them all are, and the windows behind them have not fallen.
func looks(levels []float64, noise float64) Settling {
	last := len(levels) - (len(levels)-SettlingWindows)%lookEvery
	found := Settled
	for look := range settlingLooks {
		switch settle(levels[:last-look*lookEvery], noise, endScan, endSpread) {
		case Settled:
		case Noisy:
			found = Noisy
		default:
			return Unsettled
		}
	}
	if found == Settled && fallen(levels[last-SettlingWindows:last], levels[last:]) {
		return Unsettled
	}
	return found
}

// fallen reports whether a window behind a look has less than half of its level, as where the target stands still now. Of windows
// that are quiet enough to pass a look no noise does that.
func fallen(look, behind []float64) bool {
	return slices.ContainsFunc(behind, func(level float64) bool { return level < median(look)-math.Ln2 })
}

// stood reports whether windows are empty though the noise of the others does not explain it.
func stood(last []float64) bool {
	rest := slices.DeleteFunc(slices.Clone(last), empty)
	return len(rest) < len(last) && (len(rest) < fewestOfLevel || noiseOf(rest) <= mostNoise)
}

// empty reports whether a window has no answer.
func empty(level float64) bool { return math.IsInf(level, -1) }

func settle(levels []float64, most, scanBound, spreadBound float64) Settling {
	if len(levels) < SettlingWindows {
		return TooShort
	}
	last := levels[len(levels)-SettlingWindows:]
	if slices.ContainsFunc(last, empty) { // longer ones may all have answers, where these come slowly
		return Noisy
	}
	if neighbours(last, 1) > most {
		if step, _ := drift(last); math.Abs(step) > max(minStep, beyondNoise*noiseOf(last)) {
			return Unsettled
		}
		return Noisy
	}
	noise := neighbours(last, 0)
	if scan(last) > scanBound*noise || deviation(last) > spreadBound*noise {
		return Unsettled
	}
	return Settled
}

// neighbours is the standard deviation of one window by the differences of neighbouring ones, without a given
// number of the greatest.
func neighbours(levels []float64, without int) float64 {
	var steps []float64
	for i := range levels[1:] {
		steps = append(steps, math.Abs(levels[i+1]-levels[i]))
	}
	slices.SortFunc(steps, func(a, b float64) int { return cmp.Compare(a, b) })
	steps = steps[:len(steps)-without]
	sum := 0.0
	for _, s := range steps {
		sum += s * s
	}
	return math.Sqrt(sum / 2 / float64(len(steps)))
}

// scan is the greatest difference of the means before and after a split, in standard errors for windows that
// vary by 1.
func scan(levels []float64) float64 {
	all, before, most := 0.0, 0.0, 0.0
	for _, v := range levels {
		all += v
	}
	n := float64(len(levels))
	for i, v := range levels {
		before += v
		k := float64(i + 1)
		if k >= fewestOfLevel && n-k >= fewestOfLevel {
			most = max(most, math.Abs(before/k-(all-before)/(n-k))/math.Sqrt(1/k+1/(n-k)))
		}
	}
	return most
}

// deviation is the standard deviation.
func deviation(levels []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, v := range levels {
		mean += v / float64(len(levels))
	}
	for _, v := range levels {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(levels)-1))
}
