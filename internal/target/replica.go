package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/scratch"
	"bakeoff/internal/shell"
)

// Errors by which a start fails; each is wrapped with what was seen.
var (
	ErrPortTaken = errors.New("port is already listened on")
	ErrPortHeld  = errors.New("port is still listened on after the stop")
	ErrLeft      = errors.New("it left processes behind that outlived it (they were ended)")
	ErrUnclaimed = errors.New("processes outlived it that may be another target's (they were ended)")
	ErrExited    = errors.New("process ended before it was ready")
	ErrNotReady  = errors.New("not ready in time")
	ErrNoOverlap = errors.New("no proof that two statements run at once in a worker")
	ErrNonce     = errors.New("answer does not carry this start's nonce")
	ErrWorker    = errors.New("worker is not as expected")
)

// Launch says how to start one replica.
type Launch struct {
	Prepared  *Prepared
	Platform  platform.Platform
	Host      string // where it listens; empty: the platform's own
	Name      string // such as "django-2"
	Port      int
	Nonce     string
	Workers   int
	Pool      int // database connections per worker
	AccessLog bool
	Settings  map[string]string // of the plan, over the recipe's environment
	Database  database.Access
	Padding   int    // bytes by which the environment is longer
	User      string // the account that it runs under, by its number; empty: bakeoff's own
	Home      string // its HOME; empty: the build folder. Start gives one to a replica with an account
	Untracked bool   // what it leaves behind is not looked for
	LogDir    string // the log is LogDir/<Name>.log
}

// Replica is one started copy of a target.
type Replica struct {
	launch  Launch
	recipe  *Recipe // with the plan's settings
	spec    platform.Spec
	process platform.Process
	address string // where it serves
	tail    tail
	seen    map[int]bool    // processes of the tree while waiting
	probed  []record.Worker // of a replica that was ready by probe
	claimed []record.Worker // those that had said they are ready when it was waited for
	forget  func() error    // removes its HOME; nil: it has none of its own
}

// Start starts a replica and returns once its process exists; Ready waits for
// it to serve. It refuses a port that somebody listens on.
func Start(ctx context.Context, l Launch) (*Replica, error) {
	r, err := start(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("target: start %s: %w", l.Name, err)
	}
	return r, nil
}

func start(ctx context.Context, l Launch) (r *Replica, err error) {
	forget := func() error { return nil }
	if l.User != "" {
		if l.Home, forget, err = makeHome(l.User, os.Chown); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, forget())
		}
	}()
	if r, err = l.replica(); err != nil {
		return nil, err
	}
	r.forget = forget
	if listening(ctx, r.Address()) {
		return nil, fmt.Errorf("%s: %w", r.Address(), ErrPortTaken)
	}
	if r.process, err = l.Platform.Start(ctx, r.spec); err != nil {
		return nil, err
	}
	return r, nil
}

// makeHome makes an empty folder that only an account may use, and returns what removes it. Where the account could not reach it
// there is none, nor where it may not be given to it, as in a container that lacks the right.
func makeHome(account string, chown func(path string, user, group int) error) (dir string, remove func() error, err error) {
	number, err := strconv.Atoi(account)
	if err != nil {
		return "", nil, fmt.Errorf("account %s: not a number", account)
	}
	outer, remove, err := scratch.New("home")
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(outer, "home")
	err = errors.Join(os.Chmod(outer, 0o711), os.Mkdir(dir, 0o700))
	if err != nil || chown(dir, number, number) != nil || !Passable(outer) {
		return "", remove, errors.Join(err, remove())
	}
	return dir, remove, nil
}

// replica is one that is not started.
func (l Launch) replica() (*Replica, error) {
	recipe, err := l.Prepared.Recipe.With(l.Settings)
	if err != nil {
		return nil, err
	}
	if l.Workers < 1 || l.Pool < 1 {
		return nil, fmt.Errorf("%d workers with pools of %d: both must be at least 1", l.Workers, l.Pool)
	}
	r := &Replica{launch: l, recipe: recipe}
	r.spec = r.newSpec()
	r.tail.path, r.address = r.spec.Log, net.JoinHostPort(l.host(), strconv.Itoa(l.Port))
	return r, nil
}

// host is where the replica listens.
func (l Launch) host() string {
	if l.Host != "" {
		return l.Host
	}
	return l.Platform.Host()
}

