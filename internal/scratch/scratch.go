// Package scratch makes temporary folders that are known as ours while their process lives, however it ends: each
// has a lock on it that ends with the process that holds it. Sweep removes what killed ones left, and leaves alone
// what is held, what belongs to other users, and whatever has another name.
package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// prefix begins the names of all these folders; what one is for follows.
const prefix = "bakeoff-"

// uses are what folders are made for.
func uses() []string {
	return []string{"verify", "data", "load", "database", "pilot", "ab", "jmeter", "calibrate", "home"}
}

// New makes a folder for one of the uses, which only this account may read. The
// returned function removes it; calling it again does nothing.
func New(use string) (dir string, remove func() error, err error) {
	if !slices.Contains(uses(), use) {
		return "", nil, fmt.Errorf("temporary folder: nothing sweeps one for %q", use)
	}
	dir, err = os.MkdirTemp("", prefix+use+"-")
	if err != nil {
		return "", nil, fmt.Errorf("temporary folder: %w", err)
	}
	held, err := lock(dir)
	if err != nil {
		return "", nil, fmt.Errorf("temporary folder: %w", errors.Join(err, os.RemoveAll(dir)))
	}
	return dir, sync.OnceValue(func() error { return errors.Join(os.RemoveAll(dir), held.Close()) }), nil
}

// lock takes a folder's lock, which ends with the process that holds it, or fails at once.
func lock(dir string) (*os.File, error) {
	file, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Sweep removes the folders that killed processes left behind and returns their paths, sorted.
func Sweep() (removed []string, err error) {
	var errs []error
	for _, use := range uses() {
		found, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+use+"-*"))
		errs = append(errs, err)
		for _, dir := range found {
			gone, err := sweep(dir)
			errs = append(errs, err)
			if gone {
				removed = append(removed, dir)
			}
		}
	}
	slices.Sort(removed)
	return removed, errors.Join(errs...)
}

// sweep removes a folder that nobody holds.
func sweep(dir string) (bool, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(dir, &stat); err != nil || int(stat.Uid) != os.Geteuid() {
		return false, nil
	}
	held, err := lock(dir)
	if err != nil {
		return false, nil // held by a living process, no folder, or gone
	}
	defer held.Close() // opened for reading
	if err := os.RemoveAll(dir); err != nil {
		return false, fmt.Errorf("temporary folder: sweep: %w", err)
	}
	return true, nil
}
