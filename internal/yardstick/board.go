package yardstick

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

// slots is how many of its last values a core has on a board: those of 16 s.
const slots = 64

// entry is the number of bytes of one value: its number and its nanoseconds, 8 bytes each.
const entry = 16

// A Board is a file of fixed size that holds the last values of every core. One process writes it, another reads it;
// it never grows, and a reader that does not come is not waited for.
type Board struct {
	file  *os.File
	cores int
}

// Create makes an empty board for that many cores.
func Create(name string, cores int) (*Board, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("yardstick: %w", err)
	}
	if err := file.Truncate(int64(cores * slots * entry)); err != nil {
		file.Close()
		return nil, fmt.Errorf("yardstick: %w", err)
	}
	return &Board{file: file, cores: cores}, nil
}

// put writes a core's value with that number, from 1.
func (b *Board) put(core int, number uint64, took time.Duration) error {
	var data [entry]byte
	binary.LittleEndian.PutUint64(data[:], number)
	binary.LittleEndian.PutUint64(data[8:], uint64(took))
	at := int64(core*slots+int(number%slots)) * entry
	if _, err := b.file.WriteAt(data[:], at); err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	return nil
}

// Close closes the file.
func (b *Board) Close() error {
	if err := b.file.Close(); err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	return nil
}

// Reader reads what is new on a board.
type Reader struct {
	name string
	last []uint64 // number of the last value read of each core
}

// NewReader reads the board in a file, which may not be there yet.
func NewReader(name string) *Reader { return &Reader{name: name} }

// New returns the values, in nanoseconds, that were added since it was called last, by core and in their order; nil where there
// are none. Of more than the board holds the last are returned.
func (r *Reader) New() [][]int64 {
	data, err := os.ReadFile(r.name)
	if err != nil {
		return nil // not yet begun, or ended
	}
	cores := len(data) / (slots * entry)
	for len(r.last) < cores {
		r.last = append(r.last, 0)
	}
	out := make([][]int64, cores)
	some := false
	for core := range out {
		out[core] = r.ofCore(core, data[core*slots*entry:][:slots*entry])
		some = some || len(out[core]) > 0
	}
	if !some {
		return nil
	}
	return out
}

func (r *Reader) ofCore(core int, data []byte) []int64 {
	at := func(number uint64) []byte { return data[number%slots*entry:][:entry] }
	last := r.last[core]
	for slot := range uint64(slots) {
		last = max(last, binary.LittleEndian.Uint64(at(slot)))
	}
	var out []int64
	for number := max(r.last[core], last-min(last, slots)) + 1; number <= last; number++ {
		if e := at(number); binary.LittleEndian.Uint64(e) == number {
			out = append(out, int64(binary.LittleEndian.Uint64(e[8:])))
		}
	}
	r.last[core] = last
	return out
}
