// Package load is one load engine: it turns a schedule into requests, accounts
// for every one of them, and says what it saw each second. It knows
// requests, keys, answers and a check; it does not know what they mean, and
// draws nothing on a screen.
//
// There are two engines behind one interface: NewRaw, on Linux epoll, cheap and
// with a stricter parser, for HTTP/1.1 without TLS; and NewHTTP on Go's own
// network stack and parser, for TLS, HTTP/2 and other systems. Both keep the same books.
//
// It refuses to retry, to follow redirects, and to forget: planned = sent +
// dropped, and sent = ok + bad + timeout + error, in every window sum of every
// phase, whatever the server does.
package load

import (
	"context"
	"net"
	"time"

	"bakeoff/internal/stats"
)

// Models of load.
const (
	Open   = "open"   // arrivals come by a schedule
	Closed = "closed" // each connection sends when its last answer came
)

// Arrivals of the open model.
const (
	Constant = "constant" // equal gaps
	Poisson  = "poisson"  // exponential gaps, independent of each other
)

// endGrace is how long after a phase's end an arrival whose time lay within
// the phase may still be sent: without it every phase would lose the few
// arrivals that the end finds between clock and socket.
const endGrace = 10 * time.Millisecond

// lateGrace is how long after a phase's end an arrival may still be sent that
// the generator itself took up late: a short stall at the end makes arrivals
// late, as anywhere in the phase, and a longer one loses them.
const lateGrace = 100 * time.Millisecond

// lateAfter is the lateness from which an arrival counts as late.
const lateAfter = time.Millisecond

// Phase is one stretch of load with its own books.
type Phase struct {
	Number      int           `json:"number"`              // from 0, unique in a trial
	Name        string        `json:"name"`                // such as "warmup", "closed", "open"
	Model       string        `json:"model"`               // Open or Closed
	Connections int           `json:"connections"`         // in total, over all agents
	Rate        float64       `json:"rate,omitempty"`      // open: arrivals per second in total
	Profile     []RatePoint   `json:"profile,omitempty"`   // open: a rate that changes, instead of Rate: ramp, steps or trace
	Arrivals    string        `json:"arrivals,omitempty"`  // open: Constant or Poisson; empty means Poisson
	Ramp        time.Duration `json:"ramp_ns,omitempty"`   // closed: connection i starts at i*Ramp/Connections
	Think       time.Duration `json:"think_ns,omitempty"`  // closed: pause after an answer
	Duration    time.Duration `json:"duration_ns"`         // sending ends then (open: 10 ms later for arrivals whose time lay before, 100 ms where the generator is late); answers are awaited up to Timeout
	Requests    int64         `json:"requests,omitempty"`  // at most that many in total: the phase ends when they have, if that is before its time; 0: no limit
	Timeout     time.Duration `json:"timeout_ns"`          // from the actual send; also the backlog bound
	Reconnect   bool          `json:"reconnect,omitempty"` // a connection per request instead of keep-alive
	HTTP2       bool          `json:"http2,omitempty"`     // one request at a time on a connection, as in HTTP/1.1; only NewHTTP speaks it
	CheckShare  float64       `json:"check_share"`         // share of answers whose body is checked, 0..1; status is always checked
	BodyLimit   int64         `json:"body_limit"`          // bytes; a longer body is a protocol error; 0 means 1 MiB
	Salt        string        `json:"salt,omitempty"`      // a secret on which it depends which answers are checked; empty: their numbers alone say it
}

// RatePoint is the rate, in arrivals per second in total, at one moment of a
// phase. Between two points the rate changes linearly; before the first and after
// the last it stays; two points at the same moment are a step.
type RatePoint struct {
	At   time.Duration `json:"at_ns"` // since the phase's start
	Rate float64       `json:"rate"`
}

// Share is one agent's part of a plan: agent Index of Of. Connection c of the
// whole belongs to agent c mod Of, arrival n of the whole to agent n mod Of.
type Share struct {
	Index int `json:"index"`
	Of    int `json:"of"`
}

// A Workload says what to send and judges what came back. Its methods are
// pure, safe for concurrent use, and take the request's identity: the stream
// (phase number << 32 | 0 for the open model, phase number << 32 | connection + 1, counted
// over the whole, for the closed one) and the number n in that stream. dataset.Workload
// is one; any type with these methods will do.
type Workload interface {
	// AppendTarget appends the request target, such as "/demo?name=abc".
	AppendTarget(dst []byte, stream, n uint64) []byte
	// Length reports whether an answer's body length is plausible without
	// reading the body; true when it cannot be known.
	Length(stream, n uint64, length int64) bool
	// Check judges a whole answer: an empty string, or why it is wrong, in
	// few distinct words (it becomes an outcome class), such as "wrong id".
	Check(stream, n uint64, status int, body []byte) string
	// Hit reports whether the answer of this request is expected to exist; known is false where
	// the client does not choose the key.
	Hit(stream, n uint64) (hit, known bool)
}

// A Workload that also has this method is asked for the target of each URL of the job by its index
// there, instead of one for all.
type ByURL interface {
	AppendTargetOf(dst []byte, url int, stream, n uint64) []byte
}

