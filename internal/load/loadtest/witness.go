package loadtest

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// tick is how long a witness sleeps at a time.
const tick = 2 * time.Millisecond

// Witness finds out how long this machine leaves a thread waiting that wants
// to run: by so much may any figure of the same time be wrong through no fault of
// who measured it.
type Witness struct {
	stop, ended chan struct{}
	late        []time.Duration
}

// Watch starts a witness; Worst or the end of the test ends it.
func Watch(t testing.TB) *Witness {
	w := &Witness{stop: make(chan struct{}), ended: make(chan struct{})}
	go w.watch()
	t.Cleanup(w.end)
	return w
}

func (w *Witness) watch() {
	defer close(w.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case <-w.stop:
			return
		default:
		}
		began := time.Now()
		nap(tick)
		w.late = append(w.late, max(time.Since(began)-tick, 0))
	}
}

func (w *Witness) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	<-w.ended
}

// Worst ends the witness and returns the longest wait, and that at the 99th percentile.
func (w *Witness) Worst() (longest, p99 time.Duration) {
	w.end()
	if len(w.late) == 0 {
		return 0, 0
	}
	return slices.Max(w.late), quantile(slices.Clone(w.late), 0.99)
}
