package yardstick

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fake are clocks by which every measurement takes as long as cost says of its number, from 0.
func fake(cost func(number int64) time.Duration) (clocks, *atomic.Int64) {
	var calls, used atomic.Int64
	return clocks{
		thread: func() time.Duration {
			if n := calls.Add(1) - 1; n%2 == 1 {
				used.Add(int64(cost(n / 2)))
			}
			return time.Duration(used.Load())
		},
		process: func() time.Duration { return time.Duration(used.Load()) },
	}, &used
}

func always(d time.Duration) func(int64) time.Duration {
	return func(int64) time.Duration { return d }
}

// unpinned is for cores that are not there.
func unpinned(int) error { return nil }

// board makes an empty one.
func board(t *testing.T, cores int) (*Board, *Reader) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "board")
	b, err := Create(name, cores)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, NewReader(name)
}

// measureFor measures so long in virtual time, and returns the values of each core.
func measureFor(t *testing.T, d time.Duration, cores int, by clocks) (out [][]int64) {
	t.Helper()
	b, r := board(t, cores)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		if err := measureAll(ctx, b, by, unpinned); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	return r.New()
}

// Each core is measured four times a second.
func TestFourTimesASecondOnEachCore(t *testing.T) {
	by, _ := fake(always(1600 * time.Microsecond))
	got := measureFor(t, 8*time.Second-time.Millisecond, 3, by)
	if len(got) != 3 {
		t.Fatalf("values of %d cores, want 3", len(got))
	}
	for core, values := range got {
		if len(values) != 32 || slices.Min(values) != 1_600_000 || slices.Max(values) != 1_600_000 {
			t.Errorf("core %d: %d values %v, want 32 of 1.6 ms in 8 s", core, len(values), values)
		}
	}
}

// However slow the machine, all measurements together use at most 1 % of their cores, except for the first of each.
func TestShareIsBounded(t *testing.T) {
	const cores, long = 2, 10 * time.Second
	for _, cost := range []time.Duration{2 * time.Millisecond, 3 * time.Millisecond, 20 * time.Millisecond} {
		by, used := fake(always(cost))
		got := measureFor(t, long, cores, by)
		bound := cores*long/100 + cores*cost
		if sum := time.Duration(used.Load()); sum > bound {
			t.Errorf("measurements of %v used %v, at most %v is allowed", cost, sum, bound)
		} else if sum < bound*2/3 {
			t.Errorf("measurements of %v used only %v of %v", cost, sum, bound)
		}
		if len(got) != cores || len(got[0]) == 0 || len(got[1]) == 0 {
			t.Errorf("measurements of %v: values %v", cost, got)
		}
	}
}

// A core that slows down is seen.
func TestSlowerFromTheMiddle(t *testing.T) {
	by, _ := fake(func(n int64) time.Duration { return time.Millisecond + time.Duration(n/8)*time.Millisecond })
	got := measureFor(t, 4*time.Second-time.Millisecond, 1, by)[0]
	if len(got) != 16 || got[0] != 1_000_000 || got[7] != 1_000_000 || got[8] != 2_000_000 || got[15] != 2_000_000 {
		t.Errorf("%v", got)
	}
}

// A core that cannot be had ends all with the reason.
func TestCoreThatCannotBeHad(t *testing.T) {
	b, _ := board(t, 2)
	refused := errors.New("refused")
	by, _ := fake(always(time.Millisecond))
	err := measureAll(t.Context(), b, by, func(core int) error {
		if core == 1 {
			return refused
		}
		return nil
	})
	if !errors.Is(err, refused) {
		t.Errorf("%v, want %v", err, refused)
	}
}

// Garbage is collected after every 8th measurement and never within one; what is left until then is small.
func TestGarbage(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b, _ := board(t, 1)
	m := &meter{clocks: systemClocks(), board: b, cores: 1}
	w, err := newWork()
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 2 * collectEvery {
		if took, err := m.measure(w); err != nil || took <= 0 {
			t.Fatal(took, err)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.NumGC - before.NumGC; n != 2 {
		t.Errorf("%d collections in %d measurements, want 2", n, 2*collectEvery)
	}
	if left := (after.TotalAlloc - before.TotalAlloc) / 2; left > 4<<20 {
		t.Errorf("%d bytes are left before a collection, at most 4 MiB is small", left)
	}
}

// A reader gets every value once and in order, of more than the board holds the last, and what a new writer begins with.
func TestReaderGetsWhatIsNew(t *testing.T) {
	b, r := board(t, 2)
	if got := r.New(); got != nil {
		t.Errorf("an empty board holds %v", got)
	}
	put := func(core int, from, to uint64) (want []int64) {
		for n := from; n <= to; n++ {
			if err := b.put(core, n, time.Duration(1000+n)); err != nil {
				t.Fatal(err)
			}
			want = append(want, int64(1000+n))
		}
		return want
	}
	for i, c := range []struct {
		from, to uint64
		keep     int
	}{{1, 3, 3}, {4, 4, 1}, {5, 70, slots}, {71, 300, slots}} {
		want := put(1, c.from, c.to)
		got := r.New()
		if len(got) != 2 || len(got[0]) != 0 || !slices.Equal(got[1], want[len(want)-min(c.keep, len(want)):]) {
			t.Errorf("step %d: %v, want the last %d of %v", i, got, c.keep, want)
		}
	}
	if got := r.New(); got != nil {
		t.Errorf("nothing is new, but %v", got)
	}
	if got := NewReader(filepath.Join(t.TempDir(), "none")).New(); got != nil {
		t.Errorf("a board that is not there holds %v", got)
	}
}
