package database

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/dataset"
	"bakeoff/internal/platform"
	"bakeoff/internal/scratch"
	"bakeoff/internal/shell"
)

// Names inside a server.
const (
	schemaName = "bakeoff"
	adminUser  = "bakeoff_admin"
	targetUser = "bakeoff_target"
)

// reserved connections are for the controller, on top of what the plan needs.
const reserved = 8

// startTimeout bounds the wait for a server to answer.
const startTimeout = 60 * time.Second

// Options say how a private server is started.
type Options struct {
	Platform platform.Platform
	// Dir receives the configuration and the logs; it is
	// created with mode 0700. The data lie in it too, unless the account that runs the server
	// cannot reach it: then in a temporary folder of their own.
	Dir string
	// CacheDir keeps filled data directories; empty: none are kept.
	CacheDir string
	// Dataset, when not nil, is what Fill will be asked for: the server then
	// starts on the cached data directory if there is one, or ready to be filled, which saves
	// a restart. Until Fill returns, the table must not be used.
	Dataset *dataset.Dataset
	// Server is MariaDB, MySQL, or the path of a server program; empty: whichever is the first.
	Server string
	// MaxConnections is what the targets need; a few are added. 0 means 200.
	MaxConnections int
	BufferPool     string // such as 512M; empty means 512M
	Less           Less
	Settings       map[string]string // further server variables
}

// private is a server process and its folder.
type private struct {
	options    Options
	binary     binary
	account    account
	base       string // everything the server touches
	removeBase func() error
	port       int
	admin      string // password
	target     string // password

	mu      sync.Mutex
	process platform.Process
	starts  int
}

// environment is what the server and its tools run with.
func environment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
}

// account is who runs the server; an empty name means who runs us.
type account struct {
	name     string
	uid, gid int
}

// findAccount returns an account that is not root: ourselves, else mysql, else nobody.
func findAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{"", os.Geteuid(), os.Getegid()}, nil
	}
	for _, name := range []string{"mysql", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.Atoi(u.Uid)
			gid, err2 := strconv.Atoi(u.Gid)
			if err := errors.Join(err1, err2); err != nil {
				return account{}, fmt.Errorf("database: account %s: %w", name, err)
			}
			return account{name, uid, gid}, nil
		}
	}
	return account{}, errors.New("database: running as root, and neither account mysql nor nobody exists to run the server")
}

// Start starts a private server with an empty schema. Accounts and passwords are
// new each time.
func Start(ctx context.Context, o Options) (*Server, error) {
	p, err := newPrivate(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Server{
		kind:    KindPrivate,
		private: p,
		base:    map[string]int64{},
		last:    map[string]int64{},
		info:    Info{Vendor: p.binary.vendor, Version: p.binary.version},
		less:    o.Less, accountReason: o.Less.account(),
		access: Access{
			Host: "127.0.0.1", Port: p.port, Socket: p.path("sock"), User: targetUser,
			Password: p.target, Name: schemaName,
		},
	}
	if s.access.PasswordFile, s.forget, err = keepPassword(p.target); err != nil {
		return nil, errors.Join(fmt.Errorf("database: %w", err), p.remove(ctx, 0))
	}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx), 0))
	}
	return s, nil
}

// begin starts the server for the first time.
func (s *Server) begin(ctx context.Context) error {
	d := s.private.options.Dataset
	if d == nil {
		return s.empty(ctx, nil)
	}
	return s.restoreOr(ctx, d)
}

// restoreOr starts the server on a cached data directory of d, or on an empty one with
// the settings for filling.
func (s *Server) restoreOr(ctx context.Context, d *dataset.Dataset) error {
	digest, err := s.fromCache(ctx, s.private.entry(d), d)
	if err == nil {
		s.state, s.restored = cachedState, digest
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.state = fillingState
	return s.empty(ctx, filling)
}

// empty starts the server on a new data directory.
func (s *Server) empty(ctx context.Context, extra []setting) error {
	if err := s.private.initialise(ctx); err != nil {
		return err
	}
	return s.launch(ctx, extra)
}

// newPrivate prepares everything but the data.
func newPrivate(ctx context.Context, o Options) (*private, error) {
	if err := checkSettings(o.Settings); err != nil {
		return nil, err
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 200
	}
	if o.BufferPool == "" {
		o.BufferPool = "512M"
	}
	if !settingValue.MatchString(o.BufferPool) {
		return nil, fmt.Errorf("database: buffer pool %q is not a size", o.BufferPool)
	}
	p := &private{options: o, admin: rand.Text(), target: rand.Text()}
	var err error
	if p.binary, err = find(ctx, o.Server); err != nil {
		return nil, err
	}
	if p.account, err = findAccount(); err != nil {
		return nil, err
	}
	if dir := filepath.Dir(p.binary.path); !reachable(dir, p.account) {
		return nil, fmt.Errorf("database: the account %s, which runs the server, cannot reach %s: "+
			"allow others to pass through the folders above it (chmod o+x), or install the server elsewhere", p.account.name, dir)
	}
	if p.port, err = o.Platform.Port(ctx); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if _, err := scratch.Sweep(); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if p.base, p.removeBase, err = makeBase(o.Dir, p.account); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := p.folder("tmp"); err != nil {
		return nil, fmt.Errorf("database: %w", errors.Join(err, p.removeBase()))
	}
	return p, nil
}

// folder makes a folder for the server's account.
func (p *private) folder(name string) error {
	if err := os.Mkdir(p.path(name), 0o700); err != nil {
		return err
	}
	return p.own(p.path(name))
}

// path is a file in the server's folder.
func (p *private) path(name string) string { return filepath.Join(p.base, name) }

// writeFile creates or replaces a file that only its owner may read.
func writeFile(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// give writes a file for the server's account.
func (p *private) give(name, text string) error {
	if err := writeFile(p.path(name), text); err != nil {
		return err
	}
	return p.own(p.path(name))
}

// own makes the server's account the owner of a path.
func (p *private) own(path string) error {
	if p.account.name == "" {
		return nil
	}
	return os.Lchown(path, p.account.uid, p.account.gid)
}

// ownAll makes the server's account the owner of a folder and all in it.
func (p *private) ownAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, p.own(path))
	})
}

