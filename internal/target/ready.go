package target

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// treeEvery is how often the processes of a replica are listed while it is waited for.
const treeEvery = 500 * time.Millisecond

// await waits until as many serving processes as asked for are ready.
func (r *Replica) await(ctx context.Context) (workers []record.Worker, err error) {
	want := r.recipe.Processes(r.launch.Workers)
	r.seen = map[int]bool{}
	listed := time.Now()
	waited := platform.Await(ctx, r.process, func(ctx context.Context) (bool, error) {
		workers, err = r.ready(ctx)
		switch {
		case err != nil:
			return false, err
		case r.ended():
			return false, fmt.Errorf("%w: %s; its log ends with:\n%s", ErrExited, r.process.Exit(), platform.LogTail(r.spec.Log))
		case len(workers) > want && !r.recipe.Probed():
			return false, fmt.Errorf("%w: %d processes said they are ready, expected %d", ErrWorker, len(workers), want)
		}
		if time.Since(listed) > treeEvery {
			listed = time.Now()
			r.noteTree()
		}
		return len(workers) >= want, nil
	})
	if waited != nil && waited == ctx.Err() {
		return workers, r.notReady(ctx, workers, want)
	}
	return workers, waited
}

// ready are the processes that are ready: those that said so, or all of a replica whose probe succeeds.
func (r *Replica) ready(ctx context.Context) ([]record.Worker, error) {
	if !r.recipe.Probed() {
		return r.tail.workers()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if r.ended() || !listening(ctx, r.Address()) || r.ping(ctx) != nil {
		return nil, nil
	}
	r.probed = nil
	for _, pid := range r.process.PIDs() {
		r.probed = append(r.probed, record.Worker{PID: pid, Pool: r.poolPerProcess(), Protocol: r.recipe.Protocol})
	}
	return r.probed, nil
}

// intactByProbe reports whether every process that was there when the probe succeeded still lives.
func (r *Replica) intactByProbe() error {
	tree := r.process.PIDs()
	for _, w := range r.probed {
		if !slices.Contains(tree, w.PID) {
			return fmt.Errorf("target: %s: %w: process %d is gone", r.launch.Name, ErrWorker, w.PID)
		}
	}
	return nil
}

func (r *Replica) noteTree() {
	for _, pid := range r.process.PIDs() {
		r.seen[pid] = true
	}
}

// notReady says all that is known of a replica that took too long.
func (r *Replica) notReady(ctx context.Context, workers []record.Worker, want int) error {
	cause := context.Cause(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	known := []string{fmt.Sprintf("%d of %s said so", len(workers), show.Plural(want, "worker"))}
	if r.recipe.Probed() {
		known = nil
	}
	if !listening(ctx, r.Address()) {
		known = append(known, "nothing listens on "+r.Address())
	} else if err := r.ping(ctx); err != nil {
		known = append(known, r.Address()+" is open, but "+err.Error())
	} else if len(workers) == 0 {
		known = append(known, "/ping on "+r.Address()+" answers right, but no ready line came: is it printed, and is stdout buffered?")
	} else {
		known = append(known, "/ping on "+r.Address()+" answers right")
	}
	tree, gone := r.process.PIDs(), 0
	for pid := range r.seen {
		if !slices.Contains(tree, pid) {
			gone++
		}
	}
	if gone > 0 {
		known = append(known, fmt.Sprintf("at least %s of it ended before that", show.Plural(gone, "process")))
	}
	return fmt.Errorf("%w (%w): %s; the log ends with:\n%s", ErrNotReady, cause, strings.Join(known, "; "), platform.LogTail(r.spec.Log))
}
