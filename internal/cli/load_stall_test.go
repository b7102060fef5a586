package cli_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
)

// programStall is one run of the program in which a server holds all answers once.
type programStall struct {
	stall, duration     time.Duration
	rate                int
	connections, agents int
	engine              string
}

// programStalls are the runs of this subject; the long ones plan 102,000
// arrivals, enough for a p99.9.
func programStalls() []programStall {
	stall, duration, rate := 500*time.Millisecond, 7*time.Second, 1500 // 10,000 requests are needed for a p99
	if !long() {
		return []programStall{{stall, duration, rate, 1000, 4, "native"}, {stall, duration, rate, 10, 1, "http"}}
	}
	stall, duration, rate = 2*time.Second, time.Minute, 1700
	shares := [][2]int{{10, 1}, {10, 4}, {100, 1}, {100, 4}, {1000, 1}, {1000, 4}}
	var out []programStall
	for _, engine := range []string{"native", "http"} {
		for _, s := range shares {
			out = append(out, programStall{stall, duration, rate, s[0], s[1], engine})
		}
	}
	return out
}

func (p programStall) String() string {
	return fmt.Sprintf("%s %d connections %d agents", p.engine, p.connections, p.agents)
}

// A server that stalls shows in full in what the program prints: p99 = S - (1 - u) 0.01 T,
// and the measurement is valid, because it was the server's doing. By as much as the
// machine left a witness waiting, by so much may a figure be off.
func TestLoadStall(t *testing.T) {
	for _, p := range programStalls() {
		t.Run(p.String(), func(t *testing.T) {
			var s *scene
			if long() { // the machine to itself
				s = aloneScene(t)
			} else {
				s = newScene(t)
			}
			server := (&loadtest.Freezer{After: p.duration / 3, Length: p.stall}).Start(t)
			w := loadtest.Watch(t)
			r := s.load("--rate", strconv.Itoa(p.rate), "--duration", p.duration.String(), "--connections", strconv.Itoa(p.connections),
				"--agents", strconv.Itoa(p.agents), "--engine", p.engine, server.URL()+"/demo?name=k")
			p.check(t, r, server, w)
		})
	}
}

func (p programStall) check(t *testing.T, r loadRun, server *loadtest.Freezer, w *loadtest.Witness) {
	t.Helper()
	worst, usual := w.Worst()
	planned := int64(p.rate) * int64(p.duration/time.Second)
	if r.Planned != planned || r.OK != r.Sent || r.Dropped > planned/1000+int64(float64(p.rate)*worst.Seconds()) || server.Requests() != r.Sent {
		t.Errorf("the server answered %d; %+v", server.Requests(), r.loadJSON)
	}
	freeze := server.Freeze(float64(p.rate))
	for name, q := range map[string]float64{"p99": 0.99, "p99.9": 0.999} {
		if r.Response[name] == nil {
			if name == "p99" || long() {
				t.Errorf("no %s: it needs %d samples", name, r.Needed[name])
			}
			continue
		}
		got, want := time.Duration(*r.Response[name]), freeze.Quantile(q, p.duration)
		t.Logf("%s %.4f s, by the formula %.4f s: %+.2f %%", name, got.Seconds(), want.Seconds(), 100*(got.Seconds()/want.Seconds()-1))
		if math.Abs(float64(got-want)) > 0.03*float64(want)+float64(worst) {
			t.Errorf("%s is %v, by the formula %v: off by more than 3 %% and the %v for which the machine left us waiting", name, got, want, worst)
		}
	}
	t.Logf("frozen for %v, u %.4f; service time p99 %v; late %d, queued %d, lateness p99 %v; valid %v %v; witness waited up to %v, p99 %v",
		freeze.Length, freeze.Load(), time.Duration(*r.Service["p99"]), r.Late, r.Queued, time.Duration(*r.Lateness["p99"]), *r.Valid, r.Reasons, worst, usual)
	for _, why := range r.Reasons {
		if strings.Contains(why, "lateness") && usual > time.Millisecond/4 {
			continue // so was the witness
		}
		t.Errorf("the measurement is invalid: %s", why)
	}
}
