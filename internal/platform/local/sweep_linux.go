package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A remnant finds what a run whose guard is dead has left: processes known by
// id and start time, processes that carry its mark or are in its control groups, and the descendants of all these.
type remnant struct {
	token  token
	known  []Identity
	groups groups
	killed map[Identity]bool
}

// remnantOf is that of a run by its state file.
func remnantOf(dir string, t token) remnant {
	s, err := loadState(statePath(dir, t))
	if err != nil {
		return remnant{token: t}
	}
	return remnant{token: t, known: s.First, groups: s.groups(t)}
}

// find lists what is left, this process and zombies excluded.
func (r *remnant) find() ([]proc, error) {
	table, err := processes()
	if err != nil {
		return nil, err
	}
	found := map[int]proc{}
	for pid, p := range table {
		if pid == os.Getpid() {
			continue
		}
		m, ok := markOf(pid)
		_, in := r.groups.numberOf(pid)
		if in || ok && m.token == r.token || slices.Contains(r.known, p.Identity) {
			found[pid] = p
			for _, d := range descendants(table, pid) {
				found[d.PID] = d
			}
		}
	}
	delete(found, os.Getpid())
	var left []proc
	for _, p := range found {
		if !p.dead() {
			left = append(left, p)
		} else if p.parent == os.Getpid() {
			_, _ = unix.Wait4(p.PID, nil, unix.WNOHANG, nil) // inherited, nobody else waits for it
		}
	}
	return left, nil
}

// end kills until three looks in a row find nothing.
func (r *remnant) end(ctx context.Context) error {
	r.killed = map[Identity]bool{}
	for empty := 0; empty < 3; {
		left, err := r.find()
		if err != nil {
			return err
		}
		if empty++; len(left) > 0 {
			empty = 0
		}
		for _, p := range left {
			if p.signal(unix.SIGKILL) == nil {
				r.killed[p.Identity] = true
			}
		}
		r.groups.killAll()
		if ctx.Err() != nil {
			return fmt.Errorf("local: processes %v do not end: %w", pids(left), ctx.Err())
		}
		r.hunt(5 * time.Millisecond)
	}
	r.groups.remove()
	return nil
}

// endOrphans ends what a lost guard left to this process.
func (p *Platform) endOrphans() error {
	r := remnantOf(p.options.StateDir, p.token)
	p.mu.Lock()
	for _, child := range p.processes {
		r.known = append(r.known, child.first)
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), killWait)
	defer cancel()
	if err := r.end(ctx); err != nil {
		return err
	}
	return removeState(p.options.StateDir, p.token)
}

// Sweep ends what runs that died together with their guard have left, by the
// state files in dir, and removes these files. A run lives while its controller or
// its guard does; it is left alone. An empty dir means DefaultStateDir.
func Sweep(ctx context.Context, dir string) (Swept, error) {
	var swept Swept
	if dir == "" {
		var err error
		if dir, err = DefaultStateDir(); err != nil {
			return swept, err
		}
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return swept, nil
	}
	if err != nil {
		return swept, fmt.Errorf("local: sweep: %w", err)
	}
	var problems []error
	for _, entry := range entries {
		if removeTemporary(dir, entry) {
			continue
		}
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		t, err := parseToken(name)
		if !ok || err != nil || !entry.Type().IsRegular() {
			continue
		}
		if err := sweepRun(ctx, dir, t, &swept); err != nil {
			problems = append(problems, err)
		}
	}
	return swept, errors.Join(problems...)
}

// removeTemporary removes a state file that was never put in place.
func removeTemporary(dir string, entry os.DirEntry) bool {
	name, ok := strings.CutSuffix(entry.Name(), ".tmp")
	if _, err := parseToken(name); !ok || err != nil {
		return false
	}
	if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > time.Hour {
		os.Remove(filepath.Join(dir, entry.Name()))
	}
	return true
}

func sweepRun(ctx context.Context, dir string, t token, swept *Swept) error {
	s, err := loadState(filepath.Join(dir, t.String()+".json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it has ended since
	}
	if err != nil {
		return sweepUnreadable(dir, t, err)
	}
	here := newState(Holder{})
	if s.Boot != here.Boot {
		return removeState(dir, t)
	}
	if s.Namespace != here.Namespace || s.lives(ctx) {
		swept.Living++
		return nil
	}
	r := remnant{token: t, known: append(s.First, s.Holder.Guard), groups: s.groups(t)}
	err = r.end(ctx)
	swept.Runs = append(swept.Runs, cmp.Or(s.Run, t.String()))
	for id := range r.killed {
		swept.Processes = append(swept.Processes, id.PID)
	}
	if err != nil {
		return err
	}
	return removeState(dir, t)
}

// sweepUnreadable removes a state file that a power cut has damaged. It cannot
// say whether its run lives, but then nothing carries the run's mark.
func sweepUnreadable(dir string, t token, problem error) error {
	r := remnant{token: t}
	left, err := r.find()
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%w; processes %v belong to it", problem, pids(left))
	}
	return removeState(dir, t)
}

// lives reports whether a run goes on. A guard without its controller is
// given time to end what it started; one that does not is as good as dead.
func (s state) lives(ctx context.Context) bool {
	deadline := time.Now().Add(dyingWait)
	for {
		if s.Holder.Controller.alive() {
			return true
		}
		if !s.Holder.Guard.alive() || time.Now().After(deadline) {
			return false
		}
		select {
		case <-ctx.Done():
			return true
		case <-time.After(20 * time.Millisecond):
		}
	}
}
