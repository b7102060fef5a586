package local

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/platform"
)

// treeAge is how old a look at the process table may be by which trees are frozen: they are, many times a
// second, and their processes are those that were started long before.
const treeAge = time.Second

// freeze stops every process of the trees, parents first.
func (g *guard) freeze(trees []int) {
	for _, number := range trees {
		if g.setFrozen(number, true) {
			g.signalTree(number, unix.SIGSTOP)
		}
	}
}

// thaw lets them go on.
func (g *guard) thaw(trees []int) {
	for _, number := range trees {
		if g.setFrozen(number, false) {
			g.signalTree(number, unix.SIGCONT)
		}
	}
}

// setFrozen notes what becomes of a tree; false where there is none.
func (g *guard) setFrozen(number int, frozen bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.trees[number]
	if t == nil {
		return false
	}
	t.frozen = frozen
	return true
}

// signalTree signals those that live; one that has ended since is no error.
func (g *guard) signalTree(number int, sig unix.Signal) {
	for _, p := range g.members(number, treeAge) {
		_ = p.signal(sig)
	}
}

// Freeze implements platform.Freezer by SIGSTOP to each process.
func (p *Platform) Freeze(ctx context.Context, trees ...platform.Process) error {
	return p.hold(ctx, opFreeze, trees)
}

// Thaw implements platform.Freezer.
func (p *Platform) Thaw(ctx context.Context, trees ...platform.Process) error {
	return p.hold(ctx, opThaw, trees)
}

func (p *Platform) hold(ctx context.Context, op operation, trees []platform.Process) error {
	r := request{Op: op}
	for _, t := range trees {
		own, ok := t.(*process)
		if !ok || own.platform != p {
			return fmt.Errorf("local: freeze %s: it is not a process of this platform", t.Name())
		}
		r.Trees = append(r.Trees, own.tree)
	}
	if _, err := p.call(ctx, r); err != nil {
		return fmt.Errorf("local: freeze: %w", err)
	}
	return nil
}
