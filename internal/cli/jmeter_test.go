package cli_test

import (
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// jmeterOnly skips where make test-jmeter does not ask for JVMs.
func jmeterOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("BAKEOFF_JMETER") == "" {
		t.Skip("SKIPPED: make test-jmeter")
	}
}

// totalsOf are a trial's totals by phase. In the rates of JMeter's phases there is nothing from before settling.
func totalsOf(t *testing.T, a attempt, settling time.Duration) map[int]*stats.Totals {
	t.Helper()
	out := map[int]*stats.Totals{}
	jmeters := map[int]bool{}
	for _, p := range a.said.Phases {
		out[p.Number] = &stats.Totals{Sending: time.Duration(p.DurationS * float64(time.Second))}
		jmeters[p.Number] = p.Engine == "jmeter"
	}
	for line, err := range a.Loads() {
		if err != nil {
			t.Fatal(err)
		}
		line.Aside = line.Aside || jmeters[line.Phase] && line.Begin < settling
		out[line.Phase].Add(line.Window)
	}
	return out
}

// A whole run: a master and two servers drive a target, and nginx, the database and an InfluxDB of the run have counted what they
// did, the last by what bakeoff writes and by what JMeter's own listener does.
func TestJMeterRun(t *testing.T) {
	jmeterOnly(t)
	s := newScene(t)
	s.write("p.yaml", `name: e2e
blocks: 1
dataset: {rows: 2000}
deployment: {replicas: 2, workers: 1, pool: 4}
targets: [flask]
agents: {engine: jmeter, count: 2}
warmup: 0s
phases:
  - {name: closed, model: closed, connections: 5, duration: 4s, timeout: 5s}
  - {name: open, model: open, rate: 50, duration: 4s, timeout: 3s, check_share: 0.5}
  - {name: server-keys, model: closed, connections: 4, duration: 3s, lookups: server, reconnect: true, timeout: 5s}
collect: {influxdb: {kind: managed, schema: jmeter, listener: true}}
`)
	e, _, all := s.measured("run", "p.yaml")
	e.nothingLeft(5 * time.Second)
	s.noFiles()
	for _, a := range all {
		totals := totalsOf(t, a, 0)
		for _, p := range a.said.Phases {
			b := totals[p.Number].Books
			t.Logf("%s: %+v, witness %+v, spread %v", p.Name, b, p.Witness, time.Duration(p.StartSpreadNS))
			if b.Sent == 0 || p.Witness.BalancerTotal != b.Sent || p.Witness.DatabaseReads != b.Sent || p.Engine != "jmeter" {
				t.Errorf("%s: JMeter's books %+v, nginx %d, database %d", p.Name, b, p.Witness.BalancerTotal, p.Witness.DatabaseReads)
			}
			if sum := totals[p.Number]; p.Name != "server-keys" && (sum.Hits == 0 || sum.Misses == 0 || sum.Hits+sum.Misses != b.Sent || sum.Checked == 0) {
				t.Errorf("%s: %d hits, %d misses, %d checked of %d", p.Name, sum.Hits, sum.Misses, sum.Checked, b.Sent)
			}
			if len(totals[p.Number].Replicas) != 2 {
				t.Errorf("%s: replicas %v", p.Name, totals[p.Number].Replicas)
			}
			if p.Name == "open" && b.Planned != 200 {
				t.Errorf("open: planned %d, not 200", b.Planned)
			}
		}
	}
	whole := s.run(0, "report", "--full", s.theRun()).stdout.String()
	wantAll(t, "report", whole, "driven by jmeter", "n/m: not measured", "JMeter 5.6.3", "Java", "with JMeter the targets", "take no turns", "JMeter on this machine")
	s.bothArrived()
}

// slowServer answers everything after a delay, and counts.
func slowServer(t *testing.T, delay time.Duration, asked *atomic.Int64) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		time.Sleep(delay)
		_, _ = w.Write([]byte("steady"))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String() + "/"
}

const (
	agreeRate   = 0.05
	agreeMedian = 2 * time.Millisecond
	steadyDelay = 20 * time.Millisecond
	// settling is how long JMeter starts its threads and compiles its code: its rate is of the time after that.
	settling = 8 * time.Second
	// steadyForeign is the part of a machine that others may use at rest, so that JMeter can be what is seen.
	steadyForeign = 0.1
)

