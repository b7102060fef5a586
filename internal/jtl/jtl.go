// Package jtl brings a result file of JMeter's, written by anyone, into a run directory: one target for each label, with
// one trial. It refuses what would be read wrongly: XML, rows that stand for several requests, a file that was appended
// to, and times that are no numbers. What such a file does not say stays empty in the record, and its notes name it.
package jtl

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a file, so that its windows fit into memory.
const (
	mostLabels  = 100
	mostSeconds = 200_000 // of all labels together; each becomes a window, and so do those in which nothing happened
	mostRow     = 4 << 20 // bytes of one row
)

// errLongRow is what reading ends with in a file that is none of rows, such as a device, or in which a quote is never closed.
var errLongRow = fmt.Errorf("a row is longer than %d MiB: is a quote not closed, or is it no result file?", mostRow>>20)

// bounded reads as long as a row is not too long.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongRow
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

// file is a result file that is being read.
type file struct {
	name    string // for messages
	budget  *bounded
	line    int // of the row that was read last
	rows    *csv.Reader
	sum     hash.Hash
	columns map[string]int
	header  []string
}

// row is one request.
type row struct {
	sent     time.Time
	elapsed  time.Duration
	label    string
	code     string
	message  string
	ok       bool
	received int64
	written  int64
	threads  int // that were active
	url      string
}

// newFile reads the header.
func newFile(name string, r io.Reader) (*file, error) {
	f := &file{name: name, sum: sha256.New(), budget: &bounded{r, mostRow}}
	in := bufio.NewReaderSize(io.TeeReader(f.budget, f.sum), 1<<16)
	if mark, err := in.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		in.Discard(3) // they are there
	}
	begin, err := in.Peek(64 << 10)
	if len(begin) == 0 {
		return nil, f.errorf(1, "the file is empty")
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(begin), []byte("<")) {
		return nil, f.errorf(1, "is XML, which is not read: have JMeter write CSV (jmeter.save.saveservice.output_format=csv)")
	}
	f.rows = csv.NewReader(in)
	f.rows.FieldsPerRecord, f.rows.ReuseRecord, f.rows.LazyQuotes = -1, true, true
	line, _, _ := bytes.Cut(begin, []byte("\n"))
	if i := bytes.IndexAny(line, ",;\t|"); i > 0 {
		f.rows.Comma = rune(line[i])
	}
	return f, f.head()
}

// needed are the columns without which a row says nothing.
var needed = []string{"timeStamp", "elapsed", "label", "responseCode", "success"}

func (f *file) head() error {
	fields, err := f.rows.Read()
	if err != nil {
		return f.wrong(err)
	}
	f.header, f.line = slices.Clone(fields), 1
	f.columns = map[string]int{}
	for i, name := range fields {
		f.columns[strings.TrimSpace(name)] = i
	}
	var missing []string
	for _, name := range needed {
		if _, ok := f.columns[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return f.errorf(1, "the header has no column %s (jmeter.save.saveservice.print_field_names=true writes one)", strings.Join(missing, ", "))
	}
	return nil
}

func (f *file) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", f.name, line, fmt.Sprintf(format, args...))
}

// wrong is an error of the reader of CSV, with its line.
func (f *file) wrong(err error) error {
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return f.errorf(bad.Line, "%v", bad.Err)
	}
	if errors.Is(err, errLongRow) {
		return f.errorf(f.line+1, "%v", err)
	}
	return fmt.Errorf("%s: %w", f.name, err)
}

// next reads a row; io.EOF behind the last one.
func (f *file) next() (row, error) {
	f.budget.left = mostRow
	fields, err := f.rows.Read()
	if errors.Is(err, io.EOF) {
		return row{}, io.EOF
	}
	if err != nil {
		return row{}, f.wrong(err)
	}
	line, _ := f.rows.FieldPos(0)
	f.line = line
	if slices.Equal(fields, f.header) {
		return row{}, f.errorf(line, "a second header: the file was appended to, and holds several runs; split it here")
	}
	if len(fields) != len(f.header) {
		return row{}, f.errorf(line, "the row has %d fields, the header has %d", len(fields), len(f.header))
	}
	return f.row(line, fields)
}

// row takes the fields apart.
func (f *file) row(line int, fields []string) (r row, err error) {
	text := func(name string) string {
		if i, ok := f.columns[name]; ok {
			return fields[i]
		}
		return ""
	}
	number := func(name string, least, most int64) int64 {
		if text(name) == "" && !slices.Contains(needed, name) {
			return 0
		}
		n, wrong := strconv.ParseInt(strings.TrimSpace(text(name)), 10, 64)
		if err == nil && (wrong != nil || n < least || n > most) {
			err = f.errorf(line, "%s is %q, not a whole number from %d to %d", name, text(name), least, most)
		}
		return n
	}
	const day = 24 * 3600 * 1000
	r = row{
		sent: time.UnixMilli(number("timeStamp", 1, 253402300799999)).UTC(), elapsed: time.Duration(number("elapsed", 0, day)) * time.Millisecond,
		label: strings.Clone(text("label")), code: strings.TrimSpace(text("responseCode")), message: text("responseMessage"),
		received: number("bytes", 0, 1<<40), written: number("sentBytes", 0, 1<<40),
		threads: int(max(number("allThreads", 0, 1<<20), number("grpThreads", 0, 1<<20))), url: text("URL"),
	}
	if err != nil {
		return r, err
	}
	switch text("success") {
	case "true":
		r.ok = true
	case "false":
	default:
		return r, f.errorf(line, "success is %q, neither true nor false", text("success"))
	}
	if n := number("SampleCount", 0, 1<<40); err == nil && n > 1 {
		return r, f.errorf(line, "the row stands for %d requests: JMeter's sample sender was in mode Statistical, which leaves no time of a single request", n)
	}
	return r, err
}

// digest is that of the whole file, once it is read.
func (f *file) digest() string { return hex.EncodeToString(f.sum.Sum(nil)) }
