package local

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"

	"bakeoff/internal/platform"
)

// leftBehind names what a guest that was asked to end has left: what lives on although its first process has ended and the
// grace is over, and what has been handed to the guard as its parents ended. A worker that still ends is neither. Where several
// guests were there and nothing says whose a process is, it is unclaimed.
func (g *guard) leftBehind(t *tree) []platform.Leftover {
	if !t.guest {
		return nil
	}
	g.mu.Lock()
	ended, alone := t.ended, t.alone
	g.mu.Unlock()
	var out []platform.Leftover
	add := func(p proc, unclaimed bool) {
		if p.Identity != t.first && (ended || p.parent == os.Getpid()) {
			name, _ := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/comm")
			out = append(out, platform.Leftover{PID: p.PID, Name: strings.TrimSpace(string(name)), Unclaimed: unclaimed})
		}
	}
	for _, p := range g.members(t.number, 0) {
		add(p, false)
	}
	if !t.grouped {
		for _, p := range g.members(0, 0) { // of no tree
			uid, _ := userOf(p.PID)
			add(p, !alone && (t.uid == 0 || uid != t.uid))
		}
	}
	slices.SortFunc(out, func(a, b platform.Leftover) int { return cmp.Compare(a.PID, b.PID) })
	return out
}

// guestOf is the tree of a process that runs under an account of guests. Where several replicas share the account it is of the one that
// its mark names, or else of the first: they are one target's. g.mu is held.
func (g *guard) guestOf(pid, marked int) (int, bool) {
	uid, ok := userOf(pid)
	if !ok || uid == 0 {
		return 0, false
	}
	number := 0
	for _, t := range g.trees {
		if !t.guest || t.uid != uid {
			continue
		}
		if t.number == marked {
			return marked, true
		}
		if number == 0 || t.number < number {
			number = t.number
		}
	}
	return number, number != 0
}

// userOf is the effective account of a process, which says it even where its folder in /proc belongs to root.
func userOf(pid int) (uint32, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(data), "\nUid:")
	f := strings.Fields(rest)
	if len(f) < 2 {
		return 0, false
	}
	uid, err := strconv.ParseUint(f[1], 10, 32)
	return uint32(uid), err == nil
}
