package dashboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
)

// mostSummary bounds what is read of a summary, in bytes.
const mostSummary = 64 << 20

// errNoSummary is that a run has no summary of its own that this program can read.
var errNoSummary = errors.New("no summary of this version")

// written is what a finished run itself wrote at its end, which costs next to nothing to read: the page of the run computes it from
// the record, and `bakeoff audit` compares the two.
func written(dir string, v version) (headline, error) {
	path := filepath.Join(dir, figures.SummaryFile)
	info, err := os.Lstat(path)
	if err != nil {
		return headline{}, err
	}
	if info.ModTime().Before(v.changed) {
		return headline{}, errNoSummary // the run went on after it
	}
	content, err := record.ReadFile(path, mostSummary)
	if err != nil {
		return headline{}, err
	}
	return readHeadline(content, v)
}

// readHeadline reads a summary up to the last of the keys that the history shows.
func readHeadline(content []byte, v version) (headline, error) {
	in := json.NewDecoder(bytes.NewReader(content))
	if _, err := in.Token(); err != nil {
		return headline{}, err
	}
	var format int
	var attempts *figures.Attempts
	out := headline{version: v}
	for in.More() && (attempts == nil || out.text == "") {
		key, err := in.Token()
		if err != nil {
			return headline{}, err
		}
		var rest json.RawMessage
		into := map[any]any{"format": &format, "headline": &out.text, "attempts": &attempts}[key]
		if into == nil {
			into = &rest
		}
		if err := in.Decode(into); err != nil {
			return headline{}, err
		}
	}
	if format != figures.SummaryVersion || attempts == nil || out.text == "" {
		return headline{}, errNoSummary
	}
	out.valid, out.run = attempts.Valid, attempts.Run
	return out, nil
}
