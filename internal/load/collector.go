package load

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// heapSlack is how many bytes may become garbage before the collector works while load is sent.
const heapSlack = 64 << 20

// collector guards a setting that belongs to the whole process.
var collector struct {
	sync.Mutex
	resting int // phases under way
	percent int // now
	before  int // without any
}

// restCollector lets the garbage collector rest while a phase is under way,
// whatever GOGC says; wakeCollector undoes that. Its threads wait for each other by
// spinning, and where the agent goes first (real-time) they have kept loops and servers
// from running for 100 ms, at the first garbage of nearly every second phase.
func restCollector() {
	collector.Lock()
	defer collector.Unlock()
	if collector.resting++; collector.resting == 1 {
		collector.percent = restPercent()
		collector.before = debug.SetGCPercent(collector.percent)
	}
}

// tuneCollector fits the rest to a heap that has grown.
func tuneCollector() {
	collector.Lock()
	defer collector.Unlock()
	if p := restPercent(); collector.resting > 0 && 2*p < collector.percent {
		collector.percent = p
		debug.SetGCPercent(p)
	}
}

func wakeCollector() {
	collector.Lock()
	defer collector.Unlock()
	if collector.resting--; collector.resting == 0 {
		debug.SetGCPercent(collector.before)
	}
}

// restPercent is the GOGC by which the heap may grow to twice what lives and heapSlack beyond.
func restPercent() int {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	lives := uint64(4 << 20)
	if live[0].Value.Kind() == metrics.KindUint64 {
		lives = max(lives, live[0].Value.Uint64())
	}
	return int(100 + 100*heapSlack/lives)
}
