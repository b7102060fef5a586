package contract

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"bakeoff/internal/dataset"
	"bakeoff/internal/show"
)

// hostile is a key no generated key is like, with the path that asks for it.
type hostile struct {
	what string
	key  string
	path string
}

// hostileKeys are the dataset's and variations on a name that exists, which a sloppy comparison takes for it.
func (s *inspection) hostileKeys() []hostile {
	var out []hostile
	add := func(what, key string) {
		out = append(out, hostile{what, key, demoPath(key)})
	}
	for _, h := range dataset.HostileKeys() {
		add(h.What, h.Key)
	}
	add("SQL: double quote", `" OR ""="`)
	add("SQL: number", "0 OR 1=1")
	add("invalid UTF-8: lone byte", "\xff")
	add("invalid UTF-8: cut character", "a\xc3")
	add("invalid UTF-8: overlong", "\xc0\xaf")
	add("invalid UTF-8: surrogate", "\xed\xa0\x80")
	add("255 characters of four bytes", strings.Repeat("😀", dataset.MaxLength))
	add("256 characters of two bytes", strings.Repeat("é", dataset.MaxLength+1))
	name := s.shortName()
	last := len(name) - 1
	add("a row's name, trailing spaces", name+"  ")
	add("a row's name, leading space", " "+name)
	add("a row's name, NUL", name+"\x00")
	add("a row's name, percent for the last character", name[:last]+"%")
	add("a row's name, underscore for the last character", name[:last]+"_")
	add("a row's name, quoted", "'"+name+"'")
	add("a row's name, line end", name+"\n")
	add("a row's name, escaped twice", escapeAll(name))
	out = append(out, hostile{"a row's name, escaped", name, "/demo?name=" + escapeAll(name)})
	return out
}

// shortName is the name of a row, at most 80 characters if there is one.
func (s *inspection) shortName() string {
	name := s.present("").key
	s.scan(1000, func(row int64) bool {
		name = s.Dataset.Name(row)
		return len(name) > 80
	})
	return name
}

// escapeAll writes every byte of key as a percent escape.
func escapeAll(key string) string {
	var b strings.Builder
	for i := range len(key) {
		fmt.Fprintf(&b, "%%%02X", key[i])
	}
	return b.String()
}

// class is the check a hostile key belongs to.
func (h hostile) class() string {
	if h.limit() {
		return "empty and too long"
	}
	return "hostile"
}

// limit reports whether a key can be no name: refusing it is right too.
func (h hostile) limit() bool {
	return h.key == "" || utf8.RuneCountInString(h.key) > dataset.MaxLength
}

// checkHostile asks for hostile keys: what is right, the database says.
func (s *inspection) checkHostile(ctx context.Context) error {
	var keys []hostile
	for _, h := range s.hostileKeys() {
		if !h.limit() {
			keys = append(keys, h)
		}
	}
	var asked []hostileAnswer
	err := s.exactly(ctx, "hostile", func() { asked = s.askHostile(ctx, keys) })
	if err != nil {
		return err
	}
	return s.judgeHostile(ctx, asked)
}

// checkLimits asks for no name and for names too long to exist.
func (s *inspection) checkLimits(ctx context.Context) error {
	keys := []hostile{{"empty", "", "/demo?name="}, {"5000 characters", strings.Repeat("x", 5000), demoPath(strings.Repeat("x", 5000))}}
	for _, h := range s.hostileKeys() {
		if h.limit() {
			keys = append(keys, h)
		}
	}
	var asked []hostileAnswer
	err := s.within(ctx, "limits", func() { asked = s.askHostile(ctx, keys) })
	if err != nil {
		return err
	}
	return s.judgeHostile(ctx, asked)
}

type hostileAnswer struct {
	hostile
	at Endpoint
	a  answer
}

// askHostile asks for each key at one replica in turn, for the few that can be
// no name at all of them, and for every fifth also through the balancer; a
// full check asks for all everywhere. The answers are in the order of the keys.
func (s *inspection) askHostile(ctx context.Context, keys []hostile) []hostileAnswer {
	answers := make([][]hostileAnswer, len(keys))
	for i := range answers {
		answers[i] = make([]hostileAnswer, len(s.all))
	}
	s.sideBySide(func(n int, at Endpoint) {
		replica := n < len(s.replicas)
		for i, h := range keys {
			if s.Full || replica && (n == i%len(s.replicas) || h.limit()) || !replica && i%5 == 0 {
				answers[i][n] = hostileAnswer{h, at, s.demo(ctx, at, h.path)}
			}
		}
	})
	return slices.DeleteFunc(slices.Concat(answers...), func(one hostileAnswer) bool { return one.at.URL == "" })
}

// judgeHostile enters whether the answers are what the database itself says.
// It is apart from asking, so that our own lookups fall between two counts.
func (s *inspection) judgeHostile(ctx context.Context, asked []hostileAnswer) error {
	known := map[string]int64{}
	for _, h := range asked {
		name := h.key
		if got, why := parse(h.a.body); !utf8.ValidString(h.key) && h.a.err == nil && why == "" {
			name = got.Name // whatever the target made of it, the answer must be right for that
		}
		id, found := known[name]
		if !found && utf8.ValidString(name) {
			var err error
			if id, _, err = s.Database.Lookup(ctx, name); err != nil {
				return err
			}
			known[name] = id
		}
		s.findings.enter(h.class(), h.at, h.judge(lookup{h.class(), name, id}))
	}
	_, err := s.since(ctx, 0)
	return err
}

// judge says what is wrong with the answer to a hostile key, or "".
func (h hostileAnswer) judge(l lookup) string {
	refusal := h.a.err == nil && h.a.status >= 400 && h.a.status < 500
	mayRefuse := h.limit() || !utf8.ValidString(h.key)
	if right(h.a, l) || mayRefuse && refusal {
		return ""
	}
	expected := expectation(l)
	if mayRefuse {
		expected += fmt.Sprintf(" or status %d", http.StatusBadRequest)
	}
	return fmt.Sprintf("asked for %s (%s), expected %s, got %s", show.Excerpt(h.key, 60), h.what, expected, h.a)
}
