package cli_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/doctest"
	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

const (
	engineDoc = "../../docs/engine.md"
	readme    = "../../README.md"
)

// onlyBench skips what make test has no time for.
func onlyBench(t *testing.T) {
	t.Helper()
	if os.Getenv("BAKEOFF_BENCH") == "" {
		t.Skip("set BAKEOFF_BENCH=1")
	}
}

// builtScene is a scene with the program as users have it.
func builtScene(t *testing.T) *scene {
	t.Helper()
	s := aloneScene(t)
	build := exec.Command("go", "build", "-o", s.path("bakeoff"), "bakeoff")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return s
}

// ourselves is the program as one peer among others.
func (s *scene) ourselves(name string, more ...string) loadtest.Peer {
	binary := s.path("bakeoff")
	return loadtest.Peer{
		Name: name, Program: binary, Env: []string{"BAKEOFF_CACHE=" + s.path("cache")},
		Args: func(task loadtest.Task, _ string) ([]string, error) {
			args := []string{"load", "--duration", task.Duration.String(), "--connections", fmt.Sprint(task.Connections), "--json"}
			if task.Rate > 0 {
				args = append(args, "--rate", fmt.Sprint(task.Rate))
			}
			return append(append(args, more...), task.URL), nil
		},
		Read: func(out []byte, _ string) (loadtest.Said, error) {
			var r loadJSON
			if err := json.Unmarshal(out, &r); err != nil {
				return loadtest.Said{}, err
			}
			if r.Response["p99"] == nil {
				return loadtest.Said{}, fmt.Errorf("%d requests are too few for a p99", r.Planned)
			}
			said := loadtest.Said{Requests: r.OK, Dropped: r.Dropped, P50: time.Duration(*r.Response["p50"]), P99: time.Duration(*r.Response["p99"])}
			said.Note = fmt.Sprintf("says that %d had to wait for a connection and gives the service time's p99, %s, next to it",
				r.Queued, loadtest.Milliseconds(time.Duration(*r.Service["p99"])))
			if !*r.Valid {
				said.Note += "; calls itself invalid: " + strings.Join(r.Reasons, "; ")
			}
			return said, nil
		},
	}
}

// stallTask is the plan of the stall that all generators are shown: the truth is a
// p99 of 2 s less a hundredth of 30 s. It plans 12,000 requests, since ours gives no p99 below 10,000.
func stallTask() loadtest.Task {
	return loadtest.Task{Connections: 20, Rate: 400, Duration: 30 * time.Second}
}

// stallGroups are the generators that are shown a stall, those of a group at the same time, each with a server of its own.
func stallGroups(s *scene) [][]loadtest.Peer {
	k6, most := loadtest.K6(20, 20), loadtest.K6(20, 500)
	k6.Name, most.Name = "k6, 20 users", "k6, 20 to 500 users"
	return [][]loadtest.Peer{
		{
			s.ourselves("bakeoff load"), s.ourselves("bakeoff load --engine http", "--engine", "http"),
			s.ourselves("bakeoff load, its default of 256 connections", "--connections", "256"),
		},
		{loadtest.Vegeta(), loadtest.VegetaCapped(20), loadtest.Hey(), loadtest.H2load()},
		{k6, most, loadtest.Oha(), loadtest.Oha().With("oha --latency-correction", "--latency-correction")},
		{loadtest.Wrk()},
	}
}

// stallRow is one line of the table.
type stallRow struct {
	name             string
	skipped          string // why there is nothing
	planned          int64  // 0: the tool has no plan
	served, held     int64  // as the server counted
	said             loadtest.Said
	truth            time.Duration
	waited           time.Duration // for which the machine left a witness waiting at most
	command, install string
}

// TestBenchStall shows one stall to several generators and writes what each
// says of it into the documents. It runs with BAKEOFF_BENCH=1.
func TestBenchStall(t *testing.T) {
	onlyBench(t)
	var rows []stallRow
	for _, group := range stallGroups(builtScene(t)) {
		found := make([]stallRow, len(group))
		t.Run("at the same time", func(t *testing.T) {
			for i, p := range group {
				t.Run(p.Name, func(t *testing.T) {
					t.Parallel()
					found[i] = showStall(t, p, stallTask())
				})
			}
		})
		rows = append(rows, found...)
	}
	table := stallTable(rows)
	t.Logf("\n%s", table)
	for _, r := range rows {
		if strings.HasPrefix(r.name, "bakeoff") && !r.right() {
			t.Errorf("%s says %v, the truth is %v", r.name, r.said.P99, r.truth)
		}
	}
	if t.Failed() {
		return
	}
	doctest.Write(t, engineDoc, "stall table", table+"\n"+machineWas(rows)+"\n"+stallCommands(rows))
	doctest.Write(t, readme, "stall", stallTable(slices.DeleteFunc(rows, func(r stallRow) bool {
		return r.name != "bakeoff load" && !strings.HasPrefix(r.name, "wrk") && !strings.HasPrefix(r.name, "k6")
	})))
}

