package controller

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// recipes is the stage of targets that are deployed for the run: prepared
// targets, a filled database and a balancer.
type recipes struct {
	o        *Options
	entrants []*entrant // in plan order
	rows     *dataset.Dataset
	db       venue.Database // nil until it is open
	dbInfo   record.DatabaseInfo
	balancer record.BalancerInfo
	counted  database.Counters // at the last reading, while targets take turns
	command  string            // that started the private database, as a shell line
	meanings database.Meanings
	changing *mover // the rows that change in the phase under way; nil: none do
	owed     bool   // rows that changed are still to be put back

	mu     sync.Mutex             // guards logins and what is found of the targets
	logins map[string]*replicated // by the names of their accounts in the database, also of those that are gone
}

func newRecipes(o *Options) *recipes { return &recipes{o: o, logins: map[string]*replicated{}} }

// entrant is one target of the plan, prepared.
type entrant struct {
	plan     plan.Target
	recipe   *target.Recipe
	prepared *target.Prepared
	plan.Deployment
}

// prepare readies every target; it needs no database.
func (o *Options) prepare(ctx context.Context) ([]*entrant, error) {
	out := make([]*entrant, 0, len(o.Plan.Targets))
	done := map[string]*target.Prepared{}
	for _, t := range o.Plan.Targets {
		e, err := o.entrant(t)
		if err != nil {
			return nil, err
		}
		if out = append(out, e); t.Driver() {
			continue
		}
		key := strings.TrimSuffix(t.Recipe+"/"+t.Variant+"/"+t.Server, "/")
		if done[key] == nil {
			o.tell(record.Progress{Text: "preparing " + key})
			say := func(text string, passing bool) { o.tell(record.Progress{Text: text, Passing: passing}) }
			if done[key], err = o.Venue.Prepare(ctx, e.recipe, say); err != nil {
				return nil, err
			}
		}
		e.prepared = done[key]
	}
	return out, nil
}

// entrant resolves one target of the plan without preparing it.
func (o *Options) entrant(t plan.Target) (*entrant, error) {
	if t.Driver() {
		return o.driven(t)
	}
	recipe, err := o.recipe(t)
	if err == nil {
		recipe, err = recipe.On(t.Server)
	}
	if err == nil {
		recipe, err = recipe.With(t.Settings)
	}
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", t.Name, err)
	}
	return &entrant{plan: t, recipe: recipe, Deployment: o.Plan.Deployed(t)}, nil
}

func (o *Options) recipe(t plan.Target) (*target.Recipe, error) {
	switch {
	case !t.Folder():
		return target.Load(o.Recipes, t.Recipe, t.Variant)
	case filepath.IsAbs(t.Recipe):
		return target.LoadFolder(t.Recipe, t.Variant)
	}
	return target.LoadFolder(filepath.Join(o.PlanDir, t.Recipe), t.Variant)
}

// open prepares the targets and starts and fills the database.
func (s *recipes) open(ctx context.Context, dir string) (err error) {
	if s.entrants, err = s.o.prepare(ctx); err != nil {
		return err
	}
	if err := s.openFilled(ctx, dir); err != nil {
		return err
	}
	if err := s.noConnections(ctx); err != nil {
		return err
	}
	if err := s.timeLookup(ctx); err != nil {
		return err
	}
	s.balancer, err = s.o.Venue.Balancer(ctx, s.o.Plan)
	return err
}

// timedLookups is how many lookups say how long one takes.
const timedLookups = 50

// timeLookup notes how long a lookup takes while nothing else is asked, of names from all over the table. What statements take
// under load is compared with it.
func (s *recipes) timeLookup(ctx context.Context) error {
	names := make([]string, timedLookups)
	for i := range names {
		names[i] = s.rows.Name(1 + int64(i)*s.rows.Rows()/timedLookups)
	}
	took, err := s.db.Alone(ctx, names)
	s.dbInfo.LookupS = took.Seconds()
	return err
}

// ErrNoData is returned where the rows of a plan without any are asked for.
var ErrNoData = errors.New("the targets are running servers: the plan has no dataset")

// LoadData fills the plan's database, or the cache of private ones, and stops it again.
func LoadData(ctx context.Context, o Options) (info record.DatabaseInfo, err error) {
	dir, remove, err := o.Venue.Temporary("data")
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if o.Plan.Running() {
		return info, &PlanError{ErrNoData}
	}
	s := newRecipes(&o)
	if s.entrants, err = o.resolve(); err != nil {
		return info, err
	}
	o.decideTurns(s.entrants)
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	err = s.openFilled(ctx, dir)
	return s.dbInfo, err
}

