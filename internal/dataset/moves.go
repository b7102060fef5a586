package dataset

import (
	"strconv"

	"bakeoff/internal/splitmix"
)

// MoveSpec says which rows change while they are asked for. It travels as JSON.
type MoveSpec struct {
	Seed  uint64  `json:"seed"`  // of the choice of rows and names
	Count int     `json:"count"` // of changes
	Share float64 `json:"share"` // of the requests that ask for what changes; less where fewer changes are to be had
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
}

// domainMoves sets the random numbers of moves apart from all others.
const domainMoves = 0x6d6f7665732f626b

// moveTries is how often a row or a name is drawn again that does not serve.
const moveTries = 1000

// Moves are the changes of a specification, in their order. Each concerns a row of its own, whose name no other row has, and
// new names are drawn as those of keys that do not exist. There are fewer than asked for where too few names are long enough for that.
func (d *Dataset) Moves(spec MoveSpec) []Move {
	state := splitmix.Finalize(spec.Seed ^ domainMoves)
	next := func() uint64 {
		state += splitmix.Gamma
		return splitmix.Finalize(state)
	}
	rows, names := map[int64]bool{}, map[string]bool{}
	row := func() (id int64, found bool) {
		for range moveTries {
			id := 1 + int64(scale(next(), d.spec.Rows))
			if !rows[id] && d.length(d.rowState(id)) > shortLength {
				rows[id] = true
				return id, true
			}
		}
		return 0, false
	}
	name := func() (string, bool) {
		for range moveTries {
			seed := next()
			if d.length(seed) <= shortLength {
				continue
			}
			if name := string(d.pairs.appendName(nil, seed, d.length(seed))); !names[name] {
				names[name] = true
				return name, true
			}
		}
		return "", false
	}
	kinds := []string{Inserted, Renamed, Deleted}
	out := make([]Move, 0, spec.Count)
	for i := range spec.Count {
		m := Move{Kind: kinds[i%len(kinds)], ID: d.Rows() + 1 + int64(i)}
		ok := true
		if m.Kind != Inserted {
			if m.ID, ok = row(); ok {
				m.Old = d.Name(m.ID)
			}
		}
		if ok && m.Kind != Deleted {
			m.New, ok = name()
		}
		if !ok {
			break
		}
		out = append(out, m)
	}
	return out
}

// moves are those of a workload.
type moves struct {
	all   []Move
	share uint64        // a random number below it means a key of a move
	rows  map[int64]int // that are changed, to their move
	base  uint64
}

func newMoves(d *Dataset, spec *MoveSpec) *moves {
	if spec == nil || spec.Count == 0 {
		return nil
	}
	m := &moves{all: d.Moves(*spec), rows: map[int64]int{}, base: splitmix.Finalize(spec.Seed + 1)}
	m.share = uint64(spec.Share * float64(len(m.all)) / float64(spec.Count) * (1 << 53))
	for i, one := range m.all {
		if one.Old != "" {
			m.rows[one.ID] = i
		}
	}
	return m
}

// moveOf is the move that a request concerns and whether it asks for the new name; -1: none.
func (w *Workload) moveOf(stream, n uint64) (move int, renamed bool) {
	m := w.moves
	if m == nil || len(m.all) == 0 {
		return -1, false
	}
	state := w.keys.state(stream, n)
	random := splitmix.Finalize(state ^ m.base)
	if random>>11 >= m.share {
		if w.keys.hit(state) {
			if move, changes := m.rows[w.keys.row(state)]; changes {
				return move, false
			}
		}
		return -1, false
	}
	random = splitmix.Finalize(random)
	move = scale(random, len(m.all))
	switch one := m.all[move]; {
	case one.Old == "":
		return move, true
	case one.New == "":
		return move, false
	}
	return move, random&1 == 1
}

// Moving is the number of the move that concerns the request's key; -1: none does.
func (w *Workload) Moving(stream, n uint64) int {
	move, _ := w.moveOf(stream, n)
	return move
}

// key is that of a request that a move concerns.
func (m Move) key(renamed bool) string {
	if renamed {
		return m.New
	}
	return m.Old
}

// Moved judges a whole answer to a request that a move concerns: class is as of Check, and empty where the answer is right
// either before or after the move; after says which, exists whether it says that there is a row.
func (w *Workload) Moved(stream, n uint64, status int, body []byte) (after, exists bool, class string) {
	if status != 200 {
		return false, false, "status " + strconv.Itoa(status)
	}
	a, why := parseAnswer(body)
	if why != "" {
		return false, false, why
	}
	move, renamed := w.moveOf(stream, n)
	m := w.moves.all[move]
	if !a.named([]byte(m.key(renamed))) {
		return false, false, "wrong name"
	}
	if a.judge(false, 0) == "" {
		return !renamed, false, ""
	}
	if why := a.judge(true, m.ID); why != "" {
		return false, false, why
	}
	return renamed, true, ""
}
