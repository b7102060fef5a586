package load

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

// cost is the CPU time of a finished process per request.
func cost(p *os.ProcessState, requests int64) time.Duration {
	return (p.UserTime() + p.SystemTime()) / time.Duration(requests)
}

var requestsIn = regexp.MustCompile(`(\d+) requests in`)

// wrk runs wrk in the closed model and returns its CPU time per request.
func wrk(t testing.TB, url string, connections int, d time.Duration) time.Duration {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "wrk", "-t1", "-c"+strconv.Itoa(connections), fmt.Sprintf("-d%ds", int(d.Seconds())), url)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("SKIPPED: wrk: %v", err)
	}
	n, err := strconv.ParseInt(requestsIn.FindStringSubmatch(string(out))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return cost(cmd.ProcessState, n)
}

// TestBenchEngine prints what a request costs, compared with wrk on the
// same nginx, in alternating pairs. It runs with BAKEOFF_BENCH=1.
func TestBenchEngine(t *testing.T) {
	if os.Getenv("BAKEOFF_BENCH") == "" {
		t.Skip("set BAKEOFF_BENCH=1")
	}
	pairs, length := 7, 5*time.Second
	if s := os.Getenv("BAKEOFF_BENCH_SECONDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		length = time.Duration(n) * time.Second
	}
	base := loadtest.StartNginx(t).URL
	t.Logf("%s, %d processors", runtime.Version(), runtime.NumCPU())
	for _, server := range []string{"/", "/demo?name=" + benchKey} {
		var ratios, slow []float64
		for range pairs {
			theirs := wrk(t, base+server, 64, length)
			for _, engine := range []string{"raw", "net/http"} {
				sum, used := inChild(t, engine, 0, server, benchJob(base, length))
				if sum.Books.OK != sum.Books.Sent {
					t.Fatalf("books %+v, outcomes %v", sum.Books, sum.Outcomes)
				}
				ours := cost(used, sum.Books.OK)
				t.Logf("%-12.12s %-8s %7v per request, wrk %7v: %.3f; %d requests, %d checked; user %v system %v", server, engine, ours, theirs,
					float64(ours)/float64(theirs), sum.Books.OK, sum.Checked, used.UserTime(), used.SystemTime())
				if engine == "raw" {
					ratios = append(ratios, float64(ours)/float64(theirs))
				} else {
					slow = append(slow, float64(ours)/float64(theirs))
				}
			}
		}
		t.Logf("%-12.12s ratio to wrk: raw median %.3f (%.3f to %.3f), net/http %.3f", server,
			stats.Median(ratios), slices.Min(ratios), slices.Max(ratios), stats.Median(slow))
		if stats.Median(ratios) > 1 {
			t.Errorf("%s: the raw engine costs %.3f times what wrk does", server, stats.Median(ratios))
		}
	}
}

const benchKey = "k0123456789abcdef"

// oneThing asks for one thing again and again and knows the answer.
type oneThing struct{ target, body string }

func (o oneThing) AppendTarget(dst []byte, _, _ uint64) []byte { return append(dst, o.target...) }
func (o oneThing) Length(_, _ uint64, length int64) bool       { return length == int64(len(o.body)) }
func (o oneThing) Hit(uint64, uint64) (bool, bool)             { return false, true }
func (o oneThing) Check(_, _ uint64, _ int, body []byte) string {
	if string(body) != o.body {
		return "wrong body"
	}
	return ""
}

// nginxSays is the server's answer to a target.
func nginxSays(target string) string {
	if key, ok := strings.CutPrefix(target, "/demo?name="); ok {
		return `{"name":"` + key + `","exists":false,"id":null}`
	}
	return "ok"
}

// benchJob asks for one thing again and again, with all checks on.
func benchJob(base string, length time.Duration) Job {
	job := closedJob(64, length, base)
	job.Phase.CheckShare = 0.1
	return job
}