// openFilled starts or opens the database and fills it.
func (s *recipes) openFilled(ctx context.Context, dir string) (err error) {
	s.rows, err = dataset.New(rowsOf(s.o.Plan))
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	if err := s.openDatabase(ctx, dir); err != nil {
		return err
	}
	return s.fill(ctx)
}

func (s *recipes) openDatabase(ctx context.Context, dir string) (err error) {
	doing := "starting a private database"
	if s.o.Plan.Database.Kind == "external" {
		doing = "opening the external database"
	}
	s.o.tell(record.Progress{Text: doing})
	s.db, err = s.o.Venue.Database(ctx, venue.Storage{
		Plan: s.o.Plan.Database, AllowHosts: s.o.Plan.AllowHosts, Dir: dir, Dataset: s.rows,
		Connections: s.o.connectionsNeeded(s.entrants),
		Less:        database.Less{Uncounted: s.o.Plan.Trust.Lookups == plan.Off, SharedAccount: s.o.Plan.Trust.Account == plan.Shared},
	})
	return err
}

// fill makes the table hold exactly the dataset and remembers how that went.
func (s *recipes) fill(ctx context.Context) error {
	start := time.Now()
	filled, err := s.db.Fill(ctx, s.rows, func(done, total int64) {
		s.o.tell(record.Progress{Text: fmt.Sprintf("filling the table: %d of %d rows", done, total)})
	})
	if err != nil {
		return fmt.Errorf("database: fill: %w", err)
	}
	if want := s.rows.Digest(); filled.Digest != want {
		return fmt.Errorf("database: fill: the digest of the table is %s, that of the rows %s", filled.Digest, want)
	}
	info, err := s.db.Info(ctx)
	if err != nil {
		return err
	}
	s.command, s.meanings = info.Command, info.Meanings
	if s.o.Plan.Database.Kind == "external" && info.CounterReason != "" {
		s.o.tell(record.Progress{Lasting: true, Text: fmt.Sprintf("the database's statements are counted by %s: %s", info.Counter, info.CounterReason)})
	}
	s.dbInfo = record.DatabaseInfo{
		Kind: s.o.Plan.Database.Kind, Vendor: info.Vendor, Version: info.Version, MaxConnections: info.MaxConnections,
		Settings: info.Settings, Collation: info.Collation, Counter: info.Counter, CounterReason: info.CounterReason,
		Rows: s.rows.Rows(), Digest: s.rows.Digest(), DigestAtFill: filled.Digest, FromCache: filled.FromCache,
		FillSeconds: time.Since(start).Seconds(), Uncounted: info.Meanings.Unused(), AccountReason: info.AccountReason, MovesReason: info.MovesReason,
	}
	return nil
}

// close stops the database.
func (s *recipes) close(ctx context.Context) error {
	if s.db == nil {
		return nil
	}
	patience := grace(ctx)
	ctx, cancel := teardown(ctx)
	defer cancel()
	back := s.putBack(ctx)
	if err := s.db.Stop(ctx, patience); err != nil {
		return errors.Join(back, fmt.Errorf("database: %w", err))
	}
	return back
}

// connectionsNeeded is the number of database connections that the greediest target may
// open, or all together where they take turns, with some to spare.
func (o *Options) connectionsNeeded(entrants []*entrant) int {
	most, sum := 0, 0
	for _, e := range entrants {
		n := e.counted(o.Plan.InFlight())
		most, sum = max(most, n), sum+n
	}
	if o.inTurns() == nil {
		return sum + spareConnections
	}
	return most + spareConnections
}

// together is how many all targets may open at once, with some to spare.
func (o *Options) together(entrants []*entrant) int {
	sum := 0
	for _, e := range entrants {
		sum += e.connections(o.Plan.InFlight())
	}
	return sum + spareConnections
}

// spareConnections are left for bakeoff itself and for connections that are just closing.
const spareConnections = 32

// connections is the greatest number of database connections of all replicas together.
func (e *entrant) connections(inFlight int) int {
	if !e.recipe.Bounded() {
		return inFlight
	}
	return e.Replicas * e.recipe.Connections(e.Workers, e.Pool, inFlight)
}

