package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(child(spec))
	}
	flag.Parse()
	log.SetOutput(io.Discard)                              // as the program does
	if err := flag.Set("test.parallel", "6"); err != nil { // they mostly wait
		fmt.Fprintln(os.Stderr, err)
	}
	goleak.VerifyTestMain(m)
}

// engines are all engines.
var engines = map[string]func() Engine{
	"net/http": NewHTTP,
	"raw":      func() Engine { return NewRaw(1) },
}

// secured is an engine whose servers speak TLS; it does not ask who they are.
type secured struct{ Engine }

func (s secured) Run(ctx context.Context, job Job, emit func(stats.Window)) error {
	job.TLS.Insecure = true
	return s.Engine.Run(ctx, job, emit)
}

// onAll runs a test on every engine, and over TLS where one speaks it.
func onAll(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Run("net/http, TLS", func(t *testing.T) { test(t, secured{NewHTTP()}) })
	onPlain(t, test)
}

// onPlain runs a test on every engine without TLS.
func onPlain(t *testing.T, test func(t *testing.T, e Engine)) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) { test(t, engine()) })
	}
}

// echoWork asks for k0, k1, ... and wants the name back.
type echoWork struct{}

func (echoWork) AppendTarget(dst []byte, _, n uint64) []byte {
	return fmt.Appendf(dst, "/demo?name=k%d", n)
}
func (echoWork) Length(_, _ uint64, length int64) bool { return length >= 2 }
func (echoWork) Hit(_, n uint64) (bool, bool)          { return n%2 == 0, true }
func (echoWork) Check(_, n uint64, status int, body []byte) string {
	if string(body) != fmt.Sprintf("k%d", n) {
		return "wrong body"
	}
	return ""
}

// closedJob is a short closed-model phase on some servers.
func closedJob(connections int, d time.Duration, urls ...string) Job {
	return Job{URLs: urls, Workload: echoWork{}, Start: time.Now(), Share: Share{0, 1}, Phase: Phase{
		Number: 3, Model: Closed, Connections: connections, Duration: d, Timeout: 3 * time.Second, CheckShare: 1,
	}}
}

// openJob is a short open-model phase on some servers.
func openJob(connections int, rate float64, d time.Duration, urls ...string) Job {
	j := closedJob(connections, d, urls...)
	j.Phase.Model, j.Phase.Rate = Open, rate
	return j
}

// bounds checks the server's own count against the engine's. Where the server answers
// unasked, the connection may be lost before it has read the one request that took the answer.
func bounds(t *testing.T, s *hostile, sum *total) {
	t.Helper()
	written := sum.Books.Sent - sum.Unwritten
	if got := s.requests.Load(); got > written || got+s.unasked.Load() < sum.Books.Answered() {
		t.Errorf("the server counts %d requests; %d answers were received, %d requests fully written", got, sum.Books.Answered(), written)
	}
	for range 100 { // the kernel accepts before the server does
		if s.accepted.Load() >= sum.Opened {
			break
		}
		time.Sleep(20 * ms)
	}
	if got := s.accepted.Load(); got < sum.Opened {
		t.Errorf("%d connections accepted, %d opened", got, sum.Opened)
	}
}

func TestFates(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		for _, f := range fates {
			for _, model := range []string{Open, Closed} {
				t.Run(f.name+" "+model, func(t *testing.T) {
					t.Parallel()
					s := serverFor(t, e, &hostile{greet: f.greet, fate: f.fate})
					job := closedJob(4, 120*ms, s.url())
					if f.class == classTimeout || slices.Contains(f.or, classTimeout) {
						job.Phase.Timeout = 100 * ms
					}
					if model == Open {
						job.Phase.Model, job.Phase.Rate = Open, 200
					}
					sum := collect(t, e, job)
					if sum.Books.Sent == 0 { // the machine slept through it
						job.Phase.Duration, job.Start = 3*time.Second, time.Now()
						sum = collect(t, e, job)
					}
					bounds(t, s, &sum)
					wantExamples(t, f, s, &sum)
					b := sum.Books
					if b.Sent == 0 {
						t.Fatalf("nothing was sent: %+v", b)
					}
					expected := sum.Outcomes[f.class]
					if f.class == "" {
						expected = b.OK
					}
					for _, other := range f.or {
						expected += sum.Outcomes[other]
					}
					if expected != b.Sent {
						t.Errorf("%d of %d requests are %q or %q; outcomes %v, books %+v", expected, b.Sent, f.class, f.or, sum.Outcomes, b)
					}
					if f.class == "" && b.OK == 0 || f.class != "" && f.or == nil && sum.Outcomes[f.class] == 0 {
						t.Errorf("none is %q: outcomes %v", f.class, sum.Outcomes)
					}
				})
			}
		}
	})
}