// initialise makes an empty data directory.
func (p *private) initialise(ctx context.Context) error {
	if err := os.RemoveAll(p.path("data")); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := p.folder("data"); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	argv := []string{p.binary.path, "--no-defaults", "--initialize-insecure", "--datadir=" + p.path("data")}
	if p.binary.vendor == MariaDB {
		argv = []string{
			installer(p.binary.path), "--no-defaults", "--datadir=" + p.path("data"), "--tmpdir=" + p.path("tmp"),
			"--skip-test-db", "--skip-name-resolve", "--auth-root-authentication-method=socket",
		}
	}
	return p.runOnce(ctx, "database-init", argv)
}

// installer is the script that comes with MariaDB.
func installer(server string) string {
	for _, dir := range []string{filepath.Dir(server), filepath.Join(filepath.Dir(server), "../bin"), filepath.Join(filepath.Dir(server), "../scripts"), "/usr/bin"} {
		if path := filepath.Join(dir, "mariadb-install-db"); exists(path) {
			return path
		}
	}
	return "mariadb-install-db"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// runOnce runs a command to its end.
func (p *private) runOnce(ctx context.Context, name string, argv []string) error {
	log := filepath.Join(p.options.Dir, name+".log")
	process, err := p.options.Platform.Start(ctx, platform.Spec{
		Name: name, Argv: argv, Env: environment(), Dir: "/", Log: log, User: p.account.name,
	})
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	select {
	case <-process.Done():
	case <-ctx.Done():
	}
	if err := errors.Join(ctx.Err(), process.Stop(context.WithoutCancel(ctx), 0)); err != nil {
		return fmt.Errorf("database: %s: %w", name, err)
	}
	if exit := process.Exit(); exit.Code != 0 {
		return fmt.Errorf("database: %s ended with status %d %s; its log ends with:\n%s", filepath.Base(argv[0]), exit.Code, exit.Signal, platform.LogTail(log))
	}
	return nil
}

// configure writes the configuration file and the file of first statements.
func (p *private) configure(extra []setting) error {
	run := []setting{
		{name: "datadir", value: p.path("data")},
		{name: "tmpdir", value: p.path("tmp")},
		{name: "socket", value: p.path("sock")},
		{name: "pid-file", value: p.path("pid")},
		{name: "init-file", value: p.path("init.sql")},
		{name: "secure-file-priv", value: p.path("tmp")},
		{name: "port", value: strconv.Itoa(p.port)},
		{name: "max-connections", value: strconv.Itoa(p.options.MaxConnections + reserved)},
		{name: "back-log", value: strconv.Itoa(max(128, p.options.MaxConnections))},
		{name: "innodb-buffer-pool-size", value: p.options.BufferPool},
	}
	var chosen []setting
	for name, value := range p.options.Settings {
		chosen = append(chosen, setting{name: name, value: value})
	}
	if p.options.Less.Uncounted {
		run = append(run, uncounted...)
	}
	if err := p.give("server.cnf", "[mysqld]\n"+render(p.binary.vendor, pinned, run, chosen, extra)); err != nil {
		return err
	}
	return p.give("init.sql", p.accounts())
}

// accounts are the statements that make the accounts of this run and
// remove all others that could log in. The server reads one statement per line.
func (p *private) accounts() string {
	return accounts([]string{"localhost", "127.0.0.1"}, p.account.name, p.admin, p.target) + knownZone
}

// accounts are the statements for clients of those hosts; own is the account that a server may have for who runs it.
func accounts(hosts []string, own, admin, target string) string {
	var b strings.Builder
	for _, name := range []string{"root", "mysql", "", own} {
		for _, host := range []string{"localhost", "127.0.0.1", "::1", "%"} {
			fmt.Fprintf(&b, "DROP USER IF EXISTS '%s'@'%s';\n", name, host)
		}
	}
	fmt.Fprintf(&b, "CREATE DATABASE IF NOT EXISTS %s CHARACTER SET utf8mb4 COLLATE %s;\n", schemaName, collation)
	for _, host := range hosts {
		fmt.Fprintf(&b, "DROP USER IF EXISTS '%s'@'%s';\nDROP USER IF EXISTS '%s'@'%s';\n", adminUser, host, targetUser, host)
		fmt.Fprintf(&b, "CREATE USER '%s'@'%s' IDENTIFIED BY '%s';\n", adminUser, host, admin)
		fmt.Fprintf(&b, "CREATE USER '%s'@'%s' IDENTIFIED BY '%s';\n", targetUser, host, target)
		fmt.Fprintf(&b, "GRANT ALL ON *.* TO '%s'@'%s' WITH GRANT OPTION;\n", adminUser, host)
	}
	return b.String()
}

// knownZone makes the zone UTC known to the server and has it remembered.
// Django asks each new connection's server whether it knows UTC; looking for
// an unknown zone reads tables every time, and those reads would be counted with the lookups.
const knownZone = `REPLACE INTO mysql.time_zone (Time_zone_id, Use_leap_seconds) VALUES (1, 'N');
REPLACE INTO mysql.time_zone_name (Name, Time_zone_id) VALUES ('UTC', 1);
REPLACE INTO mysql.time_zone_transition_type (Time_zone_id, Transition_type_id, ` + "`Offset`" + `, Is_DST, Abbreviation) VALUES (1, 0, 0, 0, 'UTC');
DO CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC');
`

// current is the server's process.
func (p *private) current() platform.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process
}

