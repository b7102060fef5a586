package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bakeoff/internal/live"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// followers read the record of a run under way for its own terminal, and for a program that asked for its events.
type followers struct {
	stop context.CancelFunc
	done chan struct{} // closed once none of them reads any more
}

// lastWritten is how long the end of a run waits at most for what is left to be read and written.
const lastWritten = 2 * time.Second

// follow begins to follow a run: on a terminal its lines show how it goes, and events, unless it is nil, prints every event.
func (f *followers) follow(dir string, screen *progress, events *eventLines) {
	ctx, stop := context.WithCancel(context.Background())
	f.stop, f.done = stop, make(chan struct{})
	var all sync.WaitGroup
	if screen.terminal {
		all.Go(func() { screen.watch(record.Follow(ctx, dir, record.Position{})) })
	}
	if events != nil {
		events.start(&all, record.Follow(ctx, dir, record.Position{}))
	}
	go func() {
		all.Wait()
		close(f.done)
	}()
}

// finish ends the following once the last events are out, or have not been for too long: then one that still writes is left behind.
func (f *followers) finish() {
	if f.stop == nil {
		return
	}
	select {
	case <-f.done:
	case <-time.After(lastWritten):
	}
	f.stop()
}

// watch keeps what a run's record says, until nobody writes it any more. A panic ends it, not the run.
func (p *progress) watch(items iter.Seq2[record.Item, error]) {
	defer func() {
		if cause := recover(); cause != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.unfollow(cause)
		}
	}()
	for item, err := range items {
		var line *record.LineError
		if err != nil && !errors.As(err, &line) {
			return
		}
		if err == nil {
			p.keep(item)
		}
		if item.Pause != nil && !item.Pause.Live {
			return
		}
	}
}

// keep takes in an item of the record of the run that is shown.
func (p *progress) keep(item record.Item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blind {
		return
	}
	if p.state == nil {
		p.state = live.New()
	}
	p.state.Take(item)
	p.behind = p.behind || item.Pause != nil
}

// eventLines prints the events of a run as lines of JSON, for a program that reads them.
type eventLines struct {
	w       io.Writer
	printed atomic.Int64
	done    chan struct{} // closed once nothing more is printed; nil: no run was begun
	err     error         // why events are missing, once done
}

var (
	// errUnread says that events were not read in time, or that the record was not at its end by then.
	errUnread = errors.New("they were not read in time")
	// errUnwritten says that an event could not be written.
	errUnwritten = errors.New("cannot be written")
)

// start prints the events of items from a goroutine.
func (l *eventLines) start(all *sync.WaitGroup, items iter.Seq2[record.Item, error]) {
	l.done = make(chan struct{})
	all.Go(func() {
		defer close(l.done)
		l.err = l.print(items)
	})
}

// print prints every event until nobody writes the record any more, and returns why some are missing. A panic is such a reason.
func (l *eventLines) print(items iter.Seq2[record.Item, error]) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("internal error: %v", cause)
		}
	}()
	enc := json.NewEncoder(l.w)
	for item, err := range items {
		var line *record.LineError
		if err != nil && !errors.As(err, &line) {
			return err
		}
		if item.Event != nil {
			if err := enc.Encode(item.Event); err != nil {
				return fmt.Errorf("%w: %w", errUnwritten, err)
			}
			l.printed.Add(1)
		}
		if item.Pause != nil && !item.Pause.Live {
			return nil
		}
	}
	return errUnread
}

// missing is why events of a run that has ended are missing; nil where all are printed, or none was to be. Where it is errUnread,
// one may still be written.
func (l *eventLines) missing() error {
	if l == nil || l.done == nil {
		return nil
	}
	select {
	case <-l.done:
		return l.err
	default:
		return errUnread
	}
}

// conclude is the environment in which the end of the run is printed: where events are missing that is said, and nothing more goes
// to stdout, which looks as if it were whole otherwise, and to which another one may still be writing. That stdout does
// not take them is an error, unless nobody reads it.
func (l *eventLines) conclude(env Env) (Env, error) {
	why := l.missing()
	if why == nil {
		return env, nil
	}
	env.Stdout = io.Discard
	fmt.Fprintf(env.Stderr, "bakeoff: warning: --json: events are missing after the first %d, and the line of the result: %s\n",
		l.printed.Load(), show.InertLines(why.Error()))
	if errors.Is(why, errUnwritten) && !nobodyReads(why) {
		return env, fmt.Errorf("--json: events: %w", why)
	}
	return env, nil
}

// nobodyReads reports whether writing failed because the pipe or the terminal is closed.
func nobodyReads(err error) bool { return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EIO) }

// withoutPipes keeps the process alive until its end when nobody reads its output any more: the record is what counts, and the exit
// status. What it starts is not affected.
func withoutPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
