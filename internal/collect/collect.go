// Package collect samples every tier once a second into series: CPU and
// memory per replica and per worker process, the database and its status, the
// balancer, the agents, the controller and the host, with the busiest processes
// that are not the run's. It reads /proc and control groups, and asks the database only
// what leaves the statement counters alone. It judges nothing: package gate does.
package collect

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/record"
)

// Source is one process tree to sample.
type Source struct {
	Tier string
	// Process is nil for a database that is somebody else's: only its status
	// is asked then.
	Process platform.Process
	// Workers are the processes sampled one by one in addition to the whole tree.
	Workers []int
	// Sink takes this source's lines in place of the sampler's; nil: the sampler's does.
	Sink func(record.Series) error
	// Work, of a yardstick, are the times of its work that are new, by core.
	Work func() [][]int64
}

// A Meter reads members that are not processes of this machine.
type Meter interface {
	// Read reads all sources at about one moment, and what is sampled in addition to them; the machines last.
	Read(ctx context.Context, sources []Source) []Reading
}

// Reading is one line that a meter reads.
type Reading struct {
	Source int // whose line it is, by its place; -1: of none
	record.Series
}

// Status asks the database for its gauges; nil leaves them out.
type Status func(ctx context.Context) (map[string]float64, error)

// Sampler samples until it is stopped.
type Sampler struct {
	sources []Source
	status  Status
	sink    func(record.Series) error
	kernel  kernel
	meter   Meter // instead of the kernel; nil: none
	phase   atomic.Int64
	asked   chan look
	cancel  context.CancelFunc
	stopped chan struct{}
	err     error
	earlier crowd // the strangers at the start of the phase under way
	threads threads
}

// look asks for a sample at once.
type look struct {
	number     int64 // of the phase that begins; -1: one ends
	begin, end bool  // of a phase
	done       chan struct{}
}

// Start begins sampling every interval; sink is called from one goroutine.
func Start(ctx context.Context, interval time.Duration, sources []Source, status Status, sink func(record.Series) error) *Sampler {
	machine, err := thisMachine()
	if err != nil {
		slog.Warn("nothing sampled", "err", err)
	}
	return start(ctx, machine, interval, sources, status, sink)
}

// StartMeter is Start for members that a meter reads.
func StartMeter(ctx context.Context, meter Meter, interval time.Duration, sources []Source, status Status, sink func(record.Series) error) *Sampler {
	return (&Sampler{sources: sources, status: status, sink: sink, meter: meter}).begin(ctx, interval)
}

func start(ctx context.Context, of kernel, interval time.Duration, sources []Source, status Status, sink func(record.Series) error) *Sampler {
	return (&Sampler{sources: sources, status: status, sink: sink, kernel: of}).begin(ctx, interval)
}

func (s *Sampler) begin(ctx context.Context, interval time.Duration) *Sampler {
	ctx, s.cancel = context.WithCancel(ctx)
	s.stopped, s.asked = make(chan struct{}), make(chan look)
	s.phase.Store(-1)
	go s.loop(ctx, interval)
	return s
}

// Phase says which phase is under way, -1 for none, and takes a sample at
// once, so that a phase's first and last samples are its own.
func (s *Sampler) Phase(number int) {
	now := look{number: int64(number), begin: number >= 0, end: number < 0, done: make(chan struct{})}
	select {
	case s.asked <- now:
		<-now.done
	case <-s.stopped:
	}
}

// Stop ends sampling and returns the first error of the sink.
func (s *Sampler) Stop() error {
	s.cancel()
	<-s.stopped
	return s.err
}

func (s *Sampler) loop(ctx context.Context, interval time.Duration) {
	defer close(s.stopped)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.sample(ctx, look{})
		case asked := <-s.asked:
			if asked.begin {
				s.phase.Store(asked.number)
			}
			s.sample(ctx, asked)
			s.phase.Store(asked.number) // here, so that the next sample is not the phase's any more
			close(asked.done)
		}
	}
}

func (s *Sampler) sample(ctx context.Context, asked look) {
	now := time.Now()
	phase := int(s.phase.Load())
	to := func(sink func(record.Series) error) func(record.Series) {
		return func(line record.Series) {
			line.At, line.Phase = now, phase
			if err := sink(line); err != nil && s.err == nil {
				s.err = err
			}
		}
	}
	put := to(s.sink)
	if s.meter != nil {
		s.metered(ctx, to)
		return
	}
	for _, source := range s.sources {
		if source.Work != nil && asked.begin {
			source.Work() // from before the phase
		}
		if source.Sink == nil {
			s.sampleTree(ctx, source, put)
			continue
		}
		s.sampleTree(ctx, source, to(source.Sink))
	}
	if p, ok := s.kernel.process(s.kernel.self); ok {
		put(record.Series{Tier: "controller", Name: "controller", CPUNS: int64(p.cpu), RSSBytes: p.rss, PSSBytes: s.kernel.proportional(p.pid)})
	}
	busy, used, values, err := s.kernel.host()
	if err != nil {
		slog.Warn("host not sampled", "err", err)
		return
	}
	line := record.Series{Tier: "host", Name: "host", CPUNS: int64(busy), RSSBytes: used, Values: values}
	if asked.begin || asked.end {
		s.watchStrangers(&line, asked)
	}
	put(line)
}

