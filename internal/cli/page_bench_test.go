package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"bakeoff/internal/doctest"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

const (
	pageDoc = "../../docs/dashboard.md"
	// mostPageCores is how much of a core the pages may cost the process of the run, and mostPageMemory how many bytes.
	mostPageCores  = 0.1
	mostPageMemory = 64 << 20
	watchers       = 100
	stalledOnes    = 10
)

// pageBench plans the same requests each time: the rate is fixed, and so is the seed.
const pageBench = `name: bench-page
seed: 7
blocks: %d
dataset: {rows: 20000}
deployment: {replicas: 1, workers: 2, pool: 8}
targets: [go-nethttp]
warmup: 2s
turns: off
phases: [{name: open, model: open, rate: 500, connections: 64, duration: 15s}]
`

// looked is one run, with pages or without any.
type looked struct {
	books    stats.Books
	lateness float64 // the greatest p95 of a trial, s
	refused  int
	cores    float64 // of the process of the run, while it lasted
	memory   uint64  // the most that it held, bytes
	messages int64   // that the pages got
	browser  bool
}

// TestBenchPage runs the same plan with 100 pages (10 take nothing) and a Chromium, then without any, without, and with, and
// writes what the pages cost into docs/dashboard.md. BAKEOFF_BENCH_BLOCKS=1 tries it out.
func TestBenchPage(t *testing.T) {
	onlyBench(t)
	blocks, trying := benchBlocks(t, 3)
	dir := t.TempDir()
	binary := buildBench(t, dir)
	var runs []looked
	for i, with := range []bool{true, false, false, true} {
		runs = append(runs, lookedAt(t, binary, filepath.Join(dir, strconv.Itoa(i)), fmt.Sprintf(pageBench, blocks), with))
	}
	table, missed := pageTable(runs)
	t.Log("\n" + table)
	if !trying {
		doctest.Write(t, pageDoc, "bench-page", table)
	}
	for _, text := range missed {
		t.Error("missed: " + text)
	}
}

// lookedAt is one run of the program, which shares the machine with the pages.
func lookedAt(t *testing.T, binary, out, plan string, with bool) (found looked) {
	t.Helper()
	file := out + ".yaml"
	if err := os.WriteFile(file, []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "--share-machine", file, "--out", out}
	if with {
		args = append(args, "--dashboard")
	}
	run := exec.Command(binary, args...)
	said, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer run.Process.Kill()
	var pages *audience
	var text bytes.Buffer
	lines := bufio.NewScanner(io.TeeReader(said, &text))
	address := regexp.MustCompile(`watch the run at (http://\S+)`)
	used := usedBy(run.Process.Pid)
	for lines.Scan() {
		if at := address.FindStringSubmatch(lines.Text()); at != nil && with {
			pages = gather(t, out, at[1])
		}
	}
	if pages != nil {
		pages.leave()
		found.messages, found.browser = pages.messages, pages.browser != nil
	} else if with {
		t.Fatalf("no address of a page:\n%s", &text)
	}
	err = run.Wait()
	cpu, memory := used()
	found.cores, found.memory = cpu/time.Since(began).Seconds(), memory
	t.Logf("pages: %t, %v:\n%s", with, err, &text)
	found.figures(t, out)
	return found
}

