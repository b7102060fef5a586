package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Task is what a generator is asked for.
type Task struct {
	URL         string
	Connections int
	Rate        int // per second in all; 0: as fast as the connections get answers
	Duration    time.Duration
}

// Said is what a generator says of its own run; 0: it does not say.
type Said struct {
	Requests, Dropped int64
	P50, P99          time.Duration
	Note              string // what else it says, in words
}

// Peer is a load generator in one way of using it.
type Peer struct {
	Name    string // as in tables
	Program string // a name to look for, or a path
	Install string // the line that installs it
	Closed  bool   // it knows no rate
	Env     []string
	// Args are its arguments; dir is an empty folder that is there until the end.
	Args func(t Task, dir string) ([]string, error)
	Read func(out []byte, dir string) (Said, error)
}

// Ran is one run of a peer.
type Ran struct {
	Said
	Command string        // for people
	CPU     time.Duration // user and system, of the whole process
}

// Run runs the peer to its end.
func (p Peer) Run(t testing.TB, task Task) Ran {
	t.Helper()
	dir := t.TempDir()
	args, err := p.Args(task, dir)
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	cmd := exec.CommandContext(t.Context(), Find(p.Program), args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), p.Env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && (cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 4) { // ours: measured, but invalid
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, &stderr)
	}
	said, err := p.Read(out, dir)
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	command := strings.Join(append([]string{filepath.Base(p.Program)}, args...), " ")
	return Ran{said, strings.ReplaceAll(command, dir+"/", ""), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

// With returns the peer under another name and with more arguments.
func (p Peer) With(name string, more ...string) Peer {
	args := p.Args
	p.Name = name
	p.Args = func(t Task, dir string) ([]string, error) {
		out, err := args(t, dir)
		if err != nil || len(out) == 0 {
			return out, err
		}
		return slices.Insert(out, 1, more...), nil
	}
	return p
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// number finds the first group of a pattern and reads it; 0 when there is none.
func number(out []byte, pattern string) int64 {
	if found := regexp.MustCompile(pattern).FindSubmatch(out); found != nil {
		n, _ := strconv.ParseInt(string(found[1]), 10, 64) // digits, by the pattern
		return n
	}
	return 0
}

// span does so with a duration such as 1.20ms.
func span(out []byte, pattern, unit string) time.Duration {
	if found := regexp.MustCompile(pattern).FindSubmatch(out); found != nil {
		d, _ := time.ParseDuration(string(found[1]) + unit)
		return d
	}
	return 0
}

// Wrk has no rate.
func Wrk() Peer {
	return Peer{
		Name: "wrk", Program: "wrk", Install: "apt-get install wrk", Closed: true,
		Args: func(t Task, _ string) ([]string, error) {
			return []string{"-t1", "-c" + strconv.Itoa(t.Connections), "-d" + seconds(t.Duration) + "s", "--latency", t.URL}, nil
		},
		Read: func(out []byte, _ string) (Said, error) {
			return Said{Requests: number(out, `(\d+) requests in`), P50: span(out, `50%\s+(\S+)`, ""), P99: span(out, `99%\s+(\S+)`, "")}, nil
		},
	}
}

// Hey spreads a rate over its connections.
func Hey() Peer {
	return Peer{
		Name: "hey", Program: "hey", Install: "apt-get install hey",
		Args: func(t Task, _ string) ([]string, error) {
			args := []string{"-z", t.Duration.String(), "-c", strconv.Itoa(t.Connections)}
			if t.Rate > 0 {
				args = append(args, "-q", strconv.Itoa(t.Rate/t.Connections))
			}
			return append(args, t.URL), nil
		},
		Read: func(out []byte, _ string) (Said, error) {
			return Said{Requests: number(out, `\[200\]\s+(\d+) responses`), P50: span(out, `50%+ in (\S+) secs`, "s"), P99: span(out, `99%+ in (\S+) secs`, "s")}, nil
		},
	}
}

// H2load prints no percentiles. Its log has every request; what follows from it is in the note.
func H2load() Peer {
	return Peer{
		Name: "h2load", Program: "h2load", Install: "apt-get install nghttp2-client",
		Args: func(t Task, dir string) ([]string, error) {
			args := []string{"--h1", "-t1", "-c" + strconv.Itoa(t.Connections), "-D", seconds(t.Duration)}
			if t.Rate > 0 {
				args = append(args, "--rps="+strconv.Itoa(t.Rate/t.Connections), "--log-file="+filepath.Join(dir, "log"))
			}
			return append(args, t.URL), nil
		},
		Read: func(out []byte, dir string) (Said, error) {
			said := Said{Requests: number(out, `(\d+) succeeded`)}
			log, err := os.ReadFile(filepath.Join(dir, "log"))
			if err != nil {
				return said, nil // it was not asked for
			}
			var times []time.Duration
			for line := range strings.Lines(string(log)) {
				if f := strings.Fields(line); len(f) == 3 {
					us, err := strconv.ParseInt(f[2], 10, 64)
					if err != nil {
						return said, err
					}
					times = append(times, time.Duration(us)*time.Microsecond)
				}
			}
			said.Note = fmt.Sprintf("prints no percentiles; those of its own log are p50 %s, p99 %s", Milliseconds(quantile(times, 0.5)), Milliseconds(quantile(times, 0.99)))
			return said, nil
		},
	}
}

// Milliseconds writes a time for a table.
func Milliseconds(d time.Duration) string {
	ms := float64(d) / 1e6
	if ms < 100 {
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
}

// Vegeta starts as many workers as a rate needs.
func Vegeta() Peer {
	return Peer{
		Name: "vegeta", Program: "vegeta", Install: "go install github.com/tsenart/vegeta/v12@v12.13.0",
		Args: func(t Task, dir string) ([]string, error) {
			args := []string{"attack", "-targets=" + filepath.Join(dir, "targets"), "-output=" + filepath.Join(dir, "results"), "-duration=" + t.Duration.String()}
			if t.Rate > 0 {
				args = append(args, "-rate="+strconv.Itoa(t.Rate))
			} else {
				n := strconv.Itoa(t.Connections)
				args = append(args, "-rate=0", "-max-workers="+n, "-connections="+n)
			}
			return args, os.WriteFile(filepath.Join(dir, "targets"), []byte("GET "+t.URL+"\n"), 0o600)
		},
		Read: func(_ []byte, dir string) (Said, error) {
			out, err := exec.Command(Find("vegeta"), "report", "-type=json", filepath.Join(dir, "results")).Output()
			if err != nil {
				return Said{}, err
			}
			var r struct {
				Requests  int64
				Latencies struct {
					P50 time.Duration `json:"50th"`
					P99 time.Duration `json:"99th"`
				}
			}
			err = json.Unmarshal(out, &r)
			return Said{Requests: r.Requests, P50: r.Latencies.P50, P99: r.Latencies.P99}, err
		},
	}
}

// VegetaCapped has no more workers than the task has connections.
func VegetaCapped(connections int) Peer {
	n := strconv.Itoa(connections)
	return Vegeta().With("vegeta, "+n+" workers", "-workers="+n, "-max-workers="+n, "-connections="+n)
}

// Oha times from the send unless set otherwise.
func Oha() Peer {
	return Peer{
		Name: "oha", Program: "oha", Install: "cargo install --locked oha@1.16.0",
		Args: func(t Task, _ string) ([]string, error) {
			args := []string{"--no-tui", "--output-format", "json", "-z", t.Duration.String(), "-c", strconv.Itoa(t.Connections)}
			if t.Rate > 0 {
				args = append(args, "-q", strconv.Itoa(t.Rate))
			}
			return append(args, t.URL), nil
		},
		Read: func(out []byte, _ string) (Said, error) {
			var r struct {
				LatencyPercentiles     struct{ P50, P99 float64 }
				StatusCodeDistribution map[string]int64
			}
			if err := json.Unmarshal(out, &r); err != nil {
				return Said{}, err
			}
			p := r.LatencyPercentiles
			return Said{Requests: r.StatusCodeDistribution["200"], P50: time.Duration(p.P50 * 1e9), P99: time.Duration(p.P99 * 1e9)}, nil
		},
	}
}

// K6 has users, as many as are allocated and at most that many.
func K6(allocated, most int) Peer {
	return Peer{
		Name: "k6", Program: "k6", Install: "go install go.k6.io/k6@v1.8.1",
		Args: func(t Task, dir string) ([]string, error) {
			scenario := map[string]any{"executor": "constant-vus", "vus": t.Connections, "duration": t.Duration.String()}
			if t.Rate > 0 {
				scenario = map[string]any{
					"executor": "constant-arrival-rate", "rate": t.Rate, "timeUnit": "1s", "duration": t.Duration.String(),
					"preAllocatedVUs": allocated, "maxVUs": most,
				}
			}
			options, err := json.Marshal(map[string]any{
				"discardResponseBodies": true, "summaryTrendStats": []string{"med", "p(99)"}, "scenarios": map[string]any{"load": scenario},
			})
			if err != nil {
				return nil, err
			}
			script := fmt.Sprintf("import http from 'k6/http';\nexport const options = %s;\nexport default function () { http.get(%q); }\n", options, t.URL)
			path := filepath.Join(dir, "load.js")
			return []string{"run", "--no-usage-report", "-q", "--address", "", "--summary-export", filepath.Join(dir, "summary"), path}, os.WriteFile(path, []byte(script), 0o600)
		},
		Read: func(_ []byte, dir string) (Said, error) {
			raw, err := os.ReadFile(filepath.Join(dir, "summary"))
			if err != nil {
				return Said{}, err
			}
			var r struct {
				Metrics map[string]map[string]any
			}
			if err := json.Unmarshal(raw, &r); err != nil {
				return Said{}, err
			}
			figure := func(metric, name string) float64 { v, _ := r.Metrics[metric][name].(float64); return v }
			return Said{
				Requests: int64(figure("http_reqs", "count")), Dropped: int64(figure("dropped_iterations", "count")),
				P50: time.Duration(figure("http_req_duration", "med") * 1e6), P99: time.Duration(figure("http_req_duration", "p(99)") * 1e6),
			}, nil
		},
	}
}

// Find returns the path of a program, also where Go, Rust and Debian put those that PATH lacks; empty: it is not installed.
func Find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	home, _ := os.UserHomeDir() // without one, these places do not exist
	for _, dir := range []string{filepath.Join(home, "go", "bin"), filepath.Join(home, ".cargo", "bin"), "/usr/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	return ""
}
