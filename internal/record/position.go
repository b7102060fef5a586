package record

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Position is a place in what Follow yields; the zero value is the beginning. It stays the same place
// however far the run has gone on, in a copy of the run directory too.
type Position struct {
	events int64 // bytes of events.jsonl that were given
	trials []under
}

// under is a trial under way at a position: begun, and its end not given.
type under struct {
	folder string
	begun  int64 // where in events.jsonl it begins: a folder can begin again; unnamed: no event says so
	load   int64 // bytes of load.jsonl that were given
	series int64 // bytes of series.jsonl that were given
}

// unnamed is a beginning that no event names: older versions wrote none, and a power cut can take it.
const unnamed = -1

// String returns the position as one word of printable ASCII, for ParsePosition: bytes of events.jsonl,
// and for each trial under way ",folder:begun:load:series".
func (p Position) String() string {
	out := strconv.FormatInt(p.events, 10)
	for _, t := range p.trials {
		out += fmt.Sprintf(",%s:%d:%d:%d", t.folder, t.begun, t.load, t.series)
	}
	return out
}

// ParsePosition is the inverse of String; the empty text is the beginning.
func ParsePosition(text string) (Position, error) {
	if text == "" {
		return Position{}, nil
	}
	words := strings.Split(text, ",")
	var p Position
	var err error
	p.events, err = strconv.ParseInt(words[0], 10, 64)
	for _, word := range words[1:] {
		t, terr := parseUnder(word)
		err = errors.Join(err, terr)
		p.trials = append(p.trials, t)
	}
	if err != nil || p.events < 0 {
		return Position{}, fmt.Errorf("record: %q is not a position in a run", text)
	}
	return p, nil
}

func parseUnder(text string) (under, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 4 {
		return under{}, fmt.Errorf("%d parts", len(parts))
	}
	var numbers [3]int64
	for i, part := range parts[1:] {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n < 0 && (i > 0 || n != unnamed) {
			return under{}, fmt.Errorf("number %q", part)
		}
		numbers[i] = n
	}
	if _, _, ok := parseFolder(parts[0]); !ok {
		return under{}, fmt.Errorf("folder %q", parts[0])
	}
	return under{parts[0], numbers[0], numbers[1], numbers[2]}, nil
}

// clone is a copy that later items do not change.
func (p Position) clone() Position { return Position{p.events, slices.Clone(p.trials)} }

// of is the trial under way in a folder, or nil.
func (p *Position) of(folder string) *under {
	for i := range p.trials {
		if p.trials[i].folder == folder {
			return &p.trials[i]
		}
	}
	return nil
}

func (p *Position) drop(folder string) {
	p.trials = slices.DeleteFunc(p.trials, func(t under) bool { return t.folder == folder })
}
