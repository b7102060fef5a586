package jmeter

import (
	"bytes"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"strings"
	"text/template"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
)

//go:embed plan.jmx.tmpl
var planTemplate string

// testPlan is what is in a .jmx. Values may hold JMeter's own ${...}.
type testPlan struct {
	Name       string
	Variables  []pair
	Open       bool
	Schedule   string // open
	RandomSeed string // open
	Threads    string // closed, of one server; so are Ramp and Duration, in seconds
	Ramp       string
	Duration   string
	Keys       string // file of n, target, expect1 and expect2; empty: they are variables
	Label      string
	Host, Port string
	Path       string
	Reconnect  bool
	TimeoutMS  int64
	ThinkMS    int64
	Captures   []capture
	Status     string // regular expression
	Expects    []string
	Listener   []pair // arguments of JMeter's own InfluxDB listener; empty: there is none
}

// ListenerMeasurement is what JMeter's own listener writes: the schema of the measurement jmeter, under a name of its own, so that no
// request is there twice.
const ListenerMeasurement = "jmeter_listener"

// listener are the arguments of JMeter's InfluxDB listener for a target; at is where lines are written to.
func listener(at, target string) []pair {
	return []pair{
		{"influxdbMetricsSender", "org.apache.jmeter.visualizers.backend.influxdb.HttpMetricsSender"},
		{"influxdbUrl", at},
		{"application", target},
		{"measurement", ListenerMeasurement},
		{"summaryOnly", "false"},
		{"samplersRegex", ".*"},
		{"percentiles", "50;90;95;99"},
		{"testTitle", "JMeter's own listener"},
		{"eventTags", ""},
	}
}

type pair struct{ Name, Value string }

// capture is a part of an answer that is in the result file: the group of a regular expression.
type capture struct {
	pair
	Header bool // of the answer's header, not of its body
}

// replicaColumn is the capture that names the replica that answered.
const replicaColumn = "replica"

// write writes the plan as XML.
func (p testPlan) write(w io.Writer) error {
	t, err := template.New("plan").Funcs(template.FuncMap{"x": escape}).Parse(planTemplate)
	if err != nil {
		return fmt.Errorf("jmeter: plan: %w", err)
	}
	return t.Execute(w, p)
}

func escape(text string) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(text))
	return b.String(), err
}

// An Asked is a workload that JMeter can ask: what is right can be recognised by texts.
type Asked interface {
	load.Workload
	// Patterns are at most two regular expressions that the body of the right answer matches.
	Patterns(stream, n uint64) []string
	// Captures are names and regular expressions of the parts of each answer that are kept in the result file.
	Captures() [][2]string
	// Judge says what is wrong with an answer whose captures are known; "": nothing.
	Judge(stream, n uint64, captures []string) string
}

// mostPatterns is how many columns the file of keys has for them.
const mostPatterns = 2

// check refuses what JMeter is not asked to do here.
func check(t fleet.Task) (*url.URL, error) {
	if len(t.URLs) != 1 {
		return nil, fmt.Errorf("jmeter: there are %d URLs, and JMeter's servers ask one: a balancer is needed", len(t.URLs))
	}
	u, err := url.Parse(t.URLs[0])
	p := t.Phase
	switch {
	case err != nil:
		return nil, fmt.Errorf("jmeter: %w", err)
	case u.Scheme != "http":
		return nil, fmt.Errorf("jmeter: %s is not http", t.URLs[0])
	case t.Method != "" && t.Method != "GET" || len(t.Header) > 0 || len(t.Body) > 0 || t.BodyFile.Path != "" || p.HTTP2:
		return nil, errors.New("jmeter: only GET requests without header and body, in HTTP/1.1, can be asked for")
	case p.Duration%time.Second != 0 || p.Duration <= 0:
		return nil, fmt.Errorf("jmeter: phase %s: a duration of %v is not whole seconds, and JMeter knows no other", p.Name, p.Duration)
	case len(p.Profile) > 0 || p.Requests > 0:
		return nil, fmt.Errorf("jmeter: phase %s: a rate that changes, or a number of requests, is not for JMeter", p.Name)
	}
	return u, nil
}

