package load

import (
	"bytes"
	"context"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/stats"
)

// counted is a workload that counts and allocates nothing.
type counted struct {
	oneThing
	sent *atomic.Int64
}

func (c counted) AppendTarget(dst []byte, stream, n uint64) []byte {
	c.sent.Add(1)
	return c.oneThing.AppendTarget(dst, stream, n)
}

// answering is a server in a thread of its own that allocates nothing: it answers each read with the same bytes.
func answering(t testing.TB, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in, out := make([]byte, 4096), []byte(answer)
				for {
					if _, err := c.Read(in); err != nil {
						return
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

const benchAnswer = "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nX-Bakeoff-Replica: a-1\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"

// allocations runs the raw engine for b.N requests or more and returns how many allocations it made.
func allocations(t testing.TB, model string, d time.Duration) (mallocs, requests int64) {
	url := answering(t, benchAnswer)
	var sent atomic.Int64
	job := closedJob(8, d, url)
	job.Workload = counted{oneThing{"/demo?name=" + benchKey, "ok"}, &sent}
	job.Phase.CheckShare = 0.1
	if model == Open {
		job.Phase.Model, job.Phase.Rate = Open, 20_000
	}
	var from, to runtime.MemStats
	var fromSent, toSent int64
	seen := 0
	err := NewRaw(1).Run(context.Background(), job, func(w stats.Window) {
		switch seen++; seen {
		case 1: // everything has its size after the first second
			runtime.ReadMemStats(&from)
			fromSent = sent.Load()
		case 2: // only what closing one window costs is left
			runtime.ReadMemStats(&to)
			toSent = sent.Load()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return int64(to.Mallocs - from.Mallocs), toSent - fromSent
}

// Nothing is allocated per request: what a second costs does not depend on how many requests it has.
func TestRawDoesNotAllocate(t *testing.T) {
	for _, model := range []string{Closed, Open} {
		mallocs, requests := allocations(t, model, 2200*ms)
		t.Logf("%s: %d allocations in one second with %d requests", model, mallocs, requests)
		if requests < 3000 {
			t.Errorf("%s: only %d requests", model, requests)
		}
		if mallocs > 1000 { // about 350 a second are for the window
			t.Errorf("%s: %d allocations for %d requests", model, mallocs, requests)
		}
	}
}

// oneRequest makes one request go the whole way through the loop, over a pair of sockets:
// schedule, books, request bytes, parser, checks.
func oneRequest(t testing.TB) func(n uint64) {
	job := openJob(1, 1e6, time.Hour, "http://127.0.0.1:1")
	job.Workload = oneThing{"/demo?name=" + benchKey, "ok"}
	job.Phase.CheckShare = 0.1
	c, theirs := socketPair(t, &job)
	answer := []byte(benchAnswer)
	in := make([]byte, 4096)
	l := c.loop
	return func(n uint64) {
		c.begin(arrival{n: n, intended: l.now()}, l.now())
		if got, errno := rawReceive(theirs, in); errno != 0 || got == 0 {
			t.Fatal(errno)
		}
		if _, errno := rawSend(theirs, answer); errno != 0 {
			t.Fatal(errno)
		}
		c.event(unix.EPOLLIN)
		if l.queues[0].free(); c.res.class != "" {
			t.Fatal(c.res.class)
		}
	}
}

func TestRawRequestAllocatesNothing(t *testing.T) {
	one := oneRequest(t)
	one(0)
	if n := testing.AllocsPerRun(1000, func() { one(1) }); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func BenchmarkRawRequest(b *testing.B) {
	one := oneRequest(b)
	one(0)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		one(uint64(i))
	}
}

// socketPair is a connection of a loop that is not running, and the other end.
func socketPair(t testing.TB, job *Job) (*rawConn, int) {
	t.Helper()
	r, err := (&Raw{loops: 1}).newRun(context.Background(), job)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := r.loops[0].queues[0].free()
	c.fd, c.state = fds[0], isIdle
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]); c.close(); r.close() })
	return c, fds[1]
}

// ordered notes in which order requests are written, "s", and answers judged, "a"; at the first
// answer it waits, so that the others come during that time.
type ordered struct {
	oneThing
	calls *[]byte
}

func (o ordered) AppendTarget(dst []byte, stream, n uint64) []byte {
	*o.calls = append(*o.calls, 's')
	return o.oneThing.AppendTarget(dst, stream, n)
}

func (o ordered) Length(_, _ uint64, _ int64) bool {
	if !bytes.Contains(*o.calls, []byte("a")) {
		time.Sleep(100 * ms)
	}
	*o.calls = append(*o.calls, 'a')
	return true
}

// Answers that wait together are read, and their times taken, before further requests are written.
func TestAnswersAreReadFirst(t *testing.T) {
	t.Parallel()
	var calls []byte
	job := closedJob(2*readFirst, 300*ms, answering(t, benchAnswer))
	job.Workload = ordered{oneThing{"/", "ok"}, &calls}
	sum := collect(t, NewRaw(1), job)
	calls = calls[:bytes.LastIndexByte(calls, 's')] // the last ones are read without any request after them
	if longest := len(slices.MaxFunc(bytes.Split(calls, []byte("s")), func(a, b []byte) int { return len(a) - len(b) })); longest < readFirst || sum.Books.OK != sum.Books.Sent {
		t.Errorf("at most %d answers were read in a row, want %d; books %+v", longest, readFirst, sum.Books)
	}
}

// A socket is not paced by the congestion control of the system.
func TestSocketsAreNotPaced(t *testing.T) {
	t.Parallel()
	allowed, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
	if !slices.Contains(strings.Fields(string(allowed)), "reno") {
		t.Skip("SKIPPED: reno is not allowed here")
	}
	var names []string
	e := &Raw{loops: 1, prepare: func(fd int) error {
		name, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		names = append(names, strings.TrimRight(name, "\x00"))
		return err
	}}
	job := closedJob(3, 500*ms, answering(t, benchAnswer))
	job.Workload = oneThing{"/", "ok"}
	collect(t, e, job)
	if !slices.Equal(names, []string{"reno", "reno", "reno"}) {
		t.Errorf("the sockets use %q", names)
	}
}
