package loadtest

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// The formula is what a queue of one fast server does: simulated arrival by arrival.
func TestFormulaIsAQueue(t *testing.T) {
	const rate, run = 1700.0, time.Minute
	for _, speed := range []float64{3400, 17_000, 100_000} {
		from, to := 20*time.Second, 22*time.Second
		var free time.Duration
		var times, given []time.Duration
		for n := range int(rate * run.Seconds()) {
			due := time.Duration(float64(n) / rate * 1e9)
			began := max(due, free)
			if began >= from && began < to {
				began = to
			}
			free = began + time.Duration(1e9/speed)
			times, given = append(times, free-due), append(given, free)
		}
		f := measured(from, to, rate, given)
		if want := rate / speed; math.Abs(f.Load()-want) > 0.01*want {
			t.Errorf("speed %v: u is %.4f, want %.4f", speed, f.Load(), want)
		}
		for _, q := range []float64{0.99, 0.999} {
			got, want := f.Quantile(q, run), quantile(times, q)
			if math.Abs(float64(got-want)) > 0.002*float64(want) {
				t.Errorf("speed %v: quantile %v is %v by the formula, %v by the queue", speed, q, got, want)
			}
		}
	}
}

func TestFreezeNobodySaw(t *testing.T) {
	if f := measured(time.Second, 0, 100, nil); f != (Freeze{}) || f.Load() != 0 {
		t.Errorf("%+v", f)
	}
	// Who stops asking never gets as many answers as were planned.
	f := measured(time.Second, 2*time.Second, 100, make([]time.Duration, 150))
	if f.Length != time.Second || f.Drained != 0 {
		t.Errorf("%+v", f)
	}
	// Nor is it the server's speed when others fill the count up long after.
	slow := make([]time.Duration, 1000)
	for i := range slow {
		slow[i] = time.Duration(i) * 20 * time.Millisecond
	}
	if f := measured(time.Second, 2*time.Second, 100, slow); f.Drained != 0 {
		t.Errorf("%+v", f)
	}
}

func TestQuantile(t *testing.T) {
	times := make([]time.Duration, 1000)
	for i := range times {
		times[999-i] = time.Duration(i + 1)
	}
	for q, want := range map[float64]time.Duration{0.001: 1, 0.5: 500, 0.99: 990, 1: 1000} {
		if got := quantile(times, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
}

// What a generator is read to have said is what the server counted, except for what its end cut off.
func TestPeersAreReadRight(t *testing.T) {
	const connections = 5
	for _, p := range []Peer{Wrk(), Hey(), H2load(), Vegeta(), VegetaCapped(connections), Oha(), K6(connections, connections)} {
		for _, rate := range []int{0, 100} {
			if p.Closed && rate > 0 || p.Name != "vegeta" && p.Program == "vegeta" && rate == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", p.Name, rate), func(t *testing.T) {
				t.Parallel()
				if Find(p.Program) == "" {
					t.Skip("SKIPPED: " + p.Install)
				}
				server := (&Freezer{Pause: 2 * time.Millisecond}).Start(t)
				ran := p.Run(t, Task{URL: server.URL() + "/", Connections: connections, Rate: rate, Duration: time.Second})
				served := server.Requests()
				if ran.Requests > served || ran.Requests < served-2*connections || ran.Requests < 10 {
					t.Errorf("%s: it says %d requests, the server counted %d", ran.Command, ran.Requests, served)
				}
				if p.Name != "h2load" && (ran.P50 < time.Millisecond || ran.P99 < ran.P50 || ran.P99 > 2*time.Second) {
					t.Errorf("%s: p50 %v, p99 %v", ran.Command, ran.P50, ran.P99)
				}
				if p.Name == "h2load" && rate > 0 && !strings.Contains(ran.Note, " ms") {
					t.Errorf("%s: note %q", ran.Command, ran.Note)
				}
				if ran.CPU <= 0 {
					t.Error("no CPU time")
				}
			})
		}
	}
}

// A witness on a machine that does something else sees some wait, and ends.
func TestWitness(t *testing.T) {
	w := Watch(t)
	time.Sleep(100 * time.Millisecond)
	longest, p99 := w.Worst()
	if longest <= 0 || p99 > longest || len(w.late) < 3 {
		t.Errorf("longest %v, p99 %v of %d", longest, p99, len(w.late))
	}
}