// On a steady server both engines see the same, as two phases of one run. JMeter's phase is the longer one: its first
// seconds are left out of its rate. A busy machine takes JMeter the time it needs: a run that others disturbed shows
// nothing. Interrupted in the middle of JMeter's load in the next block, the run ends cleanly within seconds and leaves no JVM.
func TestJMeterAgrees(t *testing.T) {
	jmeterOnly(t)
	s := newScene(t)
	var asked atomic.Int64
	url := slowServer(t, steadyDelay, &asked)
	s.write("p.yaml", `name: e2e
blocks: 2
targets: [{name: steady, kind: url, url: "`+url+`", expect: {body: steady}}]
agents: {count: 2}
warmup: 0s
phases:
  - {name: jmeter, model: closed, connections: 10, duration: 20s, engine: jmeter}
  - {name: native, model: closed, connections: 10, duration: 5s}
`)
	disturbed := 0
	for range 3 {
		first := s.firstBlock(&asked)
		agree, others := enginesAgree(t, first)
		if foreign := s.open().Run().Baselines[0].Foreign; foreign > steadyForeign {
			t.Logf("others used %.2f of the machine before any load", foreign)
			others = true
		}
		if agree {
			whole := s.run(0, "report", "--full", s.theRun()).stdout.String()
			wantAll(t, "report", whole, "Phase native: closed model", "Phase jmeter: closed model, 10 connections, 20 s, driven by jmeter", "JMeter on this machine")
			return
		}
		if others {
			disturbed++
		}
		if err := os.RemoveAll(s.path("runs")); err != nil {
			t.Fatal(err)
		}
	}
	if disturbed == 3 {
		t.Skip("SKIPPED: other programs took this machine's time in each of three runs")
	}
	t.Errorf("in none of three runs the engines agree within %.0f %% and %v", 100*agreeRate, agreeMedian)
}

// firstBlock runs the plan, interrupts it while JMeter loads in the second block, and returns the trial of the first one.
func (s *scene) firstBlock(asked *atomic.Int64) attempt {
	t := s.t
	t.Helper()
	e := s.start("run", "p.yaml")
	e.await("] block 2 of 2, steady, ", 1)
	tried, err := filepath.Glob(s.path("runs", "*", "trials", "1-*"))
	if err != nil {
		t.Fatal(err)
	}
	e.await("jmeter: 10 connections", len(tried)+1)
	under := asked.Load() + 100
	for deadline := time.Now().Add(time.Minute); asked.Load() < under; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("JMeter does not load\n%s", e.stderr)
		}
	}
	at := time.Now()
	e.signal(syscall.SIGINT)
	e.wantStatus(130, 15*time.Second)
	t.Logf("ended %v after the signal", time.Since(at).Round(10*time.Millisecond))
	e.nothingLeft(5 * time.Second)
	s.noFiles()
	last := lastAttempts(t, s.open())
	if len(last) != 1 || last[0].said.Status != record.Valid && !busy(last[0].said) {
		t.Fatalf("trials that ended: %+v", last)
	}
	return last[0]
}

// enginesAgree reports whether both phases of a trial show the same, and whether others disturbed them: bakeoff says so, or the
// native engine, too, gets its answers later than the server gives them.
func enginesAgree(t *testing.T, a attempt) (agree, others bool) {
	t.Helper()
	totals := totalsOf(t, a, settling)
	jmeter, native := totals[1], totals[2]
	if jmeter == nil || native == nil || native.Books.OK == 0 {
		t.Logf("%s has not both phases: %+v", a.Folder, a.said.Reasons)
		return false, busy(a.said)
	}
	apart := math.Abs(jmeter.Goodput()/native.Goodput() - 1)
	mine, _ := native.Service.Quantile(0.5)
	its, _ := jmeter.Service.Quantile(0.5)
	t.Logf("native %.1f/s, p50 %v; JMeter %.1f/s, p50 %v: %.2f %% and %v apart", native.Goodput(), mine, jmeter.Goodput(), its, 100*apart, (its - mine).Abs())
	others = busy(a.said) || mine > steadyDelay+agreeMedian/2 || slices.ContainsFunc(a.said.Warnings, func(r record.Reason) bool { return r.Code == record.CodeDisturbedHost })
	if others {
		t.Logf("disturbed: %+v, %+v", a.said.Reasons, a.said.Warnings)
	}
	return a.said.Status == record.Valid && apart <= agreeRate && (its-mine).Abs() <= agreeMedian, others
}