// counted is how many connections of the target the server of a run may count at once. One that is opened for each request is
// replaced as soon as the target has closed it. The server counts the old one until its thread has ended, which takes as long
// as others hold what that thread has to wait for, such as the lock of MySQL's status figures while these are read.
func (e *entrant) counted(inFlight int) int {
	n := e.connections(inFlight)
	if e.recipe.PerRequest() {
		n += max(n, closingConnections)
	}
	return n
}

// closingConnections are the least that may be just closing where each request has a connection of its own.
const closingConnections = 128

// sources are the process trees that outlive trials.
func (s *recipes) sources() []collect.Source {
	return []collect.Source{{Tier: "database", Process: s.db.Process()}}
}

// noticed is how long the end of a process may take to be noticed, after a request to it was refused.
const noticed = 500 * time.Millisecond

// ended says that the database's server has ended, if it has.
func (s *recipes) ended() error {
	if s.db == nil || s.db.Process() == nil {
		return nil
	}
	select {
	case <-s.db.Process().Done():
		return fmt.Errorf("the database server ended during the run: %s", s.db.Process().Exit())
	case <-time.After(noticed):
		return nil
	}
}

// gauges asks the database for its own.
func (s *recipes) gauges() collect.Status { return s.db.Status }

// look compares the table with the rows; quick. No statement of an earlier trial runs after that.
func (s *recipes) look(ctx context.Context) error {
	if err := errors.Join(s.alone(ctx), s.putBack(ctx)); err != nil {
		return err
	}
	return s.db.Check(ctx, s.rows)
}

// end reads the whole table back once more.
func (s *recipes) end(ctx context.Context, update func(func(*record.Run)) error) error {
	s.o.tell(record.Progress{Text: "reading the table back"})
	if err := s.putBack(ctx); err != nil {
		return err
	}
	digest, err := s.db.Digest(ctx)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := update(func(rec *record.Run) { rec.Database.DigestAtEnd = digest }); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	if want := s.rows.Digest(); digest != want {
		return fmt.Errorf("the table changed during the run: its digest is %s, not %s", digest, want)
	}
	return nil
}

// describe fills in the targets, the database and the balancer.
func (s *recipes) describe(rec *record.Run) {
	rec.Database, rec.Balancer = s.dbInfo, s.balancer
	for _, e := range s.entrants {
		rec.Targets = append(rec.Targets, e.info())
	}
	for _, line := range s.o.underBudget(s.entrants) {
		addNote(rec, line)
	}
}

// same refuses another database server, other rows, and recipes that have changed.
func (s *recipes) same(rec record.Run) error {
	if was, is := rec.Database, s.dbInfo; was.Version != "" && (was.Vendor != is.Vendor || was.Version != is.Version) {
		return fmt.Errorf("the run was started with %s %s, this is %s %s", was.Vendor, was.Version, is.Vendor, is.Version)
	}
	if was, is := rec.Database.Digest, s.dbInfo.Digest; was != "" && was != is {
		return fmt.Errorf("the run was started with other rows: the digest of those that this bakeoff makes from its dataset is %s, it was %s; start a new run", is, was)
	}
	for _, was := range rec.Targets {
		if is := s.entrantOf(was.Name).prepared; is.Digest != was.Digest {
			return fmt.Errorf("the recipe of %s has changed since the run began: digest %.12s, was %.12s", was.Name, is.Digest, was.Digest)
		}
	}
	return nil
}

func (s *recipes) entrantOf(name string) *entrant {
	for _, e := range s.entrants {
		if e.plan.Name == name {
			return e
		}
	}
	panic("controller: no target " + name + " in the plan it came from")
}

// info is the target as it is in run.json.
func (e *entrant) info() record.TargetInfo {
	pool := e.Pool
	if !e.recipe.Bounded() {
		pool = 0
	}
	return record.TargetInfo{
		Name: e.plan.Name, Kind: e.plan.Kind, Recipe: e.plan.Recipe, Variant: e.plan.Variant, Server: e.plan.Server, Title: e.recipe.Title, Tags: e.recipe.Tags,
		Replicas: e.Replicas, Workers: e.recipe.Processes(e.Workers), Pool: &pool, Protocol: e.recipe.Protocol,
		AccessLog: &e.AccessLog, Settings: e.recipe.Settings(e.Workers, e.Pool),
		Versions: e.prepared.Versions, Digest: e.prepared.Digest,
	}
}

func (s *recipes) owns() bool { return true }