// Where nothing is cut, the server's count is the engine's, exactly.
func TestNothingCutCountsAreEqual(t *testing.T) {
	t.Parallel()
	onAll(t, nothingCut)
	t.Run("raw, 3 loops", func(t *testing.T) { nothingCut(t, NewRaw(3)) })
}

func nothingCut(t *testing.T, e Engine) {
	for _, reconnect := range []bool{false, true} {
		first := serverFor(t, e, &hostile{fate: fates[0].fate})
		other := serverFor(t, e, &hostile{fate: fates[0].fate})
		job := openJob(6, 0, 1500*ms, first.url(), other.url())
		job.Phase.Profile = []RatePoint{{0, 500}, {700 * ms, 500}, {700 * ms, 0}} // nothing is left at the end
		job.Phase.Reconnect = reconnect
		sum := collect(t, e, job)
		_, at := all(t, job.Seed, job.Phase, job.Share)
		// A busy machine may leave arrivals unsent; those that were sent are all there.
		n, b := sum.Books.OK, sum.Books
		counted := first.requests.Load() + other.requests.Load()
		if b.Planned != int64(len(at)) || b.Sent != n || n < b.Planned/10 || counted != n || sum.Hits+sum.Misses != n || sum.Hits < n/4 {
			t.Errorf("%d arrivals, servers count %d, hits %d, misses %d, books %+v, outcomes %v", len(at), counted, sum.Hits, sum.Misses, b, sum.Outcomes)
		}
		if first.requests.Load() == 0 || other.requests.Load() == 0 {
			t.Error("one of two URLs got nothing")
		}
		if accepted := first.accepted.Load() + other.accepted.Load(); accepted != sum.Opened || !reconnect && accepted > 6 || reconnect && accepted != n {
			t.Errorf("reconnect %v: %d connections accepted, %d opened, %d requests", reconnect, accepted, sum.Opened, n)
		}
		if r := sum.Replicas["r-1"]; r.Answers != n || r.Errors != 0 || r.Service.Count() != n {
			t.Errorf("replica %+v", r)
		}
		if sum.Checked != n || sum.Status[200] != n {
			t.Errorf("%d checked, statuses %v", sum.Checked, sum.Status)
		}
	}
}

// Everything at once, many times: each request meets a random fate.
func TestMixedFates(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		n, rate := 20, 2000.0
		if !long() {
			n, rate = 3, 1000.0
		}
		var sent int64
		for round := range n {
			rng := make(chan *rand.Rand, 1)
			rng <- rand.New(rand.NewPCG(uint64(round), 5))
			draw := func() float64 { r := <-rng; defer func() { rng <- r }(); return r.Float64() }
			s := serverFor(t, e, &hostile{
				greet: func(_ *hostile, c peer) bool { return draw() > 0.02 || cut(c) },
				fate: func(s *hostile, c peer, n int64, name string) bool {
					f := fates[0]
					if draw() < 0.1 {
						f = fates[int(draw()*float64(len(fates)))]
					}
					if f.fate == nil {
						return f.greet(s, c)
					}
					return f.fate(s, c, n, name)
				},
			})
			job := openJob(64, rate, time.Second, s.url())
			if long() {
				job.Phase.Duration = 25 * time.Second
			}
			job.Phase.Number, job.Phase.Timeout = round, time.Second
			job.Phase.Reconnect = round%3 == 2
			if round%2 == 1 {
				job.Phase.Model = Closed
			}
			sum := collectAll(t, e, 2, job)
			bounds(t, s, &sum)
			sent += sum.Books.Sent
		}
		t.Logf("%d requests sent, books exact", sent)
		if long() && sent < 1_000_000 {
			t.Errorf("only %d requests", sent)
		}
	})
}

