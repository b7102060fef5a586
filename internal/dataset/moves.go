package dataset

import (
	"strconv"
	"strings"

	"bakeoff/internal/splitmix"
)

// Rows that change while they are asked for: the moves.
//
// A target that holds a copy of the table must nowhere know which keys it may answer from that. So nothing of a move follows from
// what a target sees: rows, names, and which requests ask for them are draws by a key (SipHash-2-4), and a name says nothing about
// another one. New names are drawn as those of keys that do not exist, of every length; a name that several rows have moves with the
// row that answers for it. Moves are made from before the first request to the end of the phase. The keys of some are only asked for
// once they have changed, so that no key is safe because it is new; others are asked for from the start, and so are decoys, which
// repeat in the same way and never change, so that none is safe because it comes again.

// MoveSpec says which rows change while they are asked for. It travels as JSON.
type MoveSpec struct {
	Secret string  `json:"secret"` // that rows, names, and requests depend on
	Count  int     `json:"count"`  // of changes
	Ahead  int     `json:"ahead"`  // of these, the first ones, that are made before the first request
	Share  float64 `json:"share"`  // of the requests that ask for what changes; less where fewer changes are to be had
	// Margin is the part of the phase for which names that are asked for late are not asked for after their change.
	Margin float64 `json:"margin"`
	// Asked is how many requests are expected of a stream: of a connection in the closed model, of all in the open one; 0: that is
	// not known, and no name is asked for late.
	Asked float64 `json:"asked"`
}

// At is the part of the phase that is over when a change is made: 0 of those before the first request.
func (s MoveSpec) At(move int) float64 {
	if move < s.Ahead {
		return 0
	}
	return (float64(move-s.Ahead) + 0.5) / float64(s.Count-s.Ahead)
}

// Kinds of moves.
const (
	Inserted = "inserted"
	Renamed  = "renamed"
	Deleted  = "deleted"
)

// Move is one change of one row.
type Move struct {
	Kind string
	ID   int64
	Old  string // its name before; empty: there is no such row
	New  string // its name after; empty: there is no such row
	Next int64  // the row that is the answer to Old afterwards; 0: there is none
}

// moveTries is how often a row or a name is drawn again that does not serve.
const moveTries = 1000

// chooser draws rows and names that nobody else has.
type chooser struct {
	*Dataset
	key   splitmix.Key
	drawn uint64
	rows  map[int64]bool
	names map[string]bool // in lower case
}

func (c *chooser) next() uint64 {
	c.drawn++
	return c.key.Draw(c.drawn, 0)
}

// row is one that is the answer to its name.
func (c *chooser) row() (id int64, found bool) {
	for range moveTries {
		id := c.First(1 + int64(scale(c.next(), c.spec.Rows)))
		if !c.rows[id] {
			c.rows[id] = true
			return id, true
		}
	}
	return 0, false
}

func (c *chooser) name() (string, bool) {
	for range moveTries {
		name := string(c.appendMiss(nil, c.next()))
		if folded := strings.ToLower(name); !c.names[folded] {
			c.names[folded] = true
			return name, true
		}
	}
	return "", false
}

// Moves are the changes of a specification, in their order. Each concerns a row of its own, and names that no other one concerns; a
// row that changes is the answer to its name, and new names are drawn as those of keys that do not exist. There are fewer than asked
// for where there are too few rows or names for that.
func (d *Dataset) Moves(spec MoveSpec) []Move {
	c := &chooser{Dataset: d, key: splitmix.NewKey(spec.Secret, "moves"), rows: map[int64]bool{}, names: map[string]bool{}}
	kinds := []string{Inserted, Renamed, Deleted}
	out := make([]Move, 0, spec.Count)
	for i := range spec.Count {
		m := Move{Kind: kinds[i%len(kinds)], ID: d.Rows() + 1 + int64(i)}
		ok := true
		if m.Kind != Inserted {
			if m.ID, ok = c.row(); ok {
				m.Old, m.Next = d.Name(m.ID), d.short().second[uint32(m.ID)]
			}
		}
		if ok && m.Kind != Deleted {
			m.New, ok = c.name()
		}
		if !ok {
			break
		}
		out = append(out, m)
	}
	return out
}

const (
	// decoysPerMove is how many keys are asked for like those that change, and never change, and lateOf which part of both is asked
	// for late.
	decoysPerMove = 0.5
	lateOf        = 3
)

// moves are those of a workload.
type moves struct {
	spec   MoveSpec
	all    []Move
	decoys []uint64  // states that keys are drawn from
	opens  []float64 // the part of the phase from which on they are asked for, of moves and then of decoys
	share  uint64    // a random number below it means one of these
	key    splitmix.Key
	rows   map[int64]int  // that are changed, to their move
	short  map[string]int // new names of at most shortLength characters in lower case, to their move
}

