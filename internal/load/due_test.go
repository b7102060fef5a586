package load

import (
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// What FirstDue says is when the share's first request goes, in either model.
func TestFirstDue(t *testing.T) {
	open := Phase{Model: Open, Connections: 8, Rate: 100, Arrivals: Constant, Duration: time.Second, Timeout: time.Second}
	closed := Phase{Model: Closed, Connections: 4, Ramp: 400 * ms, Duration: time.Second, Timeout: time.Second}
	short := closed
	short.Duration = 150 * ms
	none := open
	none.Rate = 0
	for _, c := range []struct {
		name  string
		phase Phase
		share Share
		at    time.Duration
		ok    bool
	}{
		{"open, first", open, Share{0, 3}, 0, true},
		{"open, third", open, Share{2, 3}, 20 * ms, true},
		{"open, more agents than arrivals", open, Share{150, 200}, 0, false},
		{"open, without a rate", none, Share{0, 1}, 0, false},
		{"closed, first", closed, Share{0, 2}, 0, true},
		{"closed, second", closed, Share{1, 2}, 100 * ms, true},
		{"closed, no connection of its own", closed, Share{4, 5}, 0, false},
		{"closed, after the end", short, Share{2, 3}, 0, false},
	} {
		at, ok := Job{Phase: c.phase, Share: c.share}.FirstDue()
		if ok != c.ok || ok && at.Round(time.Microsecond) != c.at {
			t.Errorf("%s: %v, %t; want %v, %t", c.name, at, ok, c.at, c.ok)
		}
	}
}

// An arrival is late from more than 1 ms after its time; taken up in time and without a free connection, it is queued.
func TestLateFromAMillisecond(t *testing.T) {
	for lateness, late := range map[time.Duration]bool{0: false, 999 * time.Microsecond: false, ms: false, ms + 1: true, 5 * ms: true, 11 * ms: true} {
		for _, queued := range []bool{false, true} {
			b := newBook(&Job{Phase: Phase{Duration: time.Second, Timeout: time.Second}}, noUse)
			b.taken(int64(50*ms), int64(lateness), queued)
			got := b.window.Books
			if (got.Late == 1) != late || (got.Queued == 1) != (queued && !late) {
				t.Errorf("%v after its time, queued %v: %+v", lateness, queued, got)
			}
		}
	}
}

// An arrival that waits for a connection is given up one time-out after its time, then and not at the end, and that is the server's doing.
func TestBacklogBound(t *testing.T) {
	t.Parallel()
	onPlain(t, func(t *testing.T, e Engine) {
		t.Parallel()
		s := newHostile(t, &hostile{fate: func(s *hostile, c peer, _ int64, name string) bool {
			time.Sleep(150 * ms)
			return s.answer(c, name)
		}})
		job := openJob(1, 100, 2*time.Second, s.url())
		job.Phase.Arrivals, job.Phase.Timeout = Constant, 200*ms
		var early int64
		var sum total
		if err := e.Run(t.Context(), job, func(w stats.Window) {
			if w.End() <= time.Second {
				early += w.Books.Dropped
			}
			sum.Add(w)
		}); err != nil {
			t.Fatal(err)
		}
		b, lost := sum.Books, sum.Lost[lostLoop]
		// A busy machine may take up some too late itself.
		if b.Dropped < 100 || early < 40 || lost > b.Dropped/4 {
			t.Errorf("%d dropped, %d of them in the first second, %d by the loop's fault; books %+v", b.Dropped, early, lost, b)
		}
	})
}
