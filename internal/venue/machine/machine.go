// Package machine is the venue of one machine: child processes of a platform,
// a private MariaDB or MySQL in the run's folder or an external one, nginx
// before the replicas, and samples of /proc. It judges nothing of what it
// starts but whether it is ready.
package machine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"bakeoff/internal/balancer"
	"bakeoff/internal/collect"
	"bakeoff/internal/database"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/scratch"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
	"bakeoff/internal/yardstick"
)

// Venue is this machine. Without a platform it answers what can be known
// before anything is started.
type Venue struct {
	Platform platform.Platform
	CacheDir string // prepared targets and filled tables
	Self     string // this program, for the roles it starts itself
	// Shared names the runs that shared the machine with this one so far; nil means none can.
	Shared func() []string

	accounts accounts
}

// Name implements venue.Host.
func (v *Venue) Name() string { return "local" }

// Nodes implements venue.Host: there is one machine.
func (v *Venue) Nodes() []record.Node { return nil }

// Others implements venue.Host.
func (v *Venue) Others() []string {
	if v.Shared == nil {
		return nil
	}
	return v.Shared()
}

// Lost implements venue.Host.
func (v *Venue) Lost() error {
	if p, ok := v.Platform.(interface{ Lost() error }); ok {
		return p.Lost()
	}
	return nil
}

// Hidden implements venue.Host.
func (v *Venue) Hidden() bool { return collect.Container() }

// Room implements venue.Host.
func (v *Venue) Room(dir string) int64 {
	free, err := record.Free(dir)
	if err != nil {
		return -1
	}
	return free
}

// Temporary implements venue.Host: a folder with a lock on it that this process holds.
func (v *Venue) Temporary(use string) (dir string, remove func() error, err error) {
	return scratch.New(use)
}

// Overhead as seen on two cores, where starts side by side have the same processors. Targets that are not prepared yet, and a
// table that was never filled, take more.
func (v *Venue) Overhead() plan.Overhead {
	return plan.Overhead{
		Setup: 4 * time.Second, Trial: 1500 * time.Millisecond, Worker: 200 * time.Millisecond, Phase: 400 * time.Millisecond,
		Together: 1300 * time.Millisecond, Slice: 25 * time.Millisecond,
	}
}

// Missing are servers and what the recipes ask for.
func (v *Venue) Missing(ctx context.Context, p *plan.Plan, recipes []*target.Recipe) ([]target.Need, error) {
	var out []target.Need
	if p.Database.Kind != "external" {
		if err := database.Installed(ctx, p.Database.Server); err != nil {
			out = append(out, serverNeed(p.Database.Server, err))
		}
	}
	if p.Balancer.Kind == "nginx" {
		out = append(out, v.MissingNginx()...)
	}
	seen := map[string]bool{}
	for _, recipe := range recipes {
		for _, need := range recipe.Missing(ctx) {
			if !seen[need.What] {
				seen[need.What] = true
				out = append(out, need)
			}
		}
	}
	return out, nil
}

// MissingNginx is nginx where there is none.
func (v *Venue) MissingNginx() []target.Need {
	if _, err := balancer.Find(); err != nil {
		return []target.Need{{What: "nginx", Package: "nginx-light"}}
	}
	return nil
}

// serverNeed says which database server is missing, and why one that is there cannot be used.
func serverNeed(server string, err error) target.Need {
	need := target.Need{What: "a database server (mariadbd or mysqld)", Package: "mariadb-server"}
	switch server {
	case "":
	case database.MariaDB:
		need.What = "a MariaDB server (mariadbd)"
	case database.MySQL:
		need = target.Need{What: "a MySQL server (mysqld)"}
	default:
		need = target.Need{What: "the database server " + server}
	}
	if !errors.Is(err, database.ErrNoServer) {
		need.What += ": " + err.Error()
	}
	return need
}

// Prepare runs a recipe's preparation.
func (v *Venue) Prepare(ctx context.Context, r *target.Recipe, progress func(text string, passing bool)) (*target.Prepared, error) {
	dir := preparedDir(v.CacheDir)
	if err := makeShared(dir); err != nil {
		return nil, err
	}
	return target.Prepare(ctx, r, target.Preparation{CacheDir: dir, Platform: v.Platform, Progress: progress})
}

// Database starts a private server, or opens an external one.
func (v *Venue) Database(ctx context.Context, s venue.Storage) (venue.Database, error) {
	db, err := v.database(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return db, nil
}

func (v *Venue) database(ctx context.Context, s venue.Storage) (*database.Server, error) {
	if s.Plan.Kind == "external" {
		return database.Open(ctx, database.External{DSNFile: s.Plan.DSNFile, AllowHosts: s.AllowHosts, Less: s.Less})
	}
	connections := s.Plan.MaxConnections
	if connections == 0 {
		connections = s.Connections
	}
	return database.Start(ctx, database.Options{
		Platform: v.Platform, Server: s.Plan.Server, Dir: filepath.Join(s.Dir, "database"), CacheDir: filepath.Join(v.CacheDir, "data"), Dataset: s.Dataset,
		MaxConnections: connections, BufferPool: s.Plan.BufferPool, Settings: s.Plan.Settings, Less: s.Less,
	})
}

// Balancer describes nginx where the plan wants one.
func (v *Venue) Balancer(ctx context.Context, p *plan.Plan) (record.BalancerInfo, error) {
	info := record.BalancerInfo{Kind: p.Balancer.Kind}
	if info.Kind != "nginx" {
		return info, nil
	}
	var err error
	if info.Version, err = balancer.Version(ctx); err != nil {
		return info, err
	}
	info.Settings = balancer.Settings(p.InFlight())
	return info, nil
}

// Yardstick starts the role of that name.
func (v *Venue) Yardstick(ctx context.Context, file string) (collect.Source, error) {
	process, err := v.Platform.Start(ctx, platform.Spec{Name: "yardstick", Argv: []string{v.Self, "yardstick", file}, Log: file + ".log"})
	if err != nil {
		return collect.Source{}, fmt.Errorf("yardstick: %w", err)
	}
	return collect.Source{Tier: "yardstick", Process: process, Work: yardstick.NewReader(file).New}, nil
}

// Clock implements venue.Venue.
func (v *Venue) Clock(pids []int) time.Duration { return collect.Clock(pids) }

// Sample implements venue.Venue.
func (v *Venue) Sample(ctx context.Context, every time.Duration, sources []collect.Source, status collect.Status, sink func(record.Series) error) venue.Sampler {
	return collect.Start(ctx, every, sources, status, sink)
}
