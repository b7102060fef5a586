package dataset

import (
	"fmt"
	"math"
	"strings"

	"bakeoff/internal/splitmix"
)

// Keys are the names asked for: a pure function of a seed and of a request's
// identity, so that the number of agents changes nothing. It is safe for
// concurrent use.
type Keys struct {
	rows  *Dataset
	base  uint64
	share uint64 // a random number below it means a hit
	key   splitmix.Key
}

// NewKeys returns keys; the share hitRatio of them, 0 to 1, are names of
// rows, uniform over all rows; the others exist nowhere and are drawn as those of rows. Few of
// them are as short as names that nearly all exist.
func NewKeys(d *Dataset, seed uint64, hitRatio float64) (*Keys, error) {
	if !(hitRatio >= 0 && hitRatio <= 1) {
		return nil, fmt.Errorf("dataset: hit ratio must be 0 to 1, not %v", hitRatio)
	}
	return &Keys{rows: d, base: splitmix.Finalize(seed ^ domainKeys), share: uint64(hitRatio * (1 << 53))}, nil
}

// Salted are other keys of the same rows, with the same share of hits: in an order that nobody can foresee without the salt,
// whatever keys they have seen. An empty salt changes nothing.
func (k *Keys) Salted(salt string) *Keys {
	out := *k
	out.key = splitmix.NewKey(salt, "keys")
	return &out
}

// AppendKey appends key n of a stream and returns the right answer: whether it
// exists, and the lowest id that has it (0 when it does not exist).
func (k *Keys) AppendKey(dst []byte, stream, n uint64) (key []byte, hit bool, id int64) {
	return k.appendOf(dst, k.state(stream, n))
}

// appendOf is AppendKey for a state.
func (k *Keys) appendOf(dst []byte, state uint64) (key []byte, hit bool, id int64) {
	if !k.hit(state) {
		return k.appendMiss(dst, state), false, 0
	}
	row := k.row(state)
	return k.rows.AppendName(dst, row), true, k.rows.First(row)
}

// AppendMiss appends a name that no row has, for identities of its own: a
// stream and number used with AppendKey may give the same name here.
func (k *Keys) AppendMiss(dst []byte, stream, n uint64) []byte {
	return k.appendMiss(dst, k.state(stream, n))
}

// Hit reports whether key n of a stream exists.
func (k *Keys) Hit(stream, n uint64) bool { return k.hit(k.state(stream, n)) }

// state mixes the stream and the number one after the other, so that (1, 2)
// and (2, 1) differ.
func (k *Keys) state(stream, n uint64) uint64 {
	if !k.key.IsZero() {
		return k.key.Draw(k.base+stream*splitmix.Gamma, n)
	}
	return splitmix.Finalize(splitmix.Finalize(k.base+stream*splitmix.Gamma) + n*splitmix.Gamma)
}

func (k *Keys) hit(state uint64) bool { return splitmix.Finalize(state^1)>>11 < k.share }

func (k *Keys) row(state uint64) int64 {
	return 1 + int64(scale(splitmix.Finalize(state^math.MaxUint64), k.rows.spec.Rows))
}

func (k *Keys) appendMiss(dst []byte, state uint64) []byte {
	return k.rows.appendMiss(dst, state)
}

// Hostile is one key of the contract check.
type Hostile struct {
	What string // what is unusual about it
	Key  string // as the application should see it, before any escaping
}

// HostileKeys are keys that generated ones never are. What the right answer
// is, only the database knows: a collation may take some for others.
func HostileKeys() []Hostile {
	return []Hostile{
		{"percent", "100%"},
		{"percent escape left alone", "%41%2e%zz"},
		{"like wildcards", "a%_%"},
		{"single quote", "O'Brien"},
		{"double quote", `say "hi"`},
		{"backslash", `back\slash\`},
		{"plus and space", "a+b c"},
		{"ampersand and equals", "a&name=b=c"},
		{"slash, question mark, hash", "/a?b#c"},
		{"markup", "<script>alert(1)</script>"},
		{"SQL: always true", "' OR '1'='1"},
		{"SQL: union", "' UNION SELECT 1,'x' -- "},
		{"SQL: second statement", "x'; DO 0; -- "},
		{"SQL: escaped quote", `\' OR 1=1 -- `},
		{"SQL: comment", "a'/**/OR/**/1=1#"},
		{"format placeholders", "%s %(name)s {0} ? :name $1"},
		{"accents", "éàüñ"},
		{"sharp s", "straße"},
		{"combining accent", "e\u0301"},
		{"Greek, Cyrillic, Chinese", "αБ中"},
		{"four-byte character", "😀"},
		{"NUL", "a\x00b"},
		{"control characters", "a\r\n\t\x01b"},
		{"one space", " "},
		{"leading space", " a"},
		{"255 characters of two bytes", strings.Repeat("é", 255)},
		{"255 characters", strings.Repeat("%", 255)},
		{"256 characters", strings.Repeat("a", 256)},
		{"1000 characters", strings.Repeat("b", 1000)},
	}
}