// showStall runs one generator against a server of its own that freezes for 2 s.
func showStall(t *testing.T, p loadtest.Peer, task loadtest.Task) stallRow {
	t.Helper()
	row := stallRow{name: p.Name, planned: int64(task.Rate) * int64(task.Duration/time.Second), install: p.Install}
	if loadtest.Find(p.Program) == "" {
		row.skipped = "SKIPPED, not installed: " + p.Install
		return row
	}
	server := (&loadtest.Freezer{After: 14 * time.Second, Length: 2 * time.Second, Pause: time.Millisecond}).Start(t)
	task.URL = server.URL() + "/"
	rate := float64(task.Rate)
	if p.Closed {
		row.planned, task.Rate = 0, 0
	}
	w := loadtest.Watch(t)
	ran := p.Run(t, task)
	row.waited, _ = w.Worst()
	row.said, row.served, row.held = ran.Said, server.Requests(), server.Held()
	row.command = strings.ReplaceAll(ran.Command, task.URL, "URL")
	freeze := server.Freeze(rate)
	if row.planned-row.served > row.planned/200 {
		freeze.Drained = 0 // the server's speed does not show where requests were left out
	}
	row.truth = freeze.Quantile(0.99, task.Duration)
	return row
}

// right reports whether the p99 is within 3 % of the truth, and what the machine may have added.
func (r stallRow) right() bool {
	return math.Abs(float64(r.said.P99-r.truth)) <= 0.03*float64(r.truth)+float64(r.waited)
}

// machineWas says how quiet the machine was.
func machineWas(rows []stallRow) string {
	var waited []float64
	for _, r := range rows {
		if r.skipped == "" {
			waited = append(waited, float64(r.waited))
		}
	}
	return fmt.Sprintf("Measured on %d processors. A thread that only sleeps had to wait for a core for at most %s in the median\nrow and %s in the worst row; a figure may be off by that much.\n",
		runtime.NumCPU(), loadtest.Milliseconds(time.Duration(stats.Median(waited))), loadtest.Milliseconds(time.Duration(slices.Max(waited))))
}

func stallTable(rows []stallRow) string {
	var b strings.Builder
	b.WriteString("| generator | planned | sent | sent while frozen | p50 | p99 it reports | true p99 | verdict |\n|---|---:|---:|---:|---:|---:|---:|---|\n")
	for _, r := range rows {
		if r.skipped != "" {
			fmt.Fprintf(&b, "| %s | | | | | | | %s |\n", r.name, r.skipped)
			continue
		}
		planned := "none"
		if r.planned > 0 {
			planned = fmt.Sprint(r.planned)
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %s | %s | %s | %s |\n", r.name, planned, r.served, r.held,
			shown(r.said.P50), shown(r.said.P99), shown(r.truth), r.verdict())
	}
	return b.String()
}

func shown(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return loadtest.Milliseconds(d)
}

// verdict says in words what the figures say.
func (r stallRow) verdict() string {
	var words []string
	share := float64(r.said.P99) / float64(r.truth)
	switch {
	case r.said.P99 == 0:
	case r.right():
		words = append(words, "shows the stall")
	case share >= 0.8 && share <= 1.2:
		words = append(words, fmt.Sprintf("%.0f %% off", 100*math.Abs(share-1)))
	case share > 1:
		words = append(words, fmt.Sprintf("%.3g times too high", share))
	default:
		words = append(words, fmt.Sprintf("hides it: %.3g times too low", 1/share))
	}
	if missing := r.planned - r.served; missing > r.planned/200 {
		text := fmt.Sprintf("%d planned requests never sent", missing)
		if r.said.Dropped == 0 {
			text += ", which it does not say"
		}
		words = append(words, text)
	}
	if r.said.Dropped > 0 {
		words = append(words, fmt.Sprintf("says that it dropped %d", r.said.Dropped))
	}
	if r.said.Note != "" {
		words = append(words, r.said.Note)
	}
	return strings.Join(words, "; ")
}

