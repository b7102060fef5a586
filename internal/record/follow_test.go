package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/stats"
)

// eventsOf are all events of a run directory.
func eventsOf(t *testing.T, dir string) []Event {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, eventsFile))
	check(t, err)
	defer f.Close()
	var out []Event
	for l := range lines(f) {
		e, err := l.event()
		check(t, err)
		out = append(out, e)
	}
	return out
}

// name is an item as a word, to be compared.
func (i Item) name() string {
	switch {
	case i.Event != nil && i.Event.folder() != "":
		return i.Event.Kind + " " + i.Event.folder()
	case i.Event != nil:
		return fmt.Sprintf("%s %d", i.Event.Kind, i.Event.Sequence)
	case i.Load != nil:
		return fmt.Sprintf("%s load %d of agent %d", i.Trial, i.Load.Sequence, i.Load.Agent)
	case i.Series != nil:
		return fmt.Sprintf("%s series %d", i.Trial, i.Series.CPUNS)
	}
	return fmt.Sprintf("pause, live %v", i.Pause.Live)
}

// reading is a follower as a test drives it.
type reading struct {
	t    *testing.T
	next func() (Item, error, bool)
	stop func()
	at   Position
}

func read(t *testing.T, dir string, from Position) *reading {
	next, stop := iter.Pull2(Follow(t.Context(), dir, from))
	return &reading{t: t, next: next, stop: stop, at: from}
}

// untilPause are the names of all items before the next pause, and whether the run is then live.
func (r *reading) untilPause() (names []string, live bool) {
	r.t.Helper()
	for {
		i, err, ok := r.next()
		if !ok {
			r.t.Fatal("ended without a pause")
		}
		check(r.t, err)
		r.at = i.Position
		if i.Pause != nil {
			return names, i.Pause.Live
		}
		names = append(names, i.name())
	}
}

