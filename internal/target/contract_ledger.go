package target

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"bakeoff/internal/record"
)

const (
	shownProblems = 2    // of each check and endpoint; the others are counted
	detailLimit   = 1000 // bytes of a detail
)

// ledger collects what each check found at each endpoint. It is safe for concurrent use.
type ledger struct {
	when      string
	hide      *strings.Replacer // takes secrets out
	endpoints []Endpoint        // in the order to list them

	mu      sync.Mutex
	entries []*entry
}

// entry is one check at one endpoint.
type entry struct {
	name     string
	replica  string
	made     int
	failed   int
	problems []string // the first ones
	remark   string
}

// enter books one examination; problem is empty when all was right.
func (l *ledger) enter(name string, at Endpoint, problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(name, at)
	e.made++
	if problem == "" {
		return
	}
	e.failed++
	if len(e.problems) < shownProblems {
		e.problems = append(e.problems, problem)
	}
}

// remark says something about a check, whether it holds or not.
func (l *ledger) remark(name string, at Endpoint, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entry(name, at).remark = text
}

func (l *ledger) entry(name string, at Endpoint) *entry {
	for _, e := range l.entries {
		if e.name == name && e.replica == at.Name {
			return e
		}
	}
	e := &entry{name: name, replica: at.Name}
	l.entries = append(l.entries, e)
	return e
}

// checks are the entries as they are recorded: grouped by check, in order of
// first appearance, and by endpoint.
func (l *ledger) checks() []record.Check {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := map[string]int{}
	for i, e := range l.entries {
		if _, seen := place[e.name]; !seen {
			place[e.name] = i
		}
	}
	sorted := slices.Clone(l.entries)
	slices.SortStableFunc(sorted, func(a, b *entry) int {
		return cmp.Or(place[a.name]-place[b.name], l.order(a.replica)-l.order(b.replica))
	})
	var out []record.Check
	for _, e := range sorted {
		out = append(out, record.Check{When: l.when, Name: e.name, Replica: e.replica, OK: e.failed == 0, Detail: l.detail(e)})
	}
	return out
}

func (l *ledger) order(replica string) int {
	return slices.IndexFunc(l.endpoints, func(at Endpoint) bool { return at.Name == replica })
}

func (l *ledger) detail(e *entry) string {
	text := fmt.Sprintf("%d of %d right", e.made-e.failed, e.made)
	if e.made == 0 {
		text = "not applicable"
	}
	for _, part := range append(slices.Clone(e.problems), e.remark) {
		if part != "" {
			text += "; " + part
		}
	}
	text = l.hide.Replace(text)
	if len(text) > detailLimit {
		text = strings.ToValidUTF8(text[:detailLimit], "") + " ..."
	}
	return text
}

// perRequest lists statements per request, such as "per request: rollback 1.00, set_option 1.00".
func perRequest(others map[string]float64) string {
	if len(others) == 0 {
		return "no other statements"
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(others)) {
		parts = append(parts, fmt.Sprintf("%s %.2f", kind, others[kind]))
	}
	return "others per request: " + strings.Join(parts, ", ")
}
