package load

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/stats"
)

// long reports whether the full counts were asked for.
func long() bool { return os.Getenv("BAKEOFF_LONG") == "1" }

// virtual is a server in memory, for runs in virtual time.
type virtual struct {
	mu      sync.Mutex
	handled int
	handle  func(n int) // called for the n-th request in order of arrival, before its answer
	wait    sync.WaitGroup
}

// engine returns an engine whose every connection leads to the server.
func (v *virtual) engine() Engine {
	return &HTTP{
		alone: true,
		dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			v.wait.Go(func() { v.serve(far) })
			return near, nil
		},
		waker: newTimerWaker,
	}
}

func (v *virtual) serve(c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		v.mu.Lock()
		n := v.handled
		v.handled++
		v.mu.Unlock()
		v.handle(n)
		name := r.URL.Query().Get("name")
		if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(name), name); err != nil {
			return
		}
	}
}

// The engine measures exactly what queueing theory says a single server does
// to this very schedule, and so, on average, the known results for M/M/1 and D/M/1.
func TestEngineInVirtualTimeIsAQueue(t *testing.T) {
	seeds, duration := 2, 20*time.Second
	if long() {
		seeds, duration = 20, 60*time.Second
	}
	for _, c := range []struct {
		arrivals  string
		mean, p99 float64 // ms, in theory
	}{{Poisson, 2.50, 11.5}, {Constant, 1.57, 7.2}} {
		t.Run(c.arrivals, func(t *testing.T) {
			var mean, p99 float64
			for seed := range uint64(seeds) {
				phase := Phase{Model: Open, Connections: 1, Rate: 400, Arrivals: c.arrivals, Duration: duration, Timeout: 10 * time.Second}
				_, at := all(t, seed, phase, Share{0, 1})
				rng := rand.New(rand.NewPCG(seed, 99))
				times := make([]time.Duration, len(at))
				for i := range times {
					times[i] = time.Duration(rng.ExpFloat64() / 800 * 1e9)
				}
				var sum total
				synctest.Test(t, func(t *testing.T) {
					v := &virtual{handle: func(n int) { time.Sleep(times[n]) }}
					job := Job{URLs: []string{"http://virtual"}, Phase: phase, Share: Share{0, 1}, Seed: seed, Workload: echoWork{}, Start: time.Now()}
					sum = collect(t, v.engine(), job)
					v.wait.Wait()
				})
				want := lindley(at, func(i int) time.Duration { return times[i] })
				if sum.Books.OK != int64(len(at)) || sum.Books.Planned != int64(len(at)) {
					t.Fatalf("%d arrivals, books %+v", len(at), sum.Books)
				}
				for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
					got, _ := sum.Response.Quantile(q)
					exact, _ := want.Quantile(q)
					if math.Abs(float64(got-exact)) > 0.002*float64(exact)+2000 {
						t.Errorf("seed %d: response time at quantile %v is %v, the queue gives %v", seed, q, got, exact)
					}
				}
				if late, _ := sum.Lateness.Quantile(1); late > 1024 {
					t.Errorf("seed %d: late by %v in virtual time", seed, late)
				}
				q, _ := sum.Response.Quantile(0.99)
				mean += sum.Response.Mean().Seconds() * 1e3 / float64(seeds)
				p99 += q.Seconds() * 1e3 / float64(seeds)
			}
			if long() && (math.Abs(mean/c.mean-1) > 0.04 || math.Abs(p99/c.p99-1) > 0.08) {
				t.Errorf("mean %.3f ms and p99 %.2f ms, theory %.2f and %.1f", mean, p99, c.mean, c.p99)
			}
		})
	}
}