// turbulent is a run with everything that can happen to a trial: one abandoned, one aborted, one killed, each of
// them tried again after it was moved aside, and a second attempt.
func turbulent(t *testing.T) string {
	t.Helper()
	w, err := Create(memory(t), smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	check(t, err)
	order := smallOrder()
	check(t, writeTrial(w, order[0], 1, Valid))
	abandoned, err := w.BeginTrial(1, 1, "b", 1)
	check(t, err)
	check(t, abandoned.Load(loads(order[1])[0]))
	check(t, abandoned.Abandon("no reason"))
	check(t, writeTrial(w, order[1], 1, Invalid))
	check(t, writeTrial(w, order[2], 1, TrialAborted))
	killed, err := w.BeginTrial(2, 1, "a", 1)
	check(t, err)
	check(t, killed.Load(loads(order[3])[1]))
	check(t, w.Close())
	w, left, err := Resume(w.Dir(), smallDigest, began)
	check(t, err)
	for _, p := range left {
		check(t, writeTrial(w, p, 1, Valid))
	}
	check(t, writeTrial(w, Place{1, 3, "b"}, 2, Valid))
	check(t, w.Finish(Complete, ""))
	return w.Dir()
}

// names are the names of everything that Follow yields.
func names(t *testing.T, dir string, from Position) (out []string, at []Position) {
	t.Helper()
	for i, err := range Follow(t.Context(), dir, from) {
		check(t, err)
		out, at = append(out, i.name()), append(at, i.Position)
	}
	return out, at
}

// Of a run that has ended Follow yields every event and every line of each trial's last life, the lines before the
// event that ends it, then a pause, and ends.
func TestFollowFinishedRun(t *testing.T) {
	dir := turbulent(t)
	events := eventsOf(t, dir)
	kinds, last := map[string]int{}, map[string]int64{} // folder to the event that ends its last life
	for _, e := range events {
		kinds[e.Kind]++
		if e.Kind == EventTrial {
			last[e.folder()] = e.Sequence
		}
	}
	if len(last) != 6 || kinds[EventBegun] != 9 || kinds[EventTrial] != 7 || kinds[EventAbandoned] != 1 || kinds[EventResumed] != 1 {
		t.Fatalf("the run is not as turbulent as meant: %v, %v", kinds, last)
	}
	var want []string
	for _, e := range events {
		if last[e.folder()] == e.Sequence {
			place, _, _ := parseFolder(e.folder())
			for _, l := range loads(place) {
				want = append(want, Item{Trial: e.folder(), Load: &l}.name())
			}
			want = append(want, Item{Trial: e.folder(), Series: new(serie(place))}.name())
		}
		want = append(want, Item{Event: &e}.name())
	}
	want = append(want, "pause, live false")
	got, _ := names(t, dir, Position{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-written +followed)\n%s", diff)
	}
}

// From the position of any item Follow continues at the next one, in a copy of the run too, and as text.
func TestFollowFromEveryPosition(t *testing.T) {
	dir := turbulent(t)
	all, at := names(t, dir, Position{})
	copied := filepath.Join(memory(t), "copy")
	copyRun(t, dir, copied)
	for i, p := range at {
		from, err := ParsePosition(p.String())
		check(t, err)
		got, _ := names(t, copied, from)
		want := all[i+1:]
		if len(want) == 0 {
			want = all[i:] // a pause again: there is nothing more
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("from %s, behind %q (-all +from there)\n%s", p, all[i], diff)
		}
	}
}

// A reader sees a run grow: nothing twice, nothing left out, nothing half written, whatever becomes of a trial,
// and wherever the reader goes away and comes back.
func TestFollowLiveRun(t *testing.T) {
	scripts := 20
	if long() {
		scripts = 400
	}
	moves := map[string]int{}
	for seed := range scripts {
		synctest.Test(t, func(t *testing.T) {
			l := &liveRun{t: t, rng: rand.New(rand.NewPCG(1, uint64(seed))), moves: moves}
			l.run()
		})
	}
	for _, move := range []string{"begin", "load", "series", "progress", "finish", "abandon", "kill", "torn", "reconnect", "repeat"} {
		if moves[move] < scripts {
			t.Errorf("%s was made %d times in %d scripts", move, moves[move], scripts)
		}
	}
}

// liveRun is a run that is written at random while it is read.
type liveRun struct {
	t       *testing.T
	rng     *rand.Rand
	moves   map[string]int
	w       *Writer
	trials  map[string]*TrialWriter
	waiting map[string][]string // names of series that are in a writer's memory
	begun   map[string]bool     // folders of this run that were begun before
	number  int64
	want    []string        // names of what was written since the last look
	fresh   map[string]bool // folders begun since the last look
}

func (l *liveRun) run() {
	t := l.t
	var err error
	l.w, err = Create(memory(t), smallRun(), []byte(smallGiven), []byte(smallWhole), began)
	check(t, err)
	l.trials, l.waiting = map[string]*TrialWriter{}, map[string][]string{}
	l.begun, l.fresh = map[string]bool{}, map[string]bool{}
	r := read(t, l.w.Dir(), Position{})
	r.untilPause()
	for range 60 {
		for range 1 + l.rng.IntN(4) {
			l.move()
		}
		if len(l.want) == 0 { // else there would be no pause to wait for
			l.progress()
		}
		got, live := r.untilPause()
		if diff := cmp.Diff(sorted(l.want), sorted(got)); diff != "" || !live {
			t.Fatalf("live %v (-written +followed)\n%s", live, diff)
		}
		l.inOrder(got)
		under := map[string]bool{}
		for _, t := range r.at.trials {
			under[t.folder] = true
		}
		if diff := cmp.Diff(slices.Sorted(keysOf(l.trials)), slices.Sorted(keysOf(under))); diff != "" {
			t.Fatalf("under way (-written +position %s)\n%s", r.at, diff)
		}
		l.want, l.fresh = nil, map[string]bool{}
		if l.rng.IntN(5) == 0 {
			l.moves["reconnect"]++
			r.stop()
			r = read(t, l.w.Dir(), r.at)
			if again, _ := r.untilPause(); len(again) > 0 {
				t.Fatalf("given twice: %q", again)
			}
		}
	}
	check(t, l.w.Finish(Complete, ""))
	r.untilPause()
	if _, _, more := r.next(); more {
		t.Error("a complete run goes on")
	}
	r.stop()
	if p := mustOpen(t, l.w.Dir()).Problems(); len(p) > 0 {
		t.Errorf("problems %v", p)
	}
}

// inOrder checks that the lines of a trial lie between the events that begin and end it.
func (l *liveRun) inOrder(got []string) {
	l.t.Helper()
	ended := map[string]bool{}
	for i, name := range got {
		kind, folder, _ := strings.Cut(name, " ")
		switch kind {
		case EventTrial, EventAbandoned:
			ended[folder] = true
		case EventBegun:
			ended[folder] = false
		default:
			if ended[kind] || slices.Contains(got[i:], EventBegun+" "+kind) && !slices.Contains(got[:i], EventBegun+" "+kind) && !l.begun[kind] {
				l.t.Fatalf("%s lies outside its trial: %q", name, got)
			}
		}
	}
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// event notes that an event was written.
func (l *liveRun) event(kind, folder string) {
	name := kind + " " + folder
	if folder == "" {
		name = fmt.Sprintf("%s %d", kind, l.w.sequence)
	}
	l.want = append(l.want, name)
}

func (l *liveRun) did(move string, err error) {
	l.t.Helper()
	check(l.t, err)
	l.moves[move]++
}

// move does one thing that a writer may do.
func (l *liveRun) move() {
	open := slices.Sorted(keysOf(l.trials))
	n := l.rng.IntN(20)
	switch {
	case n == 0:
		l.die()
	case n < 3:
		l.progress()
	case len(open) == 0 || n < 5 && len(open) < 3:
		l.begin()
	case n < 12:
		l.line(open[l.rng.IntN(len(open))], "load")
	case n < 17:
		l.line(open[l.rng.IntN(len(open))], "series")
	default:
		l.end(open[l.rng.IntN(len(open))], n == 17)
	}
}

func keysOf[V any](m map[string]V) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (l *liveRun) progress() {
	l.did("progress", l.w.Progress(Progress{Text: "something"}))
	l.event(EventProgress, "")
}

func (l *liveRun) begin() {
	block, target := 1+l.rng.IntN(6), string(rune('a'+l.rng.IntN(2)))
	folder := trialFolder(block, 1, target, 1)
	if l.trials[folder] != nil || l.w.finished[folder] {
		return
	}
	trial, err := l.w.BeginTrial(block, 1, target, 1)
	l.did("begin", err)
	if l.begun[folder] {
		l.moves["repeat"]++
	}
	l.aside(folder)
	l.begun[folder], l.fresh[folder], l.trials[folder] = true, true, trial
	l.event(EventBegun, folder)
}

// aside notes that a folder was moved aside: lines of a trial that began and went between two looks are not seen.
func (l *liveRun) aside(folder string) {
	if !l.fresh[folder] {
		return
	}
	kept := l.want[:0]
	fresh := false
	for i, name := range l.want {
		fresh = fresh || name == EventBegun+" "+folder && !slices.Contains(l.want[i+1:], name)
		if !fresh || !strings.HasPrefix(name, folder+" ") {
			kept = append(kept, name)
		}
	}
	l.want = kept
}

func (l *liveRun) line(folder, kind string) {
	l.number++
	name := fmt.Sprintf("%s series %d", folder, l.number)
	if kind == "series" {
		l.did("series", l.trials[folder].Series(Series{Tier: "host", Name: "host", CPUNS: l.number}))
		l.waiting[folder] = append(l.waiting[folder], name)
		return
	}
	l.did("load", l.trials[folder].Load(Load{Agent: 1, Sequence: l.number}))
	l.want = append(l.want, fmt.Sprintf("%s load %d of agent 1", folder, l.number))
	l.flushed(folder)
}

// flushed notes that the series of a trial have left its writer.
func (l *liveRun) flushed(folder string) {
	l.want = append(l.want, l.waiting[folder]...)
	delete(l.waiting, folder)
}

func (l *liveRun) end(folder string, abandon bool) {
	l.flushed(folder)
	if abandon {
		l.did("abandon", l.trials[folder].Abandon("no reason"))
		l.event(EventAbandoned, folder)
	} else {
		l.did("finish", l.trials[folder].Finish(Trial{Status: []string{Valid, Invalid, TrialAborted}[l.rng.IntN(3)]}))
		l.event(EventTrial, folder)
	}
	delete(l.trials, folder)
}

// die ends the writer as a kill does, perhaps amid its lines, and takes the run up again.
func (l *liveRun) die() {
	check(l.t, l.w.Close())
	torn := []string{filepath.Join(l.w.Dir(), eventsFile)}
	for _, trial := range l.trials {
		torn = append(torn, filepath.Join(trial.dir, loadFile))
		check(l.t, trial.closeFiles())
	}
	if l.rng.IntN(2) == 0 {
		for _, path := range torn {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			check(l.t, err)
			_, err = f.WriteString(`{"crc32c":"1234`)
			l.did("torn", errors.Join(err, f.Close()))
		}
	}
	for folder := range l.fresh {
		if !l.w.finished[folder] {
			l.aside(folder)
		}
	}
	before := l.w.sequence
	w, _, err := Resume(l.w.Dir(), smallDigest, began)
	l.did("kill", err)
	l.w, l.trials, l.waiting = w, map[string]*TrialWriter{}, map[string][]string{}
	l.want = append(l.want, fmt.Sprintf("%s %d", EventRun, before+1), fmt.Sprintf("%s %d", EventResumed, before+2))
}

// A trial that is begun again while a reader is about to open its files is not taken for the one before.
func TestFollowBegunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := Create(memory(t), smallRun(), nil, nil, began)
		check(t, err)
		defer w.Close()
		check(t, w.Progress(Progress{Text: "before"}))
		trial, err := w.BeginTrial(1, 1, "a", 1)
		check(t, err)
		check(t, trial.Load(Load{Agent: 1, Sequence: 1}))
		r := read(t, w.Dir(), Position{})
		defer r.stop()
		for { // up to the event before, with the beginning known
			i, err, _ := r.next()
			check(t, err)
			if i.Event != nil && i.Event.Kind == EventProgress {
				break
			}
		}
		check(t, trial.Abandon("again"))
		trial, err = w.BeginTrial(1, 1, "a", 1)
		check(t, err)
		check(t, trial.Load(Load{Agent: 1, Sequence: 2}))
		var got []string
		for range 2 {
			more, _ := r.untilPause()
			if got = append(got, more...); slices.Contains(got, "1-1-a load 2 of agent 1") {
				break
			}
		}
		want := []string{EventBegun + " 1-1-a", EventAbandoned + " 1-1-a", EventBegun + " 1-1-a", "1-1-a load 2 of agent 1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// What is damaged is yielded as an error that names file and place, and the rest follows.
func TestFollowPassesDamage(t *testing.T) {
	dir := turbulent(t)
	all, _ := names(t, dir, Position{})
	for _, name := range []string{eventsFile, "trials/1-3-b.2/load.jsonl"} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		check(t, err)
		broken := slices.Clone(whole)
		broken[60] ^= 1
		check(t, os.WriteFile(path, broken, 0o600))
		var got []string
		var errs []error
		for i, err := range Follow(t.Context(), dir, Position{}) {
			if errs = append(errs, err); err == nil {
				got = append(got, i.name())
			}
		}
		errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
		var line *LineError
		if len(errs) != 1 || !errors.As(errs[0], &line) || line.File != path || line.Offset != 0 || len(got) != len(all)-1 {
			t.Errorf("%s: errors %v, %d of %d items", name, errs, len(got), len(all))
		}
		check(t, os.WriteFile(path, whole, 0o600))
	}
}

// Follow reads nothing of a finished trial but its lines: neither trial.json nor logs.
func TestFollowProvesNothing(t *testing.T) {
	dir := turbulent(t)
	all, _ := names(t, dir, Position{})
	for _, name := range files(t, dir) {
		if base := filepath.Base(name); base == trialFile || base == "target.log" || base == runFile {
			check(t, os.Remove(filepath.Join(dir, name)))
		}
	}
	if got, _ := names(t, dir, Position{}); !slices.Equal(all, got) {
		t.Errorf("%d items, %d before", len(got), len(all))
	}
}

// Older versions wrote no event where a trial begins: its lines are given all the same, those of one that was
// never finished too.
func TestFollowWithoutBeginnings(t *testing.T) {
	dir := smallRunIn(t, false)
	w, left, err := Resume(dir, smallDigest, began)
	check(t, err)
	trial, err := w.BeginTrial(left[0].Block, left[0].Position, left[0].Target, 1)
	check(t, err)
	check(t, trial.Load(loads(left[0])[0]))
	check(t, errors.Join(trial.closeFiles(), w.Close()))
	rewriteEvents(t, dir, func(e Event) bool { return e.Kind != EventBegun })

	r := read(t, dir, Position{})
	defer r.stop()
	got, live := r.untilPause()
	lines := map[string]int{}
	for i, name := range got {
		folder, _, line := strings.Cut(name, " load ")
		if !line {
			continue
		}
		lines[folder]++
		if end := slices.Index(got, EventTrial+" "+folder); end >= 0 && end < i {
			t.Errorf("%s comes after the end of its trial", name)
		}
	}
	if diff := cmp.Diff(map[string]int{"0-1-a": 2, "1-1-b": 2, "1-2-a": 2, "2-1-a": 1}, lines); diff != "" || live {
		t.Errorf("live %v, lines (-want +got)\n%s", live, diff)
	}
}

// A run whose first event is not written yet is followed: its format is not known, which is no other version.
func TestFollowBeforeTheFirstEvent(t *testing.T) {
	dir := memory(t)
	check(t, os.WriteFile(filepath.Join(dir, eventsFile), nil, fileMode))
	r := read(t, dir, Position{})
	defer r.stop()
	if names, live := r.untilPause(); len(names) > 0 || live {
		t.Errorf("%q, live %v", names, live)
	}
}

// rewriteEvents leaves those events that are kept, with new numbers.
func rewriteEvents(t *testing.T, dir string, keep func(Event) bool) {
	t.Helper()
	var out []byte
	n := int64(0)
	for _, e := range eventsOf(t, dir) {
		if keep(e) {
			n++
			e.Sequence = n
			out = append(out, frame(asJSON(t, e))...)
		}
	}
	check(t, os.WriteFile(filepath.Join(dir, eventsFile), out, fileMode))
}

// However long a trial is, a reader keeps one line of it.
func TestFollowMemory(t *testing.T) {
	w, err := Create(memory(t), smallRun(), nil, nil, began)
	check(t, err)
	trial, err := w.BeginTrial(1, 1, "a", 1)
	check(t, err)
	const windows = 20_000
	line := Load{Window: stats.Window{Outcomes: map[string]int64{strings.Repeat("x", 500): 1}}}
	for range windows {
		check(t, trial.Load(line))
	}
	check(t, trial.Finish(Trial{Status: Valid}))
	check(t, w.Finish(Complete, ""))
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	n, early, late := 0, uint64(0), uint64(0)
	for i, err := range Follow(t.Context(), w.Dir(), Position{}) {
		check(t, err)
		if i.Load == nil {
			continue
		}
		switch n++; n {
		case windows / 100:
			early = live()
		case windows:
			late = live()
		}
	}
	if n != windows || late > early+1<<20 {
		t.Errorf("%d windows, %d bytes live after a hundredth, %d at the end", n, early, late)
	}
}

// A run of format 1 is followed too: the windows are those that a reader of the whole run gets.
func TestFollowFormat1(t *testing.T) {
	var want, got []string
	for _, trial := range mustOpen(t, old).Trials() {
		for l, err := range trial.Loads() {
			check(t, err)
			want = append(want, trial.Folder+string(asJSON(t, l)))
		}
	}
	for i, err := range Follow(t.Context(), old, Position{}) {
		check(t, err)
		if i.Load != nil {
			got = append(got, i.Trial+string(asJSON(t, i.Load)))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 12 {
		t.Errorf("%d lines (-opened +followed)\n%s", len(want), diff)
	}
}

func TestFollowRefuses(t *testing.T) {
	dir := turbulent(t)
	for from, want := range map[string]error{"3": ErrPosition, "99999999": ErrPosition, "0": nil} {
		p, err := ParsePosition(from)
		check(t, err)
		for _, err := range Follow(t.Context(), dir, p) {
			if !errors.Is(err, want) {
				t.Errorf("from %s: %v, want %v", from, err, want)
			}
			break
		}
	}
	for _, err := range Follow(t.Context(), t.TempDir(), Position{}) {
		if !errors.Is(err, ErrNoRun) {
			t.Errorf("without a run: %v", err)
		}
	}
	for _, text := range []string{"x", "-1", "5,1-1-a:0:0", "5,1-1-a:0:0:-1", "5,../x:0:0:0", "5,1-1-a/..:0:0:0", "5,1-1-a:-2:0:0", ","} {
		if p, err := ParsePosition(text); err == nil {
			t.Errorf("%q was taken as %v", text, p)
		}
	}
}

// The reader's context ends the reading at once, in the middle of a run and while it waits.
func TestFollowEndsWithItsContext(t *testing.T) {
	dir := smallRunIn(t, false)
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []int{0, 3, 1000} {
			ctx, cancel := context.WithCancel(t.Context())
			n := 0
			for i, err := range Follow(ctx, dir, Position{}) {
				check(t, err)
				if n++; n > after || i.Pause != nil {
					cancel()
				}
			}
			if after < 1000 && n != after+1 || n < after/100 {
				t.Errorf("%d items, cancelled after %d", n, after)
			}
			cancel()
		}
	})
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	check(t, err)
	return raw
}
