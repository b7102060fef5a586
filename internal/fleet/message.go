package fleet

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

const (
	// helloLimit bounds a line of a peer that has not proven itself, in bytes.
	helloLimit = 4 << 10
	// lineLimit bounds every other line: a window with the histograms of some hundred replicas.
	lineLimit = 4 << 20
)

// errTooLong is returned for a line beyond its limit.
var errTooLong = errors.New("line too long")

// message is one line. Exactly one field is set.
type message struct {
	Hello   *hello   `json:"hello,omitempty"`
	Welcome *welcome `json:"welcome,omitempty"`
	Refusal *refusal `json:"refusal,omitempty"`
	Beat    *beat    `json:"beat,omitempty"`
	Prepare *prepare `json:"prepare,omitempty"`
	Ready   *ready   `json:"ready,omitempty"`
	Start   *start   `json:"start,omitempty"`
	Slice   *slice   `json:"slice,omitempty"`
	Sliced  *sliced  `json:"sliced,omitempty"`
	Stuck   *stuck   `json:"stuck,omitempty"`
	Extend  *extend  `json:"extend,omitempty"`
	Finish  *finish  `json:"finish,omitempty"`
	Window  *window  `json:"window,omitempty"`
	Done    *done    `json:"done,omitempty"`
	Stop    *stop    `json:"stop,omitempty"`
	Quit    *quit    `json:"quit,omitempty"`
}

// hello is the first line of an agent.
type hello struct {
	Token      string `json:"token"`
	Index      int    `json:"index"`
	Epoch      int64  `json:"epoch"`
	Version    string `json:"version"`
	PlanDigest string `json:"plan_digest"`
	Priority   string `json:"priority"` // how the agent's machine schedules it, in words
}

// welcome accepts an agent. Clock is the controller's wall clock.
type welcome struct {
	Epoch int64         `json:"epoch"`
	Lease time.Duration `json:"lease_ns"`
	Clock int64         `json:"clock_unix_ns"`
}

// refusal turns an agent away.
type refusal struct {
	Reason string `json:"reason"`
}

// beat is an agent's sign of life and its echo; Clock is set in the echo.
type beat struct {
	Number int64 `json:"number"`
	Clock  int64 `json:"clock_unix_ns,omitempty"`
}

// prepare is one agent's part of a phase; Run numbers the phases of a fleet.
type prepare struct {
	Run      int64           `json:"run"`
	URLs     []string        `json:"urls"`
	Dial     []string        `json:"dial,omitempty"`
	Header   []load.Field    `json:"header,omitempty"`
	TLS      load.TLS        `json:"tls,omitzero"`
	Method   string          `json:"method,omitempty"`
	Body     []byte          `json:"body,omitempty"`
	BodyFile File            `json:"body_file,omitzero"`
	Phase    load.Phase      `json:"phase"`
	Share    load.Share      `json:"share"`
	Seed     uint64          `json:"seed"`
	Engine   string          `json:"engine"`
	Contract string          `json:"contract"`
	Workload json.RawMessage `json:"workload,omitempty"`
	Sliced   bool            `json:"sliced,omitempty"` // it is carried out slice by slice, until finish
}

// ready says that the agent only waits for the start, or why it cannot.
type ready struct {
	Run   int64  `json:"run"`
	Error string `json:"error,omitempty"`
}

// start gives the common start by the controller's wall clock.
type start struct {
	Run int64 `json:"run"`
	At  int64 `json:"at_unix_ns"`
}

// slice asks for one stretch of a sliced phase; At is its common start by the controller's wall clock.
type slice struct {
	Run    int64         `json:"run"`
	At     int64         `json:"at_unix_ns"`
	Begin  time.Duration `json:"begin_ns"`
	Length time.Duration `json:"length_ns"`
	RunIn  time.Duration `json:"run_in_ns,omitempty"`
	Parts  int           `json:"parts,omitempty"`    // windows of what is behind it; 0: one
	Fresh  bool          `json:"fresh,omitempty"`    // on connections of its own
	Stall  time.Duration `json:"stall_ns,omitempty"` // 0: the agent says nothing of what is stuck
	Until  time.Duration `json:"until_ns,omitempty"` // where the phase ends as far as is known; 0: at its duration
}

// stuck says, shortly before a slice ends, that something has been under way for as long as the slice calls a stall.
type stuck struct {
	Run int64         `json:"run"`
	End time.Duration `json:"end_ns"` // of the slice as far as the agent knows
}

// extend has a slice end later.
type extend struct {
	Run int64         `json:"run"`
	End time.Duration `json:"end_ns"`
}

// sliced says that all of a slice is over, and its windows are sent.
type sliced struct {
	Run   int64         `json:"run"`
	Late  time.Duration `json:"late_ns,omitempty"` // by so much the agent missed the common start
	Error string        `json:"error,omitempty"`
}

// finish ends a sliced phase; the answer is done.
type finish struct {
	Run int64 `json:"run"`
}

// window is one stats.Window; Sequence counts an agent's windows of one epoch from 1.
type window struct {
	Run      int64        `json:"run"`
	Epoch    int64        `json:"epoch"`
	Sequence int64        `json:"sequence"`
	Window   stats.Window `json:"window"`
}

// done ends a phase: what the agent's windows add up to.
type done struct {
	Run     int64       `json:"run"`
	Windows int64       `json:"windows"`
	Books   stats.Books `json:"books"`
	Error   string      `json:"error,omitempty"`
	Timing  timing      `json:"timing"`
}

// newDone is what a phase without a window or a request came to.
func newDone(run int64) *done { return &done{Run: run, Timing: timing{First: -1, Due: -1}} }

// timing says how well the agent met the common start.
type timing struct {
	Began      time.Duration `json:"began_ns"`            // after the common start its clock woke
	First      time.Duration `json:"first_ns"`            // after the common start its first request was permitted; -1: none
	Due        time.Duration `json:"due_ns"`              // after the common start its first request was due; -1: none
	ClockShift time.Duration `json:"clock_shift_ns"`      // its wall clock less the controller's
	ClockError time.Duration `json:"clock_shift_half_ns"` // half of the round trip that measured it
}

type stop struct {
	Run int64 `json:"run"`
}

type quit struct{}

// lineReader reads messages, each within a limit that can change.
type lineReader struct {
	in    *bufio.Reader
	limit int
	line  []byte
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReader(r), limit: limit}
}

// read returns the next message; io.EOF when the stream ends between two lines.
func (r *lineReader) read() (message, error) {
	r.line = r.line[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.line)+len(part) > r.limit {
			return message{}, fmt.Errorf("%w: more than %d bytes", errTooLong, r.limit)
		}
		r.line = append(r.line, part...)
		if err == nil {
			return decode(r.line)
		}
		if errors.Is(err, io.EOF) && len(r.line) > 0 {
			return message{}, io.ErrUnexpectedEOF
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return message{}, err
		}
	}
}

// decode reads one line.
func decode(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, fmt.Errorf("line is not a message: %w", err)
	}
	return m, nil
}

// encode writes one line, its newline included.
func encode(m message) ([]byte, error) {
	line, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	if len(line)+1 > lineLimit {
		return nil, fmt.Errorf("encode message: %w: %d bytes", errTooLong, len(line)+1)
	}
	return append(line, '\n'), nil
}
