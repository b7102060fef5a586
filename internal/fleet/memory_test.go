package fleet

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

// long reports whether the full counts were asked for.
func long() bool { return os.Getenv("BAKEOFF_LONG") == "1" }

const (
	// millRequests is how many requests a window of the mill stands for.
	millRequests = 50_000
	// millHeap is the outcome class by which a mill reports the live heap of its process, in bytes.
	millHeap = "live heap"
	// heapSlack is by how much the live heap may differ between two moments by chance: lines
	// and windows on their way, buffers of compressors.
	heapSlack = 3 << 20
)

// mill is an engine that makes windows of a busy agent as fast as they are
// taken, without sending anything: rate windows of the phase, in two halves that the server releases. Its
// last window says the live heap.
type mill struct{}

func (mill) Run(ctx context.Context, job load.Job, emit func(stats.Window)) error {
	rng := rand.New(rand.NewPCG(job.Seed, uint64(job.Share.Index)))
	service, response, lateness := stats.NewRecorder(), stats.NewRecorder(), stats.NewRecorder()
	windows := int(job.Phase.Rate)
	for second := range windows {
		if second%millAhead == 0 {
			if err := allowed(ctx, job.URLs[0]); err != nil {
				return err
			}
		}
		w := stats.Window{
			Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: millRequests, Sent: millRequests, OK: millRequests},
			Status: map[int]int64{200: millRequests}, Outcomes: map[string]int64{"reset": 1},
		}
		for range millRequests {
			took := time.Duration(rng.ExpFloat64() * float64(5*time.Millisecond))
			service.Record(took)
			response.Record(took + took/8)
			lateness.Record(took / 64)
		}
		if second == windows-1 {
			w.Outcomes[millHeap] = loadtest.LiveHeap()
		}
		w.Service, w.Response, w.Lateness = service.Drain(), response.Drain(), lateness.Drain()
		emit(w)
	}
	return nil
}

// millAhead is how many windows a mill makes at a time.
const millAhead = 8

// allowed waits until the controller has taken in what came before.
func allowed(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// granary lets mills go on while few windows are on their way.
type granary struct {
	*httptest.Server
	mu   sync.Mutex
	cond *sync.Cond
	out  int // windows allowed and not yet taken
}

func newGranary(t *testing.T) *granary {
	g := &granary{}
	g.cond = sync.NewCond(&g.mu)
	g.Server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for g.out > 4*millAhead {
			g.cond.Wait()
		}
		g.out += millAhead
	}))
	t.Cleanup(g.Close)
	return g
}

// taken says that a window has arrived.
func (g *granary) taken() {
	g.mu.Lock()
	g.out--
	g.mu.Unlock()
	g.cond.Broadcast()
}

// The live heap of controller and agents, real processes, is the same after a hundred times as many requests.
func TestMemoryIsConstant(t *testing.T) {
	phases, short, full := 4, 10, 40 // windows of each agent and phase
	if long() {
		phases, short, full = 10, 10, 1000
	}
	barn := newGranary(t)
	f := startFleet(t, 2, func(o *Options) { o.Silence = time.Minute }) // the mills take all there is of the processor
	sum := map[string]*stats.Histogram{"service": stats.NewHistogram(), "response": stats.NewHistogram(), "lateness": stats.NewHistogram()}
	var requests int64
	round := func(windows int) (heap map[int]int64) {
		heap = map[int]int64{}
		for range phases {
			task := constantTask(barn.URL, float64(windows), time.Hour)
			task.Engine = "mill"
			report, err := f.Run(t.Context(), task, func(s Snapshot) {
				barn.taken()
				requests += s.Window.Books.Sent
				sum["service"].Merge(s.Window.Service)
				sum["response"].Merge(s.Window.Response)
				sum["lateness"].Merge(s.Window.Lateness)
				if h := s.Window.Outcomes[millHeap]; h > 0 {
					heap[s.Agent] = h
				}
			})
			if err != nil || len(report.Lost) > 0 {
				t.Fatalf("error %v, lost %+v", err, report.Lost)
			}
			barn.mu.Lock()
			barn.out = 0 // the last ones were fewer than allowed
			barn.mu.Unlock()
			barn.cond.Broadcast()
		}
		heap[-1] = loadtest.LiveHeap()
		return heap
	}
	before := round(short)
	at := requests
	after := round(full)
	if sum["service"].Count() != requests || requests != int64(2*phases*(short+full)*millRequests) {
		t.Errorf("%d requests in the histograms, %d in the books", sum["service"].Count(), requests)
	}
	for who, name := range map[int]string{-1: "controller", 0: "agent 0", 1: "agent 1"} {
		t.Logf("%s: %d KiB live after %d requests, %d KiB after %d", name, before[who]>>10, at, after[who]>>10, requests)
		if before[who] == 0 || after[who] > before[who]+heapSlack {
			t.Errorf("%s: the live heap grew from %d to %d bytes", name, before[who], after[who])
		}
	}
}
