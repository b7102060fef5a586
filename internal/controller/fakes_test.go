package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/fleet"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
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
	moveErr    error
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

func (w *world) Name() string            { return "fake" }
func (w *world) Machine() record.Machine { return w.machine }
func (w *world) Nodes() []record.Node    { return w.nodes }
func (w *world) Room(string) int64       { return w.room }
func (w *world) Others() []string        { return w.others }
func (w *world) Overhead() plan.Overhead { return w.overhead }
func (w *world) Hidden() bool            { return false }
func (w *world) Lost() error             { return w.lost }

// Yardstick has one core, and one time for each sample of a phase.
func (w *world) Yardstick(_ context.Context, file string) (collect.Source, error) {
	if err := w.call("yardstick"); w.work == nil || err != nil {
		return collect.Source{}, err
	}
	w.note("yardstick starts")
	return collect.Source{
		Tier: "yardstick", Process: &ruler{world: w, file: file}, Work: func() [][]int64 { return [][]int64{{w.work(time.Since(w.began))}} },
	}, os.WriteFile(file, nil, 0o600)
}

// ruler is the process of a yardstick.
type ruler struct {
	platform.Process
	world *world
	file  string
}

func (r *ruler) Name() string { return "yardstick" }
func (r *ruler) PIDs() []int  { return nil }
func (r *ruler) Stop(context.Context, time.Duration) error {
	_, err := os.Stat(r.file)
	r.world.note("yardstick ends, its file %v", err)
	return r.world.call("end of the yardstick")
}

func (w *world) Temporary(string) (string, func() error, error) {
	if err := w.call("temporary folder"); err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "controller-test-")
	w.temporary = dir
	return dir, func() error { return errors.Join(os.RemoveAll(dir), w.call("end of the folder")) }, err
}

func (w *world) Programs(context.Context, *plan.Plan, string) ([]record.Program, error) {
	return w.programs, w.call("programs")
}

func (w *world) Missing(context.Context, *plan.Plan, []*target.Recipe) ([]target.Need, error) {
	return w.lacking, w.call("missing")
}

func (w *world) Prepare(_ context.Context, r *target.Recipe, _ func(string, bool)) (*target.Prepared, error) {
	w.prepared = append(w.prepared, r.Title)
	return &target.Prepared{Recipe: r, Digest: w.digest}, w.call("prepare")
}

func (w *world) Balancer(context.Context, *plan.Plan) (record.BalancerInfo, error) {
	return record.BalancerInfo{Kind: "nginx"}, w.call("balancer")
}

func (w *world) Database(_ context.Context, s venue.Storage) (venue.Database, error) {
	if err := w.call("database"); err != nil {
		return nil, err
	}
	w.note("database starts")
	w.rows, w.less = s.Dataset, s.Less
	return &table{world: w}, nil
}

func (w *world) Sample(_ context.Context, every time.Duration, sources []collect.Source, _ collect.Status, sink func(record.Series) error) venue.Sampler {
	s := &sampling{world: w, sources: sources, sink: sink, phase: -1}
	if w.every = append(w.every, every); w.sampled != nil {
		s.err = w.sampled(len(w.every))
	}
	return s
}

// sampling looks at a machine of one core that the run itself never uses, when a phase begins and ends.
type sampling struct {
	world   *world
	sources []collect.Source
	sink    func(record.Series) error
	phase   int
	err     error
}

