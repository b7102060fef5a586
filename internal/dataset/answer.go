package dataset

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// answer is a parsed body of /demo, pointing into it.
type answer struct {
	name   []byte // between the quotes, escapes untouched
	exists bool
	id     int64 // 0: null
}

// Answer is a body of /demo, decoded.
type Answer struct {
	Name   string
	Exists bool
	ID     int64 // 0: null
}

// ParseAnswer decodes a body strictly: one JSON object with name (a string),
// exists (a boolean) and id (a positive integer or null), each exactly once, in
// any order, nothing else. why is "" or as in Workload.Check.
func ParseAnswer(body []byte) (a Answer, why string) {
	raw, why := parseAnswer(body)
	if why != "" {
		return Answer{}, why
	}
	name, ok := raw.text()
	if !ok {
		return Answer{}, notJSON
	}
	return Answer{Name: name, Exists: raw.exists, ID: raw.id}, ""
}

const (
	notJSON     = "not json"
	wrongFields = "wrong fields"
)

// named reports whether the answer's name is key.
func (a answer) named(key []byte) bool {
	if bytes.IndexByte(a.name, '\\') < 0 {
		return bytes.Equal(a.name, key)
	}
	name, ok := a.text()
	return ok && name == string(key)
}

// text is the name with its escapes resolved.
func (a answer) text() (string, bool) {
	if bytes.IndexByte(a.name, '\\') < 0 {
		return string(a.name), true
	}
	quoted := make([]byte, 0, len(a.name)+2)
	quoted = append(quoted, '"')
	quoted = append(quoted, a.name...)
	quoted = append(quoted, '"')
	var name string
	err := json.Unmarshal(quoted, &name)
	return name, err == nil
}

func (a answer) judge(hit bool, id int64) string {
	switch {
	case a.exists != hit:
		return "wrong exists"
	case a.id != id:
		return "wrong id"
	}
	return ""
}

// scanner reads JSON from the front of what is left.
type scanner struct{ left []byte }

func (s *scanner) space() {
	for len(s.left) > 0 && (s.left[0] == ' ' || s.left[0] == '\n' || s.left[0] == '\r' || s.left[0] == '\t') {
		s.left = s.left[1:]
	}
}

// take consumes token after white space, if it is there.
func (s *scanner) take(token string) bool {
	s.space()
	if len(s.left) < len(token) || string(s.left[:len(token)]) != token {
		return false
	}
	s.left = s.left[len(token):]
	return true
}

// text consumes a string and returns what is between its quotes.
func (s *scanner) text() ([]byte, bool) {
	if !s.take(`"`) {
		return nil, false
	}
	for i := 0; i < len(s.left); i++ {
		switch c := s.left[i]; {
		case c == '"':
			text := s.left[:i]
			s.left = s.left[i+1:]
			return text, true
		case c == '\\':
			i++
		case c < ' ':
			return nil, false
		}
	}
	return nil, false
}

func (s *scanner) boolean() (value, ok bool) {
	if s.take("true") {
		return true, true
	}
	return false, s.take("false")
}

// id consumes null (0) or a positive integer without sign, fraction or exponent.
func (s *scanner) id() (int64, bool) {
	if s.take("null") {
		return 0, true
	}
	i := 0
	for i < len(s.left) && '0' <= s.left[i] && s.left[i] <= '9' {
		i++
	}
	id, err := strconv.ParseInt(string(s.left[:i]), 10, 64)
	if err != nil || s.left[0] == '0' {
		return 0, false
	}
	s.left = s.left[i:]
	return id, true
}

// parseAnswer reads a body; see ParseAnswer. Escapes in the name are not yet
// resolved, and so not yet proven good.
func parseAnswer(body []byte) (a answer, why string) {
	if len(body) == 0 || !json.Valid(body) {
		return a, notJSON
	}
	s := scanner{left: body}
	if !s.take("{") {
		return a, wrongFields
	}
	var name, exists, id bool
	for field := range 3 {
		if field > 0 && !s.take(",") {
			return a, wrongFields
		}
		key, ok := s.text()
		if !ok || !s.take(":") {
			return a, wrongFields
		}
		switch {
		case string(key) == "name" && !name:
			a.name, name = s.text()
			ok = name
		case string(key) == "exists" && !exists:
			a.exists, exists = s.boolean()
			ok = exists
		case string(key) == "id" && !id:
			a.id, id = s.id()
			ok = id
		default:
			ok = false
		}
		if !ok {
			return a, wrongFields
		}
	}
	if !s.take("}") {
		return a, wrongFields
	}
	return a, ""
}
