package jmeter

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// priority says how the kernel schedules a server of this machine, and its session where it groups processes by session (sched(7),
// autogroup); empty where that cannot be known.
func priority(pid int) string {
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		return ""
	}
	text := fmt.Sprintf("JMeter's servers run at niceness %d", attr.Nice)
	if attr.Policy == unix.SCHED_RR || attr.Policy == unix.SCHED_FIFO {
		text = fmt.Sprintf("JMeter's servers run at real-time priority %d", attr.Priority)
	}
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid))
	if err != nil {
		return text
	}
	// The line is such as "/autogroup-25 nice -10".
	if _, niceness, found := strings.Cut(strings.TrimSpace(string(group)), " nice "); found {
		text += ", each in a session of autogroup niceness " + niceness
	}
	return text
}
