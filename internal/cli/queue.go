package cli

import (
	"io"
	"sync/atomic"
	"time"
)

// queue writes texts from a goroutine of its own, in order, so that a terminal that is paused or a pipe that nobody reads holds up
// nobody who prints. It holds mostQueued texts. After a failure it writes nothing more.
type queue struct {
	w       io.Writer
	patient bool // printing waits for room, and closing for the end
	items   chan queued
	gone    atomic.Bool   // nothing more is written
	ended   chan struct{} // the goroutine is not needed any more
}

// queued is a text to write.
type queued struct {
	text string
	out  chan<- struct{} // closed once it is written; nil: nobody asks
}

// mostQueued is how many texts wait to be written.
const mostQueued = 1000

func newQueue(w io.Writer, patient bool) *queue {
	q := &queue{w: w, patient: patient, items: make(chan queued, mostQueued), ended: make(chan struct{})}
	go q.run()
	return q
}

func (q *queue) run() {
	for {
		select {
		case <-q.ended:
			return
		case item := <-q.items:
			q.write(item)
		}
	}
}

func (q *queue) write(item queued) {
	if item.text != "" && !q.gone.Load() {
		if _, err := io.WriteString(q.w, item.text); err != nil {
			q.gone.Store(true)
		}
	}
	if item.out != nil {
		close(item.out)
	}
}

// put adds a text, and reports whether there was room for it.
func (q *queue) put(text string) bool {
	if q.patient {
		q.items <- queued{text: text}
		return true
	}
	select {
	case q.items <- queued{text: text}:
		return true
	default:
		return false
	}
}

// waiting reports whether a text waits for the one before it to be written.
func (q *queue) waiting() bool { return len(q.items) > 0 }

// flush waits until everything is written, for lastWritten at most unless the queue is patient.
func (q *queue) flush() {
	out := make(chan struct{})
	var late <-chan time.Time
	if !q.patient {
		late = time.After(lastWritten)
	}
	select {
	case q.items <- queued{out: out}:
	case <-late:
		return
	}
	select {
	case <-out:
	case <-late:
	}
}

// close writes what is left, as flush does, and then nothing more.
func (q *queue) close() {
	q.flush()
	q.gone.Store(true)
	close(q.ended)
}
