package target

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"bakeoff/internal/record"
)

// readyMark begins the line by which a serving process says that it is ready;
// a JSON object follows, see docs/targets.md.
const readyMark = "bakeoff: ready "

// maxReadyLine bounds such a line.
const maxReadyLine = 4096

// tail reads a growing log for ready lines.
type tail struct {
	path   string
	offset int64
	rest   []byte // the beginning of a line that has no end yet
	found  []record.Worker
}

// workers reads what was added and returns every worker seen so far, one per
// process id, in the order in which they spoke.
func (t *tail) workers() ([]record.Worker, error) {
	file, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	added, err := io.ReadAll(io.NewSectionReader(file, t.offset, 1<<24))
	if err != nil {
		return nil, err
	}
	t.offset += int64(len(added))
	text := append(t.rest, added...)
	for {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			break
		}
		text = rest
		if err := t.line(line); err != nil {
			return nil, err
		}
	}
	t.rest = slices.Clone(text[max(0, len(text)-2*maxReadyLine):])
	return slices.Clone(t.found), nil
}

func (t *tail) line(line []byte) error {
	text, ok := bytes.CutPrefix(line, []byte(readyMark))
	if !ok {
		return nil
	}
	if len(text) > maxReadyLine {
		return fmt.Errorf("%w: a ready line of %d bytes", ErrWorker, len(text))
	}
	var w record.Worker
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&w); err != nil {
		return fmt.Errorf("%w: ready line %.200q: %w", ErrWorker, text, err)
	}
	if w.PID < 1 {
		return fmt.Errorf("%w: ready line %.200q has no pid", ErrWorker, text)
	}
	if !slices.ContainsFunc(t.found, func(old record.Worker) bool { return old.PID == w.PID }) {
		t.found = append(t.found, w)
	}
	return nil
}