// refusing is an address at which nobody listens, and nobody else can until the end of the test: a socket is bound to it.
func refusing(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

func TestRefused(t *testing.T) {
	t.Parallel()
	onPlain(t, func(t *testing.T, e Engine) {
		url := "http://" + refusing(t)
		sum := collect(t, e, openJob(4, 300, 300*ms, url))
		if b := sum.Books; b.Sent == 0 || sum.Outcomes[classRefused] != b.Sent || sum.Unwritten != b.Sent || sum.Opened != 0 {
			t.Errorf("books %+v, outcomes %v, unwritten %d, opened %d", b, sum.Outcomes, sum.Unwritten, sum.Opened)
		}
		closed := collect(t, e, closedJob(4, 300*ms, url))
		if b := closed.Books; b.Error != b.Sent || b.Sent < 4 || b.Sent > 4*31 {
			t.Errorf("closed model against a refusing server: books %+v", b)
		}
	})
}

// A listener whose backlog is full lets connects hang.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	for range 3 { // fill the backlog; what does not fit hangs
		if c, err := net.DialTimeout("tcp", address, 50*ms); err == nil {
			defer c.Close()
		}
	}
	onPlain(t, func(t *testing.T, e Engine) {
		start := time.Now()
		job := openJob(4, 50, 500*ms, "http://"+address)
		job.Phase.Timeout = 200 * ms
		sum := collect(t, e, job)
		b := sum.Books
		if b.Timeout != b.Sent || b.Sent == 0 || sum.Unwritten != b.Sent || b.Dropped == 0 {
			t.Errorf("books %+v, unwritten %d, outcomes %v", b, sum.Unwritten, sum.Outcomes)
		}
		if took := time.Since(start); took > 3*700*ms {
			t.Errorf("took %v", took)
		}
	})
}

// Nothing is sent after the end; answers in flight are awaited and booked to the phase.
func TestAnswersAfterTheEnd(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		for _, model := range []string{Open, Closed} {
			s := serverFor(t, e, &hostile{fate: func(s *hostile, c peer, _ int64, name string) bool {
				time.Sleep(1200 * ms)
				return s.answer(c, name)
			}})
			job := openJob(100, 50, time.Second, s.url())
			job.Phase.Timeout = 3 * time.Second
			if model == Closed {
				job.Phase.Model, job.Phase.Connections = Closed, 10
			}
			sum := collect(t, e, job)
			if sum.Books.OK != sum.Books.Sent || sum.Books.OK == 0 || sum.Windows < 2 {
				t.Errorf("%s: %d windows, books %+v, outcomes %v", model, sum.Windows, sum.Books, sum.Outcomes)
			}
			if after := time.Duration(s.latest.Load() - job.Start.Add(job.Phase.Duration).UnixNano()); after > 500*ms {
				t.Errorf("%s: a request came %v after the end", model, after)
			}
		}
	})
}

// A loop that is held up at the end sends what came due within the phase late, and loses it when it was held up for long.
func TestStallAtTheEnd(t *testing.T) {
	t.Parallel()
	for stall, want := range map[time.Duration]string{50 * ms: "late", 300 * ms: "lost"} {
		t.Run(want, func(t *testing.T) {
			judged(t, 8, stall/2, func(t *testing.T, _ *loadtest.Witness) func() { return stallAtTheEnd(t, stall, want) })
		})
	}
}

// stallAtTheEnd makes the run, and returns what judges it.
func stallAtTheEnd(t *testing.T, stall time.Duration, want string) func() {
	s := newHostile(t, &hostile{fate: fates[0].fate})
	job := openJob(50, 1000, 500*ms, s.url())
	job.Phase.Arrivals = Constant
	var once sync.Once
	job.Permit = func() bool {
		if time.Since(job.Start) > job.Phase.Duration-20*ms {
			once.Do(func() { time.Sleep(stall) })
		}
		return true
	}
	sum := collect(t, NewRaw(1), job)
	return func() {
		if b := sum.Books; b.Planned != 500 || b.OK != b.Sent || b.Dropped != sum.Lost[lostLoop] {
			t.Errorf("%v: books %+v, lost %v, outcomes %v", stall, b, sum.Lost, sum.Outcomes)
		}
		lost := sum.Lost[lostLoop] > 0
		if late := sum.Lateness.Slower(lateAfter); lost != (want == "lost") || late < 5 {
			t.Errorf("%v: lost %v, %d late, want %s", stall, sum.Lost, late, want)
		}
	}
}

