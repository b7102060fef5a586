package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"bakeoff/internal/balancer"
	"bakeoff/internal/collect"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
)

// recipes is the stage of targets that are deployed for the run: prepared
// targets, a filled database and a balancer.
type recipes struct {
	o        *Options
	entrants []*entrant // in plan order
	rows     *dataset.Dataset
	db       *database.Server
	dbInfo   record.DatabaseInfo
	balancer record.BalancerInfo
	command  string // that started the private database, as a shell line
}

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
		key := t.Recipe + "/" + t.Variant
		if done[key] == nil {
			o.tell(Event{Text: "preparing " + key})
			if done[key], err = o.prepareOne(ctx, e); err != nil {
				return nil, err
			}
		}
		e.prepared = done[key]
		out = append(out, e)
	}
	return out, nil
}

// entrant resolves one target of the plan without preparing it.
func (o *Options) entrant(t plan.Target) (*entrant, error) {
	recipe, err := target.Load(o.Recipes, t.Recipe, t.Variant)
	if err == nil {
		recipe, err = recipe.With(t.Settings)
	}
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", t.Name, err)
	}
	return &entrant{plan: t, recipe: recipe, Deployment: o.Plan.Deployed(t)}, nil
}

func or(value, otherwise int) int {
	if value != 0 {
		return value
	}
	return otherwise
}

// prepareOne runs a recipe's preparation; what it prints goes to a log that is named when it fails.
func (o *Options) prepareOne(ctx context.Context, e *entrant) (*target.Prepared, error) {
	if err := os.MkdirAll(o.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("controller: %w", err)
	}
	log, err := os.CreateTemp(o.CacheDir, "prepare-"+e.plan.Recipe+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("controller: %w", err)
	}
	prepared, err := target.Prepare(ctx, e.recipe, filepath.Join(o.CacheDir, "targets"), io.Writer(log))
	err = errors.Join(err, log.Close())
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("prepare %s (log: %s): %w", e.plan.Recipe, log.Name(), err)
	}
	return prepared, errors.Join(err, os.Remove(log.Name()))
}

// open prepares the targets and starts and fills the database.
func (s *recipes) open(ctx context.Context, dir string) (err error) {
	if s.entrants, err = s.o.prepare(ctx); err != nil {
		return err
	}
	if err := s.openFilled(ctx, dir); err != nil {
		return err
	}
	s.balancer, err = s.o.balancerInfo(ctx)
	return err
}

func (o *Options) balancerInfo(ctx context.Context) (record.BalancerInfo, error) {
	info := record.BalancerInfo{Kind: o.Plan.Balancer.Kind}
	if info.Kind != "nginx" {
		return info, nil
	}
	var err error
	if info.Version, err = balancer.Version(ctx); err != nil {
		return info, err
	}
	info.Settings = balancer.Settings(o.Plan.InFlight())
	return info, nil
}

// ErrNoData is returned where the rows of a plan without any are asked for.
var ErrNoData = errors.New("the targets are running servers: the plan has no dataset")

// LoadData fills the plan's database, or the cache of private ones, and stops it again.
func LoadData(ctx context.Context, o Options) (info record.DatabaseInfo, err error) {
	dir, remove, err := temporary(dataPrefix)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if o.Plan.Running() {
		return info, &PlanError{ErrNoData}
	}
	s := &recipes{o: &o}
	if s.entrants, err = o.resolve(); err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	err = s.openFilled(ctx, dir)
	return s.dbInfo, err
}

// openFilled starts or opens the database and fills it.
func (s *recipes) openFilled(ctx context.Context, dir string) (err error) {
	d := s.o.Plan.Dataset
	s.rows, err = dataset.New(dataset.Spec{Rows: d.Rows, Seed: d.Seed, MinLength: d.Lengths.Min, MaxLength: d.Lengths.Max})
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	if err := s.openDatabase(ctx, dir); err != nil {
		return err
	}
	return s.fill(ctx)
}

