package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrInUse is returned by Resume while another process writes the run.
var ErrInUse = errors.New("another process writes this run")

// openSafely are flags with which a pipe does not block and a link is not followed.
const openSafely = unix.O_NONBLOCK | unix.O_NOFOLLOW

// lock takes the run for this open file until it is unlocked or its process
// ends, however it ends (an open file description lock, fcntl(2)).
func lock(f *os.File) error {
	err := setLock(f, unix.F_WRLCK)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrInUse
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

// unlock gives the run free. To close the file is not enough: a process that is being started has all open files until its
// program begins.
func unlock(f *os.File) error {
	if err := setLock(f, unix.F_UNLCK); err != nil {
		return fmt.Errorf("unlock %s: %w", f.Name(), err)
	}
	return nil
}

func setLock(f *os.File, kind int16) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Whence: io.SeekStart})
}

// locked reports whether a writer holds the file, without taking it.
func locked(f *os.File) bool {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l)
	return err == nil && l.Type != unix.F_UNLCK
}

// Free is the number of bytes that may still be written where dir lies, or
// would lie: the nearest folder above that exists is asked.
func Free(dir string) (int64, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, fmt.Errorf("record: free space: %w", err)
	}
	for {
		var s unix.Statfs_t
		err := unix.Statfs(dir, &s)
		if err == nil {
			return int64(s.Bavail) * s.Frsize, nil
		}
		if above := filepath.Dir(dir); errors.Is(err, os.ErrNotExist) && above != dir {
			dir = above
			continue
		}
		return 0, fmt.Errorf("record: free space of %s: %w", dir, err)
	}
}

// allocate gives an empty file size bytes of the disk without writing them.
func allocate(f *os.File, size int64) error {
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		return fmt.Errorf("allocate %d bytes for %s: %w", size, f.Name(), err)
	}
	return nil
}