// The run can be cut: nothing is awaited, what is in flight is an error of a class of its own.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		for _, model := range []string{Open, Closed} {
			s := serverFor(t, e, &hostile{fate: func(_ *hostile, c peer, _ int64, _ string) bool { drain(c); return false }})
			ctx, cancel := context.WithTimeout(t.Context(), 300*ms)
			job := openJob(5, 100, 10*time.Second, s.url())
			job.Phase.Model, job.Phase.Timeout = model, 20*time.Second
			start := time.Now()
			sum, err := runJob(ctx, t, e, job)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: error %v", model, err)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("%s: took %v", model, took)
			}
			if b := sum.Books; b.Error != 5 || sum.Outcomes[classInterrupted] != 5 || b.Sent != 5 || sum.Unwritten != 0 {
				t.Errorf("%s: books %+v, outcomes %v, unwritten %d", model, b, sum.Outcomes, sum.Unwritten)
			}
		}
	})
}

// Once the permission is refused nothing is sent, even if it comes back.
func TestPermit(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		t.Parallel()
		for _, model := range []string{Open, Closed} {
			for _, reconnect := range []bool{false, true} {
				s := serverFor(t, e, &hostile{fate: fates[0].fate})
				job := openJob(5, 200, 5*time.Second, s.url())
				job.Phase.Model, job.Phase.Reconnect = model, reconnect
				start := time.Now()
				refused := start.Add(300 * ms)
				job.Permit = func() bool { now := time.Now(); return now.Before(refused) || now.After(refused.Add(time.Second)) }
				sum := collect(t, e, job)
				if took := time.Since(start); took > 4*time.Second {
					t.Errorf("%s: the phase went on for %v", model, took)
				}
				if last := time.Unix(0, s.latest.Load()); last.After(refused.Add(950 * ms)) {
					t.Errorf("%s: a request came %v after the permission ended", model, last.Sub(refused))
				}
				b := sum.Books
				if model == Open {
					_, at := all(t, job.Seed, job.Phase, job.Share)
					if b.Planned != int64(len(at)) || sum.Lost[lostPermit]+sum.Lost[classPermit] == 0 || b.Dropped != sum.Lost[lostPermit] {
						t.Errorf("planned %d, lost %v, books %+v", len(at), sum.Lost, b)
					}
				}
				if b.OK == 0 || b.OK+sum.Outcomes[classPermit] != b.Sent || b.Bad+b.Timeout > 0 {
					t.Errorf("%s: books %+v, outcomes %v", model, b, sum.Outcomes)
				}
			}
		}
	})
}

// A connection that was idle for longer than the time-out is as good as before.
func TestIdleConnectionsStay(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		t.Parallel()
		s := serverFor(t, e, &hostile{fate: fates[0].fate})
		job := openJob(1, 4, time.Second, s.url())
		job.Phase.Arrivals, job.Phase.Timeout = Constant, 150*ms
		if sum := collect(t, e, job); sum.Books.OK < 2 || sum.Opened > 1+sum.Books.Timeout {
			t.Errorf("%d connections opened, books %+v", sum.Opened, sum.Books)
		}
	})
}

// The engine sends nothing before the common start.
func TestCommonStart(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		t.Parallel()
		first := make(chan time.Time, 1)
		s := serverFor(t, e, &hostile{fate: fates[0].fate, greet: func(*hostile, peer) bool {
			select {
			case first <- time.Now():
			default:
			}
			return true
		}})
		for _, model := range []string{Open, Closed} {
			job := openJob(3, 100, 200*ms, s.url())
			job.Phase.Model, job.Phase.Arrivals = model, Constant
			job.Start = time.Now().Round(0).Add(300 * ms) // without a monotonic reading, as it comes from another process
			sent := collect(t, e, job).Books.Sent
			select {
			case at := <-first:
				if at.Before(job.Start) {
					t.Errorf("%s: the first connection came %v before the start", model, job.Start.Sub(at))
				}
			default:
				if sent > 0 { // a busy machine may let the whole phase pass
					t.Errorf("%s: %d requests were sent and no connection was seen", model, sent)
				}
			}
		}
	})
}

