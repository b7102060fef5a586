// Package loadtest is what tests and benchmarks of load need in addition to an engine:
// servers that freeze and report how they did, other generators to compare with,
// a witness of how much the machine itself is to blame, and documents with
// sections that are measured. It knows no engine and nothing of their histograms, so
// that what it says is independent of them.
package loadtest

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Freezer is a server that answers every request at once, except that it
// holds all answers for a while, once. It counts for itself.
type Freezer struct {
	After  time.Duration // from the start until answers are held
	Length time.Duration // how long they are
	Pause  time.Duration // each answer takes so long at any time
	// Due says when a request was due, since the start; nil where that is not known.
	Due func(r *http.Request) (time.Duration, bool)

	listener net.Listener
	all      sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
	begin    time.Time
	held     int64           // requests that came while frozen
	thawed   time.Duration   // when the first held answer was let go; 0: none was held
	answered []time.Duration // when each answer was given, in order
	truth    []time.Duration // from when it was due to its answer
}

// Start opens the server; it ends with the test. Its clock begins with the first request, unless Begin sets it.
func (f *Freezer) Start(t testing.TB) *Freezer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.listener, f.open = l, map[net.Conn]bool{}
	f.all.Go(f.accept)
	t.Cleanup(f.close)
	return f
}

// Begin sets the moment from which all is counted.
func (f *Freezer) Begin(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begin = at
}

// URL is where the server listens.
func (f *Freezer) URL() string { return "http://" + f.listener.Addr().String() }

func (f *Freezer) close() {
	f.listener.Close()
	f.mu.Lock()
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.all.Wait()
}

func (f *Freezer) accept() {
	for {
		c, err := f.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		f.mu.Lock()
		f.open[c] = true
		f.mu.Unlock()
		f.all.Go(func() {
			f.serve(c)
			f.mu.Lock()
			delete(f.open, c)
			f.mu.Unlock()
			c.Close()
		})
	}
}

func (f *Freezer) serve(c net.Conn) {
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		f.hold()
		f.note(r) // before the answer, so that anyone who has it finds it counted
		name := r.URL.Query().Get("name")
		if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(name), name); err != nil {
			return
		}
	}
}

// hold waits as long as a request that has just come must wait.
func (f *Freezer) hold() {
	f.mu.Lock()
	if f.begin.IsZero() {
		f.begin = time.Now()
	}
	at, end := time.Since(f.begin), f.After+f.Length
	frozen := at >= f.After && at < end
	if frozen {
		f.held++
	}
	f.mu.Unlock()
	if f.Pause > 0 {
		time.Sleep(f.Pause)
	}
	if !frozen {
		return
	}
	time.Sleep(end - at - f.Pause)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.thawed == 0 {
		f.thawed = time.Since(f.begin)
	}
}

// note writes an answer down.
func (f *Freezer) note(r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := time.Since(f.begin)
	f.answered = append(f.answered, at)
	if f.Due == nil {
		return
	}
	if due, ok := f.Due(r); ok {
		f.truth = append(f.truth, at-due)
	}
}

// Requests is how many were answered, Held how many came while the server was frozen.
func (f *Freezer) Requests() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.answered))
}

func (f *Freezer) Held() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

// Freeze is what the server measured of it, for a schedule of rate arrivals per second.
func (f *Freezer) Freeze(rate float64) Freeze {
	f.mu.Lock()
	defer f.mu.Unlock()
	return measured(f.After, f.thawed, rate, f.answered)
}

// Truth is the quantile q, in (0, 1], of all response times by the server's own clock, sorted and counted; 0 where Due is not known.
func (f *Freezer) Truth(q float64) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return quantile(f.truth, q)
}

// quantile sorts the times.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[max(int(math.Ceil(q*float64(len(times))-1e-6)), 1)-1]
}

// Freeze is one freeze as it really was.
type Freeze struct {
	Length time.Duration // from the moment set to the first answer let go
	// Drained is how long it took from then until as many answers were given as the
	// schedule had asked for until then; 0: that many were not asked for in time.
	Drained time.Duration
}

// measured finds the freeze in the moments of all answers.
func measured(from, thawed time.Duration, rate float64, answered []time.Duration) Freeze {
	if thawed == 0 {
		return Freeze{}
	}
	f := Freeze{Length: thawed - from}
	if last := int(math.Ceil(rate*thawed.Seconds())) - 1; last >= 0 && last < len(answered) {
		f.Drained = max(answered[last]-thawed, 0)
	}
	if f.Drained >= f.Length { // the server was not the limit: who asks left requests out, and others filled the count up
		f.Drained = 0
	}
	return f
}

// Load is the share u of the server's speed that the schedule asks for: what had gathered within the
// freeze at its rate was drained at the server's.
func (f Freeze) Load() float64 {
	if f.Length == 0 {
		return 0
	}
	return f.Drained.Seconds() / f.Length.Seconds()
}

// Quantile is the response time at quantile q of a run of constant rate that
// lasts so long: an arrival x after the start of the freeze waits for the rest of it, and
// then for those before it, S - (1 - u) x; the worst share 1 - q of all are those of the first (1 - q) T.
func (f Freeze) Quantile(q float64, run time.Duration) time.Duration {
	return f.Length - time.Duration((1-f.Load())*(1-q)*float64(run))
}
