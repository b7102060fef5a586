// Package collect samples every tier once a second into series: CPU and
// memory per replica and per worker process, the database and its status, the
// balancer, the agents, the controller and the host. It reads /proc and asks
// the database only what leaves the statement counters alone. It judges
// nothing.
package collect

import (
	"context"
	"log/slog"
	"os"
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
	// Workers are the processes sampled one by one beside the whole tree.
	Workers []int
}

// Status asks the database for its gauges; nil leaves them out.
type Status func(ctx context.Context) (map[string]float64, error)

// Sampler samples until it is stopped.
type Sampler struct {
	sources []Source
	status  Status
	sink    func(record.Series) error
	phase   atomic.Int64
	asked   chan chan struct{}
	cancel  context.CancelFunc
	stopped chan struct{}
	err     error
}

// Start begins sampling every interval; sink is called from one goroutine.
func Start(ctx context.Context, interval time.Duration, sources []Source, status Status, sink func(record.Series) error) *Sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &Sampler{sources: sources, status: status, sink: sink, cancel: cancel, stopped: make(chan struct{}), asked: make(chan chan struct{})}
	s.phase.Store(-1)
	go s.loop(ctx, interval)
	return s
}

// Phase says which phase is under way, -1 for none, and takes a sample at
// once, so that a phase's first and last samples are its own.
func (s *Sampler) Phase(number int) {
	if number >= 0 {
		s.phase.Store(int64(number))
	}
	done := make(chan struct{})
	select {
	case s.asked <- done:
		<-done
	case <-s.stopped:
	}
	s.phase.Store(int64(number))
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
			s.sample(ctx)
		case done := <-s.asked:
			s.sample(ctx)
			close(done)
		}
	}
}

func (s *Sampler) sample(ctx context.Context) {
	now := time.Now()
	phase := int(s.phase.Load())
	put := func(line record.Series) {
		line.At, line.Phase = now, phase
		if err := s.sink(line); err != nil && s.err == nil {
			s.err = err
		}
	}
	for _, source := range s.sources {
		s.sampleTree(ctx, source, put)
	}
	if u, ok := readUsage(os.Getpid(), true); ok {
		put(record.Series{Tier: "controller", Name: "controller", CPUNS: int64(u.cpu), RSSBytes: u.rss, PSSBytes: u.pss})
	}
	busy, used, values, err := readHost()
	if err != nil {
		slog.Warn("host not sampled", "err", err)
		return
	}
	put(record.Series{Tier: "host", Name: "host", CPUNS: int64(busy), RSSBytes: used, Values: values})
}

func (s *Sampler) sampleTree(ctx context.Context, source Source, put func(record.Series)) {
	line := record.Series{Tier: source.Tier, Name: source.Tier}
	if source.Process != nil {
		addTree(&line, source, put)
	}
	if source.Tier == "database" && s.status != nil {
		values, err := s.status(ctx)
		if err != nil && ctx.Err() == nil {
			slog.Warn("database status not read", "err", err)
		}
		line.Values = values
	}
	put(line)
}

// addTree adds up the processes of a tree, and puts a line for each worker.
func addTree(line *record.Series, source Source, put func(record.Series)) {
	line.Name = source.Process.Name()
	for _, pid := range source.Process.PIDs() {
		u, ok := readUsage(pid, true)
		if !ok {
			continue
		}
		line.CPUNS += int64(u.cpu)
		line.RSSBytes += u.rss
		line.PSSBytes += u.pss
		if slices.Contains(source.Workers, pid) {
			put(record.Series{
				Tier: source.Tier, Name: line.Name + "/" + strconv.Itoa(pid),
				CPUNS: int64(u.cpu), RSSBytes: u.rss, PSSBytes: u.pss,
			})
		}
	}
}
