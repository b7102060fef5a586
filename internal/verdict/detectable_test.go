package verdict

import (
	"math"
	"testing"
)

// The smallest difference that is shown grows with the noise, and is the one for which that many blocks are needed.
func TestDetectable(t *testing.T) {
	last := 0.0
	for _, sd := range []float64{0.002, 0.01, 0.03, 0.1} {
		x := Detectable(7, sd, 1)
		if power := Power(7, sd, math.Log1p(x), 0.05); math.Abs(power-0.8) > 1e-6 || x <= last {
			t.Errorf("sd %v: %v, whose power is %v", sd, x, power)
		}
		if n := blocksNeeded(sd, math.Log1p(x)*1.0001, 0.05); n != 7 {
			t.Errorf("sd %v: %v needs %d blocks", sd, x, n)
		}
		last = x
	}
	// R: power.t.test(n = 7, sd = 0.01, power = 0.8, type = "paired", strict = TRUE)$delta is 0.01273285
	if x := math.Log1p(Detectable(7, 0.01, 1)); math.Abs(x-0.01273285) > 1e-5 {
		t.Errorf("%v", x)
	}
	if Detectable(7, 0.01, 3) <= Detectable(7, 0.01, 1) || Detectable(14, 0.01, 1) >= Detectable(7, 0.01, 1) {
		t.Error("more pairs or fewer blocks show less")
	}
	if x := Detectable(1, 0.01, 1); !math.IsInf(x, 1) {
		t.Errorf("one block shows %v", x)
	}
}
