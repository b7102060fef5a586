package dataset

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/splitmix"
)

// movingOf is a workload of some rows.
func movingOf(t *testing.T, rows Spec, spec *MoveSpec) (*Dataset, *Workload) {
	t.Helper()
	d, err := New(rows)
	if err != nil {
		t.Fatal(err)
	}
	w, err := d.Workload(WorkloadSpec{Dataset: rows, Seed: 3, Salt: "salt", HitRatio: 0.5, Lookups: Client, LengthPresent: -1, LengthAbsent: -1, Moves: spec})
	if err != nil {
		t.Fatal(err)
	}
	return d, w
}

func movingWorkload(t *testing.T, spec *MoveSpec) (*Dataset, *Workload) {
	t.Helper()
	return movingOf(t, Spec{Rows: 2000, Seed: 1, MinLength: 1, MaxLength: 255}, spec)
}

func keyOf(w *Workload, stream, n uint64) string {
	return strings.TrimPrefix(string(w.AppendTarget(nil, stream, n)), "/demo?name=")
}

// Each move concerns a row of its own, which is the answer to its name; new names exist nowhere, and no two moves share one.
func TestMoves(t *testing.T) {
	for _, rows := range []Spec{
		{Rows: 2000, Seed: 1, MinLength: 1, MaxLength: 255},
		{Rows: 500, Seed: 1, MinLength: 1, MaxLength: 5},
	} {
		d, _ := movingOf(t, rows, nil)
		all := d.Moves(MoveSpec{Secret: "5", Count: 90})
		ids, names := map[int64]bool{}, map[string]bool{}
		kinds, short, shared := map[string]int{}, 0, 0
		for _, m := range all {
			folded := []string{strings.ToLower(m.Old), strings.ToLower(m.New)}
			if kinds[m.Kind]++; ids[m.ID] || names[folded[0]] && m.Old != "" || names[folded[1]] && m.New != "" {
				t.Errorf("twice: %+v", m)
			}
			ids[m.ID], names[folded[0]], names[folded[1]] = true, true, true
			if _, exists := d.Lookup(m.New); m.New != "" && exists {
				t.Errorf("the new name exists: %+v", m)
			}
			if id, exists := d.Lookup(m.Old); m.Old != "" && (!exists || id != m.ID) {
				t.Errorf("the old name is row %d: %+v", id, m)
			}
			if (m.Kind == Inserted) != (m.Old == "") || (m.Kind == Deleted) != (m.New == "") {
				t.Errorf("%+v", m)
			}
			if len(m.Old+m.New) <= shortLength {
				short++
			}
			if m.Next > 0 {
				shared++
			}
		}
		if len(all) != 90 || kinds[Inserted] != 30 || kinds[Renamed] != 30 || kinds[Deleted] != 30 {
			t.Errorf("%d moves, kinds %v", len(all), kinds)
		}
		if rows.MaxLength == 5 && (short < 40 || shared == 0) {
			t.Errorf("%d short names move, %d that several rows have", short, shared)
		}
		if !slices.Equal(all, d.Moves(MoveSpec{Secret: "5", Count: 90})) || slices.Equal(all, d.Moves(MoveSpec{Secret: "6", Count: 90})) {
			t.Error("moves are not a function of their secret")
		}
	}
}

