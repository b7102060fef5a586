package stats

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The library's own decoder sets a decompressor up again for each histogram, and puts each count in its place; a
// report reads hundreds of thousands of histograms only to add them up. This one reads the same format, and counts
// wait in their histogram until one of its values is asked for, or many can be added up at once.

// maxPayload bounds what a text may inflate to: each of the 28,000 counts takes at most 9 bytes.
const maxPayload = 28_000 * 9

// maxSamples bounds the samples of one histogram, so that no sum of them overflows: a million a second for 12 days.
const maxSamples = 1 << 40

// inflater is what decoding needs again and again.
type inflater struct {
	packed bytes.Reader
	zlib   io.ReadCloser // nil before its first use
	raw    []byte
	inner  bytes.Buffer
}

var inflaters = sync.Pool{New: func() any { return &inflater{} }}

// inflate returns a histogram's inner form, valid until the next call: 40 bytes of header and the counts.
func (f *inflater) inflate(text string) (_ []byte, err error) {
	if f.raw, err = base64.StdEncoding.AppendDecode(f.raw[:0], []byte(text)); err != nil {
		return nil, err
	}
	if len(f.raw) < 8 || binary.BigEndian.Uint32(f.raw) != cookieCompressed || int(binary.BigEndian.Uint32(f.raw[4:])) != len(f.raw)-8 {
		return nil, errors.New("not a compressed V2 histogram")
	}
	f.packed.Reset(f.raw[8:])
	if f.zlib == nil {
		f.zlib, err = zlib.NewReader(&f.packed)
	} else {
		err = f.zlib.(zlib.Resetter).Reset(&f.packed, nil)
	}
	if err != nil {
		f.zlib = nil
		return nil, err
	}
	f.inner.Reset()
	n, err := f.inner.ReadFrom(io.LimitReader(f.zlib, maxPayload+41))
	if err == nil && n > maxPayload+40 {
		err = errors.New("more counts than a histogram has")
	}
	return f.inner.Bytes(), err
}

// decode adds what encode wrote to an empty histogram.
func (h *Histogram) decode(text string) error {
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	inner, err := f.inflate(text)
	if err != nil {
		return err
	}
	if !sameGeometry(inner) {
		return h.decodeOther(text)
	}
	if int(binary.BigEndian.Uint32(inner[4:])) != len(inner)-40 {
		return errors.New("length of the counts does not fit")
	}
	var total int64
	if err := eachCount(inner[40:], func(_, count int64) { total = min(total+count, maxSamples+1) }); err != nil {
		return err
	}
	if total > maxSamples {
		return errors.New("more samples than can be")
	}
	h.pending, h.waiting = append(h.pending, bytes.Clone(inner[40:])), h.waiting+total
	return nil
}

// sameGeometry reports whether the counts are those of the values that Histogram has.
func sameGeometry(inner []byte) bool {
	return len(inner) >= 40 && binary.BigEndian.Uint32(inner) == cookieV2 && binary.BigEndian.Uint32(inner[8:]) == 0 &&
		binary.BigEndian.Uint32(inner[12:]) == digits && binary.BigEndian.Uint64(inner[16:]) == uint64(lowest) &&
		binary.BigEndian.Uint64(inner[24:]) == uint64(highest) && binary.BigEndian.Uint64(inner[32:]) == math.Float64bits(1)
}

// manyPending is how many histograms are added up at once: by then most of their values occur in several.
const manyPending = 64

// indexes is how many values there are.
func indexes() int64 { return index(highest) + 1 }

// sums are where counts are added up, all 0 between two uses.
var sums = sync.Pool{New: func() any { return new(make([]int64, indexes())) }}

// settle takes in what is pending.
func (h *Histogram) settle() {
	sum := sums.Get().(*[]int64)
	defer sums.Put(sum)
	least, most := indexes(), int64(-1)
	for _, text := range h.pending {
		err := eachCount(text, func(i, count int64) {
			(*sum)[i] += count
			least, most = min(least, i), max(most, i)
		})
		if err != nil {
			panic(fmt.Sprintf("stats: counts that were right are not any more: %v", err))
		}
	}
	h.pending, h.waiting = nil, 0
	for i := least; i <= most; i++ {
		if n := (*sum)[i]; n > 0 {
			(*sum)[i] = 0
			h.recordN(valueAt(i), n)
		}
	}
}

// ofOneText is the value of a rank, from 1, of a histogram that is all in one text and was read to be added to others: it stays
// as it is, for taking it in would be as much work as all the rest. False where it is not so, or the rank is among the censored ones.
func (h *Histogram) ofOneText(rank int64) (value time.Duration, found bool) {
	if len(h.pending) != 1 || h.hdr.TotalCount() > 0 || rank > h.waiting {
		return 0, false
	}
	_ = eachCount(h.pending[0], func(i, count int64) { // it was right when it was read
		if rank > 0 && rank <= count {
			value = time.Duration(highestOf(i))
		}
		rank -= count
	})
	return value, true
}

// eachCount calls take with each count above 0 and the index of its value, ascending. In the text a negative number
// says how many values in a row have none.
func eachCount(text []byte, take func(i, count int64)) error {
	end := indexes()
	for i := int64(0); len(text) > 0; {
		count, n := binary.Varint(text)
		if n <= 0 || n > 8 { // longer ones are spelled otherwise than a plain varint, and are more than anyone counts
			return errors.New("not a count")
		}
		text = text[n:]
		if count < 0 {
			i -= count
		} else {
			i++
		}
		if i > end || i < 0 {
			return errors.New("a value out of range")
		}
		if count > 0 {
			take(i-1, count)
		}
	}
	return nil
}

// valueAt is the smallest value of an index, the inverse of index.
func valueAt(i int64) int64 {
	bucket := i>>halfMagnitude - 1
	sub := i&(1<<halfMagnitude-1) + 1<<halfMagnitude
	if bucket < 0 {
		return i << unitMagnitude
	}
	return sub << (bucket + unitMagnitude)
}

// highestOf is the greatest value of an index.
func highestOf(i int64) int64 { return valueAt(i+1) - 1 }

// decodeOther reads a histogram of other values, as other programs write them.
func (h *Histogram) decodeOther(text string) error {
	in, err := hdrhistogram.DecodePacked([]byte(text))
	if err != nil {
		return err
	}
	if lost := h.hdr.Merge(in); lost != 0 {
		return fmt.Errorf("%d samples out of range", lost)
	}
	return nil
}