func (s *sampling) Phase(number int) {
	if number >= 0 {
		s.phase = number
	}
	defer func() { s.phase = number }()
	at := time.Since(s.world.began)
	since := func(f func(time.Duration) time.Duration) float64 {
		if f == nil {
			return 0
		}
		return float64(f(at))
	}
	for _, source := range s.sources {
		if source.Work != nil {
			s.err = errors.Join(s.err, s.sink(record.Series{At: time.Now(), Phase: s.phase, Tier: source.Tier, Name: source.Tier, WorkNS: source.Work()}))
		}
	}
	for _, of := range []string{"1", "2"} {
		if s.world.up != "" && s.world.pss > 0 {
			s.err = errors.Join(s.err, s.sink(record.Series{At: time.Now(), Phase: s.phase, Tier: "target", Name: s.world.up + "-" + of, PSSBytes: s.world.pss / 2}))
		}
	}
	foreign, stolen := since(s.world.foreign), since(s.world.stolen)
	s.err = errors.Join(s.err, s.sink(record.Series{At: time.Now(), Phase: s.phase, Tier: "host", Name: "host", RSSBytes: s.world.used, Values: map[string]float64{
		"cpus": 1, "user_ns": foreign, "steal_ns": stolen, "idle_ns": float64(at) - foreign - stolen, "strangers_ns": 0,
	}}))
	if s.world.up == "" {
		return
	}
	s.err = errors.Join(s.err, s.sink(record.Series{At: time.Now(), Phase: s.phase, Tier: "database", Name: "database", Values: s.world.underLoad()}))
}

func (s *sampling) Stop() error { return errors.Join(s.err, s.world.call("sampler")) }

// underLoad are the database's gauges, with the connections of each target that runs.
func (w *world) underLoad() map[string]float64 {
	values := map[string]float64{"connections": 20, database.TargetConnections: 0}
	for _, name := range w.running() {
		held := float64(w.act(name).held)
		values[database.TargetConnections] += held
		if account := w.accountOf(name); account != "" && held > 0 {
			values[database.ConnectionsOf(account)] = held
		}
	}
	return values
}

// running are the targets that run.
func (w *world) running() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for name, runs := range w.live {
		if runs {
			out = append(out, name)
		}
	}
	return out
}

// accountOf is a target's own account, empty where all share one.
func (w *world) accountOf(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shared {
		return ""
	}
	return w.users[name]
}

// between is something that takes a share of the core from one moment to another.
func between(from, until time.Duration, share float64) func(time.Duration) time.Duration {
	return func(at time.Duration) time.Duration {
		return time.Duration(share * float64(max(min(at, until)-from, 0)))
	}
}

// Deploy takes 3 s, less where it is interrupted.
func (w *world) Deploy(ctx context.Context, d venue.Deployment) (venue.Deployed, error) {
	name := d.Target.Name
	w.mu.Lock()
	w.at[name]++
	w.luck = append(w.luck, d.Luck)
	w.users[name], w.trust = d.Database.User, d.Trust
	w.mu.Unlock()
	w.note("start %s", name)
	if err := w.call("deploy"); err != nil {
		return &running{world: w, name: name}, err
	}
	select {
	case <-ctx.Done():
		return &running{world: w, name: name}, context.Cause(ctx)
	case <-time.After(3 * time.Second):
	}
	w.mu.Lock()
	w.up, w.live[name] = name, true
	w.mu.Unlock()
	return &running{world: w, name: name}, w.act(name).deploy
}

// act is what the target's present deployment does.
func (w *world) act(name string) act {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.at[name] - 1; n >= 0 && n < len(w.script[name]) {
		return w.script[name][n]
	}
	return act{}
}

const busyPID = 7

// only is a process known by nothing but its name and id.
type only struct {
	platform.Process
	name string
	pid  int
}

func (o only) Name() string { return o.name }
func (o only) PIDs() []int  { return []int{o.pid} }

// running is a deployed target.
type running struct {
	world *world
	name  string
}

func (r *running) URLs() []string { return []string{"http://" + r.name} }
func (r *running) Dial() []string { return r.world.dial }
func (r *running) Replicas() []record.Replica {
	worker := record.Worker{PID: 1, Connections: 3}
	if r.world.act(r.name).drops {
		worker.Connections = 0
	}
	var out []record.Replica
	for i := range r.world.pods {
		out = append(out, record.Replica{Name: fmt.Sprintf("%s-%d", r.name, i+1), Address: fmt.Sprintf("10.0.0.%d:1", i+1), Pod: fmt.Sprintf("pod-%d", i+1), Workers: []record.Worker{worker}})
	}
	if out != nil {
		return out
	}
	return []record.Replica{{Name: r.name + "-1", Address: "127.0.0.1:1", Workers: []record.Worker{worker}, HeldBy: r.world.heldBy, Others: r.world.containers}}
}