func (r *Replica) newSpec() platform.Spec {
	l, values := r.launch, r.values()
	position := r.recipe.spec.AccessLog.Off
	if l.AccessLog {
		position = r.recipe.spec.AccessLog.On
	}
	argv := expandAll(append(slices.Clone(r.recipe.spec.Start), position.Args...), values)
	env := merged(map[string]string{
		"PATH": l.Prepared.path(), "HOME": cmp.Or(l.Home, values["build"]), "LANG": "C.UTF-8", "TZ": "UTC",
	}, r.recipeEnv())
	for name, value := range position.Env {
		env[name] = expand(value, values)
	}
	for name, value := range l.contractEnv() {
		env[name] = value
	}
	if l.Padding > 0 {
		env[paddingName] = strings.Repeat("0", l.Padding)
	}
	pairs := make([]string, 0, len(env))
	for name, value := range env {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return platform.Spec{
		Name: l.Name, Argv: argv, Env: pairs, Dir: values["recipe"],
		Log: filepath.Join(l.LogDir, l.Name+".log"), User: l.User, Guest: !l.Untracked,
	}
}

// contractEnv is what every target gets.
func (l Launch) contractEnv() map[string]string {
	accessLog := "0"
	if l.AccessLog {
		accessLog = "1"
	}
	return map[string]string{
		"DATABASE_HOST": l.Database.Host, "DATABASE_PORT": strconv.Itoa(l.Database.Port),
		"DATABASE_SOCKET": l.Database.Socket, "DATABASE_USER": l.Database.User,
		passwordName: l.Database.Password, "DATABASE_NAME": l.Database.Name,
		"DATABASE_POOL": strconv.Itoa(l.Pool), "WORKERS": strconv.Itoa(l.Workers),
		"HOST": l.host(), "PORT": strconv.Itoa(l.Port),
		"BAKEOFF_NONCE": l.Nonce, "BAKEOFF_ACCESS_LOG": accessLog,
	}
}

// paddingName is the variable that makes the environment longer; it holds zeros.
const paddingName = "BAKEOFF_PADDING"

// passwordName is the variable that holds the secret.
const passwordName = "DATABASE_PASSWORD"

// values are the placeholders known at the start.
func (r *Replica) values() map[string]string {
	l := r.launch
	values := merged(l.Prepared.values(), map[string]string{
		"name": l.Name, "host": l.host(), "port": strconv.Itoa(l.Port),
		"workers": strconv.Itoa(l.Workers), "pool": strconv.Itoa(l.Pool),
	})
	for name, value := range r.recipe.spec.Env {
		values[name] = expand(value, values)
	}
	return merged(values, r.recipe.changed)
}

// recipeEnv is the recipe's environment with placeholders filled in and the
// plan's settings, taken as they are, over it.
func (r *Replica) recipeEnv() map[string]string {
	env, values := map[string]string{}, r.values()
	for name := range r.recipe.spec.Env {
		env[name] = values[name]
	}
	return env
}

// Ready waits until every serving process has introduced itself and the
// replica answers /ping with the nonce; where the recipe says ready: probe, for the answer alone. It fails when the
// process ends, when a worker that said it is ready is gone or was never part of the replica, when
// pool or protocol are not as declared, and when a proof of overlap that the recipe
// requires is missing.
func (r *Replica) Ready(ctx context.Context) ([]record.Worker, error) {
	workers, err := r.await(ctx)
	r.claimed = workers
	if err == nil && !r.recipe.Probed() {
		err = r.checkWorkers(workers)
	}
	if err == nil {
		err = r.ping(ctx)
	}
	if err != nil {
		return workers, fmt.Errorf("target: %s: %w", r.launch.Name, err)
	}
	return workers, nil
}

// Intact reports, after Ready, whether the replica is still the one that was
// ready: its process has not ended, every worker that introduced itself lives, and no other
// took the place of one. It is for the end of a load.
func (r *Replica) Intact() error {
	if r.recipe.Probed() {
		return r.intactByProbe()
	}
	workers, err := r.tail.workers()
	want := r.recipe.Processes(r.launch.Workers)
	switch {
	case err != nil:
	case r.ended():
		err = fmt.Errorf("ended during the trial: %s; its log ends with:\n%s", r.process.Exit(), platform.LogTail(r.spec.Log))
	case len(workers) != want:
		err = fmt.Errorf("%w: %d workers have said they are ready, expected %d: one was replaced", ErrWorker, len(workers), want)
	default:
		err = r.checkWorkers(workers)
	}
	if err != nil {
		return fmt.Errorf("target: %s: %w", r.launch.Name, err)
	}
	return nil
}

func (r *Replica) ended() bool {
	select {
	case <-r.process.Done():
		return true
	default:
		return false
	}
}

func (r *Replica) checkWorkers(workers []record.Worker) error {
	tree := r.process.PIDs()
	for _, w := range workers {
		switch {
		case !slices.Contains(tree, w.PID):
			return fmt.Errorf("%w: process %d said it is ready, but is not a living process of the replica", ErrWorker, w.PID)
		case w.Protocol != r.recipe.Protocol:
			return fmt.Errorf("%w: process %d uses the protocol %q, the recipe says %q", ErrWorker, w.PID, w.Protocol, r.recipe.Protocol)
		case w.Pool != r.poolPerProcess():
			return fmt.Errorf("%w: process %d has a pool of %d, expected %d", ErrWorker, w.PID, w.Pool, r.poolPerProcess())
		case r.recipe.OverlapRequired && !w.Overlap.Proven():
			return fmt.Errorf("%w: process %d: %s", ErrNoOverlap, w.PID, overlapText(w.Overlap))
		}
	}
	return nil
}

// poolPerProcess is the pool a serving process must report: 0 where it has
// none, and all workers' pools where one process does the work of all.
func (r *Replica) poolPerProcess() int {
	if !r.recipe.Bounded() {
		return 0
	}
	return r.launch.Pool * r.launch.Workers / r.recipe.Processes(r.launch.Workers)
}

func overlapText(o *record.Overlap) string {
	if o == nil {
		return "it gave none"
	}
	return fmt.Sprintf("the first ran from %.3f s to %.3f s, the second from %.3f s to %.3f s",
		o.FirstBegan, o.FirstEnded, o.SecondBegan, o.SecondEnded)
}

// ping asks the replica itself who it is.
func (r *Replica) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Address()+"/ping", nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	var answer *http.Response
	refused := platform.Await(ctx, r.process, func(context.Context) (bool, error) {
		answer, err = transport.RoundTrip(request)
		// A server may call its application ready before it listens: uvicorn with one worker does.
		return !errors.Is(err, syscall.ECONNREFUSED), nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return fmt.Errorf("/ping: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return fmt.Errorf("/ping: %w", err)
	}
	want := r.launch.Nonce
	if want == "" {
		want = "pong"
	}
	if got := strings.TrimSpace(string(body)); answer.StatusCode != http.StatusOK || got != want {
		return fmt.Errorf("/ping: %w: status %d, body %.80q", ErrNonce, answer.StatusCode, got)
	}
	return nil
}

// Process is the replica's process.
func (r *Replica) Process() platform.Process { return r.process }

// Address is where the replica listens, as host:port.
func (r *Replica) Address() string { return r.address }

// Name is the replica's name, such as "django-2".
func (r *Replica) Name() string { return r.launch.Name }

// Log is the file that holds what the replica printed.
func (r *Replica) Log() string { return r.spec.Log }

// portWithin is how long a port may still be held after its replica ended.
const portWithin = time.Second

// Stop ends the replica, with all it forked, and makes sure that its port is
// free again. A HOME of its own is removed.
func (r *Replica) Stop(ctx context.Context, grace time.Duration) error {
	err := r.end(ctx, grace)
	if r.forget == nil {
		return err
	}
	return errors.Join(err, r.forget())
}

func (r *Replica) end(ctx context.Context, grace time.Duration) error {
	if err := r.process.Stop(ctx, grace); err != nil {
		return fmt.Errorf("target: stop %s: %w", r.launch.Name, err)
	}
	within, cancel := context.WithTimeoutCause(ctx, portWithin, ErrPortHeld)
	defer cancel()
	err := platform.Await(within, nil, func(context.Context) (bool, error) { return !listening(ctx, r.Address()), nil })
	if err != nil {
		return fmt.Errorf("target: stop %s: %s: %w", r.launch.Name, r.Address(), context.Cause(within))
	}
	return r.left()
}

// left fails where processes outlived the replica that are none of its workers: those that had said they are ready before the load are
// a part of it, also where their master does not wait for them. What says so later is not. It is ErrUnclaimed where all of them may be
// others'.
func (r *Replica) left() error {
	guest, ok := r.process.(platform.Guest)
	if !ok {
		return nil
	}
	var left []string
	why := ErrUnclaimed
	for _, l := range guest.Left() {
		if slices.ContainsFunc(r.claimed, func(w record.Worker) bool { return w.PID == l.PID }) {
			continue
		}
		if left = append(left, l.String()); !l.Unclaimed {
			why = ErrLeft
		}
	}
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("target: stop %s: %w: %s", r.launch.Name, why, strings.Join(left, ", "))
}

// HeldBy is how the replica's processes are held together: one of the platform's words, or empty where it does not say.
func (r *Replica) HeldBy() string {
	if guest, ok := r.process.(platform.Guest); ok {
		return guest.HeldBy()
	}
	return ""
}

// listening reports whether anybody accepts connections at address.
func listening(ctx context.Context, address string) bool {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

// Command is the start as a shell line to paste; the password is read from
// its file, or where there is none from the variable of its name.
func (r *Replica) Command() string {
	words := []string{"cd", shell.Word(r.spec.Dir), "&&", "env", "-i"}
	for _, pair := range r.spec.Env {
		name, value, _ := strings.Cut(pair, "=")
		if name == passwordName {
			words = append(words, name+"="+r.launch.secretWord())
			continue
		}
		if name == paddingName {
			words = append(words, fmt.Sprintf(`%s="$(printf %%0%dd 0)"`, name, len(value)))
			continue
		}
		words = append(words, name+"="+shell.Word(value))
	}
	return strings.Join(words, " ") + " " + shell.Line(r.spec.Argv)
}

// secretWord is the database's password for a shell.
func (l Launch) secretWord() string {
	if l.Database.PasswordFile == "" {
		return `"$` + passwordName + `"`
	}
	return `"$(cat ` + shell.Word(l.Database.PasswordFile) + `)"`
}
