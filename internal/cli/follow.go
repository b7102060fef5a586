package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"bakeoff/internal/live"
	"bakeoff/internal/record"
)

// followers read the record of a run under way for its own terminal, and for a program that asked for its events.
type followers struct {
	stop context.CancelFunc
	wait sync.WaitGroup
}

// lastEvents is how long the end of a run waits at most for its last events to be printed.
const lastEvents = 2 * time.Second

// follow begins to follow a run: on a terminal its lines show how it goes, and events, unless it is nil, gets every event.
func (f *followers) follow(dir string, screen *progress, events io.Writer) {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	if screen.terminal {
		f.wait.Go(func() { screen.watch(ctx, dir) })
	}
	if events != nil {
		f.wait.Go(func() { printEvents(ctx, events, dir) })
	}
}

// finish ends the following once the last events are out.
func (f *followers) finish() {
	if f.stop == nil {
		return
	}
	timer := time.AfterFunc(lastEvents, f.stop)
	f.wait.Wait()
	timer.Stop()
	f.stop()
}

// watch keeps what a run's record says, until nobody writes it any more.
func (p *progress) watch(ctx context.Context, dir string) {
	for item, err := range record.Follow(ctx, dir, record.Position{}) {
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
	if p.state == nil {
		p.state = live.New()
	}
	p.state.Take(item)
	p.behind = p.behind || item.Pause != nil
}

// printEvents prints every event of a run as a line of JSON, until nobody writes it any more. Where they cannot be printed the run
// goes on without.
func printEvents(ctx context.Context, w io.Writer, dir string) {
	enc := json.NewEncoder(w)
	for item, err := range record.Follow(ctx, dir, record.Position{}) {
		var line *record.LineError
		switch {
		case err != nil && !errors.As(err, &line):
			return
		case item.Event != nil && enc.Encode(item.Event) != nil:
			return
		case item.Pause != nil && !item.Pause.Live:
			return
		}
	}
}

// withoutPipes keeps the process alive when nobody reads its output any more: the record is what counts. What it starts is not
// affected.
func withoutPipes() (restore func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return func() { signal.Stop(broken) }
}
