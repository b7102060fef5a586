package database

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/platform"
)

// processes is a platform of plain child processes: what platform/local does
// beyond that is not this package's concern.
type processes struct {
	mu  sync.Mutex
	all []*process
}

func newPlatform(t *testing.T) *processes {
	p := &processes{}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *processes) Host() string { return "127.0.0.1" }

func (p *processes) Port(context.Context) (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (p *processes) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, x := range p.all {
		errs = append(errs, x.Stop(context.Background(), 0))
	}
	return errors.Join(errs...)
}

func (p *processes) Start(_ context.Context, spec platform.Spec) (platform.Process, error) {
	log, err := os.OpenFile(spec.Log, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(spec.Argv[0], spec.Argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = spec.Env, spec.Dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if spec.User != "" {
		u, err := user.Lookup(spec.User)
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	x := &process{name: spec.Name, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(x.done)
		_ = cmd.Wait()
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, x)
	return x, nil
}

type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
}

func (x *process) Name() string          { return x.name }
func (x *process) PID() int              { return x.cmd.Process.Pid }
func (x *process) PIDs() []int           { return []int{x.PID()} }
func (x *process) Done() <-chan struct{} { return x.done }

func (x *process) Exit() platform.Exit {
	e := platform.Exit{Code: x.cmd.ProcessState.ExitCode()}
	if s, ok := x.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		e.Signal = s.Signal().String()
	}
	return e
}

func (x *process) Stop(_ context.Context, grace time.Duration) error {
	_ = x.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-x.done:
	case <-time.After(grace):
	}
	_ = syscall.Kill(-x.PID(), syscall.SIGKILL)
	<-x.done
	return nil
}
