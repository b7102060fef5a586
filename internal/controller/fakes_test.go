package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/contract"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/target"
)

// world is a venue, a database, deployed targets and a loader in one, without
// a process: what each does is scripted, and what was asked of it is noted. Time passes only where it
// would in truth: in the deployments, the loads and the waits of the controller.
type world struct {
	lost       error // of the venue
	machine    record.Machine
	nodes      []record.Node // that it has from the first deployment on
	room       int64
	others     []string
	lacking    []target.Need
	stolen     func(at time.Duration) time.Duration // of the one core, since the beginning; nil: nothing
	foreign    func(at time.Duration) time.Duration // likewise, used by others
	blind      func(at time.Duration) bool          // whether a sample of the machine fails then; nil: none does
	work       func(at time.Duration) int64         // CPU time of the yardstick's work, in nanoseconds; nil: there is none
	began      time.Time
	mu         sync.Mutex    // guards notes and deployments: targets are started, redrawn and stopped side by side
	digest     string        // of the recipes
	lookups    []string      // names whose lookups were timed
	alone      time.Duration // that one of them takes
	programs   []record.Program
	script     map[string][]act // by target, for each of its deployments; those beyond are good
	at         map[string]int   // deployments so far
	up         string           // the target that was deployed last and runs
	live       map[string]bool  // targets that run
	notes      []string         // what happened, in order
	luck       []record.Luck    // of each deployment
	events     []record.Progress
	tasks      []fleet.Task
	inTurns    []fleet.Task // those of targets that took turns
	healed     int
	counters   database.Counters
	requests   map[string]int64 // that each target's balancer has taken
	dial       []string         // where each target is reached
	pods       int              // replicas of each target in pods; 0: there is one, and no pod
	cookies    []string         // that balancers set
	frozen     map[string]bool
	lines      map[string]int64 // in each target's logs
	pss        int64            // of each target, in two replicas
	used       int64            // of the machine's memory
	busy       float64          // cores that flask uses, in any target's turn
	rests      time.Duration    // since the beginning: when it stops that; 0: never
	pending    int64            // statements that come with the next slice of any target
	rows       *dataset.Dataset
	info       database.Info
	filled     string            // digest at the fill; empty: that of the rows
	ended      string            // digest at the end; empty: that of the rows
	look       func(n int) error // of the n-th look at the table
	looks      int
	extra      int64              // statements beyond the reads so far
	accounts   int                // that were made
	shared     bool               // none may be made: all targets have the same
	open       map[string]bool    // accounts that were not retired
	users      map[string]string  // by target: its last account
	refused    map[string]error   // by account: what logging in comes to
	under      []database.Session // on which statements run; held: that hold locks
	held       []database.Session
	closed     []int64 // sessions that were ended
	tidied     int
	journal    int      // rows that are to be put back
	moved      []string // kinds of moves that were made
	journalErr error
	batches    int               // that moves were made in, or tried
	moving     func(n int) error // what becomes of them; nil: they are made
	moveTakes  time.Duration
	undo       func(n int) error // of the n-th time that rows are put back
	undone     int
	closing    error            // of the loader's end
	counted    []time.Duration  // since the start: when connections of workers were counted
	countErr   error            // of that
	server     platform.Process // of the database; nil: somebody else's
	overhead   plan.Overhead
	every      []time.Duration     // between samples, of each sampler
	sampled    func(n int) error   // what the n-th sampler ends with; nil: nothing
	prepared   []string            // recipes, in order
	asked      []contract.Contract // checks, in order
	heldBy     string              // how processes of targets are held, under bakeoff's own account; empty: under another one
	behind     func() int64        // statements that the database has not counted yet; nil: none
	less       database.Less
	trust      plan.Trust              // of the last deployment
	logDir     string                  // likewise
	called     func(name string) error // what is asked of the world ends with; nil: nothing goes wrong
	temporary  string                  // the folder that was made
	containers []string                // of others, in each pod
}

// call is what the controller asks by that name: anything that may fail.
func (w *world) call(name string) error {
	if w.called == nil {
		return nil
	}
	return w.called(name)
}