// A stall of all answers shows in full, however many connections and agents.
func TestStallInVirtualTime(t *testing.T) {
	stall, duration, rate := 500*ms, 15*time.Second, 700.0
	if long() {
		stall, duration = 2*time.Second, 60*time.Second
	}
	for _, connections := range []int{10, 100, 1000} {
		for _, agents := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%d connections %d agents", connections, agents), func(t *testing.T) {
				var sum total
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					from := start.Add(duration / 3)
					v := &virtual{handle: func(int) {
						time.Sleep(ms)
						if now := time.Now(); now.After(from) && now.Before(from.Add(stall)) {
							time.Sleep(from.Add(stall).Sub(now))
						}
					}}
					sum = collectAll(t, v.engine(), agents, Job{
						URLs: []string{"http://virtual"}, Workload: echoWork{}, Start: start,
						Phase: Phase{Model: Open, Connections: connections, Rate: rate, Arrivals: Constant, Duration: duration, Timeout: 10 * time.Second},
					})
					v.wait.Wait()
				})
				if want := int64(rate * duration.Seconds()); sum.Books.OK != want || sum.Books.Late != 0 {
					t.Fatalf("books %+v, want %d ok and none late", sum.Books, want)
				}
				drain := float64(connections) / 0.001
				want := stall.Seconds() - (1-rate/drain)*0.01*duration.Seconds()
				got, _ := sum.Response.Quantile(0.99)
				if math.Abs(got.Seconds()/want-1) > 0.03 {
					t.Errorf("p99 %.4f s, want %.4f s", got.Seconds(), want)
				}
				if most := int64(rate * stall.Seconds()); connections == 10 && (sum.Books.Queued < most*9/10 || sum.Books.Queued > most*11/10) {
					t.Errorf("%d had to wait for a connection, about %d came during the stall", sum.Books.Queued, most)
				}
			})
		}
	}
}

// What waits longer than the time-out is dropped, at the time-out, and stays in the distribution.
func TestBacklogBoundInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &virtual{handle: func(int) { time.Sleep(100 * ms) }} // one connection: 10 answers per second
		sum := collect(t, v.engine(), Job{
			URLs: []string{"http://virtual"}, Workload: echoWork{}, Start: time.Now(), Share: Share{0, 1},
			Phase: Phase{Model: Open, Connections: 1, Rate: 40, Arrivals: Constant, Duration: 10 * time.Second, Timeout: time.Second},
		})
		v.wait.Wait()
		// 400 are planned; one is sent every 100 ms; nothing waits longer than a second.
		b := sum.Books
		if b.Planned != 400 || b.OK != 101 || b.Dropped != 299 || b.Timeout != 0 {
			t.Errorf("books %+v", b)
		}
		if sum.Response.Over() != b.Dropped || sum.Response.Count() != b.Planned {
			t.Errorf("%d of %d samples are censored, %d were dropped", sum.Response.Over(), sum.Response.Count(), b.Dropped)
		}
		if p, censored := sum.Response.Quantile(0.5); !censored || p != time.Second {
			t.Errorf("the median response time is %v, censored %v", p, censored)
		}
		if sum.Service.Max() > 101*ms {
			t.Errorf("service time up to %v", sum.Service.Max())
		}
	})
}

// Time-outs end at the time-out, between two arrivals, and the arrivals behind them are served by the connection opened in
// its place.
func TestTimeoutsInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &virtual{handle: func(n int) {
			if n%10 == 3 {
				time.Sleep(5 * time.Second)
			}
		}}
		start := time.Now()
		sum := collect(t, v.engine(), Job{
			URLs: []string{"http://virtual"}, Workload: echoWork{}, Start: start, Share: Share{0, 1},
			Phase: Phase{Model: Open, Connections: 4, Rate: 1, Arrivals: Constant, Duration: 20 * time.Second, Timeout: 2500 * ms},
		})
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("took %v", took)
		}
		b := sum.Books
		if b.Planned != 20 || b.OK != 18 || b.Timeout != 2 || sum.Opened != 4 {
			t.Errorf("books %+v, %d opened", b, sum.Opened)
		}
		if sum.Outcomes["timeout"] != 2 || sum.Service.Over() != 2 || math.Abs(sum.ErrorTime-5) > 1e-6 {
			t.Errorf("outcomes %v, %d over, %v s", sum.Outcomes, sum.Service.Over(), sum.ErrorTime)
		}
		v.wait.Wait()
	})
}

// "N users for D seconds after a ramp of R", to the millisecond.
func TestClosedModelInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		var arrived []time.Duration
		v := &virtual{handle: func(int) {
			mu.Lock()
			arrived = append(arrived, time.Since(start))
			mu.Unlock()
			time.Sleep(300 * ms)
		}}
		sum := collectAll(t, v.engine(), 2, Job{
			URLs: []string{"http://virtual"}, Workload: echoWork{}, Start: start,
			Phase: Phase{Model: Closed, Connections: 4, Ramp: 2 * time.Second, Think: 200 * ms, Duration: 3 * time.Second, Timeout: time.Second},
		})
		v.wait.Wait()
		// Connections start at 0, 0.5, 1 and 1.5 s and send every 0.5 s until 3 s: 6 + 5 + 4 + 3.
		if b := sum.Books; b.Planned != 18 || b.OK != 18 || b.Sent != 18 {
			t.Errorf("books %+v", b)
		}
		for _, at := range arrived {
			if at%(500*ms) > 1000 || at >= 3*time.Second {
				t.Errorf("a request came at %v", at)
			}
		}
		if math.Abs(*sum.InFlight-18*0.3) > 1e-6 {
			t.Errorf("in flight for %v s, want %v", *sum.InFlight, 18*0.3)
		}
		if got := sum.Response.Max(); got < 299*ms || got > 301*ms {
			t.Errorf("response time %v, want 300ms", got)
		}
	})
}

