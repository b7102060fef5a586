package load

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/doctest"
	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

// TestBenchPaced prints what a request costs at 2,000/s on 50 connections, compared with
// h2load. Its --rps gives every connection a timer of its own, all begun at once, so
// that it sends 50 requests together every 25 ms and sleeps in between; this engine is measured with
// those bursts too, and with the even gaps that a rate means. It runs with BAKEOFF_BENCH=1.
func TestBenchPaced(t *testing.T) {
	if os.Getenv("BAKEOFF_BENCH") == "" {
		t.Skip("set BAKEOFF_BENCH=1")
	}
	const (
		pairs, length, connections, rate = 7, 5 * time.Second, 50, 2000
		gap                              = time.Second * connections / rate
	)
	base := loadtest.StartNginx(t).URL
	even := benchJob(base, length)
	even.Phase.Model, even.Phase.Connections, even.Phase.Rate, even.Phase.Arrivals = Open, connections, rate, Constant
	bursts := even
	bursts.Phase.Rate, bursts.Phase.Profile = 0, burstsOf(connections, gap, length)
	var evenRatios, burstRatios []float64
	var sleptTheirs int64
	slept := map[string]int64{}
	for range pairs {
		theirs, sleptNow := h2load(t, base+"/", connections, rate, length)
		sleptTheirs = sleptNow
		for _, c := range []struct {
			name   string
			job    Job
			ratios *[]float64
		}{{"even gaps", even, &evenRatios}, {"bursts", bursts, &burstRatios}} {
			sum, used := inChild(t, "raw", 0, "/", c.job)
			if sum.Books.OK != sum.Books.Planned || sum.Books.OK != int64(rate*length/time.Second) {
				t.Fatalf("books %+v, outcomes %v", sum.Books, sum.Outcomes)
			}
			ours := cost(used, sum.Books.OK)
			*c.ratios = append(*c.ratios, float64(ours)/float64(theirs))
			slept[c.name] = sleeps(used)
			t.Logf("2,000/s, %-9s: %7v per request, %5d sleeps; h2load %7v, %5d sleeps", c.name, ours, sleeps(used), theirs, sleptNow)
		}
	}
	text := fmt.Sprintf("| requests | CPU time per request to h2load's, median of %d pairs | sleeps of the generator in %v |\n|---|---|---|\n", pairs, length)
	text += fmt.Sprintf("| h2load --rps: bursts of %d | 1 | %d |\n", connections, sleptTheirs)
	text += fmt.Sprintf("| bakeoff's native engine, in the same bursts | %.2f | %d |\n", stats.Median(burstRatios), slept["bursts"])
	text += fmt.Sprintf("| bakeoff's native engine, even gaps | %.2f | %d |\n", stats.Median(evenRatios), slept["even gaps"])
	t.Logf("\n%s", text)
	doctest.Write(t, "../../docs/engine.md", "paced table", text)
}

// h2load runs h2load at a fixed rate on HTTP/1.1, and returns its CPU time per request and its sleeps.
func h2load(t testing.TB, url string, connections int, rate float64, d time.Duration) (time.Duration, int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "h2load", "--h1", "-t1", "-c"+strconv.Itoa(connections),
		"--rps="+strconv.FormatFloat(rate/float64(connections), 'f', -1, 64), "-D"+strconv.Itoa(int(d.Seconds())), url)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("SKIPPED: h2load: %v", err)
	}
	n, err := strconv.ParseInt(regexp.MustCompile(`(\d+) succeeded`).FindStringSubmatch(string(out))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return cost(cmd.ProcessState, n), sleeps(cmd.ProcessState)
}

// burstsOf is a profile of n arrivals within a microsecond at the end of every gap.
func burstsOf(n int, gap, length time.Duration) []RatePoint {
	const width = time.Microsecond
	high := float64(n) / width.Seconds()
	var out []RatePoint
	for at := gap; at <= length; at += gap {
		from, to := at-gap/2, at-gap/2+width
		out = append(out, RatePoint{from, 0}, RatePoint{from, high}, RatePoint{to, high}, RatePoint{to, 0})
	}
	return out
}

// sleeps is how often a finished process gave its processor away to wait.
func sleeps(p *os.ProcessState) int64 { return p.SysUsage().(*syscall.Rusage).Nvcsw }
