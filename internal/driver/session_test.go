package driver

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// replayed is a connection to a server that has its answer to every command ready.
type replayed struct {
	net.Conn
	answer []byte
	left   []byte
	atOnce int    // the most bytes that a read returns
	wrote  string // the last command
}

func (r *replayed) Write(p []byte) (int, error) {
	if r.wrote != string(p) {
		r.wrote = string(p)
	}
	r.left = r.answer
	return len(p), nil
}

func (r *replayed) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.atOnce)], r.left)
	r.left = r.left[n:]
	return n, nil
}

// packed are packets with these contents, numbered from 1.
func packed(contents ...string) []byte {
	var out []byte
	for i, content := range contents {
		out = append(out, byte(len(content)), byte(len(content)>>8), byte(len(content)>>16), byte(1+i))
		out = append(out, content...)
	}
	return out
}

// toReplay is a session with a server that has this answer.
func toReplay(prepared bool, atOnce int, answer []byte) (*session, *replayed) {
	r := &replayed{answer: answer, atOnce: atOnce}
	return &session{packets: packets{Conn: r, in: make([]byte, bufferSize)}, prepared: prepared, handle: 0x01020304}, r
}

const (
	column = "\x03def\x06bakeof\x09demo_data\x09demo_data\x02id\x02id\x0c\x3f\x00\x14\x00\x00\x00\x08\x03\x42\x00\x00\x00"
	oldEnd = "\xfe\x00\x00\x02\x00"         // of servers and clients that send one behind the columns, too
	newEnd = "\xfe\x00\x00\x02\x00\x00\x00" // the only one
	abc    = "GET /demo?name=abc HTTP/1.1\r\nHost: database\r\n\r\n"
	exists = `{"name":"abc","exists":true,"id":17}`
	absent = `{"name":"abc","exists":false,"id":null}`
	// seventeen is the row with this id of an executed statement.
	seventeen = "\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00"
)

// What each form of an answer is to agents, however it is cut up on its way. An empty body: it is none, and the session has failed.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		prepared bool
		answer   []byte
		status   int
		body     string
	}{
		"a row":                    {false, packed("\x01", column, "\x0217", newEnd), 200, exists},
		"no row":                   {false, packed("\x01", column, newEnd), 200, absent},
		"a row, two ends":          {false, packed("\x01", column, oldEnd, "\x0217", oldEnd), 200, exists},
		"no row, two ends":         {false, packed("\x01", column, oldEnd, oldEnd), 200, absent},
		"a row, columns announced": {false, packed("\x01\x01", column, "\x0217", newEnd), 200, exists},
		"executed":                 {true, packed("\x01", column, seventeen, newEnd), 200, exists},
		"executed, no row":         {true, packed("\x01", column, newEnd), 200, absent},
		"executed, two ends":       {true, packed("\x01", column, oldEnd, seventeen, oldEnd), 200, exists},
		"executed, no columns":     {true, packed("\x01\x00", seventeen, newEnd), 200, exists},
		"executed, four bytes":     {true, packed("\x01", column, seventeen[:6], newEnd), 200, exists},
		"refused":                  {false, packed("\xff\x7a\x04#42S02no such table"), 500, "error 1146: no such table"},
		"refused, no state":        {false, packed("\xff\x7a\x04no such table"), 500, "error 1146: no such table"},
		"refused in the rows":      {true, packed("\x01", column, "\xff\x25\x05#70100interrupted"), 500, "error 1317: interrupted"},
		"the session is ended":     {false, append([]byte{7, 0, 0, 0}, "\xff\x87\x07gone"...), 500, "error 1927: gone"},
		"a refusal of nothing":     {false, packed("\xff"), 0, ""},
		"two rows":                 {false, packed("\x01", column, "\x0217", "\x0218", newEnd), 0, ""},
		"no number":                {false, packed("\x01", column, "\x021a", newEnd), 0, ""},
		"a length too many":        {false, packed("\x01", column, "\x0317", newEnd), 0, ""},
		"no id":                    {false, packed("\x01", column, "\xfb", newEnd), 0, ""},
		"executed, no id":          {true, packed("\x01", column, "\x00\x04", newEnd), 0, ""},
		"executed, NULL":           {true, packed("\x01", column, "\x00\x04\x11\x00\x00\x00\x00\x00\x00\x00", newEnd), 0, ""},
		"executed, as text":        {true, packed("\x01", column, "\x0217", newEnd), 0, ""},
		"executed, too long":       {true, packed("\x01", column, seventeen+"\x00", newEnd), 0, ""},
		"two columns":              {false, packed("\x02", column, column, newEnd), 0, ""},
		"no result":                {false, packed("\x00\x00\x00\x02\x00\x00\x00"), 0, ""},
		"another number":           {false, append(packed("\x01")[:3], "\x02\x01"...), 0, ""},
		"an empty packet":          {false, packed(""), 0, ""},
		"a packet too long":        {false, packed(strings.Repeat("\x01", bufferSize)), 0, ""},
		"cut short":                {false, packed("\x01", column, "\x0217"), 0, ""},
		"nothing":                  {false, nil, 0, ""},
	} {
		for _, atOnce := range []int{1, 3, bufferSize} {
			s, r := toReplay(c.prepared, atOnce, c.answer)
			status, body, err := s.Exchange([]byte(abc))
			if status != c.status || string(body) != c.body || (err == nil) != (c.body != "") {
				t.Errorf("%s, %d at once: %d %q, %v", name, atOnce, status, body, err)
			}
			sent, received, whole := s.Carried()
			if sent != int64(len(r.wrote)) || !whole || err == nil && received != int64(len(c.answer)) {
				t.Errorf("%s: %d bytes sent, %d received of %d, whole %v", name, sent, received, len(c.answer), whole)
			}
			if ends := name == "cut short" || name == "nothing"; ends != errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil && s.from != s.to {
				t.Errorf("%s: %d bytes are not taken", name, s.to-s.from)
			}
		}
	}
}