// Whatever has changed so far, what the table says is right, and of requests that a move concerns it says whether that was made.
func TestMovesAgainstTheTable(t *testing.T) {
	for name, rows := range map[string]Spec{
		"all lengths":           {Rows: 2000, Seed: 1, MinLength: 1, MaxLength: 255},
		"names of several rows": {Rows: 500, Seed: 1, MinLength: 1, MaxLength: 3},
	} {
		t.Run(name, func(t *testing.T) {
			spec := &MoveSpec{Secret: "5", Count: 60, Share: 0.2}
			d, w := movingOf(t, rows, spec)
			all := d.Moves(*spec)
			for _, made := range []int{0, 20, 60} {
				table := tableOf(d, all[:made])
				moving, shared := 0, 0
				for n := range uint64(3000) {
					key := keyOf(w, 1, n)
					id := table[strings.ToLower(key)]
					body := fmt.Appendf(nil, `{"name": %q, "exists": %v, "id": %s}`, key, id > 0, strings.Replace(fmt.Sprint(id), "0", "null", boolean(id == 0)))
					move := w.Moving(1, n)
					if move < 0 {
						if class := w.Check(1, n, 200, body); class != "" {
							t.Fatalf("request %d after %d moves: %s is called %s", n, made, body, class)
						}
						continue
					}
					moving++
					if all[move].Next > 0 {
						shared++
					}
					if after, exists, class := w.Moved(1, n, 200, body); class != "" || after != (move < made) || exists != (id > 0) {
						t.Fatalf("request %d after %d moves, move %d, %+v: %s is called %s, after %v, exists %v", n, made, move, all[move], body, class, after, exists)
					}
				}
				if moving < 300 || rows.MaxLength == 3 && shared == 0 {
					t.Errorf("%d requests for what changes, %d for names that several rows have: the test proves nothing", moving, shared)
				}
			}
		})
	}
}

func boolean(is bool) int {
	if is {
		return 1
	}
	return 0
}

// tableOf is the lowest id of each name, in lower case, after some moves.
func tableOf(d *Dataset, made []Move) map[string]int64 {
	names := map[int64]string{}
	for id := int64(1); id <= d.Rows(); id++ {
		names[id] = d.Name(id)
	}
	for _, m := range made {
		if names[m.ID] = m.New; m.New == "" {
			delete(names, m.ID)
		}
	}
	lowest := map[string]int64{}
	for id, name := range names {
		folded := strings.ToLower(name)
		if first := lowest[folded]; first == 0 || id < first {
			lowest[folded] = id
		}
	}
	return lowest
}

// The share of requests asks for what changes, half as many repeat in the same way and never change.
func TestMovingKeys(t *testing.T) {
	spec := &MoveSpec{Secret: "5", Count: 30, Share: 0.04}
	_, w := movingWorkload(t, spec)
	const n = 100_000
	moving, asked, times := 0, map[int]int{}, map[string]int{}
	for i := range uint64(n) {
		got := w.Moving(1, i)
		if times[keyOf(w, 1, i)]++; got >= 0 {
			moving++
			asked[got]++
		}
	}
	if moving < n*4/100 || moving > n*7/100 || len(asked) != 30 {
		t.Errorf("%d of %d requests ask for what changes, for %d of 30 moves", moving, n, len(asked))
	}
	for _, decoy := range w.moves.decoys {
		key, _, _ := w.keys.appendOf(nil, decoy)
		if got := times[string(key)]; got < n*4/100/30/2 {
			t.Errorf("%s never changes, and is asked for %d times", key, got)
		}
	}
	if _, still := movingWorkload(t, nil); still.Moving(1, 1) != -1 || len(w.moves.decoys) != 15 {
		t.Errorf("%d decoys", len(w.moves.decoys))
	}
}

// A third of the names are asked for only once they have changed, and as many of those that never change only from some time on.
func TestLateNames(t *testing.T) {
	const requests = 60_000
	spec := &MoveSpec{Secret: "5", Count: 300, Ahead: 60, Share: 0.2, Margin: 0.1, Asked: requests}
	_, w := movingOf(t, Spec{Rows: 100_000, Seed: 1, MinLength: 17, MaxLength: 255}, spec)
	first := map[string]float64{}
	for n := range uint64(requests) {
		key := keyOf(w, 1, n)
		if _, seen := first[key]; !seen {
			first[key] = float64(n) / requests
		}
	}
	late, asked := 0, 0
	for i, m := range w.moves.all {
		for _, name := range []string{m.Old, m.New} {
			at, seen := first[name]
			if name == "" || !seen {
				continue
			}
			if asked++; at > spec.At(i)+spec.Margin && i >= spec.Ahead {
				late++
			}
			if i < spec.Ahead && at > 0.2 {
				t.Errorf("move %d was made before the first request, and is first asked for after %v of the phase", i, at)
			}
		}
	}
	if late < asked/6 || late > asked/2 {
		t.Errorf("%d of %d names are asked for only after their change", late, asked)
	}
	late = 0
	for _, decoy := range w.moves.decoys {
		if key, _, _ := w.keys.appendOf(nil, decoy); first[string(key)] > 0.2 {
			late++
		}
	}
	if late < 25 || late > 75 {
		t.Errorf("%d of %d keys that never change are first asked for after the beginning", late, len(w.moves.decoys))
	}
}

