package verdict

import (
	"math"
	"testing"
)

// Values of R 4.2.2. Every command is above what it gave; they begin with
//
//	a <- c(103.1, 98.4, 110.2, 101.7, 95.3, 108.8, 102.2)
//	b <- c(97.2, 95.9, 101.0, 99.8, 91.1, 104.3, 95.5)
//	c <- c(99.0, 96.8, 104.1, 97.9, 93.0, 103.1, 98.4)
var golden = map[string][]float64{
	"a": {103.1, 98.4, 110.2, 101.7, 95.3, 108.8, 102.2},
	"b": {97.2, 95.9, 101.0, 99.8, 91.1, 104.3, 95.5},
	"c": {99.0, 96.8, 104.1, 97.9, 93.0, 103.1, 98.4},
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*math.Abs(want)) {
		t.Errorf("%s is %.15g, R says %.15g", what, got, want)
	}
}

func TestPairedTAsInR(t *testing.T) {
	// r <- function(x, y) t.test(log(x), log(y), paired = TRUE, conf.level = 1 - 0.05/3)
	// for each pair: exp(r$estimate), exp(r$conf.int), r$p.value
	// p.adjust(p, "holm")
	// the bounds of equivalence, d = log(1.05):
	// max(t.test(log(x), log(y), paired = TRUE, mu = d, alternative = "less")$p.value,
	//     t.test(log(x), log(y), paired = TRUE, mu = -d, alternative = "greater")$p.value), then p.adjust(..., "holm")
	// the sign flips, x <- log(a/b): s <- as.matrix(expand.grid(rep(list(c(-1, 1)), 7))) %*% x; mean(abs(s) >= abs(sum(x)) - 1e-12)
	want := []struct{ ratio, low, high, p, holm, equivalent, flip float64 }{
		{1.05064298597849093, 1.01993582326002130, 1.08227464788672800, 0.00155039794178003, 0.00310079588356006, 0.52594397374088653, 0.015625},
		{1.039047672651590482, 1.020462800691699590, 1.057971016004589648, 0.000431085705733303, 0.00129325711719991, 0.10471995025564633, 0.015625},
		{0.988963602782632, 0.965194241243799, 1.013318320640245, 0.184372483667662, 0.18437248366766182, 0.00335391537714523, 0.218750},
	}
	r := judge(t, golden, Options{Delta: 0.05})
	for i, c := range r.Comparisons {
		w := want[i]
		name := c.A + "/" + c.B + ": "
		near(t, name+"ratio", float64(c.Ratio), w.ratio)
		near(t, name+"low", float64(c.Low), w.low)
		near(t, name+"high", float64(c.High), w.high)
		near(t, name+"level", float64(c.Level), 1-0.05/3)
		near(t, name+"p", float64(c.P), w.p)
		near(t, name+"p_holm", float64(c.PHolm), w.holm)
		near(t, name+"p_equivalent", float64(c.PEquivalent), w.equivalent)
		near(t, name+"p_sign_flip", float64(c.PSignFlip), w.flip)
		near(t, name+"p_sign_flip_least", float64(c.PSignFlipLeast), 2./128)
	}
	near(t, "a/b at least", float64(r.Comparisons[0].AtLeast), 1.01993582326002130-1)
	for i, want := range []Claim{Better, Inconclusive, Equivalent} { // a/b 5.06 %, a/c 3.9 % of the 5 % that matter
		if r.Comparisons[i].Verdict != want {
			t.Errorf("%s: %s, not %s", r.Sentence(r.Comparisons[i]), r.Comparisons[i].Verdict, want)
		}
	}
}

func TestOnePairHasThePlainIntervalAsInR(t *testing.T) {
	// r <- t.test(log(a), log(b), paired = TRUE); exp(r$conf.int); r$p.value
	r := judge(t, map[string][]float64{"a": golden["a"], "b": golden["b"]}, Options{Delta: 0.05})
	c := r.Comparisons[0]
	near(t, "low", float64(c.Low), 1.02770063257481503)
	near(t, "high", float64(c.High), 1.07409750366664980)
	near(t, "level", float64(c.Level), 0.95)
	near(t, "p", float64(c.P), 0.00155039794178003)
	near(t, "p_holm", float64(c.PHolm), 0.00155039794178003)
}

func TestHolmAsInR(t *testing.T) {
	// p.adjust(c(0.01, 0.04, 0.03, 0.005, 0.8, 0.03), "holm")
	got := holm([]float64{0.01, 0.04, 0.03, 0.005, 0.8, 0.03})
	for i, want := range []float64{0.05, 0.12, 0.12, 0.03, 0.80, 0.12} {
		near(t, "adjusted p", got[i], want)
	}
}

func TestStudentAsInR(t *testing.T) {
	// qt(c(1 - 0.05/435/2, ...), df), qt(0.975, df)
	for _, c := range []struct {
		n    int
		p    float64
		want float64
	}{
		{6, 0.05 / 435, 10.86004219605520},
		{10, 0.05 / 435, 6.47351037838307},
		{30, 0.05 / 435, 4.45509518318202},
		{2, 0.05, 12.70620473617469},
		{6, 0.05, 2.57058183563631},
		{10, 0.05, 2.26215716279820},
		{31, 0.05, 2.04227245630124},
	} {
		near(t, "quantile", critical(c.n, c.p), c.want)
	}
	// 2 * pt(-c(0.001, 2, 50, 300), c(3, 9, 9, 19))
	for _, c := range []struct {
		n       int
		t, want float64
	}{
		{4, 1e-3, 0.999264894969461}, {10, 2, 0.0765528237707009}, {10, 50, 2.5689529108748e-12}, {20, 300, 2.18211392428775e-36},
	} {
		near(t, "p", pair{n: c.n, mean: c.t, sd: math.Sqrt(float64(c.n))}.pDifferent(), c.want)
	}
}

func TestPowerAsInR(t *testing.T) {
	// power.t.test(n = n, delta = 0.03, sd = 0.04, sig.level = 0.05, type = "paired", strict = TRUE)$power
	for n, want := range map[int]float64{4: 0.187104350199877, 6: 0.320704879947266, 10: 0.561953337146229, 100: 0.999999976972578} {
		if got := Power(n, 0.04, 0.03, 0.05); math.Abs(got-want) > 1e-6 {
			t.Errorf("power with %d blocks is %.9f, R says %.9f", n, got, want)
		}
	}
	// power.t.test(delta = log(1.05), sd = 0.0195793591897084, sig.level = s, power = 0.8, type = "paired", strict = TRUE)$n, upwards
	for s, want := range map[float64]int{0.05: 4, 0.05 / 3: 5, 0.05 / 435: 10} {
		if got := blocksNeeded(0.0195793591897084, math.Log(1.05), s); got != want {
			t.Errorf("at %v %d blocks are needed, R says %d", s, got, want)
		}
	}
}
