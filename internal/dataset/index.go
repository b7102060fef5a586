package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"runtime"
	"sync"

	"bakeoff/internal/splitmix"
)

// shortLength is the longest name that may occur twice, or that a key that is not to exist may be by chance. Two names of 17
// characters are equal with a probability of 33.7^-17; over the pairs of
// 100,000,000 rows that is below 10^-10, and Prove checks it; for a key and all of these rows it is below 10^-17.
const shortLength = 16

// index finds ids by name: an open-addressing table of (low half of the
// name's hash, id), verified by generating the name again.
type index struct {
	slots  []uint64         // hash<<32 | id; 0 is free
	second map[uint32]int64 // of a name that several rows have: its lowest id to the next one
}

func newIndex(entries int) *index {
	return &index{slots: make([]uint64, entries+entries/2+8)}
}

// hashName hashes a plain name, letter case ignored: setting bit 5 of each byte
// turns letters to lower case and leaves digits.
func hashName(name []byte) uint64 {
	const fold = 0x2020202020202020
	h := uint64(len(name)) * splitmix.Gamma
	for len(name) >= 8 {
		h = fold64(h ^ (binary.LittleEndian.Uint64(name) | fold))
		name = name[8:]
	}
	var tail [8]byte
	copy(tail[:], name)
	return fold64(h ^ (binary.LittleEndian.Uint64(tail[:]) | fold))
}

func fold64(x uint64) uint64 {
	hi, lo := bits.Mul64(x^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	return hi ^ lo
}

// find returns the id stored for a name.
func (x *index) find(d *Dataset, name []byte) (int64, bool) {
	slot, found := x.probe(d, hashName(name), name)
	if !found {
		return 0, false
	}
	return int64(x.slots[slot] & 0xffffffff), true
}

// probe returns the slot that holds name, or the free one where it belongs.
func (x *index) probe(d *Dataset, hash uint64, name []byte) (slot int, found bool) {
	var buf [nameBuffer]byte
	for slot = scale(hash, len(x.slots)); ; slot++ {
		if slot == len(x.slots) {
			slot = 0
		}
		entry := x.slots[slot]
		if entry == 0 {
			return slot, false
		}
		if uint32(entry>>32) == uint32(hash) &&
			bytes.EqualFold(d.AppendName(buf[:0], int64(entry&0xffffffff)), name) {
			return slot, true
		}
	}
}

// add stores id for its name unless an earlier id has it already.
func (x *index) add(d *Dataset, id int64, hash uint64) (added bool) {
	slot := scale(hash, len(x.slots))
	if x.slots[slot] != 0 {
		var buf [nameBuffer]byte
		var found bool
		if slot, found = x.probe(d, hash, d.AppendName(buf[:0], id)); found {
			return false
		}
	}
	x.slots[slot] = hash<<32 | uint64(id)
	return true
}

// buildShort indexes the rows with short names; for the others it only draws
// the length.
func (d *Dataset) buildShort() *index {
	var ids []int64
	for id := int64(1); id <= d.Rows(); id++ {
		if d.length(d.rowState(id)) <= shortLength {
			ids = append(ids, id)
		}
	}
	x := newIndex(len(ids))
	var buf [nameBuffer]byte
	x.second = map[uint32]int64{}
	for _, id := range ids {
		name := d.AppendName(buf[:0], id)
		if x.add(d, id, hashName(name)) {
			continue
		}
		first, _ := x.find(d, name)
		if _, known := x.second[uint32(first)]; !known {
			x.second[uint32(first)] = id
		}
	}
	return x
}

// buildFull indexes all rows; it fails when two long names are equal.
func (d *Dataset) buildFull() (*index, error) {
	const block = 1 << 16
	x := newIndex(d.spec.Rows)
	hashes := make([]uint64, block)
	var err error
	for first := int64(1); first <= d.Rows(); first += block {
		count := int(min(block, d.Rows()-first+1))
		d.hashRows(hashes[:count], first)
		for i, hash := range hashes[:count] {
			id := first + int64(i)
			if !x.add(d, id, hash) && err == nil && d.length(d.rowState(id)) > shortLength {
				err = fmt.Errorf("dataset: row %d has the name of an earlier row though it is longer than %d characters; take another seed", id, shortLength)
			}
		}
	}
	return x, err
}

// hashRows fills dst with the hashes of the rows from first on, on all cores.
func (d *Dataset) hashRows(dst []uint64, first int64) {
	var wg sync.WaitGroup
	share := len(dst)/runtime.GOMAXPROCS(0) + 1
	for from := 0; from < len(dst); from += share {
		part, id := dst[from:min(from+share, len(dst))], first+int64(from)
		wg.Go(func() {
			var buf [nameBuffer]byte
			for i := range part {
				part[i] = hashName(d.AppendName(buf[:0], id+int64(i)))
			}
		})
	}
	wg.Wait()
}
