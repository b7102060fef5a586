package load

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
)

// parser reads one HTTP/1.1 answer (RFC 9112), fed in pieces of any size. It
// is strict: where the RFC lets a recipient choose between repairing and
// refusing, it refuses, because an answer that two readers could frame in two ways
// is no measurement. It keeps no more than one unfinished line and, when asked to,
// the body.
//
// Refused, among others: bare LF or CR, folded lines, white space before a colon,
// any second Content-Length, Content-Length together with Transfer-Encoding, any
// coding but one chunked, lengths that are not plain digits, HTTP/0.9 and
// HTTP/2, 101, a body announced on 1xx or 204.
type parser struct {
	state   uint8
	head    bool // the request was HEAD
	keep    bool // keep the body
	begun   bool // a byte has come
	old     bool // HTTP/1.0
	chunked bool
	closes  bool // the connection ends with this answer
	stays   bool // HTTP/1.0 with keep-alive
	sized   bool // Content-Length was seen
	coded   bool // Transfer-Encoding was seen
	once    bool // the line just read said what must be read again each time
	interim uint8
	at      int // lines of the header read so far

	status  int
	limit   int64 // of the body
	left    int64 // of the body or chunk
	length  int64 // of the body, so far
	used    int   // header bytes of this answer
	excess  int64 // chunk framing not paid for by data
	line    []byte
	body    []byte
	replica []byte
	memo    *memo // nil: every line is read again
}

// States of the parser.
const (
	atStatus uint8 = iota
	atHeader
	atBody   // left bytes
	untilEnd // of the connection
	atChunk  // size line
	inChunk  // left bytes
	afterChunk
	atTrailer
	atEnd
)

const (
	chunkLineLimit  = 4 << 10  // bytes of a chunk's size and extensions
	trailerLimit    = 4 << 10  // bytes of all trailers
	chunkExcess     = 16 << 10 // bytes of chunk framing beyond what the data pays for
	chunkPaid       = 16       // framing bytes each chunk pays for, and its own length twice
	maxReplicaBytes = 128
)

// reset prepares for the answer to one request. limit bounds the body.
func (p *parser) reset(head, keep bool, limit int64) {
	*p = parser{head: head, keep: keep, limit: limit, line: p.line[:0], body: p.body[:0], replica: p.replica[:0], memo: p.memo}
}

// done reports whether the answer is complete.
func (p *parser) done() bool { return p.state == atEnd }

// feed takes bytes until the answer is complete or the bytes are used up, and
// returns how many it took. After an error the connection is worth nothing.
func (p *parser) feed(b []byte) (int, error) {
	p.begun = p.begun || len(b) > 0
	n := 0
	for n < len(b) && p.state != atEnd {
		var took int
		var err error
		switch p.state {
		case atBody, inChunk, untilEnd:
			took, err = p.data(b[n:])
		case atStatus, atHeader:
			took, err = p.headerLine(b[n:])
		default:
			took, err = p.text(b[n:])
		}
		n += took
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// eof says that the peer has closed the connection. It completes an answer
// that ends so, and is an error for every other one.
func (p *parser) eof() error {
	switch {
	case p.state == untilEnd:
		p.state = atEnd
		return nil
	case !p.begun:
		return errNoAnswer
	case p.state == atEnd:
		return nil
	}
	return io.ErrUnexpectedEOF
}

// data takes bytes of the body.
func (p *parser) data(b []byte) (int, error) {
	if p.state != untilEnd && int64(len(b)) > p.left {
		b = b[:p.left]
	}
	p.length += int64(len(b))
	if p.length > p.limit {
		return len(b), errBodyLimit
	}
	if p.keep {
		p.body = append(p.body, b...)
	}
	if p.state == untilEnd {
		return len(b), nil
	}
	if p.left -= int64(len(b)); p.left > 0 {
		return len(b), nil
	}
	if p.state == atBody {
		p.state = atEnd
	} else {
		p.state = afterChunk
	}
	return len(b), nil
}

// headerLine takes bytes of one line of the header, at once where the same line came before.
func (p *parser) headerLine(b []byte) (int, error) {
	if p.memo == nil || len(p.line) > 0 {
		took, err := p.text(b)
		p.at++
		return took, err
	}
	if took := p.memo.again(p, b); took > 0 {
		return took, nil
	}
	state, persistent := p.state, !p.closes && !p.stays
	p.once = false
	took, err := p.text(b)
	if err == nil && len(p.line) == 0 {
		p.memo.note(p, b[:took], state, persistent)
	}
	p.at++
	return took, err
}

// text takes bytes of one line, and the line once its end has come.
func (p *parser) text(b []byte) (int, error) {
	room := p.room()
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		if len(b) > room {
			return len(b), p.tooLong()
		}
		if err := p.hopeless(b); err != nil {
			return len(b), err
		}
		p.line = append(p.line, b...)
		p.used += len(b)
		return len(b), nil
	}
	if i+1 > room {
		return i + 1, p.tooLong()
	}
	p.used += i + 1
	line := b[:i]
	if len(p.line) > 0 {
		p.line = append(p.line, line...)
		line = p.line
	}
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return i + 1, errProtocol
	}
	err := p.take(line[:len(line)-1])
	p.line = p.line[:0]
	return i + 1, err
}