func (s *recipes) openDatabase(ctx context.Context, dir string) error {
	p := s.o.Plan.Database
	if p.Kind == "external" {
		s.o.tell(Event{Text: "opening the external database"})
		var err error
		s.db, err = database.Open(ctx, database.External{DSNFile: p.DSNFile, AllowHosts: s.o.Plan.AllowHosts, Dir: dir})
		if err != nil {
			return fmt.Errorf("database: %w", err)
		}
		return nil
	}
	s.o.tell(Event{Text: "starting a private database"})
	var err error
	s.db, err = database.Start(ctx, database.Options{
		Platform: s.o.Platform, Dir: filepath.Join(dir, "database"), CacheDir: filepath.Join(s.o.CacheDir, "data"), Dataset: s.rows,
		MaxConnections: or(p.MaxConnections, s.o.connectionsNeeded(s.entrants)),
		BufferPool:     p.BufferPool, Settings: p.Settings,
	})
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// fill makes the table hold exactly the dataset and remembers how that went.
func (s *recipes) fill(ctx context.Context) error {
	start := time.Now()
	filled, err := s.db.Fill(ctx, s.rows, func(done, total int64) {
		s.o.tell(Event{Text: fmt.Sprintf("filling the table: %d of %d rows", done, total)})
	})
	if err != nil {
		return fmt.Errorf("database: fill: %w", err)
	}
	info, err := s.db.Info(ctx)
	if err != nil {
		return err
	}
	s.command = info.Command
	s.dbInfo = record.DatabaseInfo{
		Kind: s.o.Plan.Database.Kind, Vendor: info.Vendor, Version: info.Version, MaxConnections: info.MaxConnections,
		Settings: info.Settings, Collation: info.Collation, Counter: info.Counter,
		Rows: s.rows.Rows(), Digest: s.rows.Digest(), DigestAtFill: filled.Digest, FromCache: filled.FromCache,
		FillSeconds: time.Since(start).Seconds(),
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
	if err := s.db.Stop(ctx, patience); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// connectionsNeeded is the number of database connections the greediest target may
// open, and 20 for bakeoff's own and the server's.
func (o *Options) connectionsNeeded(entrants []*entrant) int {
	most := 0
	for _, e := range entrants {
		most = max(most, e.connections(o.Plan.InFlight()))
	}
	return most + spareConnections
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

// sources are the process trees that outlive trials.
func (s *recipes) sources() []collect.Source {
	return []collect.Source{{Tier: "database", Process: s.db.Process()}}
}

// gauges asks the database for its own.
func (s *recipes) gauges() collect.Status { return s.db.Status }

// look compares the table with the rows; quick.
func (s *recipes) look(ctx context.Context) error { return s.db.Check(ctx, s.rows) }

// end reads the whole table back once more.
func (s *recipes) end(ctx context.Context, update func(func(*record.Run)) error) error {
	s.o.tell(Event{Text: "reading the table back"})
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
}

// same refuses another database server and recipes that have changed.
func (s *recipes) same(rec record.Run) error {
	if was, is := rec.Database, s.dbInfo; was.Version != "" && (was.Vendor != is.Vendor || was.Version != is.Version) {
		return fmt.Errorf("the run was begun with %s %s, this is %s %s", was.Vendor, was.Version, is.Vendor, is.Version)
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

// info is the target as it stands in run.json.
func (e *entrant) info() record.TargetInfo {
	pool := e.Pool
	if !e.recipe.Bounded() {
		pool = 0
	}
	return record.TargetInfo{
		Name: e.plan.Name, Recipe: e.plan.Recipe, Variant: e.plan.Variant, Title: e.recipe.Title, Tags: e.recipe.Tags,
		Replicas: e.Replicas, Workers: e.recipe.Processes(e.Workers), Pool: &pool, Protocol: e.recipe.Protocol,
		AccessLog: &e.AccessLog, Settings: e.recipe.Settings(e.Workers, e.Pool),
		Versions: e.prepared.Versions, Digest: e.prepared.Digest,
	}
}

func (s *recipes) owns() bool { return true }