// command is what starts the server.
func (p *private) command() []string {
	return []string{p.binary.path, "--defaults-file=" + p.path("server.cnf")}
}

// log is the file of the current start.
func (p *private) log() string {
	return filepath.Join(p.options.Dir, fmt.Sprintf("server-%d.log", p.starts))
}

// launch starts the server on the data directory as it is and waits until it
// answers.
func (s *Server) launch(ctx context.Context, extra []setting) error {
	p := s.private
	if err := p.configure(extra); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	config, err := os.ReadFile(p.path("server.cnf"))
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	p.mu.Lock()
	p.starts++
	p.mu.Unlock()
	process, err := p.options.Platform.Start(ctx, platform.Spec{
		Name: "database", Argv: p.command(), Env: environment(), Dir: "/", Log: p.log(), User: p.account.name,
	})
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	p.mu.Lock()
	p.process = process
	p.mu.Unlock()
	s.info.Config, s.info.Command = string(config), shell.Line(p.command())
	if err := s.connect(p.adminConfig(), nil); err != nil {
		return err
	}
	err = s.await(ctx)
	return errors.Join(err, os.Remove(p.path("init.sql")))
}

// adminConfig is our own way in: the socket.
func (p *private) adminConfig() *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = adminUser, p.admin, "unix", p.path("sock"), schemaName
	cfg.Collation = collation
	cfg.InterpolateParams = false
	return cfg
}

// await waits until the server answers our account.
func (s *Server) await(ctx context.Context) error {
	p := s.private
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var err error
	ended := platform.Await(ctx, p.process, func(ctx context.Context) (bool, error) {
		err = s.hello(ctx)
		return err == nil, nil
	})
	switch {
	case errors.Is(ended, platform.ErrEnded):
		return fmt.Errorf("database: the server ended while starting; its log ends with:\n%s", platform.LogTail(p.log()))
	case ended != nil:
		return fmt.Errorf("database: the server does not answer: %w (%w); its log ends with:\n%s", ended, err, platform.LogTail(p.log()))
	}
	return nil
}

// end ends the server.
func (s *Server) end(ctx context.Context) error {
	s.disconnect()
	process := s.private.current()
	if process == nil {
		return nil
	}
	if err := process.Stop(ctx, startTimeout); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// halt ends the server and makes sure that it ended cleanly, so that its data
// directory needs no recovery.
func (s *Server) halt(ctx context.Context) error {
	if err := s.end(ctx); err != nil {
		return err
	}
	if exit := s.private.current().Exit(); exit.Code != 0 {
		return fmt.Errorf("database: the server did not end cleanly (status %d %s); its log ends with:\n%s", exit.Code, exit.Signal, platform.LogTail(s.private.log()))
	}
	return nil
}

// remove ends the server and removes its folder.
func (p *private) remove(ctx context.Context, grace time.Duration) error {
	var err error
	if process := p.current(); process != nil {
		err = process.Stop(ctx, grace)
	}
	return errors.Join(err, p.removeBase())
}