// A Workload that also has these methods fills places for a key: wherever a value of the header or the body
// holds the mark, the request's key stands instead, as it is. An empty mark: there are no places.
type ByKey interface {
	KeyMark() string
	AppendKey(dst []byte, stream, n uint64) []byte
}

// A Workload that also has this method says of a wrong answer what was asked for, what is right and what came. The body is nil
// where it was not kept.
type Explainer interface {
	Explain(stream, n uint64, length int64, body []byte) string
}

// A Workload that also has this method says which status is right; for all
// others that is 200 alone.
type ByStatus interface {
	RightStatus(status int) bool
}

// A Workload that also has these methods asks for things that change during that time. Moving is the number of the change that concerns a
// request; -1: none does. Then Moved judges the answer in place of Check: it may be right before the change or after it, and
// the window keeps when it was which.
type ByMove interface {
	Moving(stream, n uint64) int
	Moved(stream, n uint64, status int, body []byte) (after, exists bool, class string)
}

// A Workload that also has this method makes the connections itself; they are Exchangers. Only NewHTTP carries it out.
type ByDial interface {
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// An Exchanger is a connection with a protocol of its own: no HTTP is written or parsed on it.
type Exchanger interface {
	net.Conn
	// Exchange carries out a request, which is given as in HTTP/1.1, and returns the status and the body that its answer would have
	// there. The body is good until the next call. An error is one of the connection, which is closed then.
	Exchange(request []byte) (status int, body []byte, err error)
	// Carried is how many bytes the last exchange wrote and read, and whether all that belongs to the request was written.
	Carried() (sent, received int64, whole bool)
}

// Field is one line of a request's header; it is sent as it stands, and as often.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Job is what one agent has to do in one phase.
type Job struct {
	// URLs are base URLs, such as http://127.0.0.1:8080. Which one a request asks for
	// follows from its number: each gets as many, as nearly as can be.
	URLs []string
	// Dial, when not empty, holds for each URL the host:port that its connections are
	// made to, or "unix:" and the path of a socket; the URL's own host is then not looked up, but only
	// named to the server.
	Dial     []string
	TLS      TLS // how https URLs are spoken to
	Header   []Field
	Method   string // GET when empty
	Body     []byte // sent with every request when not empty
	Phase    Phase
	Share    Share
	Seed     uint64
	Workload Workload
	// Start is the common start; the engine sends nothing before.
	Start time.Time
	// Permit is asked right before each send; false means: send nothing any
	// more (the controller has gone silent). nil permits always. What was planned but not permitted is booked as dropped.
	Permit func() bool

	byMove   ByMove    // Workload, where it is one
	byURL    ByURL     // likewise
	byStatus ByStatus  // likewise
	explains Explainer // likewise
	checker  Checker
	byKey    ByKey // likewise, with a mark that the header or the body holds
}

// Slice is one stretch of a phase's load. The phase's own time, in which all books are kept, stands still
// between two slices.
type Slice struct {
	Start  time.Time     `json:"start"`     // the common start
	Begin  time.Duration `json:"begin_ns"`  // of the phase's time
	Length time.Duration `json:"length_ns"` // sending ends then; all that is in flight is awaited
	// RunIn, closed model: what happens in so much of the beginning is booked aside. In the first half of it the
	// connections start one after another: all at once they would stay in step with a server that takes equally long for each.
	RunIn time.Duration `json:"run_in_ns"`
	// Parts is into how many windows of equal length the time behind the run-in is cut; 0: it is one. A slice that is extended has one.
	Parts int `json:"parts,omitempty"`
	// Fresh: the connections of the slices before are closed first, and new ones are opened as they are needed.
	Fresh bool `json:"fresh,omitempty"`
	// Until is where the phase ends as far as is known: the last slice hands on all histograms. 0: at its duration.
	Until time.Duration `json:"until_ns,omitempty"`
}

// A Slicer is an Engine that also carries out a phase slice by slice.
type Slicer interface {
	Engine
	// Slices makes the job ready. Its Start counts for nothing.
	Slices(ctx context.Context, job Job) (Slices, error)
}

// Slices are a phase under way. Connections stay open between two slices, unless the second is to have fresh ones.
type Slices interface {
	// Run carries out one slice, which begins where the one before ended, and hands its windows to emit, those of the counted time last. Histograms
	// are handed on with the last window of about a second. It returns when the last answer or time-out
	// has come. What becomes of it when ctx ends is as in Engine.Run.
	Run(ctx context.Context, s Slice, emit func(stats.Window)) error
	// Stuck reports whether a request has been in flight, or an arrival has waited for a connection, for longer than that. It and
	// Extend are for other goroutines while Run is under way.
	Stuck(longer time.Duration) bool
	// Extend has the slice end later, at a moment of the phase's time: its arrivals go on until then. False: it was over.
	Extend(end time.Duration) bool
	// Close closes the connections.
	Close()
}

// An Engine runs one phase at a time.
type Engine interface {
	// Run executes the job and calls emit once per second from one goroutine,
	// in order, and for the last time before it returns; the windows' sum is the phase. It returns after
	// the last answer or time-out. When ctx ends it sends nothing more, waits for
	// nothing, books what is in flight as error class "interrupted", and returns ctx's error.
	Run(ctx context.Context, job Job, emit func(stats.Window)) error
}