// room is how many more bytes the current section may have.
func (p *parser) room() int {
	switch p.state {
	case atChunk:
		return chunkLineLimit - len(p.line)
	case afterChunk:
		return 2 - len(p.line)
	case atTrailer:
		return trailerLimit - p.used
	}
	return headerLimit - p.used
}

func (p *parser) tooLong() error {
	if p.state == atStatus || p.state == atHeader || p.state == atTrailer {
		return errHeaderLimit
	}
	return errProtocol
}

// hopeless refuses the unfinished first line of something that is not
// HTTP/1, so that nobody waits for the rest of it.
func (p *parser) hopeless(b []byte) error {
	if p.state != atStatus {
		return nil
	}
	const start = "HTTP/1."
	at := len(p.line)
	for i := 0; i < len(b) && at+i < len(start); i++ {
		if b[i] != start[at+i] {
			return errProtocol
		}
	}
	return nil
}

// take interprets one whole line, without its end.
func (p *parser) take(line []byte) error {
	switch p.state {
	case atStatus:
		return p.statusLine(line)
	case atHeader:
		if len(line) == 0 {
			return p.endOfHeader()
		}
		return p.field(line, false)
	case atChunk:
		return p.chunkSize(line)
	case afterChunk:
		if len(line) > 0 {
			return errProtocol
		}
		p.state = atChunk
		return nil
	default: // atTrailer
		if len(line) == 0 {
			p.state = atEnd
			return nil
		}
		return p.field(line, true)
	}
}

// statusLine reads "HTTP/1.1 200 OK"; the reason may be missing.
func (p *parser) statusLine(line []byte) error {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return errProtocol
	}
	switch line[7] {
	case '0':
		p.old = true
	case '1':
		p.old = false
	default:
		return errProtocol
	}
	p.status = 0
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return errProtocol
		}
		p.status = 10*p.status + int(c-'0')
	}
	if p.status < 100 || p.status == 101 || len(line) > 12 && line[12] != ' ' || !isText(line[12:]) {
		return errProtocol
	}
	p.state = atHeader
	return nil
}

// field reads one header or trailer field.
func (p *parser) field(line []byte, trailer bool) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return errProtocol
	}
	for _, c := range line[:colon] {
		if !tokenByte[c] {
			return errProtocol
		}
	}
	value := trimSpace(line[colon+1:])
	if !isText(value) {
		return errProtocol
	}
	name := line[:colon]
	switch len(name) {
	case 7:
		if !trailer && foldEqual(name, "trailer") {
			return p.announced(value)
		}
	case 10:
		if !trailer && foldEqual(name, "connection") {
			p.closes = p.closes || hasToken(value, "close")
			p.stays = p.stays || hasToken(value, "keep-alive")
		}
	case 14:
		if foldEqual(name, "content-length") {
			p.once = true
			return p.contentLength(value, trailer)
		}
	case 17:
		if foldEqual(name, "transfer-encoding") {
			p.once = true
			return p.transferEncoding(value, trailer)
		}
		if !trailer && foldEqual(name, "x-bakeoff-replica") && len(value) <= maxReplicaBytes {
			p.once = true
			p.replica = append(p.replica[:0], value...)
		}
	}
	return nil
}

