package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"strconv"
)

// A framed line is a JSON object of its own, so that any JSON tool reads it:
//
//	{"crc32c":"1a2b3c4d","length":57,"record":{...}}
//
// length is the number of bytes of the record and crc32c the CRC-32C
// (Castagnoli, RFC 3720) of them. The spelling is fixed to the byte, so that
// a change anywhere in the line is found.
const (
	frameHead   = `{"crc32c":"`
	frameLength = `","length":`
	frameRecord = `,"record":`
	frameTail   = "}\n"
	crcDigits   = 8
)

// frame puts a record, which is compact JSON, into a line.
func frame(record []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	line := make([]byte, 0, len(record)+64)
	line = append(line, frameHead...)
	line = fmt.Appendf(line, "%08x", crc32.Checksum(record, table))
	line = append(line, frameLength...)
	line = strconv.AppendInt(line, int64(len(record)), 10)
	line = append(line, frameRecord...)
	line = append(line, record...)
	return append(line, frameTail...)
}

// unframe returns the record of a line, its newline included, or what is wrong with it.
func unframe(line []byte) ([]byte, error) {
	start := len(frameHead) + crcDigits + len(frameLength)
	if !bytes.HasPrefix(line, []byte(frameHead)) || len(line) < start {
		return nil, errors.New("not a framed line")
	}
	at := bytes.Index(line[start:], []byte(frameRecord))
	if at < 0 || !bytes.HasSuffix(line, []byte(frameTail)) {
		return nil, errors.New("not a framed line")
	}
	record := line[start+at+len(frameRecord) : len(line)-len(frameTail)]
	if !bytes.Equal(frame(record), line) {
		return nil, errors.New("length or checksum does not fit the content")
	}
	return record, nil
}

// A LineError says which line of a file cannot be used, and why.
type LineError struct {
	File   string
	Line   int   // from 1; 0 where lines were not counted from the beginning
	Offset int64 // of the line's first byte, where Line is 0
	What   string
}

func (e *LineError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: line at byte %d: %s", e.File, e.Offset, e.What)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What)
}

// errTooLong ends the reading of a file: what follows such a line is not looked for.
var errTooLong = fmt.Errorf("the line is longer than %d bytes; the rest of the file is left out", maxContent)

// errTorn is what is wrong with a last line that has no newline: the write
// of it was cut.
var errTorn = errors.New("torn: the line has no end")

// A line is one line of a framed file: its record, or what is wrong.
type line struct {
	number int
	offset int64 // of its first byte
	size   int64 // with the newline
	record []byte
	err    error
}

// readLine returns the next line with its line feed, or what there is of it and why not all.
func readLine(in *bufio.Reader) ([]byte, error) {
	raw, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return raw, err
	}
	long := bytes.Clone(raw)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > maxContent {
			return long, errTooLong
		}
		raw, err = in.ReadSlice('\n')
		long = append(long, raw...)
	}
	return long, err
}

// lines yields every line of a framed file, bad ones included. A record is
// valid until the next line. It ends at the end of the file, after a line that is too long, and after an
// error of reading.
func lines(r io.Reader) iter.Seq[line] {
	return func(yield func(line) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		l := line{}
		for {
			raw, err := readLine(in)
			if len(raw) == 0 && errors.Is(err, io.EOF) {
				return
			}
			l = line{number: l.number + 1, offset: l.offset + l.size, size: int64(len(raw))}
			switch {
			case err == nil:
				l.record, l.err = unframe(raw)
			case errors.Is(err, io.EOF):
				l.err = errTorn
			default:
				l.err = err
			}
			if !yield(l) || err != nil {
				return
			}
		}
	}
}