func (r *running) Requests(context.Context) (int64, error) {
	return r.world.requests[r.name], r.world.call("requests")
}

func (r *running) LogLines() (int64, error) { return r.world.lines[r.name], r.world.call("log lines") }

func (r *running) Intact() error {
	return cmp.Or(r.world.act(r.name).intact, r.world.call("intact"))
}

func (r *running) CountConnections() error {
	if err := r.world.call("count connections"); err != nil {
		return err
	}
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	r.world.counted = append(r.world.counted, time.Since(r.world.began))
	return r.world.countErr
}

func (r *running) Sources() []collect.Source {
	pid := 1
	if r.name == "flask" {
		pid = busyPID
	}
	return []collect.Source{{Tier: "target", Process: only{name: r.name + "-1", pid: pid}}}
}
func (r *running) Freeze(context.Context) error { return r.hold("freeze", true) }
func (r *running) Thaw(context.Context) error   { return r.hold("thaw", false) }
func (r *running) Redraw(context.Context) error {
	r.world.note("redraw %s", r.name)
	return cmp.Or(r.world.act(r.name).redraw, r.world.call("redraw"))
}

func (r *running) hold(name string, still bool) error {
	err := cmp.Or(r.world.act(r.name).still, r.world.call(name))
	if err == nil {
		r.world.frozen[r.name] = still
	}
	return err
}
func (r *running) Commands() []string { return []string{"start " + r.name} }
func (r *running) Stop(_ context.Context, grace time.Duration) error {
	if r.world.frozen[r.name] {
		r.world.note("MISTAKE: %s is frozen", r.name)
	}
	r.world.note("stop %s within %v", r.name, grace)
	r.world.mu.Lock()
	r.world.up = ""
	delete(r.world.live, r.name)
	r.world.mu.Unlock()
	act := r.world.act(r.name)
	if act.stopping != nil {
		act.stopping()
	}
	return cmp.Or(act.stop, r.world.call("stop"))
}

// check is the contract's.
func (w *world) check(_ context.Context, c *contract.Contract, when string, _ []contract.Endpoint, front string) (contract.Result, error) {
	name := strings.TrimPrefix(front, "http://")
	w.asked = append(w.asked, *c)
	w.note("check %s %s", name, when)
	if err := w.call("check"); err != nil {
		return contract.Result{}, err
	}
	act := w.act(name)
	if act.check != nil {
		return contract.Result{}, act.check
	}
	if act.checking != nil {
		if err := act.checking(when); err != nil {
			return contract.Result{}, err
		}
	}
	return contract.Result{Checks: []record.Check{{When: when, Name: "present keys", OK: act.fails != when}}, LengthPresent: 10, LengthAbsent: 20, Cookies: w.cookies}, nil
}

// table is the database.
type table struct {
	world          *world
	venue.Database // what the controller must not use
}

func (d *table) Fill(_ context.Context, rows *dataset.Dataset, _ func(done, total int64)) (database.Filled, error) {
	digest := d.world.filled
	if digest == "" {
		digest = rows.Digest()
	}
	return database.Filled{Digest: digest}, d.world.call("fill")
}

func (d *table) Lookup(context.Context, string) (int64, bool, error) {
	return 1, true, nil
}

func (d *table) Alone(_ context.Context, names []string) (time.Duration, error) {
	d.world.lookups = append(d.world.lookups, names...)
	return d.world.alone, d.world.call("alone")
}

func (d *table) Info(context.Context) (database.Info, error) {
	return d.world.info, d.world.call("info")
}

func (d *table) Check(context.Context, *dataset.Dataset) error {
	d.world.looks++
	if d.world.look != nil {
		return d.world.look(d.world.looks)
	}
	return d.world.call("look")
}

