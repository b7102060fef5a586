package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"bakeoff/internal/platform"
)

// A name's folder in the cache holds numbered places, each with one prepared
// content, and a lock file next to it. What was built knows its own path, so a place keeps it
// through edits. Anyone who prepares holds the name's lock; anyone who uses a place
// shares its lock until the process ends.

// mostPlaces is how many contents of one name are kept when none of them is in use.
const mostPlaces = 3

// place finds the place that holds the recipe already, or takes the one where most can be kept,
// and says how many steps that is.
func (p *Prepared) place(home string) (keep int, err error) {
	numbers, err := places(home)
	if err != nil {
		return 0, err
	}
	if found, err := p.ready(home, numbers); found || err != nil {
		return 0, err
	}
	best := candidate{}
	for _, n := range numbers {
		c, ok := p.consider(home, n)
		if ok && best.held != nil && !c.better(best) {
			c.held.Close()
			continue
		}
		if ok {
			best.close()
			best = c
		}
	}
	if best.held == nil || best.keep < p.declared() && len(numbers) < mostPlaces {
		best.close()
		return 0, p.newPlace(home, numbers)
	}
	p.Dir, p.held = best.dir, best.held
	return best.keep, nil
}

// candidate is a place that nobody uses.
type candidate struct {
	dir  string
	held *os.File
	keep int
	used time.Time
}

func (c candidate) close() {
	if c.held != nil {
		c.held.Close()
	}
}

// better prefers what keeps more steps, then what was not used for longer.
func (c candidate) better(other candidate) bool {
	if c.keep != other.keep {
		return c.keep > other.keep
	}
	return c.used.Before(other.used)
}

// ready takes the place that holds just this content.
func (p *Prepared) ready(home string, numbers []int) (bool, error) {
	for _, n := range numbers {
		dir := filepath.Join(home, strconv.Itoa(n))
		marker, err := readDone(dir)
		if err != nil || !marker.fits(p.Digest, p.tools) {
			continue
		}
		held, err := openLock(dir + ".lock")
		if err != nil {
			return false, err
		}
		p.Dir, p.held, p.Versions, p.Cached = dir, held, marker.Versions, true
		return true, nil
	}
	return false, nil
}

// consider looks at a place; one in use is none.
func (p *Prepared) consider(home string, number int) (candidate, bool) {
	dir := filepath.Join(home, strconv.Itoa(number))
	held, err := openLock(dir + ".lock")
	if err != nil {
		return candidate{}, false
	}
	if flock(held, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		held.Close()
		return candidate{}, false
	}
	c := candidate{dir: dir, held: held}
	if info, err := held.Stat(); err == nil {
		c.used = info.ModTime()
	}
	there := *p
	there.Dir = dir
	c.keep = there.keepable()
	return c, true
}

// declared is how many leading steps declare their inputs.
func (p *Prepared) declared() int {
	n := 0
	for _, s := range p.steps() {
		if s.keepable {
			n++
		}
	}
	return n
}

func (p *Prepared) newPlace(home string, numbers []int) error {
	n := 1
	for slices.Contains(numbers, n) {
		n++
	}
	dir := filepath.Join(home, strconv.Itoa(n))
	held, err := openLock(dir + ".lock")
	if err != nil {
		return err
	}
	p.Dir, p.held = dir, held
	if err := flock(held, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("lock %s.lock: %w", dir, err)
	}
	return os.MkdirAll(dir, 0o700)
}

// places are the numbers of a name's places, sorted.
func places(home string) ([]int, error) {
	entries, err := os.ReadDir(home)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil && n > 0 && entry.IsDir() {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// share makes a lock one that other users of the place may hold, too, and notes the use. The name's lock is held.
func share(held *os.File) error {
	if err := flock(held, syscall.LOCK_SH); err != nil {
		return fmt.Errorf("lock %s: %w", held.Name(), err)
	}
	now := time.Now()
	return os.Chtimes(held.Name(), now, now)
}

// lockName takes the lock of a name, waiting for its holder.
func lockName(ctx context.Context, home string, say func(string)) (*os.File, error) {
	file, err := openLock(filepath.Join(home, "lock"))
	if err != nil {
		return nil, err
	}
	said := false
	err = platform.Await(ctx, nil, func(context.Context) (bool, error) {
		err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err == nil, err
		}
		if !said {
			say("waiting for another preparation, which holds " + file.Name())
		}
		said = true
		return false, nil
	})
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return file, nil
}

// Cleaned says what CleanCache did.
type Cleaned struct {
	Bytes int64    // removed
	InUse []string // folders that living processes use
}

// CleanCache removes every prepared target that no process uses.
func CleanCache(dir string) (Cleaned, error) {
	var out Cleaned
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	errs := []error{err}
	for _, entry := range entries {
		errs = append(errs, out.clean(filepath.Join(dir, entry.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return out, fmt.Errorf("target: clean: %w", err)
	}
	return out, nil
}

// clean removes one entry of the cache: a name's folder, or what earlier versions left.
func (c *Cleaned) clean(home string) error {
	lock, err := openLock(filepath.Join(home, "lock"))
	if err != nil {
		return c.remove(home) // a file
	}
	defer lock.Close()
	if flock(lock, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		c.InUse = append(c.InUse, home)
		return nil
	}
	numbers, err := places(home)
	errs, used := []error{err}, false
	for _, n := range numbers {
		dir := filepath.Join(home, strconv.Itoa(n))
		held, err := openLock(dir + ".lock")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if flock(held, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			c.InUse, used = append(c.InUse, dir), true
		} else {
			errs = append(errs, c.remove(dir))
		}
		held.Close()
	}
	if !used {
		errs = append(errs, c.remove(home))
	}
	return errors.Join(errs...)
}

func (c *Cleaned) remove(path string) error {
	err := filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			c.Bytes += info.Size()
		}
		return nil
	})
	return errors.Join(err, os.RemoveAll(path))
}
