package splitmix

import "testing"

// The outputs are those that were published for the seed 1234567.
func TestPublished(t *testing.T) {
	s := Source{State: 1234567}
	for i, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821} {
		if got := Mix(1234567 + uint64(i)*0x9e3779b97f4a7c15); got != want {
			t.Errorf("mix %d: %d, want %d", i, got, want)
		}
		if got := s.Next(); got != want {
			t.Errorf("draw %d: %d, want %d", i, got, want)
		}
	}
}

// Below keeps its bound and meets every number equally often: 6 sides, 60,000 throws, each within 5 standard deviations.
func TestBelow(t *testing.T) {
	s := Source{State: 7}
	var thrown [6]int
	for range 60_000 {
		thrown[s.Below(6)]++
	}
	for side, n := range thrown {
		if n < 10_000-5*92 || n > 10_000+5*92 {
			t.Errorf("%d: %d times", side, n)
		}
	}
	if got := s.Below(1); got != 0 {
		t.Errorf("below 1: %d", got)
	}
	// 3/4 of all draws lie in the last, incomplete stretch of so great a number: they must not wrap to the beginning.
	const great = 1<<63 + 1<<61
	low := 0
	for range 4000 {
		if s.Below(great) < great/2 {
			low++
		}
	}
	if low < 1800 || low > 2200 {
		t.Errorf("%d of 4000 draws in the lower half", low)
	}
}
