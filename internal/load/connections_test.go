package load

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/doctest"
	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

const engineDoc = "../../docs/engine.md"

// TestBenchConnections prints the memory of idle connections, 10,000 of them on one
// loop. It runs with BAKEOFF_BENCH=1.
func TestBenchConnections(t *testing.T) {
	if os.Getenv("BAKEOFF_BENCH") == "" {
		t.Skip("set BAKEOFF_BENCH=1")
	}
	var b strings.Builder
	b.WriteString("| engine | connections opened | resident memory of the process | per 1,000 connections | kernel's memory for both ends, per 1,000 |\n|---|---:|---:|---:|---:|\n")
	for _, engine := range []string{"raw", "net/http"} {
		var few idle
		for _, connections := range []int{10, 1_000, 10_000} {
			got := idleConnections(t, engine, connections)
			perThousand, kernel := "", ""
			if connections == 10 {
				few = got
			} else {
				thousands := float64(connections-10) / 1000
				perThousand = kibibytes((got.resident - few.resident) / thousands)
				kernel = kibibytes((got.kernel - few.kernel) / thousands)
			}
			fmt.Fprintf(&b, "| %s | %d | %s | %s | %s |\n", engine, got.opened, kibibytes(got.resident), perThousand, kernel)
		}
	}
	t.Logf("\n%s", &b)
	doctest.Write(t, engineDoc, "connections", b.String())
}

func kibibytes(n float64) string { return fmt.Sprintf("%.0f KiB", n) }

// idle is what idle connections take, in KiB.
type idle struct {
	opened   int64
	resident float64 // of the generator's process, itself included
	kernel   float64 // by how much the kernel's own memory grew since before
}

// idleConnections opens connections in a process of its own, has each send one
// request, and looks at memory while all of them wait for their next turn.
func idleConnections(t *testing.T, engine string, connections int) idle {
	t.Helper()
	job := benchJob(loadtest.StartNginx(t).URL, 8*time.Second)
	job.Phase.Connections, job.Phase.Ramp, job.Phase.Think = connections, 3*time.Second, time.Minute
	var out bytes.Buffer
	cmd := childCommand(t, engine, 0, "/", job)
	cmd.Stdout = &out
	before := kernelMemory(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	var resident, kernel []float64
	for range 9 {
		resident = append(resident, field(t, fmt.Sprintf("/proc/%d/status", cmd.Process.Pid), "VmRSS"))
		kernel = append(kernel, kernelMemory(t)-before)
		time.Sleep(200 * ms)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	sum := childSum(t, out.String(), job)
	if b := sum.Books; b.OK != int64(connections) || b.Sent != b.OK || sum.Opened != b.OK {
		t.Errorf("%s: %d connections opened of %d, books %+v, outcomes %v", engine, sum.Opened, connections, b, sum.Outcomes)
	}
	return idle{sum.Opened, stats.Median(resident), stats.Median(kernel)}
}

// kernelMemory is what the kernel holds in objects of its own, in KiB: sockets, files, entries of epoll.
func kernelMemory(t *testing.T) float64 { return field(t, "/proc/meminfo", "SUnreclaim") }

// field reads a line such as "VmRSS:   1234 kB".
func field(t *testing.T, path, name string) float64 {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no %s", path, name)
	}
	n, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