// announced refuses trailers that would change the framing.
func (p *parser) announced(value []byte) error {
	for _, name := range []string{"content-length", "transfer-encoding", "trailer"} {
		if hasToken(value, name) {
			return errProtocol
		}
	}
	return nil
}

func (p *parser) contentLength(value []byte, trailer bool) error {
	if trailer || p.sized || len(value) == 0 || len(value) > 18 {
		return errProtocol
	}
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return errProtocol
		}
		n = 10*n + int64(c-'0')
	}
	p.sized, p.left = true, n
	return nil
}

func (p *parser) transferEncoding(value []byte, trailer bool) error {
	if trailer || p.coded || p.old || !foldEqual(value, "chunked") {
		return errProtocol
	}
	p.coded = true
	return nil
}

// endOfHeader decides how the body is framed (RFC 9112, 6.3).
func (p *parser) endOfHeader() error {
	if p.sized && p.coded {
		return errProtocol
	}
	if p.status < 200 || p.status == 204 {
		if p.coded || p.sized && p.left > 0 {
			return errProtocol
		}
	}
	if p.status < 200 {
		return p.nextAnswer()
	}
	p.closes = p.closes || p.old && !p.stays
	switch {
	case p.head || p.status == 204 || p.status == 304:
		p.state = atEnd
	case p.coded:
		p.chunked = true
		p.state = atChunk
	case p.sized && p.left > p.limit:
		return errBodyLimit
	case p.sized && p.left == 0:
		p.state = atEnd
	case p.sized:
		p.state = atBody
	default:
		p.closes = true
		p.state = untilEnd
	}
	return nil
}

// nextAnswer goes on after an interim answer.
func (p *parser) nextAnswer() error {
	if p.interim++; p.interim > interimLimit {
		return errHeaderLimit
	}
	p.state, p.used = atStatus, 0
	p.closes, p.stays, p.sized, p.coded, p.left = false, false, false, false, 0
	p.replica = p.replica[:0]
	return nil
}

// chunkSize reads "1a;name=value".
func (p *parser) chunkSize(line []byte) error {
	n, digits := int64(0), 0
	for digits < len(line) {
		d := hexDigit(line[digits])
		if d < 0 {
			break
		}
		if digits++; digits > 16 || n > math.MaxInt64>>4 {
			return errProtocol
		}
		n = n<<4 | int64(d)
	}
	if digits == 0 || digits < len(line) && line[digits] != ';' || !isText(line[digits:]) {
		return errProtocol
	}
	p.excess = max(0, p.excess+int64(len(line))+2-chunkPaid-2*min(n, chunkExcess))
	if p.excess > chunkExcess {
		return errProtocol
	}
	if n > p.limit-p.length {
		return errBodyLimit
	}
	if n == 0 {
		p.state, p.used = atTrailer, 0
		return nil
	}
	p.state, p.left = inChunk, n
	return nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// tokenByte says which bytes a field name may have (RFC 9110, 5.6.2).
var tokenByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c < 0x80 && isToken(string(rune(c)))
	}
	return t
}()

// isText reports whether b has only what a field value may have (RFC 9110, 5.5):
// no control characters but tab.
func isText(b []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		// Eight bytes at once: one below ' ', or DEL, sets a high bit, as tab does.
		x := binary.LittleEndian.Uint64(b)
		d := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(d-ones)&^d)&highs != 0 && !isPlain(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return isPlain(b)
}

func isPlain(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// trimSpace cuts blanks and tabs off both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// foldEqual compares with a lower-case word, ignoring the case of ASCII letters.
func foldEqual(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// hasToken reports whether a comma-separated list has the lower-case word.
func hasToken(list []byte, lower string) bool {
	for len(list) > 0 {
		item := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			item, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		if foldEqual(trimSpace(item), lower) {
			return true
		}
	}
	return false
}
