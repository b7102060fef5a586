package venue

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// LogLines are the lines of a growing log up to a place in it.
type LogLines struct {
	Lines  int64
	offset int64
}

// Read counts on to the end of the log.
func (l *LogLines) Read(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := file.ReadAt(buffer, l.offset)
		l.offset += int64(n)
		l.Lines += int64(bytes.Count(buffer[:n], []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
