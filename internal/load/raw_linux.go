package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/stats"
)

// Raw is the engine on Linux epoll: one loop per core in use, each on a thread
// of its own, each with its own connections, arrivals and books. It writes
// requests and reads answers without going through Go's network stack, frames
// answers with its own strict parser, and allocates nothing per request. It
// speaks HTTP/1.1 without TLS.
type Raw struct {
	loops   int
	prepare func(fd int) error // of every new socket; nil: nothing
}

// NewRaw returns the engine with that many loops; 0 means one. It holds no connection between runs.
func NewRaw(loops int) Engine { return &Raw{loops: max(loops, 1)} }

// destination is a server that connections go to. A loop has its own: connecting writes into the address.
type destination struct {
	to      netip.AddrPort
	path    string // of a socket of this machine, instead
	family  int
	address unix.Sockaddr
}

// own returns the destination with an address of its own.
func (p destination) own() destination {
	if p.path != "" {
		p.family, p.address = unix.AF_UNIX, &unix.SockaddrUnix{Name: p.path}
		return p
	}
	port, ip := int(p.to.Port()), p.to.Addr().Unmap()
	if ip.Is4() {
		p.family, p.address = unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	} else {
		p.family, p.address = unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
	}
	return p
}

// rawRun is one phase in progress, over all loops.
type rawRun struct {
	job          Job
	start        time.Time
	begin        int64 // of the slice; 0 without slices
	end          int64
	sliced       bool
	spread       *spread
	destinations []destination // by server
	prepare      func(fd int) error
	loops        []*loop
	stopped      atomic.Bool // ctx ended: send nothing, wait for nothing
	barred       atomic.Bool // the permission to send is gone
}

// Run carries out the job; see Engine.
func (e *Raw) Run(ctx context.Context, job Job, emit func(stats.Window)) error {
	r, err := e.newRun(ctx, &job)
	if err != nil {
		return err
	}
	defer r.close()
	moreProcessors(len(r.loops)) // each loop keeps one while it waits
	defer moreProcessors(-len(r.loops))
	out := emission{start: r.start, sending: job.Phase.Duration, atLeast: r.atLeast, watch: newWatch(r.start, r.held, r.threads)}
	r.loops[0].watch = out.watch // what keeps one away keeps all
	var watched <-chan struct{}
	out.ended, watched = r.work(ctx)
	for _, l := range r.loops {
		out.ledgers = append(out.ledgers, l.ledger)
	}
	out.run(emit)
	<-watched
	return r.result(ctx)
}

// work lets all loops work. The channels are closed when they have ended, and when nobody looks after ctx any more.
func (r *rawRun) work(ctx context.Context) (ended, watched chan struct{}) {
	var all sync.WaitGroup
	for _, l := range r.loops {
		all.Go(l.work)
	}
	ended, watched = make(chan struct{}), make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
			r.stopped.Store(true)
			for _, l := range r.loops {
				l.poll.kick()
			}
		case <-ended:
		}
	}()
	return ended, watched
}

// result is the error by which the loops ended.
func (r *rawRun) result(ctx context.Context) error {
	if r.stopped.Load() {
		return ctx.Err()
	}
	for _, l := range r.loops {
		if l.broken != nil {
			return l.broken
		}
	}
	return nil
}

// rawSlices is a phase under way, slice by slice.
type rawSlices struct{ *rawRun }

// Slices makes the job ready; see Slicer.
func (e *Raw) Slices(ctx context.Context, job Job) (Slices, error) {
	if err := job.checkSlices(); err != nil {
		return nil, err
	}
	r, err := e.newRun(ctx, &job)
	if err != nil {
		return nil, err
	}
	r.sliced = true
	moreProcessors(len(r.loops))
	restCollector()
	return &rawSlices{r}, nil
}

// Run carries out one slice; see Slices.
func (s *rawSlices) Run(ctx context.Context, slice Slice, emit func(stats.Window)) error {
	r := s.rawRun
	r.start = monotonic(slice.Start).Add(-slice.Begin)
	r.begin, r.end = int64(slice.Begin), int64(slice.Begin+slice.Length)
	watch := newWatch(r.start, r.held, r.threads)
	r.loops[0].watch = watch
	for _, l := range r.loops {
		l.again(slice)
	}
	ended, watched := r.work(ctx)
	<-ended
	<-watched
	now := max(int64(time.Since(r.start)), r.begin)
	var sum []stats.Window
	for _, l := range r.loops {
		windows := l.ledger.over(now, slice.isLast(r.end, r.job.Phase))
		if sum == nil {
			sum = windows
			continue
		}
		for i := range sum {
			sum[i].Merge(windows[i])
		}
	}
	tuneCollector()
	watch.fill(sum)
	for _, w := range sum {
		emit(w)
	}
	return r.result(ctx)
}

