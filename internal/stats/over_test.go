package stats

import (
	"slices"
	"testing"
	"time"
)

func TestEachOver(t *testing.T) {
	h := NewHistogram()
	h.Record(time.Hour)
	for _, bound := range []time.Duration{3, 1, 3, 2} {
		h.RecordOver(bound * time.Second)
	}
	var got []int64
	for bound, n := range h.EachOver {
		got = append(got, int64(bound/time.Second), n)
	}
	if want := []int64{1, 1, 2, 1, 3, 2}; !slices.Equal(got, want) {
		t.Errorf("bounds and counts %v, want %v", got, want)
	}
	for bound := range h.EachOver {
		if bound != time.Second {
			t.Errorf("went on to %v", bound)
		}
		break
	}
}