// planOf is the test plan of a phase for that many servers; keys is the name of each server's file.
func planOf(t fleet.Task, servers int, w Asked, keys string) (testPlan, error) {
	u, err := check(t)
	if err != nil {
		return testPlan{}, err
	}
	p := t.Phase
	host, port := dialled(t, u)
	out := testPlan{
		Name: "bakeoff: " + p.Name, Keys: keys, Label: "request", Host: host, Port: port,
		Path: strings.TrimSuffix(u.EscapedPath(), "/") + "${target}", Reconnect: p.Reconnect,
		TimeoutMS: p.Timeout.Milliseconds(), ThinkMS: p.Think.Milliseconds(), Status: statuses(w), Expects: []string{"${expect1}", "${expect2}"},
	}
	for _, c := range w.Captures() {
		out.Captures = append(out.Captures, capture{pair{c[0], c[1]}, false})
	}
	out.Captures = append(out.Captures, capture{pair{replicaColumn, `(?i)X-Bakeoff-Replica: *([^\r\n]*)`}, true})
	if p.Model == load.Open {
		out.Open = true
		out.Schedule = schedule(p, servers)
		out.RandomSeed = fmt.Sprintf("${__P(bakeoff.seed,%d)}", t.Seed%math.MaxInt32+1)
		return out, nil
	}
	out.Threads = fmt.Sprintf("${__P(bakeoff.threads.${__P(bakeoff.server,0)},%d)}", p.Connections)
	out.Ramp, out.Duration = seconds(p.Ramp), seconds(p.Duration)
	return out, nil
}

// dialled are the host and the port of the address that may be asked, and no other.
func dialled(t fleet.Task, u *url.URL) (host, port string) {
	if len(t.Dial) > 0 && !strings.HasPrefix(t.Dial[0], "unix:") {
		if at, err := url.Parse("http://" + t.Dial[0]); err == nil {
			return at.Hostname(), at.Port()
		}
	}
	return u.Hostname(), u.Port()
}

// statuses is a regular expression of the right ones.
func statuses(w load.Workload) string {
	by, ok := w.(load.ByStatus)
	if !ok {
		return "200"
	}
	var right []string
	for status := 200; status < 600; status++ {
		if by.RightStatus(status) {
			right = append(right, fmt.Sprint(status))
		}
	}
	return strings.Join(right, "|")
}

// seconds are whole ones: JMeter knows no other.
func seconds(d time.Duration) string { return fmt.Sprint(int64(d / time.Second)) }

// pauseBeyond is how many seconds beyond the time-out of the last request the open model waits for its answer: a
// thread may begin late on a busy machine.
const pauseBeyond = 5

// schedule is the open model in the words of JMeter: one server's part of the rate, and a pause in which the last
// answers may come, since threads that are under way at the end are interrupted.
func schedule(p load.Phase, servers int) string {
	arrivals := "random_arrivals"
	if p.Arrivals == load.Constant {
		arrivals = "even_arrivals"
	}
	pause := int64(math.Ceil(p.Timeout.Seconds())) + pauseBeyond
	return fmt.Sprintf("rate(%s/sec) %s(%d sec) pause(%d sec)", decimal(p.Rate/float64(servers)), arrivals, int64(p.Duration/time.Second), pause)
}

func decimal(x float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.6f", x), "0"), ".")
}

// threads is server k's part of the connections: connection c belongs to server c mod servers.
func threads(p load.Phase, k, servers int) int { return (p.Connections - k + servers - 1) / servers }

// stream is the sequence of requests that server k asks for; number is the plan's own number of its request i.
func stream(p load.Phase, k int) uint64 {
	if p.Model == load.Open {
		return uint64(p.Number) << 32
	}
	return uint64(p.Number)<<32 | uint64(k+1)
}

func number(p load.Phase, k, servers int, i uint64) uint64 {
	if p.Model == load.Open {
		return uint64(k) + i*uint64(servers)
	}
	return i
}