// Stuck implements Slices.
func (s *rawSlices) Stuck(longer time.Duration) bool {
	for _, l := range s.loops {
		l.ledger.mu.Lock()
		stuck := l.stuckSince() < int64(time.Since(s.start)-longer)
		l.ledger.mu.Unlock()
		if stuck {
			return true
		}
	}
	return false
}

// Extend implements Slices.
func (s *rawSlices) Extend(end time.Duration) bool {
	for _, l := range s.loops {
		l.ledger.mu.Lock()
		defer l.ledger.mu.Unlock()
	}
	for _, l := range s.loops {
		if l.done {
			return false
		}
	}
	s.end = int64(end)
	for _, l := range s.loops {
		l.over = s.barred.Load() || s.stopped.Load()
		l.ledger.extend(end)
		l.poll.kick()
	}
	return true
}

// Close closes the connections; see Slices.
func (s *rawSlices) Close() {
	for _, l := range s.loops {
		l.closeAll()
	}
	s.close()
	wakeCollector()
	moreProcessors(-len(s.loops))
}

// newRun checks the job and builds the loops.
func (e *Raw) newRun(ctx context.Context, job *Job) (*rawRun, error) {
	if err := job.check(); err != nil {
		return nil, err
	}
	if job.Phase.HTTP2 {
		return nil, errors.New("load: the raw engine speaks no HTTP/2")
	}
	if _, own := job.Workload.(ByDial); own {
		return nil, errors.New("load: the raw engine makes all connections itself, but the workload has its own")
	}
	spread, err := job.spread()
	if err != nil {
		return nil, err
	}
	r := &rawRun{job: *job, spread: spread, end: int64(job.Phase.Duration), prepare: e.prepare}
	for _, first := range spread.servers {
		p, err := resolve(ctx, &spread.origins[first])
		if err != nil {
			return nil, err
		}
		r.destinations = append(r.destinations, p)
	}
	r.start = monotonic(job.Start)
	loops := max(1, min(e.loops, len(job.connections())/len(spread.servers))) // each reaches every server
	for i := range loops {
		// The loops share the agent's share as the agents share the whole.
		share := Share{Index: job.Share.Index + job.Share.Of*i, Of: job.Share.Of * loops}
		l, err := r.newLoop(share, i == 0)
		if err != nil {
			r.close()
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	return r, nil
}

func (r *rawRun) close() {
	for _, l := range r.loops {
		l.poll.close()
	}
}

// atLeast is up to when there are windows at least: the end of sending, unless it was cut short.
func (r *rawRun) atLeast() int64 {
	switch {
	case int64(time.Since(r.start)) >= r.end:
		return r.end
	case r.stopped.Load() || r.barred.Load():
		return 0
	case r.job.Phase.Requests > 0:
		return 1 // one at least, be it of nothing
	}
	return r.end
}

// held counts the connections that are open, or were at the end.
func (r *rawRun) held() int {
	n := 0
	for _, l := range r.loops {
		l.ledger.mu.Lock()
		n += l.kept
		for _, c := range l.conns {
			if c.fd >= 0 && c.destination.family != unix.AF_UNIX {
				n++
			}
		}
		l.ledger.mu.Unlock()
	}
	return n
}

// threads are those of the loops that run.
func (r *rawRun) threads() []int {
	var ids []int
	for _, l := range r.loops {
		if id := l.thread.Load(); id != 0 {
			ids = append(ids, int(id))
		}
	}
	return ids
}

// resolve finds the one address that all connections to an origin use.
func resolve(ctx context.Context, o *origin) (p destination, err error) {
	if o.tls {
		return p, errors.New("load: the raw engine speaks no TLS")
	}
	if path, ok := o.socket(); ok {
		p.path = path
		return p, nil
	}
	host, port, err := net.SplitHostPort(o.address)
	if err != nil {
		return p, fmt.Errorf("load: %w", err)
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return p, fmt.Errorf("load: %w", err)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return p, fmt.Errorf("load: %w", err)
	}
	p.to = netip.AddrPortFrom(found[0], uint16(number))
	return p, nil
}

// processors guards the change of a number that belongs to the whole process.
var processors sync.Mutex

// moreProcessors lets that many more goroutines run at once.
func moreProcessors(n int) {
	processors.Lock()
	defer processors.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
}
