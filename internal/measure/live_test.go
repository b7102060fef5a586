package measure

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// The rate of a line is of the time that the line stands for, also where that is a part of a second, or several seconds
// and a part.
func TestLiveRateOfAPart(t *testing.T) {
	var out bytes.Buffer
	l := newLive(&out)
	l.begin("measuring", load.Phase{Model: load.Open, Rate: 100, Duration: 7300 * time.Millisecond})
	for begin := time.Duration(0); begin < 7300*time.Millisecond; begin += time.Second {
		length := min(time.Second, 7300*time.Millisecond-begin)
		w := stats.Window{Begin: begin, Length: length}
		w.Books.Planned = int64(100 * length.Seconds())
		w.Books.Sent, w.Books.OK = w.Books.Planned, w.Books.Planned
		second := newTally(0)
		second.Add(w)
		l.second(second)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], "100/s  ok 500 ") || !strings.Contains(lines[2], "100/s  ok 230 ") {
		t.Errorf("want 500 in 5 s and 230 in the 2.3 s left, both 100/s:\n%s", &out)
	}
}