// stallCommands are the lines that were run.
func stallCommands(rows []stallRow) string {
	var b strings.Builder
	b.WriteString("```\n")
	for _, r := range rows {
		if r.command != "" {
			b.WriteString(r.command + "\n")
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// TestBenchPeers prints what a request costs each generator in the closed
// model, in turns on the same nginx. It runs with BAKEOFF_BENCH=1.
func TestBenchPeers(t *testing.T) {
	onlyBench(t)
	nginx := loadtest.StartNginx(t)
	task := loadtest.Task{URL: nginx.URL + "/", Connections: 64, Duration: 5 * time.Second}
	s := builtScene(t)
	const repeats = 3
	peers := []loadtest.Peer{
		loadtest.Wrk(), s.ourselves("bakeoff load"), s.ourselves("bakeoff load --engine http", "--engine", "http"),
		loadtest.H2load(), loadtest.Oha(), loadtest.Hey(), loadtest.Vegeta(), loadtest.K6(0, 0),
	}
	costs := make([][]float64, len(peers)) // microseconds per request
	for range repeats {
		for i, p := range peers {
			if loadtest.Find(p.Program) != "" {
				r := p.Run(t, task)
				costs[i] = append(costs[i], float64(r.CPU)/1e3/float64(r.Requests))
			}
		}
	}
	table := costTable(peers, costs)
	t.Logf("\n%s", table)
	if costs[0] == nil {
		t.Skip("SKIPPED: wrk: " + peers[0].Install)
	}
	doctest.Write(t, engineDoc, "cost table", table)
	doctest.Write(t, readme, "cost", costTable([]loadtest.Peer{peers[0], peers[1], peers[7]}, [][]float64{costs[0], costs[1], costs[7]}))
}

// costTable writes lowest, median and highest, and the ratio to the first in the same turn.
func costTable(peers []loadtest.Peer, costs [][]float64) string {
	var b strings.Builder
	b.WriteString("| generator | CPU per request (lowest, median, highest of its runs) | times wrk's, median |\n|---|---:|---:|\n")
	for i, p := range peers {
		c := costs[i]
		if c == nil {
			fmt.Fprintf(&b, "| %s | | SKIPPED, not installed: %s |\n", p.Name, p.Install)
			continue
		}
		var ratios []float64
		for turn := range c {
			if costs[0] != nil {
				ratios = append(ratios, c[turn]/costs[0][turn])
			}
		}
		ratio := "-"
		if ratios != nil {
			ratio = fmt.Sprintf("%.2f", stats.Median(ratios))
		}
		fmt.Fprintf(&b, "| %s | %.1f, %.1f, %.1f us | %s |\n", p.Name, slices.Min(c), stats.Median(c), slices.Max(c), ratio)
	}
	return b.String()
}

// TestBenchPacing prints how late 20,000 arrivals a second are taken up on a
// core of their own. It runs with BAKEOFF_BENCH=1.
func TestBenchPacing(t *testing.T) {
	onlyBench(t)
	if runtime.NumCPU() < 2 {
		t.Skip("SKIPPED: the generator and the server need a core each")
	}
	s := builtScene(t)
	var b strings.Builder
	b.WriteString("| engine | lateness p50 | p99 | p99.9 | late | CPU per request |\n|---|---:|---:|---:|---:|---:|\n")
	for _, engine := range []string{"native", "http"} {
		var nginx *loadtest.Nginx
		onCore(t, 1, func() { nginx = loadtest.StartNginx(t) })
		p := s.ourselves(engine, "--engine", engine, "--warmup", "2s")
		var r loadJSON
		read := p.Read
		p.Read = func(out []byte, dir string) (loadtest.Said, error) {
			if err := json.Unmarshal(out, &r); err != nil {
				return loadtest.Said{}, err
			}
			return read(out, dir)
		}
		onCore(t, 0, func() {
			p.Run(t, loadtest.Task{URL: nginx.URL + "/", Connections: 64, Rate: 20_000, Duration: 15 * time.Second})
		})
		us := func(name string) string { return fmt.Sprintf("%.0f us", float64(*r.Lateness[name])/1e3) }
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %d of %d | %.1f us |\n", engine, us("p50"), us("p99"), us("p99.9"), r.Late, r.Planned, float64(r.CPU)/1e3/float64(r.Sent))
		t.Logf("%s: lateness p50 %s, p99 %s, p99.9 %s; late %d, queued %d, dropped %d of %d; valid %v %v", engine,
			us("p50"), us("p99"), us("p99.9"), r.Late, r.Queued, r.Dropped, r.Planned, *r.Valid, r.Reasons)
	}
	doctest.Write(t, engineDoc, "pacing", b.String())
}

// onCore starts what it starts on one core: children inherit it from the thread.
func onCore(t *testing.T, core int, start func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		t.Fatal(err)
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &old)
	start()
}
