package contract

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

const (
	shownProblems = 2    // of each check and endpoint; the others are counted
	detailLimit   = 1000 // characters of a detail
)

// findings collects what each check found at each endpoint. It is safe for concurrent use.
type findings struct {
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
func (f *findings) enter(name string, at Endpoint, problem string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entry(name, at)
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
func (f *findings) remark(name string, at Endpoint, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entry(name, at).remark = text
}

func (f *findings) entry(name string, at Endpoint) *entry {
	for _, e := range f.entries {
		if e.name == name && e.replica == at.Name {
			return e
		}
	}
	e := &entry{name: name, replica: at.Name}
	f.entries = append(f.entries, e)
	return e
}

// checks are the entries as they are recorded: grouped by check, in order of
// first appearance, and by endpoint.
func (f *findings) checks() []record.Check {
	f.mu.Lock()
	defer f.mu.Unlock()
	place := map[string]int{}
	for i, e := range f.entries {
		if _, seen := place[e.name]; !seen {
			place[e.name] = i
		}
	}
	sorted := slices.Clone(f.entries)
	slices.SortStableFunc(sorted, func(a, b *entry) int {
		return cmp.Or(place[a.name]-place[b.name], f.order(a.replica)-f.order(b.replica))
	})
	var out []record.Check
	for _, e := range sorted {
		out = append(out, record.Check{When: f.when, Name: e.name, Replica: e.replica, OK: e.failed == 0, Detail: f.detail(e)})
	}
	return out
}

func (f *findings) order(replica string) int {
	return slices.IndexFunc(f.endpoints, func(at Endpoint) bool { return at.Name == replica })
}

func (f *findings) detail(e *entry) string {
	text := fmt.Sprintf("%d of %d right", e.made-e.failed, e.made)
	if e.made == 0 {
		text = "not applicable"
	}
	for _, part := range append(slices.Clone(e.problems), e.remark) {
		if part != "" {
			text += "; " + part
		}
	}
	return show.Clip(f.hide.Replace(text), detailLimit)
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
