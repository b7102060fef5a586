package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// simulated is a run whose windows are a few that come again and again: as large as a long run.
type simulated struct {
	targets, blocks int
	seconds         int   // of each of two phases, closed and open
	perWindow       int64 // requests of an agent in a second
}

const simulatedAgents = 2

// windows are those of a phase; each is used many times.
func (r simulated) windows(t *testing.T, target string, phase int) (out []record.Load) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(phase), uint64(len(target))))
	times := func(n int64) *stats.Histogram {
		h := stats.NewHistogram()
		for range min(n, 2000) {
			h.RecordN(time.Duration(4e6*math.Exp(rng.NormFloat64()/2)), max(n/2000, 1))
		}
		return h
	}
	for range 16 {
		l := record.Load{Epoch: 1, Phase: phase}
		half := times(r.perWindow / 2)
		l.Window = stats.Window{
			Length: time.Second, Response: times(r.perWindow), Service: times(r.perWindow), Lateness: times(r.perWindow),
			Replicas:  map[string]stats.Replica{target + "-1": {Answers: half.Count(), Service: half}, target + "-2": {Answers: half.Count(), Service: half}},
			Resources: &stats.Resources{Descriptors: 40, DescriptorLimit: 1024, Ports: 16, PortLow: 32768, PortHigh: 60999, Cores: 2},
		}
		n := l.Response.Count()
		l.Books = stats.Books{Planned: n, Sent: n, OK: n}
		out = append(out, l)
	}
	return out
}

// write makes the run directory, and counts its windows and requests.
func (r simulated) write(t *testing.T) (dir string, windows, requests int64) {
	t.Helper()
	var names []string
	for i := range r.targets {
		names = append(names, fmt.Sprintf("target-%02d", i+1))
	}
	run := recordtest.Of(r.blocks, names...)
	w := run.Begin(t)
	ready := map[string][]record.Load{}
	for _, name := range names {
		for phase := 1; phase <= 2; phase++ {
			ready[fmt.Sprint(name, phase)] = r.windows(t, name, phase)
		}
	}
	for _, p := range run.Head.Order {
		tw := must[*record.TrialWriter](t)(w.BeginTrial(p.Block, p.Position, p.Target, 1))
		tr := record.Trial{Status: record.Valid, Started: recordtest.Epoch(), Replicas: []record.Replica{{Name: p.Target + "-1"}, {Name: p.Target + "-2"}}}
		for number, model := range []string{"", "closed", "open"} {
			if model == "" {
				continue
			}
			phase := record.Phase{Number: number, Name: model, Model: model, Connections: 32, DurationS: float64(r.seconds), TimeoutS: 10}
			phase.Started = recordtest.Epoch().Add(time.Duration(number*r.seconds) * time.Second)
			phase.Ended = phase.Started.Add(time.Duration(r.seconds) * time.Second)
			n := r.phase(t, tw, ready[fmt.Sprint(p.Target, number)])
			r.series(t, tw, p.Target, phase)
			windows, requests = windows+int64(simulatedAgents*r.seconds), requests+n
			phase.Witness = record.Witness{DatabaseReads: n, BalancerTotal: n}
			tr.Phases = append(tr.Phases, phase)
		}
		check(t, tw.Finish(tr))
	}
	check(t, w.Finish(record.Complete, ""))
	return w.Dir(), windows, requests
}

// phase writes the windows of a phase.
func (r simulated) phase(t *testing.T, tw *record.TrialWriter, ready []record.Load) (requests int64) {
	t.Helper()
	for second := range r.seconds {
		for agent := range simulatedAgents {
			l := ready[(second*simulatedAgents+agent)%len(ready)]
			l.Agent, l.Sequence, l.Begin = agent, int64(second)+1, time.Duration(second)*time.Second
			check(t, tw.Load(l))
			requests += l.Books.OK
		}
	}
	return requests
}

// series appends what the collectors saw of eleven members.
func (r simulated) series(t *testing.T, tw *record.TrialWriter, target string, p record.Phase) {
	t.Helper()
	members := []struct{ tier, name string }{
		{"agent", "agent-0"},
		{"agent", "agent-1"},
		{"balancer", "nginx"},
		{"database", "mariadb"},
		{"host", "host"},
		{"target", target + "-1"},
		{"target", target + "-1/1"},
		{"target", target + "-1/2"},
		{"target", target + "-2"},
		{"target", target + "-2/1"},
		{"target", target + "-2/2"},
	}
	for second := range r.seconds + 1 {
		for _, m := range members {
			check(t, tw.Series(record.Series{
				At: p.Started.Add(time.Duration(second) * time.Second), Phase: p.Number, Tier: m.tier, Name: m.name, CPUNS: int64(second) * 2e8, RSSBytes: 1e8, PSSBytes: 9e7,
			}))
		}
	}
}

