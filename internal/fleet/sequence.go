package fleet

// outcome is what becomes of a window that arrived.
type outcome int

const (
	accepted  outcome = iota
	duplicate         // seen before: dropped
	stale             // of another epoch: dropped
	gap               // one before it is missing: its agent is lost
)

// tracker follows the sequence numbers of one agent in one epoch, which count
// from 1 without holes. The connection keeps their order, so a number that
// comes early stands for a loss, not for a detour.
type tracker struct {
	epoch int64
	last  int64
}

// accept judges a window's numbers and remembers them when it is accepted.
func (t *tracker) accept(epoch, sequence int64) outcome {
	switch {
	case epoch != t.epoch:
		return stale
	case sequence <= t.last:
		return duplicate
	case sequence != t.last+1:
		return gap
	}
	t.last = sequence
	return accepted
}
