package load

import "time"

// waker lets one goroutine sleep until a moment: set, then wait. Any goroutine
// may kick, which ends a wait at once; its maker closes it when nobody uses it any more.
type waker interface {
	set(d time.Duration) error
	wait() error
	kick()
	close()
}

// timerWaker is a waker on the runtime's timers.
type timerWaker struct{ timer *time.Timer }

func newTimerWaker() (waker, error) {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return timerWaker{t}, nil
}

func (w timerWaker) set(d time.Duration) error { w.timer.Reset(max(d, 0)); return nil }
func (w timerWaker) wait() error               { <-w.timer.C; return nil }
func (w timerWaker) kick()                     { w.timer.Reset(0) }
func (w timerWaker) close()                    { w.timer.Stop() }
