package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"bakeoff/internal/database"
)

// temporaryPrefix begins the names of temporary folders; what one is for follows.
const temporaryPrefix = "bakeoff-"

// uses are what temporary folders are made for.
func uses() []string { return []string{"verify", "data", "load"} }

// Temporary implements venue.Host: a folder with a lock on it that this process holds.
func (v *Venue) Temporary(use string) (dir string, remove func() error, err error) {
	return Temporary(use)
}

// Temporary makes a folder that Sweep knows as ours while this process lives, for one of the
// uses "verify", "data" and "load". The returned function removes it.
func Temporary(use string) (dir string, remove func() error, err error) {
	if !slices.Contains(uses(), use) {
		return "", nil, fmt.Errorf("temporary folder: nothing sweeps one for %q", use)
	}
	dir, err = os.MkdirTemp("", temporaryPrefix+use+"-")
	if err != nil {
		return "", nil, fmt.Errorf("temporary folder: %w", err)
	}
	held, err := lockFolder(dir)
	if err != nil {
		return "", nil, fmt.Errorf("temporary folder: %w", errors.Join(err, os.RemoveAll(dir)))
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
	for _, use := range uses() {
		found, err := filepath.Glob(filepath.Join(os.TempDir(), temporaryPrefix+use+"-*"))
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
		return false, fmt.Errorf("temporary folder: sweep: %w", err)
	}
	return true, nil
}
