package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/platform"
)

// treeAge is how old a look at the process table may be by which trees are frozen: they are, many times a
// second, and their processes are those that were started long before.
const treeAge = time.Second

// hold is how a tree is held still.
type hold int

const (
	notHeld   hold = iota
	bySignals      // each of its processes is stopped
	byGroup        // its control group is frozen: at one moment, with all that its processes fork
)

// takeTurns handles freezes and thaws one after another.
func (g *guard) takeTurns() {
	for r := range g.turns {
		g.handle(r)
	}
}

// freeze holds the trees still: those with a control group by that, of the others every process is stopped,
// parents first. One that signals hold already stays with them, so that its thaw continues it. One that is
// being stopped is left alone.
func (g *guard) freeze(trees []int) {
	g.holds.Lock()
	defer g.holds.Unlock()
	var cold []*tree
	for _, number := range trees {
		switch t := g.tree(number); {
		case t == nil || t.stopping:
		case t.grouped && t.hold != bySignals && g.groups.freeze(number) == nil:
			cold = append(cold, t)
		default:
			g.stopEach(t)
		}
	}
	end := time.Now().Add(g.hello.ColdWithin)
	for _, t := range cold {
		if g.groups.cold(t.number, end) {
			t.hold = byGroup
			continue
		}
		_ = g.groups.thaw(t.number) // if this fails, the thaw of the tree does too, and says so
		g.stopEach(t)
	}
}

// stopEach holds a tree by signals; g.holds is held.
func (g *guard) stopEach(t *tree) {
	t.hold = bySignals
	g.signalTree(t.number, unix.SIGSTOP)
}

// thaw lets them go on. A tree that cannot be thawed counts as held, so that the next thaw tries again.
func (g *guard) thaw(trees []int) error {
	g.holds.Lock()
	defer g.holds.Unlock()
	var errs []error
	for _, number := range trees {
		if t := g.tree(number); t != nil {
			errs = append(errs, g.letGo(t))
		}
	}
	return errors.Join(errs...)
}

// letEnd asks a tree to end by itself, where it has a grace, and lets it go on; no freeze that comes later holds it again. It is asked
// first. One that goes on before may be on its way back into a wait that the hold had interrupted, as in pause(2): a signal that it
// hears there does not end that wait.
func (g *guard) letEnd(t *tree, grace time.Duration) (asked bool, err error) {
	g.holds.Lock()
	defer g.holds.Unlock()
	t.stopping = true
	asked = grace > 0 && g.ask(t)
	return asked, g.letGo(t)
}

// ask asks the first process of a tree to end, unless it has.
func (g *guard) ask(t *tree) bool {
	g.mu.Lock() // so that it is not reaped before
	defer g.mu.Unlock()
	return !t.ended && unix.Kill(t.first.PID, unix.SIGTERM) == nil
}

// letGo ends the hold of a tree; g.holds is held. Its group is thawed also where signals hold it: it may have
// been frozen before.
func (g *guard) letGo(t *tree) error {
	if t.hold == notHeld {
		return nil
	}
	if t.grouped {
		if err := g.groups.thaw(t.number); err != nil && !noGroup(err) {
			return fmt.Errorf("process %d stays frozen: %w", t.first.PID, err)
		}
	}
	if t.hold == bySignals {
		g.signalTree(t.number, unix.SIGCONT)
	}
	t.hold = notHeld
	return nil
}

// noGroup reports whether a group could not be thawed because it is gone or has no freezer: nothing is frozen
// then. The kernel says ENODEV if it was removed after its file was opened.
func noGroup(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

// tree is the tree with a number; nil where there is none.
func (g *guard) tree(number int) *tree {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trees[number]
}

// signalTree signals those that live; one that has ended since is no error.
func (g *guard) signalTree(number int, sig unix.Signal) {
	for _, p := range g.members(number, treeAge) {
		_ = p.signal(sig)
	}
}

// coldWithin is how long groups may take to freeze, all at once, before their processes are stopped one by one: one that waits for a
// disk cannot be frozen during that time. A test may give them another time.
const coldWithin = 100 * time.Millisecond

// freeze begins to freeze a tree's group.
func (g groups) freeze(number int) error { return g.setFrozen(number, "1") }

// thaw lets the group go on.
func (g groups) thaw(number int) error { return g.setFrozen(number, "0") }

func (g groups) setFrozen(number int, to string) error {
	file, err := os.OpenFile(filepath.Join(g.of(number), "cgroup.freeze"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(to)
	return err
}

// cold waits until the kernel says that every process of the group stands still, and reports whether it did before the end.
func (g groups) cold(number int, end time.Time) bool {
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		data, err := os.ReadFile(filepath.Join(g.of(number), "cgroup.events"))
		if err != nil {
			return false
		}
		if strings.Contains(string(data), "frozen 1\n") {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(pause)
	}
}

// Freeze implements platform.Freezer by the control groups of guests that have one, and by SIGSTOP to each process of the others.
func (p *Platform) Freeze(ctx context.Context, trees ...platform.Process) error {
	if err := p.hold(ctx, opFreeze, trees); err != nil {
		return fmt.Errorf("local: freeze: %w", err)
	}
	return nil
}

// Thaw implements platform.Freezer.
func (p *Platform) Thaw(ctx context.Context, trees ...platform.Process) error {
	if err := p.hold(ctx, opThaw, trees); err != nil {
		return fmt.Errorf("local: thaw: %w", err)
	}
	return nil
}

func (p *Platform) hold(ctx context.Context, op operation, trees []platform.Process) error {
	r := request{Op: op}
	for _, t := range trees {
		own, ok := t.(*process)
		if !ok || own.platform != p {
			return fmt.Errorf("%s is not a process of this platform", t.Name())
		}
		r.Trees = append(r.Trees, own.tree)
	}
	_, err := p.call(ctx, r)
	return err
}
