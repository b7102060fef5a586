package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The deputy is a second process of the guard role. It does nothing while the
// guard lives. When guard and controller die together, it ends what they left, as Sweep
// would at the next start. It carries the run's mark, so that a sweep ends it, too.

// deputize starts the deputy, which lives until the guard's end of a pipe is closed.
func (g *guard) deputize() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	g.deputy = ours // open for as long as the guard lives
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Dir, cmd.Env = "/", os.Environ()
	cmd.ExtraFiles = []*os.File{theirs} // becomes guardSocket
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil { // reaped as every other child
		return err
	}
	g.aide = cmd.Process.Pid
	_ = cmd.Process.Release()
	return json.NewEncoder(ours).Encode(g.hello)
}

// isDeputy reports whether the descriptor of the guard role is a deputy's pipe.
func isDeputy() bool {
	var st unix.Stat_t
	return unix.Fstat(guardSocket, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// deputy is the body of the deputy; it returns the exit status.
func deputy() int {
	unix.CloseOnExec(guardSocket)
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT)
	guard := os.NewFile(guardSocket, "guard")
	var h hello
	from := json.NewDecoder(guard)
	if err := from.Decode(&h); err != nil {
		return 0 // the guard died before it started anything
	}
	_, _ = io.Copy(io.Discard, guard) // until the guard is gone
	if err := succeed(h); err != nil {
		fmt.Fprintln(os.Stderr, "bakeoff: error:", err)
		return 1
	}
	return 0
}

// succeed ends what guard and controller left, once both are gone. A controller that lives does it itself.
func succeed(h hello) error {
	for h.Controller.alive() {
		if _, err := os.Stat(statePath(h.StateDir, h.Token)); err != nil {
			return nil // all is ended
		}
		time.Sleep(20 * time.Millisecond)
	}
	r := remnantOf(h.StateDir, h.Token)
	ctx, cancel := context.WithTimeout(context.Background(), killWait)
	defer cancel()
	if err := r.end(ctx); err != nil {
		return err
	}
	return removeState(h.StateDir, h.Token)
}