// A share of the bodies is checked, always the same ones, at every agent.
func TestCheckShare(t *testing.T) {
	t.Parallel()
	job := closedJob(1, time.Second, "http://127.0.0.1:1")
	job.Phase.CheckShare = 0.1
	checked := 0
	for n := range uint64(100_000) {
		first, again := job.Phase.Checker().Checks(7, n), job.Phase.Checker().Checks(7, n)
		if first != again {
			t.Fatal("not a function")
		}
		if first {
			checked++
		}
	}
	if checked < 9_700 || checked > 10_300 {
		t.Errorf("%d of 100,000 are checked, want a tenth", checked)
	}
	onAll(t, func(t *testing.T, e Engine) {
		s := serverFor(t, e, &hostile{fate: func(s *hostile, c peer, _ int64, _ string) bool { return s.answer(c, "wrong") }})
		job := openJob(4, 400, time.Second, s.url())
		job.Phase.CheckShare, job.Phase.Salt = 0.25, "known to the agents alone"
		sum := collect(t, e, job)
		numbers, _ := all(t, job.Seed, job.Phase, job.Share)
		var want int64
		for _, n := range numbers {
			if job.Phase.Checker().Checks(job.stream(-1), n) {
				want++
			}
		}
		if n := sum.Checked; n > want || n < want-sum.Books.Dropped || sum.Books.Bad != n || sum.Outcomes["wrong body"] != n {
			t.Errorf("%d checked, want %d; books %+v", sum.Checked, want, sum.Books)
		}
		job = openJob(4, 400, 300*ms, s.url())
		job.Workload = tooShort{}
		job.Phase.CheckShare = 0
		if sum := collect(t, e, job); sum.Outcomes["wrong length"] != sum.Books.Sent || sum.Checked != 0 {
			t.Errorf("outcomes %v, books %+v", sum.Outcomes, sum.Books)
		}
	})
}

// tooShort wants longer answers than it gets.
type tooShort struct{ echoWork }

func (tooShort) Length(_, _ uint64, length int64) bool { return length > 100 }

// Requests that would not be HTTP are not sent.
func TestTargetsThatAreNone(t *testing.T) {
	t.Parallel()
	onPlain(t, func(t *testing.T, e Engine) {
		for _, target := range []string{"", "demo", "/a b", "/a\r\nX: y", "/\x00", "/\u00fc"} {
			s := serverFor(t, e, &hostile{fate: fates[0].fate})
			job := openJob(1, 50, 10*time.Second, s.url())
			job.Phase.Requests, job.Workload = 5, fixed{target: target}
			sum := collect(t, e, job)
			if sum.Outcomes[classRequest] != sum.Books.Sent || sum.Books.Sent == 0 || s.requests.Load() != 0 || sum.Unwritten != sum.Books.Sent {
				t.Errorf("target %q: outcomes %v, server counts %d", target, sum.Outcomes, s.requests.Load())
			}
		}
	})
}

type fixed struct {
	echoWork
	target string
}

func (f fixed) AppendTarget(dst []byte, _, _ uint64) []byte { return append(dst, f.target...) }