// act is what goes wrong with one deployment; the zero value is a good one.
type act struct {
	deploy   error
	image    string // of its replicas
	open     int    // database connections after the start
	drops    bool   // it closes every connection after its answer
	held     int    // database connections under load
	fails    string // the contract check that fails: before or after
	check    error  // a check that cannot be made
	checking func(when string) error
	phase    func(*phaseFaked) // changes what a phase comes to
	intact   error
	stop     error
	stopping func() // called in each stop
	freezing func() // likewise, before it is frozen
	still    error  // of Freeze and Thaw
	redraw   error
}

// phaseFaked is what one phase comes to.
type phaseFaked struct {
	task     fleet.Task
	books    stats.Books
	late     time.Duration // of every arrival
	missed   time.Duration // of a slice: by so much an agent missed its start
	longer   time.Duration // of a slice: by so much a stall extends it
	took     time.Duration // response time of every answer; 0: none is recorded
	outcomes map[string]int64
	slower   float64 // times the response time in the second half; 0: one window for all
	inFlight float64 // times what the service times come to; 0: 1
	reads    int64
	pending  int64 // of a slice: statements that come late
	requests int64
	executed int64                                        // prepared statements
	extra    int64                                        // statements that touched the table beyond the reads
	seen     func() map[int]stats.MoveSeen                // of rows that change; nil: nothing
	lines    int64                                        // written to the log
	by       map[string]int64                             // right answers, by what they say of who gave them; nil: none says it
	answers  func(counted time.Duration, parts int) int64 // of a slice: of each of its windows in turn; nil: all as many
	each     []int64                                      // what that said
	lost     []fleet.Lost
	err      error
}

func newWorld() *world {
	return &world{
		machine: record.Machine{CPU: "fake", Cores: 2, Kernel: "6", Fingerprint: "here"}, room: 1 << 40, began: time.Now(),
		digest: "0123456789abcdef", script: map[string][]act{}, at: map[string]int{}, requests: map[string]int64{}, live: map[string]bool{}, open: map[string]bool{}, users: map[string]string{}, refused: map[string]error{}, frozen: map[string]bool{}, lines: map[string]int64{},
		info: database.Info{Vendor: "mariadb", Version: "10", MaxConnections: 200, Meanings: database.Meanings{
			database.Statements: {Counter: "commits", Counts: database.PerLookup, Used: true},
		}},
	}
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// options are those of a run in this world.
func (w *world) options(t *testing.T, lines string) Options {
	t.Helper()
	p, err := plan.Load("test.yaml", []byte("name: test\ndataset: {rows: 1000}\n"+lines))
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Plan: p, PlanGiven: []byte(lines), Recipes: os.DirFS("../../targets"), Venue: w, Out: t.TempDir(), Version: "1",
		Load: func(context.Context, string, func(string)) (Loader, error) {
			if err := w.call("agents"); err != nil {
				return nil, err
			}
			w.note("agents start")
			return &loading{w}, nil
		},
		Progress: func(e record.Progress) { w.events = append(w.events, e) },
		Checked:  w.check,
	}
}

func (w *world) Clock(pids []int) time.Duration {
	if slices.Contains(pids, busyPID) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.rests > 0 {
			return time.Duration(w.busy * float64(w.rests))
		}
		return time.Duration(w.busy * float64(time.Since(w.began)))
	}
	return 0
}

// rest ends what flask does.
func (w *world) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rests = time.Since(w.began)
}

// happened are the notes that begin with one of the words, without the time they name.
func (w *world) happened(words ...string) []string {
	var out []string
	for _, n := range w.notes {
		if slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(n, word) }) {
			n, _, _ = strings.Cut(n, " within")
			out = append(out, n)
		}
	}
	return out
}

// trials are those of a run directory in the order of their folders, as "block-position-target
// status code,code".
func trialsOf(t *testing.T, dir string) []string {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, reason := range trial.Reasons {
			codes = append(codes, reason.Code)
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%d-%d-%s %s %s", trial.Block, trial.Position, trial.Target, trial.Status, strings.Join(codes, ","))))
	}
	return out
}

// runOf is run.json of a run directory.
func runOf(t *testing.T, dir string) record.Run {
	t.Helper()
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r.Run()
}

var errFaked = errors.New("faked")
