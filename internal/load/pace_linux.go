package load

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// An alarm wakes one goroutine at a moment. The runtime's own timers round up to
// the next millisecond when the process is idle, which would make every
// second arrival late; a timer descriptor is good to some ten microseconds.
type alarm struct {
	file *os.File
	fd   int
	buf  [8]byte
}

func newWaker() (waker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: timer descriptor: %w", err)
	}
	return &alarm{file: os.NewFile(uintptr(fd), "timerfd"), fd: fd}, nil
}

// set makes the next wait end after d; d <= 0 means at once.
func (a *alarm) set(d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := unix.TimerfdSettime(a.fd, 0, &spec, nil); err != nil {
		return fmt.Errorf("load: timer descriptor: %w", err)
	}
	return nil
}

// wait blocks until the moment set.
func (a *alarm) wait() error {
	_, err := a.file.Read(a.buf[:])
	return err
}

func (a *alarm) kick() {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(1)}
	_ = unix.TimerfdSettime(a.fd, 0, &spec, nil) // cannot fail on a descriptor that could be set before
}

func (a *alarm) close() { a.file.Close() }