func TestJobsThatCannotBe(t *testing.T) {
	onPlain(t, func(t *testing.T, e Engine) {
		for name, spoil := range map[string]func(*Job){
			"no model":        func(j *Job) { j.Phase.Model = "" },
			"no connection":   func(j *Job) { j.Phase.Connections = 0 },
			"no duration":     func(j *Job) { j.Phase.Duration = 0 },
			"no time-out":     func(j *Job) { j.Phase.Timeout = 0 },
			"no rate":         func(j *Job) { j.Phase.Rate = 0 },
			"no URL":          func(j *Job) { j.URLs = nil },
			"no workload":     func(j *Job) { j.Workload = nil },
			"no host":         func(j *Job) { j.URLs = []string{"http://"} },
			"other scheme":    func(j *Job) { j.URLs = []string{"ftp://127.0.0.1"} },
			"a query":         func(j *Job) { j.URLs = []string{"http://127.0.0.1/?a=b"} },
			"share":           func(j *Job) { j.Share = Share{2, 2} },
			"too many agents": func(j *Job) { j.Share = Share{1, 9} },
			"check share":     func(j *Job) { j.Phase.CheckShare = 1.5 },
			"header":          func(j *Job) { j.Header = []Field{{"A", "b\r\nC: d"}} },
			"header name":     func(j *Job) { j.Header = []Field{{"A b", "c"}} },
			"framing header":  func(j *Job) { j.Header = []Field{{"content-length", "5"}} },
			"method":          func(j *Job) { j.Method = "GE T" },
			"negative ramp":   func(j *Job) { j.Phase.Ramp = -1 },
		} {
			job := openJob(8, 100, 100*ms, "http://127.0.0.1:1")
			spoil(&job)
			if err := e.Run(t.Context(), job, func(stats.Window) { t.Errorf("%s: a window", name) }); err == nil || !strings.HasPrefix(err.Error(), "load: ") {
				t.Errorf("%s: error %v", name, err)
			}
		}
	})
}

// Pacing: most arrivals are taken up within a millisecond on a machine that has time for it.
func TestPacing(t *testing.T) {
	if !long() {
		t.Skip("SKIPPED: needs a machine that has time; BAKEOFF_LONG=1 runs it")
	}
	onAll(t, func(t *testing.T, e Engine) {
		s := serverFor(t, e, &hostile{fate: fates[0].fate})
		sum := collect(t, e, openJob(16, 1000, time.Second, s.url()))
		p50, _ := sum.Lateness.Quantile(0.5)
		p99, _ := sum.Lateness.Quantile(0.99)
		t.Logf("lateness p50 %v, p99 %v, late %d of %d, CPU %v, %d processors", p50, p99, sum.Books.Late, sum.Books.Planned, sum.CPU, runtime.NumCPU())
		if sum.CPU <= 0 {
			t.Error("no CPU time was measured")
		}
		if p50 > 3*ms {
			t.Errorf("half of all arrivals are late by %v", p50)
		}
	})
}

// A rate that no machine can follow ends when it is stopped: what takes up arrivals looks up.
func TestImpossibleRateIsInterrupted(t *testing.T) {
	onAll(t, func(t *testing.T, e Engine) {
		s := serverFor(t, e, &hostile{fate: fates[0].fate})
		job := openJob(1, 1e9, time.Minute, s.url())
		job.Phase.Arrivals = Constant
		ctx, cancel := context.WithTimeout(t.Context(), 50*ms)
		defer cancel()
		sum, err := runJob(ctx, t, e, job)
		if !errors.Is(err, context.DeadlineExceeded) || sum.Books.Planned > 10_000_000 {
			t.Errorf("%v, %d planned", err, sum.Books.Planned)
		}
	})
}

// movingWork is echoWork two of whose three requests concern a change.
type movingWork struct{ echoWork }

func (movingWork) Moving(_, n uint64) int { return int(n%3) - 1 }
func (w movingWork) Moved(stream, n uint64, status int, body []byte) (after, exists bool, class string) {
	return true, true, w.Check(stream, n, status, body)
}

// Answers about changes are all judged by their body; among the checked ones are only those that the salt chooses.
func TestCheckedWithMoves(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		s := serverFor(t, e, &hostile{fate: func(s *hostile, c peer, _ int64, name string) bool { return s.answer(c, name) }})
		job := openJob(4, 400, time.Second, s.url())
		job.Workload, job.Phase.CheckShare, job.Phase.Salt = movingWork{}, 0.25, "of the run"
		sum := collect(t, e, job)
		numbers, _ := all(t, job.Seed, job.Phase, job.Share)
		var want int64
		for _, n := range numbers {
			if job.Phase.Checker().Checks(job.stream(-1), n) {
				want++
			}
		}
		moved := int64(0)
		for _, seen := range sum.Moves {
			moved += seen.After
		}
		if sum.Books.OK != sum.Books.Sent || sum.Checked > want || sum.Checked < want-sum.Books.Dropped || moved < sum.Books.OK/2 {
			t.Errorf("%d checked, want %d; %d about changes; books %+v", sum.Checked, want, moved, sum.Books)
		}
	})
}