func newMoves(d *Dataset, spec *MoveSpec) *moves {
	if spec == nil || spec.Count == 0 {
		return nil
	}
	m := &moves{spec: *spec, all: d.Moves(*spec), key: splitmix.NewKey(spec.Secret, "asks"), rows: map[int64]int{}, short: map[string]int{}}
	for i, one := range m.all {
		if one.Old != "" {
			m.rows[one.ID] = i
		}
		if n := len(one.New); n > 0 && n <= shortLength {
			m.short[strings.ToLower(one.New)] = i
		}
	}
	key, late := splitmix.NewKey(spec.Secret, "decoys"), splitmix.NewKey(spec.Secret, "late")
	for i := range int(decoysPerMove * float64(len(m.all))) {
		m.decoys = append(m.decoys, key.Draw(uint64(i), 0))
	}
	m.opens = make([]float64, len(m.all)+len(m.decoys))
	for i := range m.opens {
		at := float64(late.Draw(uint64(i), 1)>>11) / (1 << 53) // of a decoy
		if i < len(m.all) {
			at = spec.At(i)
		}
		if i >= spec.Ahead && late.Draw(uint64(i), 0)%lateOf == 0 {
			m.opens[i] = at + spec.Margin
		}
	}
	m.share = uint64(spec.Share * float64(len(m.opens)) / float64(spec.Count) * (1 << 53))
	return m
}

// over is the part of the phase that is over, as expected, at request n of a stream.
func (m *moves) over(n uint64) float64 {
	if m.spec.Asked <= 0 {
		return 2 // beyond the end: all names are asked for
	}
	return float64(n) / m.spec.Asked
}

// ask is what a request asks for.
type ask struct {
	state   uint64 // that its key is drawn from
	move    int    // that concerns it; -1: none
	renamed bool   // it asks for the new name
	named   bool   // its key is the name of the move, not that of the state
}

// ask decides what request n of a stream asks for.
func (w *Workload) ask(stream, n uint64) ask {
	a := ask{state: w.keys.state(stream, n), move: -1}
	m := w.moves
	if m == nil || len(m.all) == 0 {
		return a
	}
	random := m.key.Draw(a.state, 0)
	if random>>11 < m.share {
		random = splitmix.Finalize(random)
		switch mark := scale(random, len(m.opens)); {
		case m.opens[mark] > m.over(n):
		case mark >= len(m.all):
			a.state = m.decoys[mark-len(m.all)]
		default:
			a.move, a.named = mark, true
			one := m.all[mark]
			a.renamed = one.Old == "" || one.New != "" && random&1 == 1
			return a
		}
	}
	a.move, a.renamed = w.concerned(a.state)
	return a
}

// concerned is the move that concerns the key of a state by chance, and whether that key is its new name; -1: none.
func (w *Workload) concerned(state uint64) (move int, renamed bool) {
	m, d := w.moves, w.keys.rows
	if w.keys.hit(state) {
		if move, changes := m.rows[d.First(w.keys.row(state))]; changes {
			return move, false
		}
		return -1, false
	}
	if len(m.short) == 0 || d.length(state) > shortLength {
		return -1, false
	}
	var buf [nameBuffer]byte
	name := d.appendMiss(buf[:0], state)
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c | 0x20
		}
	}
	if move, changes := m.short[string(name)]; changes {
		return move, true
	}
	return -1, false
}

// Moving is the number of the move that concerns the request's key; -1: none does.
func (w *Workload) Moving(stream, n uint64) int { return w.ask(stream, n).move }

// appendAsked appends the key that is asked for. Without a move that concerns it the answer is hit and id.
func (w *Workload) appendAsked(dst []byte, a ask) (key []byte, hit bool, id int64) {
	if !a.named {
		return w.keys.appendOf(dst, a.state)
	}
	if one := w.moves.all[a.move]; !a.renamed {
		return append(dst, one.Old...), true, one.ID
	}
	return append(dst, w.moves.all[a.move].New...), false, 0
}

// Moved judges a whole answer to a request that a move concerns: class is as of Check, and empty where the answer is right
// either before or after the move; after says which, exists whether it says that there is a row.
func (w *Workload) Moved(stream, n uint64, status int, body []byte) (after, exists bool, class string) {
	if status != 200 {
		return false, false, "status " + strconv.Itoa(status)
	}
	got, why := parseAnswer(body)
	if why != "" {
		return false, false, why
	}
	a := w.ask(stream, n)
	var buf [nameBuffer]byte
	if key, _, _ := w.appendAsked(buf[:0], a); !got.named(key) {
		return false, false, "wrong name"
	}
	before, then := w.moves.all[a.move].answers(a.renamed)
	if got.judge(then != 0, then) == "" {
		return true, then != 0, ""
	}
	if class = got.judge(before != 0, before); class != "" && before == 0 {
		class = got.judge(true, then) // as "wrong id" where it says that there is a row
	}
	return false, before != 0, class
}

// answers are the ids that are right before and after; 0: the name does not exist.
func (m Move) answers(renamed bool) (before, after int64) {
	if renamed {
		return 0, m.ID
	}
	return m.ID, m.Next
}
