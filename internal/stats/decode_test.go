package stats

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// Our decoder reads what the library writes, whatever the values, those of other limits too.
func TestDecodingIsTheLibrarys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low, high := lowest, highest
		if rapid.Bool().Draw(t, "other limits") {
			low, high = 1, int64(time.Second)
		}
		theirs := hdrhistogram.NewPacked(low, high, digits)
		for range rapid.IntRange(1, 20).Draw(t, "values") {
			value, n := rapid.Int64Range(0, high).Draw(t, "value"), rapid.Int64Range(1, 1<<30).Draw(t, "count")
			if err := theirs.RecordValues(value, n); err != nil {
				t.Fatal(err)
			}
		}
		text, err := theirs.Encode()
		if err != nil {
			t.Fatal(err)
		}
		ours := NewHistogram()
		if err := ours.decode(string(text)); err != nil {
			t.Fatal(err)
		}
		want := NewHistogram()
		if lost := want.hdr.Merge(theirs); lost != 0 {
			t.Fatal("lost")
		}
		same(t, "decoded", ours, want)
	})
}

// Sums of histograms that were read are those of the samples, however many there are and whatever is asked during that time.
func TestPendingSums(t *testing.T) {
	for _, histograms := range []int{1, manyPending - 1, manyPending, manyPending + 1, 3*manyPending + 2} {
		sum, want := NewHistogram(), NewHistogram()
		for n := range histograms {
			one := histogramOf([]sample{{time.Duration(1000 + 100*n), false}, {2e6, false}, {time.Duration(highest), n%3 == 0}})
			text, err := one.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			var back Histogram
			if err := back.UnmarshalJSON(text); err != nil {
				t.Fatal(err)
			}
			sum.Merge(&back)
			want.Merge(one)
			if n%50 == 7 {
				sum.RecordN(5e6, 2)
				want.RecordN(5e6, 2)
			}
			if n%40 == 1 && sum.Max() != want.Max() {
				t.Fatalf("max %v, want %v", sum.Max(), want.Max())
			}
			same(t, "read", &back, one) // taken in after it was added elsewhere
			if len(sum.pending) >= manyPending {
				t.Fatalf("%d histograms are waiting", len(sum.pending))
			}
		}
		same(t, "sum", sum, want)
		if sum.Count() != want.Count() || sum.Over() != want.Over() {
			t.Fatalf("%d samples, want %d", sum.Count(), want.Count())
		}
		sum.Reset()
		if sum.Count() != 0 {
			t.Fatalf("%d samples after a reset", sum.Count())
		}
	}
}

// A quantile and the number of samples of a histogram that was read are the same before it is taken in as after.
func TestQuantileOfOneText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histogramOf(anySamples(t, "samples"))
		text, err := h.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var read Histogram
		if err := read.UnmarshalJSON(text); err != nil {
			t.Fatal(err)
		}
		if read.Count() != h.Count() {
			t.Fatalf("%d samples, want %d", read.Count(), h.Count())
		}
		q := rapid.Float64Range(0.0001, 1).Draw(t, "quantile")
		value, censored := read.Quantile(q)
		if h.Count() > h.Over() && !censored && len(read.pending) != 1 {
			t.Fatal("the histogram was taken in to say a quantile")
		}
		if want, wantCensored := h.Quantile(q); value != want || censored != wantCensored {
			t.Fatalf("quantile %g is %v (%v), want %v (%v)", q, value, censored, want, wantCensored)
		}
	})
}

// packedText is a histogram's text around this payload; change may damage the header.
func packedText(payload []byte, change func(inner []byte) []byte) string {
	inner := make([]byte, 40)
	binary.BigEndian.PutUint32(inner, cookieV2)
	binary.BigEndian.PutUint32(inner[4:], uint32(len(payload)))
	binary.BigEndian.PutUint32(inner[12:], digits)
	binary.BigEndian.PutUint64(inner[16:], uint64(lowest))
	binary.BigEndian.PutUint64(inner[24:], uint64(highest))
	binary.BigEndian.PutUint64(inner[32:], 0x3ff0000000000000)
	inner = append(inner, payload...)
	if change != nil {
		inner = change(inner)
	}
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	z := zlib.NewWriter(&b)
	z.Write(inner)
	z.Close()
	raw := b.Bytes()
	binary.BigEndian.PutUint32(raw, cookieCompressed)
	binary.BigEndian.PutUint32(raw[4:], uint32(len(raw)-8))
	return base64.StdEncoding.EncodeToString(raw)
}

func TestHostilePayloads(t *testing.T) {
	varint := func(ns ...int64) (out []byte) {
		for _, n := range ns {
			out = binary.AppendVarint(out, n)
		}
		return out
	}
	h := NewHistogram()
	if err := h.decode(packedText(varint(-index(highest), 3), nil)); err != nil || h.Count() != 3 || h.Max() < 119*time.Second {
		t.Fatalf("the greatest value: %v, %d samples up to %v", err, h.Count(), h.Max())
	}
	for name, c := range map[string]struct{ text, want string }{
		"a value too many":  {packedText(varint(-index(highest)-1, 3), nil), "out of range"},
		"zeros too many":    {packedText(varint(-1<<40), nil), "out of range"},
		"zeros that wrap":   {packedText(varint(-1<<54, -1<<54), nil), "out of range"},
		"a cut count":       {packedText([]byte{0x80}, nil), "not a count"},
		"a long count":      {packedText(bytes.Repeat([]byte{0xff}, 12), nil), "not a count"},
		"too many samples":  {packedText(varint(1<<39, 1<<39, 1), nil), "more samples"},
		"sums that wrap":    {packedText(varint(1<<54, 1<<54, 1<<54, 1<<54, 1<<54), nil), "more samples"},
		"another length":    {packedText(varint(1), func(b []byte) []byte { return append(b, 0) }), "length"},
		"a bomb":            {packedText(make([]byte, 16<<20), nil), "more counts"},
		"a short header":    {packedText(nil, func(b []byte) []byte { return b[:10] }), ""},
		"another cookie":    {packedText(varint(1), func(b []byte) []byte { b[0] = 7; return b }), ""},
		"no base64":         {"!!!", "base64"},
		"no compressed one": {base64.StdEncoding.EncodeToString([]byte("12345678")), "not a compressed V2 histogram"},
		"no zlib":           {base64.StdEncoding.EncodeToString(append([]byte{0x1c, 0x84, 0x93, 0x14, 0, 0, 0, 4}, "abcd"...)), ""},
	} {
		h := NewHistogram()
		if err := h.decode(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if h.Count() != 0 {
			t.Errorf("%s: %d samples are left", name, h.Count())
		}
	}
	if err := NewHistogram().decode(packedText(varint(1), nil)); err != nil {
		t.Errorf("after a spoilt one: %v", err)
	}
}