func (d *table) Digest(context.Context) (string, error) {
	if err := d.world.call("digest"); err != nil || d.world.ended != "" {
		return d.world.ended, err
	}
	return d.world.rows.Digest(), nil
}
func (d *table) Status(context.Context) (map[string]float64, error) { return nil, nil }
func (d *table) ConnectionCount(context.Context) (int, error) {
	sum := 0
	for _, n := range d.open() {
		sum += n
	}
	return sum, d.world.call("connection count")
}

func (d *table) Connections(context.Context) (map[string]int, error) {
	return d.open(), d.world.call("connections")
}

func (d *table) open() map[string]int {
	open := map[string]int{}
	for _, name := range d.world.running() {
		open[d.world.accountOf(name)] += max(1, d.world.act(name).open)
	}
	return open
}

// Account is account-1, account-2 and so on, in the order of the deployments.
func (d *table) Account(context.Context) (database.Account, error) {
	if err := d.world.call("account"); err != nil {
		return database.Account{}, err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	d.world.accounts++
	user := fmt.Sprintf("account-%d", d.world.accounts)
	d.world.open[user] = true
	return database.Account{Access: database.Access{User: user, Password: "secret"}, Own: !d.world.shared}, nil
}

func (d *table) Retire(_ context.Context, a database.Account) error {
	if err := d.world.call("retire"); err != nil {
		return err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	delete(d.world.open, a.User)
	return nil
}

func (d *table) Opens(_ context.Context, a database.Account) error {
	return cmp.Or(d.world.refused[a.User], d.world.call("opens"))
}

func (d *table) Busy(context.Context) ([]database.Session, error) {
	if err := d.world.call("busy"); err != nil {
		return nil, err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	return slices.Clone(d.world.under), nil
}

func (d *table) Locking(context.Context) ([]database.Session, error) {
	return slices.Clone(d.world.held), d.world.call("locking")
}

func (d *table) End(_ context.Context, sessions []database.Session) error {
	if err := d.world.call("end sessions"); err != nil {
		return err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	for _, one := range sessions {
		gone := func(s database.Session) bool { return s.ID == one.ID }
		d.world.closed = append(d.world.closed, one.ID)
		d.world.under, d.world.held = slices.DeleteFunc(d.world.under, gone), slices.DeleteFunc(d.world.held, gone)
	}
	return nil
}

func (d *table) BeginMoves(_ context.Context, moves []dataset.Move) error {
	fault := d.world.call("begin moves")
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	if d.world.journal > 0 {
		return errors.New("MISTAKE: moves of an earlier phase are not undone")
	}
	if d.world.journalErr == nil {
		d.world.journal = len(moves)
	}
	return cmp.Or(d.world.journalErr, fault)
}

func (d *table) Move(ctx context.Context, m dataset.Move) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d.world.moveTakes):
	}
	if err := d.world.call("move"); err != nil {
		return err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	d.world.moved = append(d.world.moved, m.Kind)
	return d.world.moveErr
}

func (d *table) UndoMoves(context.Context) error {
	if err := d.world.call("undo moves"); err != nil {
		return err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	d.world.undone++
	if d.world.undo != nil {
		if err := d.world.undo(d.world.undone); err != nil {
			return err
		}
	}
	d.world.journal = 0
	return nil
}

func (d *table) Tidy(context.Context) error { d.world.tidied++; return d.world.call("tidy") }

func (d *table) Process() platform.Process { return d.world.server }
func (d *table) Counters(context.Context) (database.Counters, error) {
	if err := d.world.call("counters"); err != nil {
		return database.Counters{}, err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	now := d.world.counters
	if d.world.behind != nil {
		now.Reads -= d.world.behind()
	}
	now.Running += int64(len(d.world.under))
	return now, nil
}

func (d *table) Stop(_ context.Context, grace time.Duration) error {
	d.world.note("database stops within %v", grace)
	return d.world.call("end of the database")
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