// usedBy samples a process until the function it returns is called: its CPU seconds, and its peak memory.
func usedBy(pid int) func() (cpu float64, memory uint64) {
	stop, done := make(chan bool), make(chan bool)
	var cpu float64
	var memory uint64
	go func() {
		defer close(done)
		for {
			if p, err := procfs.NewProc(pid); err == nil {
				if stat, err := p.Stat(); err == nil && stat.CPUTime() > cpu {
					cpu = stat.CPUTime()
				}
				if status, err := p.NewStatus(); err == nil && status.VmHWM > memory {
					memory = status.VmHWM
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() (float64, uint64) {
		close(stop)
		<-done
		return cpu, memory
	}
}

// audience is who watches a run.
type audience struct {
	stop     chan bool
	wait     sync.WaitGroup
	mu       sync.Mutex
	messages int64
	browser  *exec.Cmd
}

// gather lets all of them look at the only run of a folder.
func gather(t *testing.T, out, at string) *audience {
	t.Helper()
	a := &audience{stop: make(chan bool)}
	page := theRunAt(t, at)
	for range watchers - stalledOnes {
		a.wait.Go(func() { a.watch(page.JoinPath("events")) })
	}
	for range stalledOnes {
		a.wait.Go(func() { a.stall(page.JoinPath("events")) })
	}
	if path, err := exec.LookPath("chromium"); err == nil {
		a.browser = exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--user-data-dir="+out+".browser", page.String())
		if err := a.browser.Start(); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// theRunAt is the address of the page of the run, once it has a directory.
func theRunAt(t *testing.T, at string) *url.URL {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if page := answer.Request.URL; strings.HasPrefix(page.Path, "/run/") {
			return page
		}
		if time.Now().After(end) {
			t.Fatalf("%s shows no run", at)
		}
	}
}

// watch takes every message, and comes back where it is cut off, as a page does.
func (a *audience) watch(at *url.URL) {
	for a.staying() {
		answer, err := http.Get(at.String())
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data: ") {
				a.mu.Lock()
				a.messages++
				a.mu.Unlock()
			}
		}
		answer.Body.Close()
	}
}

// stall asks and takes nothing, again and again: a page that takes nothing for 10 s is cut off.
func (a *audience) stall(at *url.URL) {
	for a.staying() {
		conn, err := net.Dial("tcp", at.Host)
		if err != nil {
			continue
		}
		conn.(*net.TCPConn).SetReadBuffer(2048)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", at.Path, at.Host)
		select {
		case <-a.stop:
		case <-time.After(11 * time.Second):
		}
		conn.Close()
	}
}

// staying waits a moment, and reports whether the run is under way.
func (a *audience) staying() bool {
	select {
	case <-a.stop:
		return false
	case <-time.After(200 * time.Millisecond):
		return true
	}
}

// leave ends all of them.
func (a *audience) leave() {
	close(a.stop)
	if a.browser != nil {
		a.browser.Process.Kill()
		a.browser.Wait()
	}
	a.wait.Wait()
}

// figures takes what the record says.
func (l *looked) figures(t *testing.T, out string) {
	t.Helper()
	listed, err := record.List(out)
	if err != nil || len(listed) != 1 {
		t.Fatalf("%d runs in %s, %v", len(listed), out, err)
	}
	r, err := record.Open(listed[0].Dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	l.refused = len(s.Unusable)
	for _, trial := range s.Trials {
		for _, phase := range trial.Phases {
			l.books.Add(phase.Books)
			for _, p := range phase.Lateness {
				if p.P == 95 && p.Needs == 0 {
					l.lateness = max(l.lateness, p.Seconds)
				}
			}
		}
	}
}

// pageTable is the table of the document, and which of the promises do not hold.
func pageTable(runs []looked) (string, []string) {
	var b strings.Builder
	b.WriteString("| run | pages | planned | sent | answered | lateness p95 | trials refused | cores of the run's process | its peak memory | messages |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	var missed []string
	for i, run := range runs {
		if (i == 0 || i == 3) && run.messages < watchers {
			missed = append(missed, fmt.Sprintf("run %d: the pages got %d messages", i+1, run.messages))
		}
		pages := "none"
		if run.messages > 0 {
			pages = fmt.Sprintf("%d, %d of them stalled", watchers, stalledOnes)
			if run.browser {
				pages += ", and Chromium"
			}
		}
		fmt.Fprintf(&b, "| %d | %s | %d | %d | %d | %.3f ms | %d | %.3f | %d MiB | %d |\n", i+1, pages, run.books.Planned, run.books.Sent, run.books.OK,
			1e3*run.lateness, run.refused, run.cores, run.memory>>20, run.messages)
		if run.books.Planned != runs[0].books.Planned || run.books.Sent != run.books.Planned || run.refused > 0 {
			missed = append(missed, fmt.Sprintf("run %d: %d planned, %d sent, %d trials refused", i+1, run.books.Planned, run.books.Sent, run.refused))
		}
	}
	cores := (runs[0].cores + runs[3].cores - runs[1].cores - runs[2].cores) / 2
	memory := (int64(runs[0].memory) + int64(runs[3].memory) - int64(runs[1].memory) - int64(runs[2].memory)) / 2
	if cores > mostPageCores || memory > mostPageMemory {
		missed = append(missed, fmt.Sprintf("the pages cost %.3f of a core and %d MiB", cores, memory>>20))
	}
	fmt.Fprintf(&b, "\nThe pages cost the process of the run %.3f of a core (at most %v is promised) and %d MiB (at most %d).\n", cores, mostPageCores, memory>>20, mostPageMemory>>20)
	return b.String(), missed
}