// Events are counted in the window in which they happen; a window ends with its second, or with the sending.
func TestWindowsInVirtualTime(t *testing.T) {
	for name, c := range map[string]struct {
		sending, takes time.Duration
		begins         []time.Duration
		want           [][4]float64 // planned, sent, ok, in flight of each window
		goodput        float64
	}{
		// Sent at 0, 0.5, 1, 1.5; answered at 1.5, 2, 2.5, 3.
		"whole seconds": {2 * time.Second, 1500 * ms, []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}, [][4]float64{{2, 2, 0, 1.5}, {2, 2, 1, 3}, {0, 0, 2, 1.5}, {0, 0, 1, 0}}, 0.5},
		// Sent at 0, 0.5, 1; answered at 1.2, 1.7, 2.2.
		"a part of one": {1500 * ms, 1200 * ms, []time.Duration{0, time.Second, 1500 * ms, 2 * time.Second}, [][4]float64{{2, 2, 0, 1.5}, {1, 1, 1, 1.2}, {0, 0, 1, 0.7}, {0, 0, 1, 0.2}}, 1 / 1.5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &virtual{handle: func(int) { time.Sleep(c.takes) }}
				start := time.Now().Add(300 * ms)
				var windows []stats.Window
				err := v.engine().Run(t.Context(), Job{
					URLs: []string{"http://virtual"}, Workload: echoWork{}, Start: start, Share: Share{0, 1},
					Phase: Phase{Model: Open, Connections: 8, Rate: 2, Arrivals: Constant, Duration: c.sending, Timeout: 5 * time.Second},
				}, func(w stats.Window) {
					last := len(windows) == len(c.begins)-1
					if late := time.Since(start) - w.End(); late > ms || !last && late < 0 {
						t.Errorf("the window from %v on came at %v", w.Begin, time.Since(start))
					}
					windows = append(windows, w)
				})
				v.wait.Wait()
				if err != nil {
					t.Fatal(err)
				}
				sum := stats.Totals{Sending: c.sending}
				var begins []time.Duration
				var got [][4]float64
				for _, w := range windows {
					if w.Begin != sum.End() || w.Length <= 0 {
						t.Errorf("a window of %v begins at %v, where %v was due", w.Length, w.Begin, sum.End())
					}
					sum.Add(w)
					begins = append(begins, w.Begin)
					got = append(got, [4]float64{float64(w.Books.Planned), float64(w.Books.Sent), float64(w.Books.OK), math.Round(*w.InFlight*1e6) / 1e6})
				}
				if !slices.Equal(begins, c.begins) || !slices.Equal(got, c.want) {
					t.Errorf("windows from %v on, want %v; planned, sent, ok and in flight of each: %v, want %v", begins, c.begins, got, c.want)
				}
				if math.Abs(sum.Goodput()-c.goodput) > 1e-9 {
					t.Errorf("goodput %v/s, want %v", sum.Goodput(), c.goodput)
				}
			})
		})
	}
}

// A request that takes seconds to connect has its whole life within the time-out.
func TestSlowConnectInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &HTTP{alone: true, waker: newTimerWaker, dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		start := time.Now()
		sum := collect(t, e, Job{
			URLs: []string{"http://virtual"}, Workload: echoWork{}, Start: start, Share: Share{0, 1},
			Phase: Phase{Model: Closed, Connections: 3, Duration: 5 * time.Second, Timeout: 2 * time.Second},
		})
		if b := sum.Books; b.Timeout != 9 || b.Planned != 9 || sum.Unwritten != 9 || sum.Opened != 0 {
			t.Errorf("books %+v, unwritten %d, opened %d", sum.Books, sum.Unwritten, sum.Opened)
		}
		if took := time.Since(start); took != 6*time.Second {
			t.Errorf("took %v, want the last time-out at 6 s", took)
		}
	})
}
