package local

import (
	"time"

	"bakeoff/internal/platform"
)

// Controller and guard are one binary, so they exchange gob values (JSON
// would not keep an environment that is not UTF-8) over a socket pair. The
// first request is hello; each request is answered by one reply with its ID.
// Replies without an ID come without a request.
type request struct {
	ID    int
	Op    operation
	Hello *hello
	Spec  *platform.Spec // opStart
	Tree  int            // opStop, opPIDs
	Grace time.Duration  // opStop
	Label string         // opLabel
	Trees []int          // opFreeze, opThaw
}

type operation int

const (
	opHello operation = iota + 1
	opStart
	opStop
	opPIDs
	opLabel
	opFreeze
	opThaw
	opAlive
	opClose
)

type hello struct {
	Token      token
	Controller Identity
	StateDir   string
	Lock       string
	Share      bool
	Label      string
	NoGroups   bool
	ColdWithin time.Duration
}

type reply struct {
	ID      int
	Error   string
	Busy    *Holder             // the error is ErrBusy
	Tree    int                 // of a start, or of an Exit
	First   Identity            // of a start, or of the guard
	PIDs    []int               // of opPIDs
	Left    []platform.Leftover // of opStop: what a guest left behind
	Grouped bool                // of a start
	Exit    *platform.Exit      // without a request: the first process of Tree has ended
	Other   *Holder             // without a request: this run shares the machine with ours
}
