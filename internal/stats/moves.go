package stats

import "time"

// MoveSeen is what answers said of a row that changed.
type MoveSeen struct {
	Before int64 `json:"before,omitempty"` // answers as it was before
	After  int64 `json:"after,omitempty"`  // answers as it was after
	// LastBefore is when the last request was sent that was answered as before, FirstAfter when the first answer
	// came that was as after: nanoseconds since 1970 by the agent's clock; 0: there was none.
	LastBefore int64 `json:"last_before_ns,omitempty"`
	FirstAfter int64 `json:"first_after_ns,omitempty"`
}

// Add adds one answer.
func (m *MoveSeen) Add(after bool, sent, ended time.Time) {
	one := MoveSeen{Before: 1, LastBefore: sent.UnixNano()}
	if after {
		one = MoveSeen{After: 1, FirstAfter: ended.UnixNano()}
	}
	m.Merge(one)
}

// Merge adds other answers.
func (m *MoveSeen) Merge(o MoveSeen) {
	m.Before += o.Before
	m.After += o.After
	m.LastBefore = max(m.LastBefore, o.LastBefore)
	if m.FirstAfter == 0 || o.FirstAfter > 0 && o.FirstAfter < m.FirstAfter {
		m.FirstAfter = o.FirstAfter
	}
}

func (w *Window) mergeMoves(o map[int]MoveSeen) {
	if w.Moves == nil && len(o) > 0 {
		w.Moves = map[int]MoveSeen{}
	}
	for move, seen := range o {
		sum := w.Moves[move]
		sum.Merge(seen)
		w.Moves[move] = sum
	}
}
