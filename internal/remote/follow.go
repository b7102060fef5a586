package remote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"bakeoff/internal/record"
)

// maxLine bounds one line of the stream, in bytes.
const maxLine = 32 << 20

// Follow yields what record.Follow yields where the run is written, from a position on, until the run has ended; Outcome then
// says how; without lines it leaves out those of load.jsonl and series.jsonl. A cut connection is no error: it goes on behind the
// last item. Any error but a record.LineError is the last thing.
func (c *Client) Follow(ctx context.Context, from record.Position, lines bool) iter.Seq2[record.Item, error] {
	return func(yield func(record.Item, error) bool) {
		err := c.again(ctx, func(ctx context.Context, heard func()) error {
			return c.stream(ctx, from, lines, heard, func(item record.Item, err error) bool {
				from = item.Position
				return yield(item, err)
			})
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(record.Item{}, err)
		}
	}
}

// errEnough says that who follows wants no more.
var errEnough = fmt.Errorf("%w: nobody wants it", errForGood)

// Outcome is how the run ended, once Follow has ended without an error.
func (c *Client) Outcome() Outcome {
	if c.outcome == nil {
		return Outcome{}
	}
	return *c.outcome
}

// stream follows through one connection.
func (c *Client) stream(ctx context.Context, from record.Position, lines bool, heard func(), yield func(record.Item, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := "/events"
	if !lines {
		path += "?lines=no"
	}
	r, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", from.String())
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	answer, err := c.do(r, http.StatusOK)
	if err != nil {
		return err
	}
	defer answer.Body.Close() // only read
	in := bufio.NewReaderSize(answer.Body, 64<<10)
	for {
		m, err := next(in, func() { dead.Reset(silence); heard() })
		if err != nil {
			return err
		}
		if m.kind == sentOutcome {
			return c.end(m.data)
		}
		item, bad, err := m.item()
		if err != nil {
			return fmt.Errorf("%w: %w", errForGood, err)
		}
		if !yield(item, bad) {
			return errEnough
		}
	}
}

func (c *Client) end(data []byte) error {
	var o Outcome
	if err := json.Unmarshal(data, &o); err != nil {
		return fmt.Errorf("%w: %w", errForGood, err)
	}
	c.outcome = &o
	return nil
}

// message is one server-sent event.
type message struct {
	id, kind string
	data     []byte
}

// next reads a message; alive is called with every line.
func next(in *bufio.Reader, alive func()) (message, error) {
	var m message
	for {
		raw, err := readLine(in)
		if err != nil {
			return m, err
		}
		alive()
		name, value, _ := bytes.Cut(raw, []byte(": "))
		switch string(name) {
		case "id":
			m.id = string(value)
		case "event":
			m.kind = string(value)
		case "data":
			m.data = bytes.Clone(value)
		case "":
			if m.kind != "" {
				return m, nil
			}
		}
	}
}

// readLine is the next line without its line feed.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxLine:
			return nil, fmt.Errorf("%w: a line of more than %d bytes", errForGood, maxLine)
		}
	}
}

// item is what a message says; bad is a line of the record that cannot be used.
func (m message) item() (item record.Item, bad, err error) {
	if m.kind == sentFailure {
		var text string
		_ = json.Unmarshal(m.data, &text) // an empty one says as much
		return item, nil, errors.New(text)
	}
	if item.Position, err = record.ParsePosition(m.id); err != nil {
		return item, nil, err
	}
	if m.kind == sentDamage {
		var d damage
		err := json.Unmarshal(m.data, &d)
		return item, &record.LineError{File: d.File, Offset: d.Offset, What: d.What}, err
	}
	l := line{}
	switch m.kind {
	case sentEvent:
		item.Event = &record.Event{}
		l.Value = item.Event
	case sentLoad:
		item.Load = &record.Load{}
		l.Value = item.Load
	case sentSeries:
		item.Series = &record.Series{}
		l.Value = item.Series
	case sentPause:
		item.Pause = &record.Pause{}
		l.Value = item.Pause
	default:
		return item, nil, fmt.Errorf("a message of kind %q", m.kind)
	}
	err = json.Unmarshal(m.data, &l)
	item.Trial = l.Trial
	return item, nil, err
}
