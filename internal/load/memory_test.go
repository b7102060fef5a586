package load

import (
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

// memorySlack is by how much the live heap may differ between two moments by chance, in bytes.
const memorySlack = 2 << 20

// The live heap of an agent's books is the same after a hundred times as many requests; some fail, some
// are dropped and all are answered by replicas of ever new names.
func TestMemoryOfBooksIsConstant(t *testing.T) {
	requests, rate := 2_000_000, 20_000
	if long() {
		requests, rate = 1_000_000_000, 100_000
	}
	l := newLedger(&Job{Phase: Phase{Timeout: 10 * time.Second}}, true)
	var sum stats.Window
	var before int64
	for n := range requests {
		now := int64(n) * second / int64(rate)
		l.planned(now)
		switch {
		case n%1000 == 0:
			l.dropped(now, now-int64(n%9_999)*int64(ms), "")
		default:
			l.taken(now, int64(n%300)*1000, n%7 == 0)
			l.sent(now)
			r := &result{n: uint64(n), intended: now, sent: now, ended: now + int64(n%8191)*977, answered: true, written: true, status: 200}
			switch {
			case n%1001 == 0:
				r.answered, r.class = false, classTimeout
			case n%1003 == 0:
				r.answered, r.class = false, "reset"
			case n%101 == 0:
				r.replica = fmt.Sprint("replica ", n)
			case n%503 == 0:
				r.status, r.class = 500+n%99, fmt.Sprint("status ", 500+n%99)
			}
			l.finished(r)
		}
		if n%rate == 0 {
			for _, w := range l.take(now) {
				sum.Books.Add(w.Books)
				if err := json.NewEncoder(io.Discard).Encode(w); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n == requests/100 {
			before = loadtest.LiveHeap()
		}
	}
	after := loadtest.LiveHeap()
	for _, w := range l.last(int64(requests)*second/int64(rate)+10*second, 0) {
		sum.Books.Add(w.Books)
	}
	if err := sum.Books.Exact(); err != nil || sum.Books.Planned != int64(requests) {
		t.Errorf("books %+v: %v", sum.Books, err)
	}
	t.Logf("%d KiB live after %d requests, %d KiB after %d", before>>10, requests/100, after>>10, requests)
	if after > before+memorySlack {
		t.Errorf("the live heap grew from %d to %d bytes", before, after)
	}
}
