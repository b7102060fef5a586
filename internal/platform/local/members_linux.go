package local

import (
	"os"
	"time"
)

// gone reports whether a tree has ended. A pass over /proc misses a process
// that was forked during the pass by one that ended during it; that one then
// is an orphan we reap. So a pass counts only if no orphan was reaped in it. Since
// the orphans may be another tree's, their number of vetoes is limited.
func (g *guard) gone(number int) bool {
	for range 200 {
		g.collect()
		before := g.reapedOrphans()
		if len(g.members(number, 0)) > 0 {
			return false
		}
		g.collect()
		if g.reapedOrphans() == before {
			break
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.trees[number]
	return t == nil || t.ended
}

func (g *guard) reapedOrphans() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.orphans
}

// members are the living processes of a tree, from a look at /proc not older than age.
func (g *guard) members(number int, age time.Duration) []proc {
	g.scans.Lock()
	defer g.scans.Unlock()
	if g.stale.Swap(false) || time.Since(g.at) >= age {
		if table, err := processes(); err == nil {
			g.seen, g.at = g.attribute(table), time.Now()
		}
	}
	return g.seen[number]
}

// attribute says which tree every living descendant belongs to: as seen
// before, else by its control group, its parent, its account, its session, its mark. What says none of these is
// of tree 0 and is ended with the next guest without a group, or when the guard ends.
func (g *guard) attribute(table map[int]proc) map[int][]proc {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := make(map[Identity]int, len(g.known))
	sessions := make(map[int]int, len(g.trees))
	for _, t := range g.trees {
		sessions[t.first.PID] = t.number
		known[t.first] = t.number
	}
	found := make(map[int][]proc)
	for _, p := range descendants(table, os.Getpid()) { // parents come first
		if p.PID == g.aide {
			continue // it is of no tree
		}
		number, seen := g.known[p.Identity]
		if !seen {
			number = g.treeOf(p, known[table[p.parent].Identity], sessions[p.session])
		}
		if number != 0 {
			known[p.Identity] = number
			sessions[p.session] = number
		}
		if !p.dead() {
			found[number] = append(found[number], p)
		}
	}
	g.known = known
	return found
}

// treeOf says which tree a process belongs to that is seen for the first time; its parent and its session belong to those. Nothing
// can change its control group or who its parent is, but each process can change its mark: that says something only of one whose
// parents have ended.
func (g *guard) treeOf(p proc, ofParent, ofSession int) int {
	if number, grouped := g.groups.numberOf(p.PID); grouped {
		return number
	}
	if ofParent != 0 {
		return ofParent
	}
	marked := 0
	if m, ok := markOf(p.PID); ok && m.token == g.hello.Token {
		marked = m.number
	}
	if number, owned := g.guestOf(p.PID, marked); owned {
		return number
	}
	if ofSession != 0 {
		return ofSession
	}
	if g.believed(p.PID, marked) {
		return marked
	}
	return 0
}

// believed reports whether the mark of a process says to which tree it belongs: that of a tree of bakeoff's own does where no guest runs
// that could have forged it, since it has the same account; g.mu is held.
func (g *guard) believed(pid, marked int) bool {
	t := g.trees[marked]
	if t == nil || t.guest {
		return t != nil
	}
	uid, ok := userOf(pid)
	own := !ok || int(uid) == os.Geteuid()
	for _, o := range g.trees {
		if o.guest && (o.uid == 0 && own || o.uid != 0 && o.uid == uid) {
			return false
		}
	}
	return true
}
