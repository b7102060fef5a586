package stats

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sync"
)

// The library's own encoder sets a compressor up again, 0.8 MB, for each
// histogram; agents write several of them every second. This one writes the same
// format: HDR histogram V2 (HdrHistogram's V2EncodedHistogram), deflated, base64.

const (
	cookieV2         = 0x1c849303 | 0x10
	cookieCompressed = 0x1c849304 | 0x10
	unitMagnitude    = 9  // 2^9 ns is the unit of lowest
	halfMagnitude    = 10 // 2^11 sub-buckets hold three digits
)

// compressors are kept because each is large.
var compressors = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}

// index is the place of a value among the counts.
func index(value int64) int64 {
	const mask = 1<<(unitMagnitude+halfMagnitude+1) - 1
	bucket := int64(bits.Len64(uint64(value)|mask)) - unitMagnitude - halfMagnitude - 1
	return (bucket+1)<<halfMagnitude + value>>(bucket+unitMagnitude) - 1<<halfMagnitude
}

// encode writes the values (not the censored samples) as HDR V2, compressed, base64.
func (h *Histogram) encode() (string, error) {
	inner := make([]byte, 40, 1024)
	next := int64(0)
	for value, count := range h.values().ForEachBucket {
		if count > math.MaxInt64>>8 { // beyond what a plain varint says as the format does
			return "", fmt.Errorf("stats: encode histogram: %d samples of one value", count)
		}
		i := index(value)
		switch zeros := i - next; {
		case zeros == 1:
			inner = append(inner, 0)
		case zeros > 1:
			inner = binary.AppendVarint(inner, -zeros)
		}
		inner = binary.AppendVarint(inner, count)
		next = i + 1
	}
	binary.BigEndian.PutUint32(inner[0:], cookieV2)
	binary.BigEndian.PutUint32(inner[4:], uint32(len(inner)-40))
	binary.BigEndian.PutUint32(inner[12:], digits)
	binary.BigEndian.PutUint64(inner[16:], uint64(lowest))
	binary.BigEndian.PutUint64(inner[24:], uint64(highest))
	binary.BigEndian.PutUint64(inner[32:], math.Float64bits(1))

	var out bytes.Buffer
	out.Write(make([]byte, 8))
	z := compressors.Get().(*zlib.Writer)
	defer compressors.Put(z)
	z.Reset(&out)
	if _, err := z.Write(inner); err != nil {
		return "", fmt.Errorf("stats: encode histogram: %w", err)
	}
	if err := z.Close(); err != nil {
		return "", fmt.Errorf("stats: encode histogram: %w", err)
	}
	b := out.Bytes()
	binary.BigEndian.PutUint32(b[0:], cookieCompressed)
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-8))
	return base64.StdEncoding.EncodeToString(b), nil
}