// unfinalize is the inverse of splitmix.Finalize.
func unfinalize(z uint64) uint64 {
	z ^= z>>31 ^ z>>62
	z *= inverse(0x94d049bb133111eb)
	z ^= z>>27 ^ z>>54
	z *= inverse(0xbf58476d1ce4e5b9)
	return z ^ z>>30 ^ z>>60
}

// inverse is that of an odd number modulo 2^64.
func inverse(odd uint64) uint64 {
	x := odd
	for range 6 {
		x *= 2 - odd*x
	}
	return x
}

// seedOf is what a name of at least 17 characters was drawn from: one of the numbers that give its first eight characters.
func seedOf(d *Dataset, name string) (uint64, bool) {
	low, width := uint64(0), uint64(1)
	for i := 6; i >= 0; i -= 2 {
		low, width = low+width*uint64(strings.IndexByte(alphabet, name[i])*len(alphabet)+strings.IndexByte(alphabet, name[i+1])), width*uint64(pairCount)
	}
	hi, _ := bits.Div64(low, 0, width) // the least number whose scaled digits these are, or the one below it
	var buf [nameBuffer]byte
	for candidate := hi; candidate <= hi+90_000; candidate++ {
		seed := unfinalize(candidate) - splitmix.Gamma - splitmix.Gamma
		if string(d.pairs.appendName(buf[:0], seed, 16)) == name[:16] && d.length(seed) == len(name) {
			return seed, true
		}
	}
	return 0, false
}

// What one name was drawn from can be found out, and says nothing about another one: the states of the generator that would have
// drawn them one after another lie nowhere near each other.
func TestNamesDoNotGiveEachOtherAway(t *testing.T) {
	d, _ := movingWorkload(t, nil)
	var states []uint64
	for _, m := range d.Moves(MoveSpec{Secret: "5", Count: 12}) {
		if len(m.New) <= shortLength {
			continue
		}
		seed, found := seedOf(d, m.New)
		if !found {
			t.Fatalf("%s was drawn from nothing: the test proves nothing", m.New)
		}
		states = append(states, unfinalize(seed))
	}
	if len(states) < 5 {
		t.Fatalf("%d names: the test proves nothing", len(states))
	}
	for i, a := range states {
		for _, b := range states[:i] {
			steps := (a - b) * inverse(splitmix.Gamma)
			if steps = min(steps, -steps); steps < 1<<32 {
				t.Errorf("the states of two names are %d steps apart: they give all others away", steps)
			}
		}
	}
}

// An answer is right as it was before a move and as it is after; every other one is wrong.
func TestMovedAnswers(t *testing.T) {
	spec := &MoveSpec{Secret: "5", Count: 3, Share: 1}
	d, w := movingOf(t, Spec{Rows: 2000, Seed: 1, MinLength: 17, MaxLength: 255}, spec)
	seen := map[string]bool{}
	for n := range uint64(400) {
		if w.Moving(1, n) < 0 {
			continue // a decoy
		}
		m := d.Moves(*spec)[w.Moving(1, n)]
		name := keyOf(w, 1, n)
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
	spec := &MoveSpec{Secret: "5", Count: 90, Share: 0.6}
	d, w := movingOf(t, Spec{Rows: 6, Seed: 1, MinLength: 100, MaxLength: 255}, spec)
	few := len(d.Moves(*spec))
	if few == 0 || few > 12 {
		t.Fatalf("%d moves in 6 rows", few)
	}
	named := 0
	const n = 10_000
	for i := range uint64(n) {
		if w.ask(1, i).named {
			named++
		}
	}
	if want := n * 6 / 10 * few / 90; named < want*8/10 || named > want*12/10 {
		t.Errorf("%d of %d requests ask for what changes, want about %d", named, n, want)
	}
}
