package measure

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

// reel is a generator that plays windows of two agents as fast as they are taken.
type reel struct {
	windows int // of each agent
	each    int64
	at      map[int]func() // by second: what to do before it
}

func (r *reel) Run(_ context.Context, _ load.Phase, sink func(int, stats.Window)) (Ending, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	for second := range r.windows {
		if do := r.at[second]; do != nil {
			do()
		}
		for agent := range 2 {
			w := stats.Window{
				Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: r.each, Sent: r.each - 1, Dropped: 1, OK: r.each - 2, Error: 1},
				Outcomes: map[string]int64{"reset": 1}, Status: map[int]int64{200: r.each - 2}, Lost: map[string]int64{"loop": 1},
				Response: stats.NewHistogram(), Service: stats.NewHistogram(), Lateness: stats.NewHistogram(),
			}
			for left, n := r.each-2, r.each/500+1; left > 0; left -= n {
				took := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
				w.Service.RecordN(took, min(n, left))
				w.Response.RecordN(took*2, min(n, left))
				w.Lateness.RecordN(took/100, min(n, left))
			}
			w.Response.RecordOver(time.Duration(second%200) * 10 * time.Millisecond)
			sink(agent, w)
		}
	}
	now := time.Now()
	return Ending{Began: now, Ended: now}, nil
}

// load holds no more after a hundred times as many requests, with every file written.
func TestMemoryOfLoadIsConstant(t *testing.T) {
	const slack = 2 << 20 // bytes by which the live heap may differ by chance
	r := &reel{windows: 500, each: 10_000, at: map[int]func(){}}
	if os.Getenv("BAKEOFF_LONG") == "1" {
		r.windows, r.each = 5_000, 100_000
	}
	dir := t.TempDir()
	files, err := OpenFiles(Paths{HLog: filepath.Join(dir, "hlog"), HGRM: filepath.Join(dir, "hgrm"), Windows: filepath.Join(dir, "windows")})
	if err != nil {
		t.Fatal(err)
	}
	var m *Measurement
	phase := load.Phase{Name: "measure", Model: load.Open, Duration: time.Duration(r.windows) * time.Second}
	m = newMeasurement(phase, 2, func(sum *tally) { files.second(m, sum) })
	var before, at int64
	r.at[r.windows/100] = func() { before, at = loadtest.LiveHeap(), m.total.Books.Planned }
	if err := m.run(t.Context(), r, files.window); err != nil {
		t.Fatal(err)
	}
	after := loadtest.LiveHeap()
	if err := files.Close(m); err != nil {
		t.Error(err)
	}
	b := m.total.Books
	if err := b.Exact(); err != nil || b.Planned != 2*int64(r.windows)*r.each || m.total.Service.Count() != b.OK {
		t.Errorf("books %+v: %v, %d service times", b, err, m.total.Service.Count())
	}
	t.Logf("%d KiB live after %d requests, %d KiB after %d", before>>10, at, after>>10, b.Planned)
	if after > before+slack {
		t.Errorf("the live heap grew from %d to %d bytes", before, after)
	}
}
