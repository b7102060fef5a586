package kube

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"bakeoff/internal/platform"
)

// A Reason says in the user's words why a workload cannot be deployed.
type Reason struct {
	Workload string // "target django", "database"
	Text     string // what is the matter, with the name of the object
	Hint     string // what would help; empty: nobody knows
	Line     string // a command that shows more, or repairs it; empty: there is none
	Log      string // the end of the log that says why

	key   string        // the same for the same matter, however its text changes
	after time.Duration // how long it must last before it is believed
	pod   string        // whose log says more
	err   error         // what it was made of
}

// Durations after which a matter is believed: what the cluster itself repairs, it does in a few seconds.
const (
	atOnce     = 0
	heardLater = 2 * time.Second
	settled    = 5 * time.Second
	pullAgain  = 30 * time.Second
	never      = time.Duration(1<<63 - 1) // only when the time is up
)

// Error implements error.
func (r Reason) Error() string {
	text := r.Workload + ": " + r.Text
	if r.Hint != "" {
		text += "; " + r.Hint
	}
	if r.Line != "" && !strings.Contains(text, r.Line) {
		text += " (" + r.Line + ")"
	}
	if r.Log != "" {
		text += "; its log ends with:\n" + r.Log
	}
	return text
}

// Unwrap returns what the cluster said.
func (r Reason) Unwrap() error { return r.err }

func asReason(err error) (Reason, bool) {
	var r Reason
	ok := errors.As(err, &r)
	return r, ok
}

// patience knows since when matters last.
type patience map[string]time.Time

// final is the first of these reasons that has lasted for long enough. What is not among them any more begins again.
func (p patience) final(reasons []Reason, now time.Time) (Reason, bool) {
	here := map[string]bool{}
	for _, r := range reasons {
		here[r.key] = true
		if _, known := p[r.key]; !known {
			p[r.key] = now
		}
	}
	for key := range p {
		if !here[key] {
			delete(p, key)
		}
	}
	for _, r := range reasons {
		if now.Sub(p[r.key]) >= r.after {
			return r, true
		}
	}
	return Reason{}, false
}

// who is a workload in the user's words.
func who(w platform.Workload) string {
	switch {
	case w.Role == platform.RoleTarget && w.Target != "":
		return "target " + w.Target
	case w.Role == platform.RoleBalancer && w.Target != "":
		return "balancer of " + w.Target
	}
	return w.Name
}

// resourcesOf is the key of a plan that says what a workload asks for. Servers of JMeter are agents with a key of their own.
func resourcesOf(w platform.Workload) string {
	switch {
	case w.Role == platform.RoleCollector:
		return "kubernetes.resources." + w.Name
	case strings.HasPrefix(w.Name, "jmeter-"):
		return "kubernetes.resources.jmeter"
	}
	return "kubernetes.resources." + w.Role
}

// cores are thousandths of one, in words.
func cores(milli int64) string {
	if milli == 1000 {
		return "1 core"
	}
	return fmt.Sprintf("%g cores", float64(milli)/1000)
}
