package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A machineLock is the abstract socket that only one guard can listen on. It
// says who holds it to anyone who connects.
type machineLock struct {
	name    string
	onOther func(Holder)
	stop    chan struct{}
	done    sync.WaitGroup

	mu       sync.Mutex
	self     Holder
	others   []Holder     // runs that share the machine with the holder
	listener net.Listener // nil: another guard holds the lock and we share
}

// introduction is what a connecting guard says of itself.
type introduction struct {
	Sharing bool   `json:"sharing"`
	Holder  Holder `json:"holder"`
}

const (
	dyingWait   = 5 * time.Second // for a guard whose controller is dead
	lockTalk    = time.Second
	maxLockTalk = 64 << 10
)

// lockNames is how many names the lock has: a later one counts where strangers, processes that are no guard
// and do not answer, sit on those before it.
const lockNames = 8

// takeLock takes the first name that no stranger holds, having looked that no guard holds another one.
func takeLock(name string, self Holder, share bool, onOther func(Holder)) (*machineLock, error) {
	var strangers []error
	for i := range lockNames {
		l, err := takeName(lockName(name, i), self, share, onOther)
		var stranger *strangerError
		if errors.As(err, &stranger) {
			strangers = append(strangers, err)
			continue
		}
		if err != nil || share {
			return l, err
		}
		if holder, held := guardOf(name, i); held {
			l.release()
			return nil, &BusyError{Holder: holder}
		}
		return l, nil
	}
	return nil, fmt.Errorf("local: lock of the machine: %w", errors.Join(strangers...))
}

func lockName(name string, i int) string {
	if i == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, i+1)
}

// guardOf is a guard that holds another name than number i.
func guardOf(name string, i int) (Holder, bool) {
	for other := range lockNames {
		if other == i {
			continue
		}
		if holders, err := introduce(lockName(name, other), introduction{}); err == nil && holders[0].Controller.alive() {
			return holders[0], true
		}
	}
	return Holder{}, false
}

// A strangerError is a process on the lock's socket that is no guard and does not answer as one.
type strangerError struct{ what string }

func (e *strangerError) Error() string { return e.what + " holds the lock's socket and is not bakeoff" }

// stranger says who listens on a name, unless it is a guard.
func stranger(name string) *strangerError {
	conn, err := net.DialTimeout("unix", "@"+name, lockTalk)
	if err != nil {
		return nil
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil
	}
	var peer *unix.Ucred
	if err := raw.Control(func(fd uintptr) { peer, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || peer == nil {
		return nil
	}
	if peer.Pid > 0 && isGuard(int(peer.Pid)) {
		return nil
	}
	return &strangerError{describe(int(peer.Pid), peer.Uid)}
}

// takeName listens, or says who does. A guard that is ending its processes is waited for.
func takeName(name string, self Holder, share bool, onOther func(Holder)) (*machineLock, error) {
	l := &machineLock{name: name, self: self, onOther: onOther, stop: make(chan struct{})}
	deadline := time.Now().Add(dyingWait)
	for {
		err := l.listen()
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("local: lock of the machine: %w", err)
		}
		others, err := introduce(name, introduction{share, self})
		if err != nil {
			if s := stranger(name); s != nil {
				return nil, s
			}
		}
		switch {
		case err == nil && share:
			for _, o := range others {
				onOther(o)
			}
			l.done.Go(l.waitForHolder)
			return l, nil
		case err == nil && !others[0].Ending && others[0].Controller.alive(), time.Now().After(deadline):
			if err != nil {
				others = []Holder{{Run: "that does not answer"}}
			}
			return nil, &BusyError{Holder: others[0]}
		}
		time.Sleep(50 * time.Millisecond) // it is ending, or has just gone
	}
}

// listen takes the lock if it is free.
func (l *machineLock) listen() error {
	listener, err := net.Listen("unix", "@"+l.name)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.listener = listener
	l.mu.Unlock()
	l.done.Go(func() { l.serve(listener) })
	return nil
}

// waitForHolder takes the lock over when the run that we share with has ended,
// so that the machine does not look free.
func (l *machineLock) waitForHolder() {
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(time.Second):
			if l.listen() == nil {
				return
			}
		}
	}
}

// introduce asks the holder who it is; the first of the answer is the holder
// itself, the others share the machine with it.
func introduce(name string, who introduction) ([]Holder, error) {
	conn, err := net.DialTimeout("unix", "@"+name, lockTalk)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(lockTalk))
	if err := json.NewEncoder(conn).Encode(who); err != nil {
		return nil, err
	}
	var others []Holder
	if err := json.NewDecoder(io.LimitReader(conn, maxLockTalk)).Decode(&others); err != nil {
		return nil, err
	}
	if len(others) == 0 {
		return nil, errors.New("local: the holder of the lock did not say who it is")
	}
	return others, nil
}

// serve answers until the listener is closed.
func (l *machineLock) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		l.done.Go(func() { l.answer(conn) })
	}
}

func (l *machineLock) answer(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(lockTalk))
	var who introduction
	if err := json.NewDecoder(io.LimitReader(conn, maxLockTalk)).Decode(&who); err != nil {
		return
	}
	l.mu.Lock()
	known := append([]Holder{l.self}, l.others...)
	if who.Sharing && len(l.others) < 16 {
		l.others = append(l.others, who.Holder)
	}
	l.mu.Unlock()
	if who.Sharing {
		l.onOther(who.Holder)
	}
	json.NewEncoder(conn).Encode(known)
}

// describe changes what others are shown.
func (l *machineLock) describe(change func(*Holder)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.self)
}

// release gives the machine back.
func (l *machineLock) release() {
	close(l.stop)
	l.mu.Lock()
	if l.listener != nil {
		l.listener.Close()
	}
	l.mu.Unlock()
	l.done.Wait()
}
