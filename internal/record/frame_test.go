package record

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Lines of any length up to the bound are read whole, wherever the reader's buffer ends; one beyond it ends the file.
func TestLongLines(t *testing.T) {
	var file bytes.Buffer
	var want []string
	for _, n := range []int{1, 64<<10 - 100, 64<<10 - 34, 64<<10 - 33, 64 << 10, 200 << 10, 5, 3 << 20, 7} {
		record := `"` + strings.Repeat(fmt.Sprint(n%10), n) + `"`
		want = append(want, record)
		file.Write(frame([]byte(record)))
	}
	whole := file.Len()
	file.Write(bytes.Repeat([]byte("x"), maxContent+200<<10))
	file.WriteString("\n")
	file.Write(frame([]byte(`"behind"`)))
	i, offset := 0, int64(0)
	for l := range lines(&file) {
		if i++; i > len(want) {
			if !errors.Is(l.err, errTooLong) || l.number != len(want)+1 || l.offset != int64(whole) || i > len(want)+1 {
				t.Errorf("line %d at %d: %v", l.number, l.offset, l.err)
			}
			continue
		}
		if l.err != nil || string(l.record) != want[i-1] || l.offset != offset || l.number != i {
			t.Fatalf("line %d at %d: %d bytes, %v; want %d at %d", l.number, l.offset, len(l.record), l.err, len(want[i-1]), offset)
		}
		offset += l.size
	}
	if i != len(want)+1 {
		t.Errorf("%d lines", i)
	}
}
