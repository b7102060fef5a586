package controller

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/gate"
	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// What the controller keeps of a phase's windows, and the lines it writes of them, take no more after a hundred times as many requests.
func TestMemoryOfAPhaseIsConstant(t *testing.T) {
	const slack = 2 << 20 // bytes by which the live heap may differ by chance
	windows, each := 1_000, int64(10_000)
	if os.Getenv("BAKEOFF_LONG") == "1" {
		windows, each = 10_000, 100_000
	}
	w, err := record.Create(t.TempDir(), record.Run{Name: "memory"}, []byte("name: memory\n"), []byte("name: memory\n"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	lines, err := w.BeginTrial(1, 1, "target", 1)
	if err != nil {
		t.Fatal(err)
	}
	rng, book := rand.New(rand.NewPCG(3, 4)), gate.NewPhase(record.Phase{Number: 1, DurationS: float64(windows)})
	var before int64
	for n := range windows {
		if n == windows/100 {
			before = loadtest.LiveHeap()
		}
		s := fleet.Snapshot{Agent: n % 2, Epoch: 1, Sequence: int64(n/2 + 1), Window: windowOfMany(rng, n/2, each)}
		book.Load(s.Agent, s.Window)
		if err := lines.Load(line(1, s, map[string]string{"127.0.0.1:1": "one"}, false)); err != nil {
			t.Fatal(err)
		}
	}
	after := loadtest.LiveHeap()
	sum := book.Totals()
	if sum.Books.OK != int64(windows)*each || sum.Service.Count() != sum.Books.OK {
		t.Errorf("books %+v, %d service times", sum.Books, sum.Service.Count())
	}
	if err := lines.Finish(record.Trial{Status: record.Valid}); err != nil {
		t.Error(err)
	}
	t.Logf("%d KiB live after %d requests, %d KiB after %d", before>>10, int64(windows/100)*each, after>>10, sum.Books.OK)
	if after > before+slack {
		t.Errorf("the live heap grew from %d to %d bytes", before, after)
	}
}

// The most that the replicas of a target took together is the greatest sum of one sample: workers are in their replicas' lines, and
// the resident memory is used where the proportional one cannot be read.
func TestPeakOfMemory(t *testing.T) {
	at := time.Unix(1000, 0)
	line := func(second int, tier, name string, rss, pss int64) record.Series {
		return record.Series{At: at.Add(time.Duration(second) * time.Second), Tier: tier, Name: name, RSSBytes: rss, PSSBytes: pss}
	}
	var p peak
	for _, s := range []record.Series{
		line(0, "target", "a-1", 900, 100), line(0, "target", "a-1/77", 900, 100), line(0, "target", "a-2", 900, 150), line(0, "host", "host", 9999, 0),
		line(1, "target", "a-1", 200, 0), line(1, "target", "a-2", 900, 90),
		line(2, "target", "a-1", 900, 10), line(2, "target", "a-2", 900, 10),
	} {
		p.add(s)
	}
	if p.most != 290 || p.sum != 20 {
		t.Errorf("the peak is %d, the last sum %d, want 290 and 20", p.most, p.sum)
	}
	var m memory
	for _, s := range []record.Series{
		line(0, "target", "a-1", 5, 5), line(0, "host", "host", 0, 0), line(1, "host", "host", 70, 0), line(2, "host", "host", 60, 0), line(3, "host", "host", 80, 0),
	} {
		m.host(s)
	}
	if m.need(3); m.used != 60 || m.targets != 3 {
		t.Errorf("%+v, want the least that was used, 60", m)
	}
}

func windowOfMany(rng *rand.Rand, second int, each int64) stats.Window {
	w := stats.Window{
		Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: each, Sent: each, OK: each}, Status: map[int]int64{200: each},
		Response: stats.NewHistogram(), Service: stats.NewHistogram(), Lateness: stats.NewHistogram(),
	}
	for left, n := each, each/500+1; left > 0; left -= n {
		took := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
		w.Service.RecordN(took, min(n, left))
		w.Response.RecordN(took*2, min(n, left))
		w.Lateness.RecordN(took/100, min(n, left))
	}
	w.Replicas = map[string]stats.Replica{"127.0.0.1:1": {Answers: each, Service: w.Service}}
	return w
}