// Two large runs are reported, as text and as a page, each within a minute of CPU and 1 GiB. make bench-report runs it.
func TestBenchReport(t *testing.T) {
	if os.Getenv("BAKEOFF_BENCH") == "" {
		t.Skip("SKIPPED: set BAKEOFF_BENCH=1")
	}
	program := filepath.Join(t.TempDir(), "bakeoff")
	build := exec.Command("go", "build", "-o", program, "bakeoff")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, r := range map[string]simulated{
		"10^9 requests in 90,000 windows": {targets: 3, blocks: 5, seconds: 1500, perWindow: 12000},
		"20 targets in 30 blocks":         {targets: 20, blocks: 30, seconds: 4, perWindow: 1000},
	} {
		dir, windows, requests := r.write(t)
		t.Logf("%s: %d windows, %d requests", name, windows, requests)
		for _, way := range []string{"--full", "--html"} {
			cmd := exec.Command(program, "report", way, dir)
			began := time.Now()
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s %s: %v\n%s", name, way, err, out)
			}
			used, most := cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10
			t.Logf("%s %s: %.1f s, %.1f s of CPU, %d MB", name, way, time.Since(began).Seconds(), used.Seconds(), most>>20)
			if used > time.Minute || most > 1<<30 { // so that even one core does it in a minute, if it has nothing else to do
				t.Errorf("%s %s took %v of CPU and %d bytes", name, way, used, most)
			}
		}
		if page, err := os.Stat(filepath.Join(dir, "report.html")); err == nil {
			t.Logf("%s: the page has %d bytes", name, page.Size())
		}
	}
}

// BenchmarkBuild computes the figures of a run of full windows.
func BenchmarkBuild(b *testing.B) {
	t := &testing.T{}
	dir, windows, _ := simulated{targets: 1, blocks: 2, seconds: 100, perWindow: 12000}.write(t)
	reader, err := record.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		if _, err := figures.Build(reader); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(windows), "us/window")
}

// A report reads the lines of a run once, text and page together, and what it allocates grows with the windows by a bounded
// amount each: neither text nor page comes back to them.
func TestWindowsAreReadOnce(t *testing.T) {
	cost := func(seconds int) (bytesEach, drawing uint64) {
		dir, windows, _ := simulated{targets: 2, blocks: 2, seconds: seconds, perWindow: 1000}.write(t)
		var lines uint64
		for _, path := range must[[]string](t)(filepath.Glob(filepath.Join(dir, "trials", "*", "*.jsonl"))) {
			lines += uint64(must[os.FileInfo](t)(os.Stat(path)).Size())
		}
		reader := must[*record.Reader](t)(record.Open(dir))
		before, had := bytesRead(t), allocated()
		s := must[*figures.Summary](t)(figures.Build(reader))
		building := allocated() - had
		if read := bytesRead(t) - before; read < lines || read > lines+lines/10 {
			t.Errorf("%d bytes were read of %d in the lines of the run", read, lines)
		}
		before, had = bytesRead(t), allocated()
		check(t, WriteText(io.Discard, s, figures.Others{}, 0))
		var page bytes.Buffer
		check(t, WriteHTML(&page, s, figures.Others{}))
		if read := bytesRead(t) - before; read > lines/10 {
			t.Errorf("writing reads %d bytes of the run again", read)
		}
		return building / uint64(windows), allocated() - had
	}
	_, small := cost(60)
	each, large := cost(240)
	t.Logf("%d bytes are allocated for a window; %d for drawing 60 s, %d for 240 s", each, small, large)
	if large > small+small/5 {
		t.Errorf("drawing allocates %d bytes for 60 s a phase and %d for 240 s: it grows with the windows", small, large)
	}
	const most = 42_000 // 44,105 where windows are taken in for their medians
	if each > most {
		t.Errorf("%d bytes are allocated for a window, want at most %d", each, most)
	}
}
