package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"bakeoff/internal/record"
)

// serveEvents sends what the record of the run yields behind a position, once there is one, and at last how the run
// ended. While nothing happens it sends a comment from time to time.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	from, err := record.ParsePosition(r.Header.Get("Last-Event-ID"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &stream{w: w, control: http.NewResponseController(w), beat: time.NewTicker(beat), lines: r.URL.Query().Get("lines") != "no"}
	defer out.beat.Stop()
	if err := out.comment(); err != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if !out.await(ctx, s.opened, s.ended) {
		return
	}
	if dir := s.place(); dir != "" && !out.follow(ctx, dir, from) {
		return
	}
	if out.await(ctx, s.ended, s.ended) {
		_ = out.send("", sentOutcome, s.state().Outcome) // who followed is gone
	}
}

// stream is an answer of server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	beat    *time.Ticker
	lines   bool // of load.jsonl and series.jsonl are sent, too
}

// await waits for one of two, and reports whether one came while somebody listens.
func (s *stream) await(ctx context.Context, one, other <-chan struct{}) bool {
	for {
		select {
		case <-one:
			return true
		case <-other:
			return true
		case <-ctx.Done():
			return false
		case <-s.beat.C:
			if s.comment() != nil {
				return false
			}
		}
	}
}

// found is what following a record yields.
type found struct {
	item record.Item
	err  error
}

// follow sends what the record yields until nobody writes it any more, and reports whether it came so far.
func (s *stream) follow(ctx context.Context, dir string, from record.Position) bool {
	ctx, cancel := context.WithCancel(ctx)
	items := make(chan found)
	defer func() {
		cancel()
		for range items {
		}
	}()
	go func() {
		defer close(items)
		for item, err := range record.Follow(ctx, dir, from) {
			select {
			case items <- found{item, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case f, more := <-items:
			if !more {
				return ctx.Err() == nil
			}
			if more, err := s.one(f); err != nil || !more {
				return err == nil
			}
		case <-s.beat.C:
			if s.comment() != nil {
				return false
			}
		}
	}
}

// one sends what was found; more reports whether something may follow.
func (s *stream) one(f found) (more bool, err error) {
	var bad *record.LineError
	at := f.item.Position.String()
	switch {
	case errors.As(f.err, &bad):
		return true, s.send(at, sentDamage, damage{bad.File, bad.Offset, bad.What})
	case f.err != nil:
		return false, errors.Join(errors.New("the record cannot be followed"), s.send("", sentFailure, f.err.Error()))
	case f.item.Event != nil:
		return true, s.send(at, sentEvent, line{Value: f.item.Event})
	case f.item.Pause == nil && !s.lines:
		return true, nil
	case f.item.Load != nil:
		return true, s.send(at, sentLoad, line{f.item.Trial, f.item.Load})
	case f.item.Series != nil:
		return true, s.send(at, sentSeries, line{f.item.Trial, f.item.Series})
	case f.item.Pause != nil:
		return f.item.Pause.Live, s.send(at, sentPause, line{Value: f.item.Pause})
	}
	return true, nil
}

func (s *stream) send(id, kind string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("remote: %w", err)
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	if _, err := fmt.Fprintf(s.w, "%sevent: %s\ndata: %s\n\n", id, kind, data); err != nil {
		return err
	}
	return s.control.Flush()
}

// comment is a sign of life.
func (s *stream) comment() error {
	if _, err := fmt.Fprint(s.w, ":\n\n"); err != nil {
		return err
	}
	return s.control.Flush()
}
