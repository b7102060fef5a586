package balancer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// redrawWithin is how long nginx may take to replace its worker.
	redrawWithin = 5 * time.Second
	// redrawLook is how often it is looked whether it has.
	redrawLook = 2 * time.Millisecond
)

// Redraw has nginx close all of its connections, those of clients and those to the replicas: it replaces its
// worker process by a new one, and the old one ends. Its counts go on. Nothing may be under way; what comes
// after Redraw has returned goes over new connections, whose ends in the replicas are drawn again.
func (n *Nginx) Redraw(ctx context.Context) error {
	n.Disconnect()
	before := n.workers()
	if len(before) == 0 { // the one that comes next might be taken for a new one
		return errors.New("balancer: redraw: nginx has no worker process")
	}
	master, err := os.FindProcess(n.process.PID())
	if err == nil {
		err = master.Signal(syscall.SIGHUP)
	}
	if err != nil {
		return fmt.Errorf("balancer: redraw: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, redrawWithin, errors.New("nginx does not replace its worker"))
	defer cancel()
	look := time.NewTicker(redrawLook)
	defer look.Stop()
	for !replaced(before, n.workers()) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("balancer: redraw: %w", context.Cause(ctx))
		case <-n.process.Done():
			return fmt.Errorf("balancer: redraw: nginx ended with %+v", n.process.Exit())
		case <-look.C:
		}
	}
	return nil
}

// workers are the processes of nginx but the first: its children as the kernel has them now, and where it does not say, those
// that the platform has seen, a little later.
func (n *Nginx) workers() []int {
	pid := n.process.PID()
	if list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)); err == nil {
		return numbers(string(list))
	}
	return slices.DeleteFunc(n.process.PIDs(), func(pid int) bool { return pid == n.process.PID() })
}

// numbers are those of a text, which blanks separate.
func numbers(text string) (out []int) {
	for word := range strings.FieldsSeq(text) {
		if n, err := strconv.Atoi(word); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// replaced reports whether there is a worker, and none of those before.
func replaced(before, now []int) bool {
	return len(now) > 0 && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
}
