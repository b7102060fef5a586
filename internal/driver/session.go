package driver

import (
	"bytes"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"strconv"

	"bakeoff/internal/dataset"
)

// Requests that are answered, and the answer to a ping.
const (
	lookupTarget = "/demo?name="
	pingTarget   = "/ping"
	pong         = "pong"
)

// What every target asks: the statement with the name in it, or with a place for it.
const (
	textBefore = "SELECT id FROM demo_data WHERE name = '"
	textAfter  = "' ORDER BY id LIMIT 1"
	statement  = "SELECT id FROM demo_data WHERE name = ? ORDER BY id LIMIT 1"
)

// errRequest is returned for bytes that are not one whole request of those that are answered.
var errRequest = errors.New("driver: not a request for a lookup or a ping")

// session is a connection as agents see it: each request is a command to the database, and its answer is what a target would say.
// One goroutine uses it, except for SetDeadline.
type session struct {
	packets
	login    driver.Conn // which made the connection, and ends it
	prepared bool        // the statement is
	handle   uint32      // what the server calls it, then
	body     []byte      // of the last answer
}

// Close ends the session.
func (s *session) Close() error {
	return errors.Join(s.login.Close(), ignoreClosed(s.Conn.Close()))
}

// ignoreClosed is the error of a connection that the login has closed, too.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Carried implements load.Exchanger, as Exchange.
func (s *session) Carried() (sent, received int64, whole bool) { return s.sent, s.received, s.whole }

// Exchange asks the database for what the request asks for. What the server refuses is an answer of status 500.
func (s *session) Exchange(request []byte) (status int, body []byte, err error) {
	s.sent, s.received, s.whole = 0, 0, false
	target, err := targetOf(request)
	if err == nil {
		err = s.answer(target)
	}
	if err == nil {
		return http.StatusOK, s.body, nil
	}
	if refused, isRefused := errors.AsType[refusal](err); isRefused {
		s.body = append(s.body[:0], refused...)
		return http.StatusInternalServerError, s.body, nil
	}
	return 0, nil, err
}

// targetOf is what a request asks for.
func targetOf(request []byte) ([]byte, error) {
	const method, end = http.MethodGet + " ", "\r\n\r\n"
	line, isGet := bytes.CutPrefix(request, []byte(method))
	target, _, found := bytes.Cut(line, []byte(" "))
	if !isGet || !found || !bytes.HasSuffix(request, []byte(end)) {
		return nil, errRequest
	}
	return target, nil
}

// answer makes the body of the answer.
func (s *session) answer(target []byte) error {
	if string(target) == pingTarget {
		s.body = append(s.body[:0], pong...)
		return s.ping()
	}
	name, isLookup := bytes.CutPrefix(target, []byte(lookupTarget))
	if !isLookup {
		return errRequest
	}
	id, exists, err := s.lookup(name)
	if err != nil {
		return err
	}
	s.body = append(append(s.body[:0], `{"name":"`...), name...) // letters and digits, which need no escaping
	if !exists {
		s.body = append(s.body, `","exists":false,"id":null}`...)
		return nil
	}
	s.body = strconv.AppendInt(append(s.body, `","exists":true,"id":`...), id, 10)
	s.body = append(s.body, '}')
	return nil
}

// ping asks for a sign of life.
func (s *session) ping() error {
	s.command(commandPing)
	if err := s.send(); err != nil {
		return err
	}
	said, err := s.take()
	if err == nil && said[0] != codeOK {
		return errPacket
	}
	return err
}

// lookup asks for one name, which consists of letters and digits.
func (s *session) lookup(name []byte) (id int64, exists bool, err error) {
	if !dataset.Plain(name) {
		return 0, false, errRequest
	}
	s.question(name)
	if err := s.send(); err != nil {
		return 0, false, err
	}
	if err := s.column(); err != nil {
		return 0, false, err
	}
	for ends := 0; ends < 2; {
		row, err := s.take()
		switch {
		case err != nil:
			return 0, false, err
		case row[0] == codeEnd && len(row) == endLength:
			ends++ // the column has one, too
		case row[0] == codeEnd:
			return id, exists, nil
		case exists:
			return 0, false, errPacket // a second row
		default:
			if id, err = s.id(row); err != nil {
				return 0, false, err
			}
			exists = true
		}
	}
	return id, exists, nil
}

// question is the command that asks for a name.
func (s *session) question(name []byte) {
	if !s.prepared {
		s.command(commandQuery)
		s.out = append(append(append(s.out, textBefore...), name...), textAfter...)
		return
	}
	const (
		noCursor, once, noNull, typed = 0, 1, 0, 1
		text                          = 0xfd // a string
		shortest                      = 251  // of the lengths that do not fit into a byte
	)
	s.command(commandExecute)
	s.out = binary.LittleEndian.AppendUint32(s.out, s.handle)
	s.out = append(s.out, noCursor, once, 0, 0, 0, noNull, typed, text, 0)
	if len(name) < shortest {
		s.out = append(s.out, byte(len(name)))
	} else {
		s.out = append(s.out, 0xfc, byte(len(name)), byte(len(name)>>8))
	}
	s.out = append(s.out, name...)
}

// column takes what says that the answer has one column, and what it is.
func (s *session) column() error {
	columns, err := s.take()
	switch {
	case err != nil:
		return err
	case columns[0] != 1:
		return errPacket
	case len(columns) == 2 && columns[1] == 0: // MariaDB: as it was when the statement was prepared
		return nil
	}
	_, err = s.take()
	return err
}

// id is the number in a row of one column.
func (s *session) id(row []byte) (id int64, err error) {
	if s.prepared { // a code, which columns are NULL, and the number with the lowest byte first
		if len(row) < 3 || len(row) > 10 || row[0] != codeOK || row[1] != 0 {
			return 0, errPacket
		}
		for i, b := range row[2:] {
			id |= int64(b) << (8 * i)
		}
		return id, nil
	}
	if len(row) < 2 || int(row[0]) != len(row)-1 {
		return 0, errPacket
	}
	for _, digit := range row[1:] {
		if digit < '0' || digit > '9' {
			return 0, errPacket
		}
		id = 10*id + int64(digit-'0')
	}
	return id, nil
}

// prepare has the server prepare the statement.
func (s *session) prepare() error {
	s.command(commandPrepare)
	s.out = append(s.out, statement...)
	if err := s.send(); err != nil {
		return err
	}
	said, err := s.take()
	if err != nil {
		return err
	}
	if said[0] != codeOK || len(said) < 9 {
		return errPacket
	}
	s.handle, s.prepared = binary.LittleEndian.Uint32(said[1:]), true
	if _, err := s.take(); err != nil { // what the place for the name is
		return err
	}
	said, err = s.take() // what the column is; where ends are sent, that of the place comes first
	if err != nil || said[0] != codeEnd {
		return err
	}
	for range 2 {
		if _, err := s.take(); err != nil {
			return err
		}
	}
	return nil
}
