package jmeter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/platform"
	"bakeoff/internal/scratch"
)

// Heap flags of both kinds of JVM, and what else a master is started with: it only collects rows, so it need not
// spend time on compiling itself well.
const (
	defaultHeap = "512m"
	firstHeap   = "128m"
)

// Options describe a loader.
type Options struct {
	Platform  platform.Platform              // of masters, and of servers that do not run elsewhere
	Elsewhere Elsewhere                      // where servers run; nil: on the platform
	Host      string                         // at which they reach this machine; empty: the platform's
	KeyDir    string                         // of the key pair, here and elsewhere: RMI hands its path over; empty: a folder of the run
	Clock     func(pids []int) time.Duration // CPU time of masters and servers; nil: collect.Clock
	Home      Home
	Java      Java
	Count     int    // of servers, at least 1
	LogDir    string // receives logs, test plans and result files
	Workloads map[string]func(json.RawMessage) (load.Workload, error)
	Heap      string        // greatest size of each JVM's heap; empty means 512m
	WarmUp    time.Duration // load of each fresh set of servers on an own server, in whole seconds; 0: none
	Own       *OwnPlan      // in the place of plans that are written; nil: none
	Progress  func(text string)
}

func (o Options) clock() func([]int) time.Duration {
	if o.Clock == nil {
		return collect.Clock
	}
	return o.Clock
}

func (o Options) heap() string {
	if o.Heap == "" {
		return defaultHeap
	}
	return o.Heap
}

func (o Options) serverFlags() []string { return []string{"-Xms" + firstHeap, "-Xmx" + o.heap()} }

func (o Options) masterFlags() []string {
	return append(o.serverFlags(), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
}

// Loader is one master at a time and several servers. Its methods are called from one goroutine, except for Processes.
type Loader struct {
	o          Options
	dir        string // for the run only: keys, key store, its password
	remove     func() error
	password   string
	properties string
	runs       int // number of the last phase in the log folder
	sequences  []int64
	captures   []string // that the servers were started with
	warming    bool     // the phase under way is the warm-up
	result     string   // file of the last phase
	warm       string   // what the warm-up showed
	priority   string   // how the kernel schedules servers of this machine; empty where it is not known
	listener   string   // where JMeter's own InfluxDB listener writes to; empty: it is off
	current    masters

	mu      sync.Mutex
	servers []*server
}

// Start makes the key pair of the run, starts the servers and warms them up. When it fails nothing is left running.
func Start(ctx context.Context, o Options) (*Loader, error) {
	dir, remove, err := scratch.New("jmeter")
	if err != nil {
		return nil, fmt.Errorf("jmeter: %w", err)
	}
	l := &Loader{o: o, dir: dir, remove: remove, password: newPassword(), sequences: make([]int64, o.Count), captures: []string{"key", "id", "exists"}}
	if l.runs, err = lastRun(o.LogDir); err == nil {
		err = l.keystore(ctx)
	}
	if err == nil {
		l.properties, err = writeProperties(dir, l.keystorePath(), l.password, l.captures)
	}
	if err == nil {
		l.servers = make([]*server, o.Count)
		err = l.startServers(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("jmeter: %w", err), l.Close())
	}
	return l, nil
}

// lastRun is the highest number of a phase that has files in a log folder: a run that was left off is taken up in the same one.
func lastRun(dir string) (last int, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "jmeter-[0-9]*"))
	for _, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(name), "jmeter-"), "-")
		if n, err := strconv.Atoi(number); err == nil {
			last = max(last, n)
		}
	}
	return last, err
}

// keystorePath is where the key pair is, on every machine.
func (l *Loader) keystorePath() string {
	if l.o.KeyDir != "" {
		return filepath.Join(l.o.KeyDir, keystoreFile)
	}
	return filepath.Join(l.dir, keystoreFile)
}

// keystore makes the key pair that masters and servers show each other.
func (l *Loader) keystore(ctx context.Context) error {
	secret := filepath.Join(l.dir, passwordFile)
	if err := os.WriteFile(secret, []byte(l.password), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, l.o.Java.Keytool, "-genkeypair", "-keyalg", "RSA", "-keysize", "2048", "-alias", "rmi", "-validity", "7",
		"-storetype", "PKCS12", "-keystore", l.keystorePath(), "-storepass:file", secret, "-dname", "CN=rmi, OU=bakeoff, O=bakeoff")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("keytool: %w: %s", err, firstLine(out))
	}
	return nil
}

