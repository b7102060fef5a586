package stats

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Recorder is a histogram for a hot loop: recording is a few nanoseconds and
// never allocates, at the price of 155 KB. It is not safe for concurrent use.
type Recorder struct {
	hdr  *hdrhistogram.Histogram
	rest *Histogram // censored and clamped samples
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{hdr: hdrhistogram.New(lowest, highest, digits), rest: NewHistogram()}
}

// Record counts one duration, as Histogram.Record does.
func (r *Recorder) Record(d time.Duration) {
	if d < 0 || int64(d) > highest {
		r.rest.Record(d)
		return
	}
	if err := r.hdr.RecordValue(int64(d)); err != nil {
		panic(fmt.Sprintf("stats: value %d within range was refused: %v", d, err))
	}
}

// RecordOver counts one sample that is only known to exceed bound.
func (r *Recorder) RecordOver(bound time.Duration) { r.rest.RecordOver(bound) }

// Drain returns all that was recorded and empties the recorder.
func (r *Recorder) Drain() *Histogram {
	out := r.rest
	if lost := out.hdr.MergeFrom(r.hdr); lost != 0 {
		panic(fmt.Sprintf("stats: draining lost %d samples", lost))
	}
	out.hdr.Compact()
	r.hdr.Reset()
	r.rest = NewHistogram()
	return out
}