// What the commands are: the name is in the text, or is the parameter of the statement that was prepared.
func TestCommands(t *testing.T) {
	long := strings.Repeat("x", 255)
	for name, c := range map[string]struct {
		prepared bool
		target   string
		want     string
	}{
		"text":               {false, "/demo?name=abc", "\x03SELECT id FROM demo_data WHERE name = 'abc' ORDER BY id LIMIT 1"},
		"prepared":           {true, "/demo?name=abc", "\x17\x04\x03\x02\x01\x00\x01\x00\x00\x00\x00\x01\xfd\x00\x03abc"},
		"prepared, the most": {true, "/demo?name=" + long, "\x17\x04\x03\x02\x01\x00\x01\x00\x00\x00\x00\x01\xfd\x00\xfc\xff\x00" + long},
		"a ping":             {true, "/ping", "\x0e"},
	} {
		s, r := toReplay(c.prepared, bufferSize, packed("\x00\x00\x00\x02\x00\x00\x00"))
		_, _, err := s.Exchange([]byte("GET " + c.target + " HTTP/1.1\r\nHost: database\r\n\r\n"))
		if want := string(append([]byte{byte(len(c.want)), byte(len(c.want) >> 8), 0, 0}, c.want...)); r.wrote != want {
			t.Errorf("%s: wrote %q, want %q", name, r.wrote, want)
		}
		if pinged := name == "a ping"; pinged != (err == nil) || pinged && string(s.body) != pong {
			t.Errorf("%s: %q, %v", name, s.body, err)
		}
	}
}

// A request that is none of those that are answered, or whose name would need quoting, reaches nobody.
func TestRequestsRefused(t *testing.T) {
	for _, request := range []string{
		"", "GET /ping", "GET /ping HTTP/1.1\r\n", "POST /demo?name=a HTTP/1.1\r\n\r\n", "GET /other HTTP/1.1\r\n\r\n", "GET /demo HTTP/1.1\r\n\r\n",
		"GET /demo?name= HTTP/1.1\r\n\r\n", "GET /demo?name=a' HTTP/1.1\r\n\r\n", "GET /demo?name=%27 HTTP/1.1\r\n\r\n",
		"GET /demo?name=" + strings.Repeat("a", 256) + " HTTP/1.1\r\n\r\n",
	} {
		s, r := toReplay(false, bufferSize, packed("\x01", column, newEnd))
		if status, _, err := s.Exchange([]byte(request)); !errors.Is(err, errRequest) || status != 0 || r.wrote != "" {
			t.Errorf("%q: %d, %v, wrote %q", request, status, err, r.wrote)
		}
		if sent, _, whole := s.Carried(); sent != 0 || whole {
			t.Errorf("%q: %d bytes sent, whole %v", request, sent, whole)
		}
	}
}

// Bytes that came after an answer are never part of the next one.
func TestBytesTooMany(t *testing.T) {
	s, _ := toReplay(false, bufferSize, append(packed("\x01", column, newEnd), packed("\x01", column, "\x0217", newEnd)...))
	if _, body, err := s.Exchange([]byte(abc)); err != nil || string(body) != absent {
		t.Fatalf("%q, %v", body, err)
	}
	if _, body, err := s.Exchange([]byte(abc)); !errors.Is(err, errPacket) {
		t.Errorf("%q, %v", body, err)
	}
}

// A statement is prepared by servers of both ways of ending lists, and then executed by what the server calls it.
func TestPrepare(t *testing.T) {
	const said = "\x00\x2a\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00"
	for name, c := range map[string]struct {
		answer []byte
		fine   bool
	}{
		"no ends":      {packed(said, column, column), true},
		"ends":         {packed(said, column, oldEnd, column, oldEnd), true},
		"refused":      {packed("\xff\x7a\x04#42S02no such table"), false},
		"something":    {packed("\x01"), false},
		"too short":    {packed(said[:8]), false},
		"no parameter": {packed(said), false},
		"an end less":  {packed(said, column, oldEnd, column), false},
	} {
		s, r := toReplay(false, 5, c.answer)
		err := s.prepare()
		if (err == nil) != c.fine || c.fine && (s.handle != 0x2a || !s.prepared || s.from != s.to) {
			t.Errorf("%s: %v, %d, %d bytes are not taken", name, err, s.handle, s.to-s.from)
		}
		if want := "\x16" + statement; r.wrote[headLength:] != want {
			t.Errorf("%s: wrote %q", name, r.wrote)
		}
	}
}

// A request costs no allocation.
func TestNothingIsAllocated(t *testing.T) {
	request := []byte("GET /demo?name=" + strings.Repeat("a", 255) + " HTTP/1.1\r\nHost: database\r\n\r\n")
	for name, c := range map[string]struct {
		prepared bool
		row      string
	}{"text": {false, "\x0217"}, "prepared": {true, seventeen}} {
		s, _ := toReplay(c.prepared, bufferSize, packed("\x01", column, c.row, newEnd))
		if n := testing.AllocsPerRun(100, func() {
			if status, _, err := s.Exchange(request); status != 200 {
				t.Fatal(status, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for a request", name, n)
		}
	}
}
