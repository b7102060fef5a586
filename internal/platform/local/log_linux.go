package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const defaultLogLimit = 16 << 20

// A logCopy moves what a tree of processes writes from a pipe into its log.
// It always reads on, so that no process ever waits for a full log or a full
// disk; what is not kept is counted.
type logCopy struct {
	pipe   *os.File
	file   *os.File // nil: nothing is kept
	room   int64    // bytes that may still be kept
	lost   int64
	idle   chan struct{} // one value per drain, sent when the pipe was seen empty
	done   chan struct{} // closed when the last writer has closed the pipe
	drains sync.Mutex
	ending atomic.Bool
}

// newLogCopy opens the log and returns the descriptor to hand to the process;
// the caller closes it after the fork. With an empty path all is discarded.
func newLogCopy(path string, limit int64, owner *syscall.Credential) (*logCopy, int, error) {
	if limit <= 0 {
		limit = defaultLogLimit
	}
	l := &logCopy{room: limit, idle: make(chan struct{}, 1), done: make(chan struct{})}
	if path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, -1, fmt.Errorf("log: %w", err)
		}
		if err := file.Chmod(0o600); err != nil {
			file.Close()
			return nil, -1, fmt.Errorf("log: %w", err)
		}
		l.file = file
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		l.closeFile()
		return nil, -1, fmt.Errorf("log pipe: %w", err)
	}
	_ = unix.SetNonblock(fds[0], true)
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, 256<<10) // fewer waits; the default does too
	if owner != nil {
		_ = unix.Fchown(fds[1], int(owner.Uid), int(owner.Gid)) // so that it can reopen /dev/stderr
	}
	l.pipe = os.NewFile(uintptr(fds[0]), "log")
	return l, fds[1], nil
}

func (l *logCopy) closeFile() {
	if l.file != nil {
		l.file.Close()
	}
}

// run copies until every writer is gone or finish is called.
func (l *logCopy) run() {
	defer close(l.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := l.pipe.Read(buf)
		l.keep(buf[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			l.pipe.SetReadDeadline(time.Time{})
			end := l.readAll(buf)
			select {
			case l.idle <- struct{}{}:
			default:
			}
			if !end && !l.ending.Load() {
				continue
			}
			err = io.EOF
		}
		if err != nil {
			break
		}
	}
	l.pipe.Close()
	if l.file != nil && l.lost > 0 {
		fmt.Fprintf(l.file, "\nbakeoff: %d bytes of this log were discarded\n", l.lost)
	}
	l.closeFile()
}

// readAll takes what is in the pipe without waiting for more.
func (l *logCopy) readAll(buf []byte) (end bool) {
	raw, err := l.pipe.SyscallConn()
	if err != nil {
		return true
	}
	for {
		n := 0
		var readErr error
		err := raw.Read(func(fd uintptr) bool {
			n, readErr = syscall.Read(int(fd), buf)
			return true
		})
		if err != nil {
			return true
		}
		if n <= 0 {
			return n == 0 && readErr == nil
		}
		l.keep(buf[:n])
	}
}

func (l *logCopy) keep(data []byte) {
	if l.file == nil {
		return
	}
	kept := data[:min(int64(len(data)), l.room)]
	n, err := l.file.Write(kept)
	l.room -= int64(n)
	l.lost += int64(len(data) - n)
	if err != nil {
		l.room = 0
	}
}

// drain returns when all that was written before the call is in the log.
func (l *logCopy) drain() {
	l.drains.Lock()
	defer l.drains.Unlock()
	select {
	case <-l.idle: // of an earlier drain that gave up
	default:
	}
	l.pipe.SetReadDeadline(time.Unix(1, 0))
	select {
	case <-l.done:
	case <-l.idle:
	case <-time.After(2 * time.Second): // a stuck disk must not hide an exit
	}
}

// finish ends the copy after the tree is gone, even where a stranger still
// holds the other end of the pipe.
func (l *logCopy) finish() {
	l.ending.Store(true)
	l.drain()
	select {
	case <-l.done:
	case <-time.After(2 * time.Second):
	}
}
