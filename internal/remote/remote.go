// Package remote lets a laptop follow a run that is conducted elsewhere, and takes its run directory over, by HTTP through a
// proxy that carries nothing but requests. The controller's side (Server) gives what Follow of package record yields,
// the files that do not change any more with their seals, and any range of a file; it takes the order to stop, the
// finished trials of a run that is resumed, and the word that everything was fetched. The laptop's side (Client) goes on
// where a connection was cut, for a minute at most. The server refuses who does not know the run's token, and any path that
// leads out of the run directory; the client refuses a file that is not as it was sealed.
//
//	GET  /run            a State
//	GET  /events         server-sent events, each with its position; Last-Event-ID goes on behind one; ?lines=no: no measurements
//	GET  /files          seals of the files, in the order in which they are to be fetched
//	GET  /file/PATH      one of them, or a range of it
//	POST /stop           ends the run as Ctrl-C does
//	POST /ack            everything was fetched: the controller may end
//	POST /record/PATH    a piece of a file of a run to resume, at ?offset=N
//	POST /record         that run is there whole
package remote

import "time"

// TokenHeader carries the token. Authorization would not do: the API server, through which a laptop asks, keeps it.
const TokenHeader = "X-Bakeoff-Token"

// State is how the run of a controller stands.
type State struct {
	Name    string   `json:"name,omitempty"` // of the run directory; empty: there is none yet
	Ended   bool     `json:"ended"`          // nothing more happens
	Outcome *Outcome `json:"outcome,omitempty"`
}

// Outcome is how a run ended.
type Outcome struct {
	Error string `json:"error,omitempty"` // empty: it did what it was to do
	Hint  string `json:"hint,omitempty"`
	Exit  int    `json:"exit"` // status with which a local run would have ended
}

const (
	// beat is the time between two signs of life of a stream in which nothing happens: what is between the two sides may
	// close a connection that is silent for a minute.
	beat = 15 * time.Second
	// silence is after how long without any sign a stream is taken to be dead.
	silence = 3 * beat
	// patience is how long the other side may be out of reach.
	patience = time.Minute
	// piece is how much of a file is sent in one request, in bytes: a laptop's connection may not last for more.
	piece = 4 << 20
)

// Names of server-sent events.
const (
	sentEvent   = "event"
	sentLoad    = "load"
	sentSeries  = "series"
	sentPause   = "pause"
	sentDamage  = "damage"  // a line of the record that cannot be used
	sentOutcome = "outcome" // the last one
	sentFailure = "failure" // of following the record
)

// line is an item of a record on its way.
type line struct {
	Trial string `json:"trial,omitempty"`
	Value any    `json:"value"`
}

// damage is a record.LineError on its way.
type damage struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	What   string `json:"what"`
}