// watchStrangers notes who is there when a phase begins, and who of them was busy when it ends.
func (s *Sampler) watchStrangers(line *record.Series, asked look) {
	own := map[int]bool{}
	for _, source := range s.sources {
		if source.Process != nil {
			for _, pid := range source.Process.PIDs() {
				own[pid] = true
			}
		}
	}
	all := s.kernel.crowd()
	line.Values["kernel_threads_ns"] = float64(all.kernelThreads())
	strangers := all.strangers(s.kernel.self, own)
	if asked.end && s.earlier != nil {
		busiest, sum := strangers.since(s.earlier)
		line.Strangers, line.Values["strangers_ns"] = busiest, float64(sum)
		s.earlier = nil
	}
	if asked.begin {
		s.earlier = strangers
	}
}

func (s *Sampler) sampleTree(ctx context.Context, source Source, put func(record.Series)) {
	line := record.Series{Tier: source.Tier, Name: source.Tier}
	if source.Process != nil {
		s.addTree(&line, source, put)
	}
	if source.Tier == databaseTier {
		for name, value := range s.gauges(ctx) {
			set(&line, name, value)
		}
	}
	if source.Work != nil {
		line.WorkNS = source.Work()
	}
	put(line)
}

// databaseTier is the one whose line has the gauges.
const databaseTier = "database"

// gauges are the database's; nil where there are none.
func (s *Sampler) gauges(ctx context.Context) map[string]float64 {
	if s.status == nil {
		return nil
	}
	values, err := s.status(ctx)
	if err != nil && ctx.Err() == nil {
		slog.Warn("database status not read", "err", err)
	}
	return values
}

// metered puts what the meter reads.
func (s *Sampler) metered(ctx context.Context, to func(func(record.Series) error) func(record.Series)) {
	for _, r := range s.meter.Read(ctx, s.sources) {
		sink := s.sink
		if r.Source >= 0 && s.sources[r.Source].Sink != nil {
			sink = s.sources[r.Source].Sink
		}
		if r.Tier == databaseTier {
			if r.Values == nil {
				r.Values = map[string]float64{}
			}
			maps.Copy(r.Values, s.gauges(ctx))
		}
		to(sink)(r.Series)
	}
}

// addTree adds up the processes of a tree, and puts a line for each worker.
func (s *Sampler) addTree(line *record.Series, source Source, put func(record.Series)) {
	line.Name = source.Process.Name()
	pids := source.Process.PIDs()
	if len(pids) > 0 {
		s.kernel.group(pids).into(line)
	}
	for _, pid := range pids {
		p, ok := s.kernel.process(pid)
		if !ok {
			continue
		}
		proportional := s.kernel.proportional(pid)
		line.CPUNS += int64(p.cpu)
		line.RSSBytes += p.rss
		line.PSSBytes += proportional
		one := record.Series{
			Tier: source.Tier, Name: line.Name + "/" + strconv.Itoa(pid),
			CPUNS: int64(p.cpu), RSSBytes: p.rss, PSSBytes: proportional,
		}
		worker := slices.Contains(source.Workers, pid)
		s.addThreads(line, &one, pid, len(source.Workers) > 0 && !worker)
		if worker {
			put(one)
		}
	}
}

// addThreads adds the busiest thread of a process to its own line, and where it is the busiest of its tree to that of the tree; that
// of a process next to workers, such as one that hands requests on to them, also by itself. Of servers whose threads share the work,
// and of ourselves, it would say nothing.
func (s *Sampler) addThreads(tree, own *record.Series, pid int, apart bool) {
	if tree.Tier != "target" && tree.Tier != "balancer" {
		return
	}
	busiest, ok := s.threads.add(s.kernel, pid)
	if !ok {
		return
	}
	for _, line := range []*record.Series{own, tree} {
		if float64(busiest.ran) >= line.Values[record.BusiestThreadNS] {
			set(line, record.BusiestThreadNS, float64(busiest.ran))
			set(line, record.BusiestThreadWaitNS, float64(busiest.waited))
		}
	}
	if apart && float64(busiest.ran) >= tree.Values[record.OtherThreadNS] {
		set(tree, record.OtherThreadNS, float64(busiest.ran))
		set(tree, record.OtherThreadWaitNS, float64(busiest.waited))
	}
}

// Tree reads a process tree of this machine once: a line for each of its workers, and that of the whole.
func Tree(ctx context.Context, source Source) ([]record.Series, error) {
	machine, err := thisMachine()
	if err != nil {
		return nil, err
	}
	var out []record.Series
	(&Sampler{kernel: machine}).sampleTree(ctx, source, func(line record.Series) { out = append(out, line) })
	return out, nil
}

// Proportional is the memory of a process with shared pages divided among their users (PSS), in bytes; 0 where not readable, as of
// another user's processes.
func Proportional(pid int) int64 {
	machine, err := thisMachine()
	if err != nil {
		return 0
	}
	return machine.proportional(pid)
}

// Host is this machine as a line of the series has it: busy time of its CPUs, memory in use, and values.
func Host() (record.Series, error) {
	machine, err := thisMachine()
	if err != nil {
		return record.Series{}, err
	}
	busy, used, values, err := machine.host()
	return record.Series{Tier: "host", Name: "host", CPUNS: int64(busy), RSSBytes: used, Values: values}, err
}

// Container says that processes outside this one's PID namespace may exist and cannot be seen.
func Container() bool {
	machine, err := thisMachine()
	return err == nil && machine.container()
}
