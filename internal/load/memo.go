package load

import "bytes"

// memo remembers the header lines of a loop's last answers, by their place. A
// line that comes again byte for byte was judged before, and what it said holds
// again; most lines of most answers are such. Lengths, codings and the replica's
// name are not remembered but read again.
type memo struct {
	lines [16]memoLine // the first ones of a header
}

const memoLineBytes = 256 // a longer line is not remembered

// memoLine is a line with its end and what it said.
type memoLine struct {
	text          []byte // empty: nothing is remembered
	state         uint8  // in which it was read: atStatus or atHeader
	old           bool
	closes, stays bool
	status        int
}

// again takes a line that came before at this place, and returns how many bytes
// that were; 0: it is another one.
func (m *memo) again(p *parser, b []byte) int {
	if p.at >= len(m.lines) {
		return 0
	}
	l := &m.lines[p.at]
	n := len(l.text)
	if n == 0 || l.state != p.state || n > p.room() || !bytes.HasPrefix(b, l.text) {
		return 0
	}
	if p.state == atStatus {
		p.status, p.old, p.state = l.status, l.old, atHeader
	}
	p.closes, p.stays = p.closes || l.closes, p.stays || l.stays
	p.used += n
	p.at++
	return n
}

// note remembers the line at this place, which was read in the given state and left the parser as it
// is now, unless it said what only holds once.
func (m *memo) note(p *parser, text []byte, state uint8, persistent bool) {
	if p.at >= len(m.lines) {
		return
	}
	l := &m.lines[p.at]
	l.text = l.text[:0]
	if p.once || !persistent || p.state != atHeader || len(text) > memoLineBytes {
		return
	}
	l.text = append(l.text, text...)
	l.state, l.status, l.old, l.closes, l.stays = state, p.status, p.old, p.closes, p.stays
}
