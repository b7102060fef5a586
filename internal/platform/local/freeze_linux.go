package local

import (
	"context"
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

// freeze holds the trees still: those with a control group by that, of the others every process is stopped, parents first.
func (g *guard) freeze(trees []int) {
	var cold []int
	for _, number := range trees {
		switch t := g.holding(number, bySignals); {
		case t == nil:
		case t.grouped && g.groups.freeze(number) == nil:
			cold = append(cold, number)
		default:
			g.signalTree(number, unix.SIGSTOP)
		}
	}
	end := time.Now().Add(coldWithin)
	for _, number := range cold {
		if g.groups.cold(number, end) {
			g.holding(number, byGroup)
			continue
		}
		_ = g.groups.thaw(number)
		g.signalTree(number, unix.SIGSTOP)
	}
}

// thaw lets them go on.
func (g *guard) thaw(trees []int) {
	for _, number := range trees {
		how := g.held(number)
		if how == notHeld {
			continue
		}
		_ = g.groups.thaw(number) // also where signals were asked for since; a tree without a group has none
		if how == bySignals {
			g.signalTree(number, unix.SIGCONT)
		}
		g.holding(number, notHeld)
	}
}

// holding notes how a tree is held still, and returns it; nil where there is none.
func (g *guard) holding(number int, how hold) *tree {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.trees[number]
	if t != nil {
		t.hold = how
	}
	return t
}

// held is how a tree is held still.
func (g *guard) held(number int) hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.trees[number]; t != nil {
		return t.hold
	}
	return notHeld
}

// signalTree signals those that live; one that has ended since is no error.
func (g *guard) signalTree(number int, sig unix.Signal) {
	for _, p := range g.members(number, treeAge) {
		_ = p.signal(sig)
	}
}

// coldWithin is how long groups may take to freeze, all at once, before their processes are stopped one by one: one that waits for a
// disk cannot be frozen during that time.
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
