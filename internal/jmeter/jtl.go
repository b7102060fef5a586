package jmeter

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// row is one line of a result file: one request.
type row struct {
	at       time.Time // sent
	elapsed  time.Duration
	code     string
	message  string
	server   string // host:port, from the thread's name
	ok       bool
	received int64
	written  int64
	samples  int64  // that the row stands for
	number   uint64 // of the request in its stream
	numbered bool
	captures []string
	replica  string // that answered; "-": it is not known
}

// numberColumn is the sample variable that says which request a row is of.
const numberColumn = "n"

// errStatistical is found in the file itself, whatever the settings say.
var errStatistical = errors.New("a row stands for several requests: JMeter's sample sender is in mode Statistical, which leaves no latency of a single request")

// jtl reads a result file while it grows.
type jtl struct {
	path     string
	captures []string // sample variables after the number
	file     *os.File // nil: it is not there yet
	pending  []byte   // an incomplete line
	columns  map[string]int
	rows     int64
}

// fresh refuses a file that is there already: JMeter would append to it.
func (j *jtl) fresh() error {
	if _, err := os.Lstat(j.path); err == nil {
		return fmt.Errorf("%s is there already, and JMeter would append to it", j.path)
	}
	return nil
}

// read hands on the rows that have come since the last call.
func (j *jtl) read(sink func(row) error) error {
	if j.file == nil {
		file, err := os.Open(j.path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		j.file = file
	}
	for {
		block := make([]byte, 1<<18)
		n, err := j.file.Read(block)
		if n > 0 {
			if err := j.take(block[:n], sink); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || n == 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// take cuts off the whole lines.
func (j *jtl) take(block []byte, sink func(row) error) error {
	j.pending = append(j.pending, block...)
	end := lastLine(j.pending)
	if end == 0 {
		return nil
	}
	r := csv.NewReader(bytes.NewReader(j.pending[:end]))
	r.FieldsPerRecord, r.ReuseRecord, r.LazyQuotes = -1, true, true
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", j.path, err)
		}
		if err := j.line(fields, sink); err != nil {
			return err
		}
	}
	j.pending = append(j.pending[:0], j.pending[end:]...)
	return nil
}

// lastLine is where the last whole line ends: a line break between quotes ends none.
func lastLine(text []byte) int {
	end, quoted := 0, false
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\n' && !quoted:
			end = i + 1
		}
	}
	return end
}

func (j *jtl) line(fields []string, sink func(row) error) error {
	if j.columns == nil {
		return j.header(fields)
	}
	if fields[0] == "timeStamp" {
		return fmt.Errorf("%s has a second header: it was appended to", j.path)
	}
	r, err := j.row(fields)
	if err != nil {
		return fmt.Errorf("%s: row %d: %w", j.path, j.rows+1, err)
	}
	j.rows++
	if r.samples != 1 {
		return fmt.Errorf("%w (row %d of %s stands for %d)", errStatistical, j.rows, j.path, r.samples)
	}
	return sink(r)
}

func (j *jtl) header(fields []string) error {
	columns := map[string]int{}
	for i, name := range fields {
		columns[strings.Trim(name, `"`)] = i
	}
	need := append([]string{"timeStamp", "elapsed", "responseCode", "responseMessage", "threadName", "success", "bytes", "sentBytes", "SampleCount", numberColumn, replicaColumn}, j.captures...)
	for _, name := range need {
		if _, ok := columns[name]; !ok {
			return fmt.Errorf("%s has no column %s", j.path, name)
		}
	}
	j.columns = columns
	return nil
}

func (j *jtl) row(fields []string) (r row, err error) {
	if len(fields) < len(j.columns) {
		return r, fmt.Errorf("it has %d fields, not %d", len(fields), len(j.columns))
	}
	field := func(name string) string { return fields[j.columns[name]] }
	integer := func(name string) int64 {
		n, wrong := strconv.ParseInt(field(name), 10, 64)
		if wrong != nil && err == nil {
			err = fmt.Errorf("%s is %q, no number", name, field(name))
		}
		return n
	}
	r = row{
		at: time.UnixMilli(integer("timeStamp")), elapsed: time.Duration(integer("elapsed")) * time.Millisecond,
		code: strings.Clone(field("responseCode")), message: strings.Clone(field("responseMessage")), ok: field("success") == "true",
		received: integer("bytes"), written: integer("sentBytes"), samples: integer("SampleCount"),
	}
	r.replica = strings.Clone(field(replicaColumn))
	r.server = serverOf(field("threadName"))
	if n, wrong := strconv.ParseUint(field(numberColumn), 10, 64); wrong == nil {
		r.number, r.numbered = n, true
	}
	for _, name := range j.captures {
		r.captures = append(r.captures, field(name))
	}
	return r, err
}

// serverOf is the server in a thread's name such as "127.0.0.1:11100-load 1-2".
func serverOf(thread string) string {
	server, _, _ := strings.Cut(thread, "-")
	return strings.Clone(server)
}

func (j *jtl) close() {
	if j.file != nil {
		j.file.Close() // opened for reading
	}
}
