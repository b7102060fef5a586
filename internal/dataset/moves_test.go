package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func movingWorkload(t *testing.T, spec *MoveSpec) (*Dataset, *Workload) {
	t.Helper()
	rows := Spec{Rows: 2000, Seed: 1, MinLength: 1, MaxLength: 255}
	d, err := New(rows)
	if err != nil {
		t.Fatal(err)
	}
	w, err := d.Workload(WorkloadSpec{Dataset: rows, Seed: 3, HitRatio: 0.5, Lookups: Client, LengthPresent: -1, LengthAbsent: -1, Moves: spec})
	if err != nil {
		t.Fatal(err)
	}
	return d, w
}

// Each move concerns a row of its own; names are new, or those of rows that no other row shares.
func TestMoves(t *testing.T) {
	d, _ := movingWorkload(t, nil)
	all := d.Moves(MoveSpec{Seed: 5, Count: 90})
	ids, names := map[int64]bool{}, map[string]bool{}
	kinds := map[string]int{}
	for _, m := range all {
		if kinds[m.Kind]++; ids[m.ID] || names[m.Old] && m.Old != "" || names[m.New] && m.New != "" {
			t.Errorf("twice: %+v", m)
		}
		ids[m.ID], names[m.Old], names[m.New] = true, true, true
		if _, exists := d.Lookup(m.New); m.New != "" && exists {
			t.Errorf("the new name exists: %+v", m)
		}
		if id, exists := d.Lookup(m.Old); m.Old != "" && (!exists || id != m.ID) {
			t.Errorf("the old name is row %d: %+v", id, m)
		}
		if (m.Kind == Inserted) != (m.Old == "") || (m.Kind == Deleted) != (m.New == "") {
			t.Errorf("%+v", m)
		}
	}
	if len(all) != 90 || kinds[Inserted] != 30 || kinds[Renamed] != 30 || kinds[Deleted] != 30 {
		t.Errorf("%d moves, kinds %v", len(all), kinds)
	}
	if !slices.Equal(all, d.Moves(MoveSpec{Seed: 5, Count: 90})) || slices.Equal(all, d.Moves(MoveSpec{Seed: 6, Count: 90})) {
		t.Error("moves are not a function of their seed")
	}
}

// The share of requests asks for what changes, and no other request asks for a row that does.
func TestMovingKeys(t *testing.T) {
	spec := &MoveSpec{Seed: 5, Count: 30, Share: 0.04}
	d, w := movingWorkload(t, spec)
	all := d.Moves(*spec)
	concerned := map[string]int{}
	for i, m := range all {
		for _, name := range []string{m.Old, m.New} {
			if name != "" {
				concerned[name] = i
			}
		}
	}
	const n = 100_000
	moving, asked := 0, map[int]int{}
	for i := range uint64(n) {
		name := strings.TrimPrefix(string(w.AppendTarget(nil, 1, i)), "/demo?name=")
		want, changes := concerned[name]
		got := w.Moving(1, i)
		if changes != (got >= 0) || changes && got != want {
			t.Fatalf("request %d for %s: move %d, want %d %v", i, name, got, want, changes)
		}
		if got >= 0 {
			moving++
			asked[got]++
		}
	}
	if moving < n*4/100 || moving > n*7/100 || len(asked) != len(all) {
		t.Errorf("%d of %d requests ask for what changes, for %d of %d moves", moving, n, len(asked), len(all))
	}
	if _, still := movingWorkload(t, nil); still.Moving(1, 1) != -1 {
		t.Error("nothing changes, and is asked for")
	}
}

// An answer is right as it was before a move and as it is after; every other one is wrong.
func TestMovedAnswers(t *testing.T) {
	spec := &MoveSpec{Seed: 5, Count: 3, Share: 1}
	d, w := movingWorkload(t, spec)
	seen := map[string]bool{}
	for n := range uint64(200) {
		m := d.Moves(*spec)[w.Moving(1, n)]
		name := strings.TrimPrefix(string(w.AppendTarget(nil, 1, n)), "/demo?name=")
		renamed := name == m.New
		if seen[m.Kind+fmt.Sprint(renamed)] {
			continue
		}
		seen[m.Kind+fmt.Sprint(renamed)] = true
		present, absent := fmt.Sprintf(`{"name": %q, "exists": true, "id": %d}`, name, m.ID), fmt.Sprintf(`{"name": %q, "exists": false, "id": null}`, name)
		for _, c := range []struct {
			body          string
			status        int
			after, exists bool
			class         string
		}{
			{present, 200, renamed, true, ""},
			{absent, 200, !renamed, false, ""},
			{fmt.Sprintf(`{"name": %q, "exists": true, "id": %d}`, name, m.ID+1), 200, false, false, "wrong id"},
			{`{"name": "other", "exists": false, "id": null}`, 200, false, false, "wrong name"},
			{present, 500, false, false, "status 500"},
			{"x", 200, false, false, "not json"},
		} {
			after, exists, class := w.Moved(1, n, c.status, []byte(c.body))
			if class != c.class || class == "" && (after != c.after || exists != c.exists) {
				t.Errorf("%+v asked for %s, answered %d %s: after %v, exists %v, %q", m, name, c.status, c.body, after, exists, class)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("asked for %v", seen)
	}
}

// Where fewer rows can change than are to, those are not asked for the more often.
func TestFewMoves(t *testing.T) {
	rows := Spec{Rows: 6, Seed: 1, MinLength: 100, MaxLength: 255}
	d, err := New(rows)
	if err != nil {
		t.Fatal(err)
	}
	spec := &MoveSpec{Seed: 5, Count: 90, Share: 0.9}
	w, err := d.Workload(WorkloadSpec{Dataset: rows, Seed: 3, Lookups: Client, LengthPresent: -1, LengthAbsent: -1, Moves: spec})
	if err != nil {
		t.Fatal(err)
	}
	few := len(d.Moves(*spec))
	if few == 0 || few > 12 {
		t.Fatalf("%d moves in 6 rows", few)
	}
	moving := 0
	const n = 10_000
	for i := range uint64(n) {
		if w.Moving(1, i) >= 0 {
			moving++
		}
	}
	if want := n * 9 / 10 * few / 90; moving < want*8/10 || moving > want*12/10 {
		t.Errorf("%d of %d requests ask for what changes, want about %d", moving, n, want)
	}
}
