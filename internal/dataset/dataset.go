// Package dataset holds the rows of the table and the keys asked for, with the
// right answer to each. Rows and keys are pure functions of a seed, so every
// agent, the filler and the check agree without talking to each other, on
// every machine. It opens no file and no connection.
//
// Names are ASCII letters and digits: two of them are equal in any
// case-insensitive utf8mb4 collation exactly when they are equal except for the
// case of letters. Names of rows and keys that do not exist are drawn in the same
// way, so nothing but their length can show which of the two a key is; one of at
// most 16 characters is looked up among the rows and drawn again where it exists. The package
// refuses specifications it cannot answer for: lengths outside 1 to 255, more than 100,000,000
// rows, and more rows than leave names that do not exist.
package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"bakeoff/internal/splitmix"
)

// Limits of a Spec.
const (
	MaxRows   = 100_000_000
	MaxLength = 255 // the column is varchar(255)
)

// Spec determines every row.
type Spec struct {
	Rows      int    `json:"rows"`       // ids are 1 to Rows
	Seed      uint64 `json:"seed"`       // another seed gives other names
	MinLength int    `json:"min_length"` // of a name, in characters
	MaxLength int    `json:"max_length"` // lengths are uniform in [MinLength, MaxLength]
}

func (s Spec) validate() error {
	var errs []error
	if s.Rows < 1 || s.Rows > MaxRows {
		errs = append(errs, fmt.Errorf("rows must be 1 to %d, not %d", MaxRows, s.Rows))
	}
	if s.MinLength < 1 || s.MinLength > MaxLength {
		errs = append(errs, fmt.Errorf("the least length must be 1 to %d, not %d", MaxLength, s.MinLength))
	}
	if s.MaxLength < s.MinLength || s.MaxLength > MaxLength {
		errs = append(errs, fmt.Errorf("the greatest length must be %d to %d, not %d", s.MinLength, MaxLength, s.MaxLength))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if most := MostRows(s.MaxLength); s.Rows > most {
		return fmt.Errorf("names of at most %d characters: rows must be at most %d, not %d, so that names are left that do not exist", s.MaxLength, most, s.Rows)
	}
	return nil
}

// MostRows is how many rows there may be whose names have at most length characters: half as many as there are such names of that
// length, letter case ignored, and MaxRows.
func MostRows(length int) int {
	const different = 10 + 26 // characters
	names := 1
	for range length {
		if names *= different; names >= 2*MaxRows {
			return MaxRows
		}
	}
	return names / 2
}

// A Dataset is the rows of a Spec. It is safe for concurrent use.
type Dataset struct {
	spec  Spec
	base  uint64 // the seed, mixed
	pairs pairTable

	digest func() string
	short  func() *index // of rows whose name has at most shortLength characters
	full   func() (*index, error)
}

// New returns the dataset of a specification. It costs microseconds; indexes
// are built when first needed.
func New(spec Spec) (*Dataset, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	d := &Dataset{spec: spec, base: splitmix.Finalize(spec.Seed ^ domainRows), pairs: newPairTable()}
	d.digest = sync.OnceValue(d.hashLines)
	d.short = sync.OnceValue(d.buildShort)
	d.full = sync.OnceValues(d.buildFull)
	return d, nil
}

// Spec is what the dataset was made of.
func (d *Dataset) Spec() Spec { return d.spec }

// Rows is the number of rows; ids are 1 to Rows.
func (d *Dataset) Rows() int64 { return int64(d.spec.Rows) }

// AppendName appends the name of row id, 1 <= id <= Rows.
func (d *Dataset) AppendName(dst []byte, id int64) []byte {
	state := d.rowState(id)
	return d.pairs.appendName(dst, state, d.length(state))
}

// Name is the name of row id, 1 <= id <= Rows.
func (d *Dataset) Name(id int64) string {
	var buf [nameBuffer]byte
	return string(d.AppendName(buf[:0], id))
}

// First is the lowest id whose name equals that of row id, letter case
// ignored: the right answer to a lookup of that name.
func (d *Dataset) First(id int64) int64 {
	state := d.rowState(id)
	if d.length(state) > shortLength {
		return id
	}
	var buf [nameBuffer]byte
	name := d.pairs.appendName(buf[:0], state, d.length(state))
	first, _ := d.short().find(d, name)
	return first
}

// Lookup is the lowest id whose name equals name, letter case ignored, and
// whether there is one. It is exact for every Plain name; any other name is
// not found here, though a collation may take it for one of ours (an accent,
// a trailing space): only the database can answer for those. The first call
// that needs it builds an index over all rows.
func (d *Dataset) Lookup(name string) (id int64, ok bool) {
	if !Plain(name) || len(name) < d.spec.MinLength || len(name) > d.spec.MaxLength {
		return 0, false
	}
	var buf [nameBuffer]byte
	key := append(buf[:0], name...)
	if len(name) <= shortLength {
		return d.short().find(d, key)
	}
	full, _ := d.full()
	return full.find(d, key)
}

// Prove checks what First relies on: no two rows whose names are longer than
// 16 characters share one. It builds the index over all rows.
func (d *Dataset) Prove() error {
	_, err := d.full()
	return err
}

// Plain reports whether a name consists of 1 to 255 ASCII letters and digits.
func Plain[Text string | []byte](name Text) bool {
	if len(name) == 0 || len(name) > MaxLength {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// Domains keep the random numbers of rows and of keys apart.
const (
	domainRows = 0x726f77732f626b31
	domainKeys = 0x6b6579732f626b31
)

// scale maps a random 64-bit number to [0, n).
func scale(random uint64, n int) int {
	hi, _ := bits.Mul64(random, uint64(n))
	return int(hi)
}

func (d *Dataset) rowState(id int64) uint64 {
	return splitmix.Finalize(d.base + uint64(id)*splitmix.Gamma)
}

// length is that of the name generated from state: its first random number.
func (d *Dataset) length(state uint64) int {
	return d.spec.MinLength + scale(splitmix.Finalize(state), d.spec.MaxLength-d.spec.MinLength+1)
}

const (
	alphabet   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	pairCount  = len(alphabet) * len(alphabet)
	nameBuffer = 264 // MaxLength rounded up to whole groups of 8, and one group
)

// pairTable holds every two characters of the alphabet, little endian.
type pairTable [pairCount]uint16

func newPairTable() (t pairTable) {
	for i := range t {
		t[i] = uint16(alphabet[i/len(alphabet)]) | uint16(alphabet[i%len(alphabet)])<<8
	}
	return t
}

// appendName appends length characters drawn from state. One random number makes
// eight characters: four times a pair, which leaves a bias below 2^-16.
func (t *pairTable) appendName(dst []byte, state uint64, length int) []byte {
	start := len(dst)
	for n := 0; n < length; n += 8 {
		state += splitmix.Gamma
		random := splitmix.Finalize(state + splitmix.Gamma)
		var group uint64
		for shift := 0; shift < 64; shift += 16 {
			var pair uint64
			pair, random = bits.Mul64(random, uint64(pairCount))
			group |= uint64(t[pair]) << shift
		}
		dst = binary.LittleEndian.AppendUint64(dst, group)
	}
	return dst[:start+length]
}

// appendMiss appends a name that no row has, drawn from state as a row's is from its own. Where a row has it, which only a
// name of at most shortLength characters may be, another one is drawn, with its length.
func (d *Dataset) appendMiss(dst []byte, state uint64) []byte {
	for start := len(dst); ; dst = dst[:start] {
		length := d.length(state)
		dst = d.pairs.appendName(dst, state, length)
		if length > shortLength {
			return dst
		}
		if _, taken := d.short().find(d, dst[start:]); !taken {
			return dst
		}
		state = splitmix.Finalize(state + splitmix.Gamma)
	}
}
