package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"bakeoff/internal/platform/kube"
	"bakeoff/internal/record"
	"bakeoff/internal/remote"
	"bakeoff/internal/venue/cluster"
)

// stopWithin is how long a run in a cluster may take to end after it was stopped.
const stopWithin = 3 * time.Minute

// reach waits for the controller and connects to it.
func (a *away) reach(ctx context.Context) (err error) {
	a.say("waiting for the controller")
	if a.pod, err = a.at.Controller(ctx, a.what); err != nil {
		return err
	}
	transport, base, err := a.at.Proxy(a.pod, cluster.LaptopPort)
	if err != nil {
		return err
	}
	a.client = remote.NewClient(transport, base, a.token, func(ctx context.Context) error { return a.at.Gone(ctx, a.pod) })
	return nil
}

// see follows the run until it has ended, and fetches each trial when it ends; detached only until the run has begun. What
// the run itself ended with is an endedError. Ctrl-C ends the run, which is seen through all the same.
func (a *away) see(ctx context.Context, detached bool) error {
	if err := a.reach(ctx); err != nil {
		final := errors.As(err, &kube.Reason{})
		a.began = !final && ctx.Err() == nil // a cluster that does not answer may have brought it up
		return err
	}
	if a.resume != "" {
		a.say("uploading the trials of the run that are finished")
		if err := a.client.Upload(ctx, a.resume, filepath.Base(a.resume)); err != nil {
			a.began = errors.Is(err, remote.ErrAway) // it may have heard all of it
			return err
		}
	}
	a.began = true // it conducts the run from now on, whether it is heard or not
	live, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { a.stop(live, cancel) })()
	return a.follow(live, detached)
}

// stop ends the run in the cluster, and no longer waits for its end once that takes too long.
func (a *away) stop(ctx context.Context, giveUp context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if err := a.client.Stop(ctx); err != nil && ctx.Err() == nil {
		a.warn("the run cannot be stopped: " + err.Error())
		giveUp()
		return
	}
	<-ctx.Done()
	giveUp()
}

// follow shows the run and fetches its trials until it has ended; with begun only until it has begun.
func (a *away) follow(ctx context.Context, begun bool) error {
	var all sync.WaitGroup
	defer all.Wait()
	items, ended := make(chan record.Item), make(chan struct{}, 1)
	defer close(items)
	if a.events != nil {
		a.events.start(&all, passed(items))
	}
	defer close(ended)
	fetching := false
	for item, err := range a.client.Follow(ctx, record.Position{}, a.screen.terminal) {
		var line *record.LineError
		if errors.As(err, &line) {
			continue // the report names it
		}
		if err != nil {
			return err
		}
		if !fetching {
			if err := a.begin(ctx); err != nil {
				return err
			}
			if begun {
				return nil
			}
			fetching = true
			all.Go(func() { a.fetch(ctx, ended) })
		}
		a.show(item)
		if a.events != nil {
			items <- item
		}
		if item.Event != nil && item.Event.Kind == record.EventTrial {
			select {
			case ended <- struct{}{}:
			default: // one is to be fetched already
			}
		}
	}
	a.ended = true
	if o := a.client.Outcome(); o.Error != "" {
		return endedError{o}
	}
	return nil
}

// passed yields what comes through a channel, and takes the rest of it when nobody wants more.
func passed(items <-chan record.Item) func(func(record.Item, error) bool) {
	return func(yield func(record.Item, error) bool) {
		for item := range items {
			if !yield(item, nil) {
				break
			}
		}
		for range items {
		}
	}
}

// directory is where the run is copied to.
func (a *away) directory(ctx context.Context) (string, error) {
	if a.resume != "" {
		return a.resume, nil
	}
	state, err := a.client.State(ctx)
	if err == nil && !remote.IsRunName(state.Name) {
		err = fmt.Errorf("the controller names no run directory, but %q", state.Name)
	}
	return filepath.Join(a.out, state.Name), err
}

// begin begins the copy of the run, or takes up the one that was uploaded.
func (a *away) begin(ctx context.Context) error {
	dir, err := a.directory(ctx)
	if err != nil {
		return err
	}
	if a.copy, err = record.OpenCopy(dir); err != nil {
		return err
	}
	a.dir = dir
	if err := a.client.Fetch(ctx, a.copy); err != nil {
		return err
	}
	if a.page != nil {
		a.page(filepath.Base(dir))
	}
	return nil
}

// fetch fetches what is finished whenever a trial has ended. What fails is tried again with the next one, and at the end. For who
// looks at the copy it also has what is not finished, up to a second ago.
func (a *away) fetch(ctx context.Context, ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case _, more := <-ended:
			if !more {
				return
			}
			if err := a.client.Fetch(ctx, a.copy); err != nil && ctx.Err() == nil {
				a.warn("a trial that has ended is not fetched yet: " + err.Error())
			}
		case <-tick.C:
			if a.page != nil { // what fails is tried again, and Fetch says so of what lasts
				_ = a.copy.Extend(func(path string, from int64) ([]byte, error) { return a.client.Tail(ctx, path, from) })
			}
		}
	}
}

// show shows an item of the record as a local run shows it.
func (a *away) show(item record.Item) {
	if a.screen.terminal {
		a.screen.keep(item)
	}
	if item.Event != nil {
		a.screen.take(*item.Event)
	}
}
