package load

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poll is an epoll descriptor with an event descriptor by which another
// goroutine ends a wait.
type poll struct {
	epoll, event int
	events       [128]unix.EpollEvent
	spec         unix.Timespec
	coarse       bool // the kernel counts in milliseconds
}

// kicked marks the event descriptor's own events.
const kicked = -1

func newPoll() (*poll, error) {
	p := &poll{event: -1}
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("load: epoll: %w", err)
	}
	if p.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		p.close()
		return nil, fmt.Errorf("load: event descriptor: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: kicked}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, p.event, &ev); err != nil {
		p.close()
		return nil, fmt.Errorf("load: epoll: %w", err)
	}
	return p, nil
}

func (p *poll) close() {
	unix.Close(p.epoll)
	if p.event >= 0 {
		unix.Close(p.event)
	}
}

// drain empties the event descriptor.
func (p *poll) drain() {
	var b [8]byte
	_, _ = unix.Read(p.event, b[:]) // empty means drained already
}

// kick ends a wait; any goroutine may call it.
func (p *poll) kick() {
	one := [8]byte{1}
	_, _ = unix.Write(p.event, one[:]) // full means kicked already
}

// add watches a socket, edge-triggered, for everything at once: nothing needs to be changed later.
func (p *poll) add(fd, index int, generation int32) error {
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(index), Pad: generation,
	}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// wait blocks for at most ns nanoseconds and returns the events that came.
//
// It goes past the scheduler although it blocks: handing the processor back and
// asking for it again costs ten times what the wait itself does. The
// runtime's own signals end it when the collector needs the thread; Run sees
// to it that other goroutines have a processor.
func (p *poll) wait(ns int64) ([]unix.EpollEvent, error) {
	at, size := uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events))
	p.spec = unix.NsecToTimespec(max(ns, 0))
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), at, size, uintptr(unsafe.Pointer(&p.spec)), 0, 0)
	if errno == unix.ENOSYS { // before Linux 5.11
		p.coarse = true
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), at, size, uintptr(p.rounded(max(ns, 0))/1_000_000), 0, 0)
	}
	switch errno {
	case 0:
		return p.events[:n], nil
	case unix.EINTR:
		return nil, nil
	}
	return nil, os.NewSyscallError("epoll_pwait2", errno)
}

// rounded is for how long a wait of that many nanoseconds takes if nothing comes.
func (p *poll) rounded(ns int64) int64 {
	if p.coarse {
		return (ns + 999_999) / 1_000_000 * 1_000_000
	}
	return ns
}

// Calls that never block go past the scheduler.

func rawReceive(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func rawSend(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// quiet reports whether an idle socket is still open and nothing was said on it.
func quiet(fd int) bool {
	var b [1]byte
	_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno == unix.EAGAIN || errno == unix.EINTR
}
