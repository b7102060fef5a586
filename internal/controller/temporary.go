package controller

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"bakeoff/internal/database"
)

// Prefixes of temporary folders.
const (
	verifyPrefix = "bakeoff-verify-"
	dataPrefix   = "bakeoff-data-"
	loadPrefix   = "bakeoff-load-"
)

// TemporaryForLoad makes a folder for load without a run, which Sweep knows.
// The returned function removes it.
func TemporaryForLoad() (dir string, remove func() error, err error) { return temporary(loadPrefix) }

// temporary makes a folder that is known as ours while this process lives: it
// holds a lock on it. The returned function removes it.
func temporary(prefix string) (dir string, remove func() error, err error) {
	dir, err = os.MkdirTemp("", prefix)
	if err != nil {
		return "", nil, fmt.Errorf("controller: %w", err)
	}
	held, err := lockFolder(dir)
	if err != nil {
		return "", nil, fmt.Errorf("controller: %w", errors.Join(err, os.RemoveAll(dir)))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), held.Close()) }, nil
}

// lockFolder takes a folder's lock, which ends with the process that holds it, or fails at once.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Sweep removes the temporary folders that killed runs left behind and returns their
// paths. Those of living ones and of other users are left alone.
func Sweep() ([]string, error) {
	removed, err := database.Sweep()
	errs := []error{err}
	for _, prefix := range []string{verifyPrefix, dataPrefix, loadPrefix} {
		found, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
		errs = append(errs, err)
		for _, dir := range found {
			gone, err := sweepFolder(dir)
			errs = append(errs, err)
			if gone {
				removed = append(removed, dir)
			}
		}
	}
	slices.Sort(removed)
	return removed, errors.Join(errs...)
}

// sweepFolder removes a folder that nobody holds.
func sweepFolder(dir string) (bool, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(dir, &stat); err != nil || int(stat.Uid) != os.Geteuid() {
		return false, nil
	}
	held, err := lockFolder(dir)
	if err != nil {
		return false, nil // held by a living process, or gone
	}
	defer held.Close() // opened for reading
	if err := os.RemoveAll(dir); err != nil {
		return false, fmt.Errorf("controller: sweep: %w", err)
	}
	return true, nil
}
