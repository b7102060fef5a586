package database

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/platform"
	"bakeoff/internal/shell"
)

// Attached is a private server that somebody else has started, as Container says.
type Attached struct {
	Container
	// Process is the server's. Who started it also ends it.
	Process platform.Process
	Host    string // where we and the targets reach it
	Port    int    // 0: ContainerPort
	// Passwords are those of the accounts that the container was given.
	AdminPassword, TargetPassword string
}

// Attach waits until the server answers. It is empty, and ours alone: Fill makes its table. Before that, targets may log in by
// Access, as some do while they start, and find no table.
func Attach(ctx context.Context, a Attached) (*Server, error) {
	if a.Port == 0 {
		a.Port = ContainerPort
	}
	s := &Server{
		kind: KindPrivate, base: map[string]int64{}, last: map[string]int64{}, process: a.Process,
		info:   Info{Command: shell.Line(a.Start())},
		access: Access{Host: a.Host, Port: a.Port, User: targetUser, Password: a.TargetPassword, Name: schemaName},
		chosen: slices.Sorted(maps.Keys(a.Settings)),
	}
	var err error
	if s.access.PasswordFile, s.forget, err = keepPassword(a.TargetPassword); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := s.greet(ctx, a); err != nil {
		return nil, fmt.Errorf("database: %s: %w", s.access, errors.Join(err, s.Stop(context.WithoutCancel(ctx), 0)))
	}
	return s, nil
}

// greet waits until the server answers, asks who it is, and lets targets log in.
func (s *Server) greet(ctx context.Context, a Attached) error {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = adminUser, a.AdminPassword, "tcp", address(s.access), schemaName
	cfg.Collation = collation
	if err := s.connect(cfg, nil); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error
	err := platform.Await(within, a.Process, func(ctx context.Context) (bool, error) {
		last = s.hello(ctx)
		return last == nil, nil
	})
	switch {
	case errors.Is(err, platform.ErrEnded):
		return fmt.Errorf("the server ended while starting: %s", a.Process.Exit())
	case err != nil:
		return fmt.Errorf("the server does not answer: %w (%w)", err, last)
	}
	if err := s.identify(ctx); err != nil {
		return err
	}
	if err := s.run(ctx, fmt.Sprintf("GRANT SELECT ON %s.* TO '%s'@'%%'", schemaName, targetUser)); err != nil {
		return err
	}
	return s.logIn(ctx, s.access) // before targets do: some know only the short way in
}

// fillAttached is fillExternal with the settings of a fill, as far as they can be set while the server runs.
func (s *Server) fillAttached(ctx context.Context, fill func() (Filled, error)) (filled Filled, err error) {
	settings, err := s.globals(ctx, "local_infile", "innodb_flush_log_at_trx_commit")
	if err != nil {
		return Filled{}, err
	}
	if err := s.run(ctx, "SET GLOBAL local_infile = ON", "SET GLOBAL innodb_flush_log_at_trx_commit = 0"); err != nil {
		return Filled{}, err
	}
	filled, err = fill()
	back := []string{
		"SET GLOBAL local_infile = " + settings["local_infile"],
		"SET GLOBAL innodb_flush_log_at_trx_commit = " + settings["innodb_flush_log_at_trx_commit"],
	}
	return filled, errors.Join(err, s.run(context.WithoutCancel(ctx), back...))
}

// globals are the server's variables of those names.
func (s *Server) globals(ctx context.Context, names ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range names {
		value, err := s.variable(ctx, name)
		if err != nil {
			return nil, err
		}
		if value == "" {
			return nil, fmt.Errorf("the server has no variable %s", name)
		}
		out[name] = value
	}
	return out, nil
}