// startServers starts every server that is not there and waits for them; fresh ones are warmed up.
func (l *Loader) startServers(ctx context.Context) error {
	var fresh []*server
	for i := range l.o.Count {
		l.mu.Lock()
		old := l.servers[i]
		l.mu.Unlock()
		epoch := int64(1)
		if old != nil {
			if _, gone := old.ended(); !gone {
				continue
			}
			epoch = old.epoch + 1
		}
		s, err := l.startServer(ctx, i, epoch)
		if err != nil {
			return fmt.Errorf("server %d: %w", i, err)
		}
		l.mu.Lock()
		l.servers[i] = s
		l.sequences[i] = 0
		l.mu.Unlock()
		fresh = append(fresh, s)
	}
	for _, s := range fresh {
		if err := s.await(ctx); err != nil {
			return err
		}
	}
	if l.priority == "" && len(fresh) > 0 && l.o.Elsewhere == nil {
		l.priority = priority(fresh[0].process.PID())
	}
	if len(fresh) == 0 || l.o.WarmUp == 0 {
		return nil
	}
	return l.warmUp(ctx)
}

// Heal replaces the servers that are gone, with a warm-up.
func (l *Loader) Heal(ctx context.Context) error {
	if err := l.startServers(ctx); err != nil {
		return fmt.Errorf("jmeter: %w", err)
	}
	return nil
}

// Processes are the servers and the master of the moment.
func (l *Loader) Processes() []platform.Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []platform.Process{&l.current}
	for _, s := range l.servers {
		if s != nil {
			out = append(out, s.process)
		}
	}
	return out
}

// Listen switches JMeter's own InfluxDB listener on in all phases from now on; it writes lines to this URL.
func (l *Loader) Listen(url string) { l.listener = url }

// host is where servers reach this machine.
func (l *Loader) host() string {
	if l.o.Host != "" {
		return l.o.Host
	}
	return l.o.Platform.Host()
}

// own reports whether the phase is that of a team's own test plan: the warm-up is not.
func (l *Loader) own() bool { return l.o.Own != nil && !l.warming }

// pids are those of all JVMs.
func (l *Loader) pids() (out []int) {
	for _, p := range l.Processes() {
		out = append(out, p.PIDs()...)
	}
	return out
}

// Notes say what drove the load.
func (l *Loader) Notes() []string {
	from := "put together from its Maven artifacts"
	if l.o.Home.Given {
		from = "of JMETER_HOME"
	}
	out := []string{
		fmt.Sprintf("JMeter %s, %s (SHA-256 of its jars %s), on Java %s; %d servers with %s, a master for each phase with %s",
			Version, from, l.o.Home.Digest, l.o.Java.Version, l.o.Count, strings.Join(l.o.serverFlags(), " "), strings.Join(l.o.masterFlags(), " ")),
		"JMeter reports neither the intended time of a request nor fractions of a millisecond: phases that it drove have no response time and no lateness, " +
			"and their service times are whole milliseconds, rounded down; with JMeter the targets take no turns",
	}
	if l.priority != "" {
		out = append(out, l.priority)
	}
	if own := l.o.Own; own != nil {
		out = append(out, fmt.Sprintf("the test plan is %s (SHA-256 %s), run as it is: which keys it asks for, whether they exist and what is right for them is not known; "+
			"a wrong answer is what its own assertions call one, and a request is what it calls a sample", own.Path, own.Digest))
	}
	if l.warm != "" {
		out = append(out, l.warm)
	}
	return out
}

// Close ends all JVMs and removes the key pair. Calling it again is no error.
func (l *Loader) Close() error {
	errs := []error{l.current.Stop(context.Background(), 0)}
	errs = append(errs, l.stopServers())
	if err := os.Remove(l.keystorePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	if l.remove != nil {
		errs = append(errs, l.remove())
	}
	return errors.Join(errs...)
}

// How long servers may take to end. A cluster takes its time to remove pods.
const (
	stopWithin          = 5 * time.Second
	stopElsewhereWithin = 2 * time.Minute
)

// stopServers ends all of them at once.
func (l *Loader) stopServers() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	within := stopWithin
	if l.o.Elsewhere != nil {
		within = stopElsewhereWithin
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	errs := make([]error, len(l.servers))
	var all sync.WaitGroup
	for i, s := range l.servers {
		if s == nil {
			continue
		}
		all.Go(func() {
			if err := s.process.Stop(ctx, 0); err != nil && !errors.Is(err, os.ErrProcessDone) {
				errs[i] = fmt.Errorf("jmeter: server %d: kill: %w", s.index, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Run has the servers carry out one phase. A server that is gone, stands still or sends nothing, and a master that has not done what was asked of
// it, are no error: they are in the report as lost agents.
func (l *Loader) Run(ctx context.Context, t fleet.Task, sink func(fleet.Snapshot)) (fleet.Report, error) {
	construct := l.o.Workloads[t.Contract]
	if construct == nil {
		return fleet.Report{}, fmt.Errorf("jmeter: there is no contract %q", t.Contract)
	}
	workload, err := construct(t.Workload)
	if err != nil {
		return fleet.Report{}, fmt.Errorf("jmeter: %w", err)
	}
	asked, ok := workload.(Asked)
	if !ok {
		return fleet.Report{}, fmt.Errorf("jmeter: JMeter cannot ask for contract %q", t.Contract)
	}
	return l.perform(ctx, t, asked, sink)
}
