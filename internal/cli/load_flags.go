package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"bakeoff/internal/consent"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/measure"
	"bakeoff/internal/threshold"
)

const (
	openConnections   = 256
	closedConnections = 64
	maxAgents         = 256
	// longestTimeout is where histograms end.
	longestTimeout = 120 * time.Second
	// bodyLimit bounds --body: each agent holds it in memory.
	bodyLimit = 64 << 20
	// noLimit is a body limit that nothing reaches.
	noLimit = int64(1) << 62
	// maxURLs bounds the URLs: each is counted apart in every window.
	maxURLs = 256
)

// loadFlags are the flags of load.
type loadFlags struct {
	rate                               float64
	connections, agents                int
	arrivals, ramp                     string
	duration, warmup, timeout          time.Duration
	rampUp, think                      time.Duration
	reconnect, http2                   bool
	headers, allow, require, connectTo []string
	unix                               string
	allAddresses                       bool
	method, body, keys, expect, engine string
	tls                                load.TLS
	maxBody, requests                  int64
	json                               bool
	hlog, hgrm, windows                string
	host                               string       // of --header Host
	forget                             func() error // removes what was put aside; nil: nothing was
	seed                               uint64

	given  func(flag string) bool
	lookup consent.Resolver
}

func (f *loadFlags) register(s *pflag.FlagSet) {
	s.SortFlags = false
	s.Float64Var(&f.rate, "rate", 0, "send `R` requests per second, by a schedule (open model)")
	s.StringVar(&f.ramp, "ramp", "", "`FROM:TO:DURATION`: a rate that changes linearly, and stays at TO")
	s.StringVar(&f.arrivals, "arrivals", load.Constant, "`gaps` of the schedule: constant or poisson")
	s.IntVarP(&f.connections, "connections", "c", 0, "connections in total; with a schedule, the largest number in use (default 64, with a schedule 256)")
	s.DurationVarP(&f.duration, "duration", "d", 10*time.Second, "how long to send; with --ramp the default is the length of the ramp")
	s.Int64VarP(&f.requests, "requests", "n", 0, "number of requests to send; --duration then only limits how long that may take (default: no limit)")
	s.DurationVar(&f.warmup, "warmup", 0, "how long to send before the measurement")
	s.DurationVar(&f.timeout, "timeout", 10*time.Second, "longest wait for an answer, from the send")
	s.IntVar(&f.agents, "agents", 1, "processes that share the load")
	s.StringVarP(&f.method, "method", "X", "", "request `method` (default GET, with --body POST)")
	s.StringArrayVarP(&f.headers, "header", "H", nil, "`K:V`, a request header, sent as it is; repeatable")
	s.StringVar(&f.body, "body", "", "request body: `TEXT`, @FILE, or @- for standard input; at most 64 MiB")
	s.StringVar(&f.keys, "keys", "", "`file` of keys, one a line, for {key} in URLs, where they are percent-encoded, and in --header and --body; - is standard input")
	s.StringVar(&f.expect, "expect-status", "2xx", "`statuses` of an ok answer, such as 2xx,304")
	s.Int64Var(&f.maxBody, "max-body", 0, "`bytes` of an answer's body; a longer one is an error; 0: no limit")
	s.BoolVar(&f.reconnect, "reconnect", false, "a connection per request instead of keep-alive")
	s.BoolVar(&f.http2, "http2", false, "speak HTTP/2, one request at a time on each connection; engine http")
	s.DurationVar(&f.rampUp, "ramp-up", 0, "closed model: start the connections one after another within this time")
	s.DurationVar(&f.think, "think", 0, "closed model: pause after an answer")
	s.BoolVar(&f.tls.Insecure, "insecure", false, "https: accept any certificate of the server")
	s.StringVar(&f.tls.CAFile, "cacert", "", "https: `file` of authorities to trust, in PEM, instead of the system's")
	s.StringVar(&f.tls.CertFile, "cert", "", "https: `file` of the certificate to show, in PEM; with --key")
	s.StringVar(&f.tls.KeyFile, "key", "", "https: `file` of its key")
	s.StringVar(&f.tls.ServerName, "server-name", "", "https: server `name` to request and verify, instead of the host in --header Host or the URL")
	s.StringArrayVar(&f.allow, "allow-host", nil, "another `host` that load may go to, in addition to this machine; repeatable")
	s.StringVar(&f.unix, "unix", "", "connect to the socket at this `path`; the URL only selects what is requested")
	s.StringArrayVar(&f.connectTo, "connect-to", nil, "`HOST:PORT:ADDR:PORT`: connect to ADDR:PORT instead of HOST:PORT; repeatable")
	s.BoolVar(&f.allAddresses, "all-addresses", false, "spread the load over all addresses of a name, each counted separately, instead of using one")
	s.StringVar(&f.engine, "engine", "", "load `engine`: "+strings.Join(engineNames(), " or ")+" (default: the first one that supports the URLs' scheme)")
	s.Uint64Var(&f.seed, "seed", 1, "of arrivals and keys")
	s.BoolVar(&f.json, "json", false, "print JSON")
	s.StringArrayVar(&f.require, "require", nil, "`WHAT`, such as 'p99 < 50ms' or 'errors < 0.1%'; exit status 3 when it is missed; repeatable")
	s.StringVar(&f.hlog, "hlog", "", "write the times of each second to this `file`, as an HdrHistogram log")
	s.StringVar(&f.hgrm, "hgrm", "", "write the response time's distribution to this `file`, as HdrHistogram's percentile table")
	s.StringVar(&f.windows, "window-json", "", "write everything to this `file`, one JSON line per agent and second")
}

// engineNames are the engines, the one to prefer first.
func engineNames() []string {
	table := engines()
	return slices.DeleteFunc([]string{"native", "http"}, func(name string) bool { return table[name] == nil })
}

// job checks everything that can be checked before the first request.
func (f *loadFlags) job(ctx context.Context, env Env, urls []string) (*measure.Job, error) {
	phase, err := f.phase()
	if err != nil {
		return nil, err
	}
	j := &measure.Job{Agents: f.agents, Phase: phase, Version: version()}
	if f.unix == "" && phase.Model == load.Closed {
		if err := enoughPorts("--connections", phase.Connections, max(len(urls), 1)); err != nil {
			return nil, err
		}
	}
	if err := f.checkAgents(phase); err != nil {
		return nil, err
	}
	if j.Warmup, err = f.warmupOf(phase); err != nil {
		return nil, err
	}
	for _, text := range f.require {
		t, err := threshold.ParseRequire(text)
		if err != nil {
			return nil, misused("'bakeoff load --help' names the figures", "--require %w", err)
		}
		j.Require = append(j.Require, t)
	}
	if err := f.request(env, &j.Task); err != nil {
		return nil, err
	}
	if err := f.aims(ctx, env, j, urls); err != nil {
		return nil, err
	}
	if err := j.Check(); err != nil {
		return nil, misused("'bakeoff load --help' explains the flags", "%w", err)
	}
	return j, nil
}

// phase is the one that is measured.
func (f *loadFlags) phase() (load.Phase, error) {
	p := load.Phase{
		Number: measure.MeasureNumber, Name: "measure", Model: load.Closed, Connections: f.connections, Duration: f.duration, Timeout: f.timeout,
		Ramp: f.rampUp, Think: f.think, Reconnect: f.reconnect, HTTP2: f.http2, BodyLimit: f.maxBody, Requests: f.requests,
	}
	if f.requests > 0 && !f.given("duration") {
		p.Duration = maxTime
	}
	if p.BodyLimit == 0 {
		p.BodyLimit = noLimit
	}
	rated, ramped := f.given("rate"), f.given("ramp")
	if rated || ramped {
		p.Model, p.Arrivals = load.Open, f.arrivals
	}
	if !f.given("connections") {
		p.Connections = map[string]int{load.Open: openConnections, load.Closed: closedConnections}[p.Model]
	}
	if err := f.checkPhase(p); err != nil {
		return p, err
	}
	switch {
	case rated && ramped:
		return p, misused("--ramp sets the rates itself: leave --rate out", "--rate and --ramp exclude each other")
	case rated && !(f.rate >= leastRate && f.rate <= maxRate):
		return p, misused("such as --rate 1000", "--rate %v is not from %v to %.0f", f.rate, leastRate, maxRate)
	case rated:
		p.Rate = f.rate
	case ramped:
		return p, f.setRamp(&p)
	}
	return p, nil
}

// Bounds of rates and times, as a plan has them where it has them. A lower rate would plan nothing for
// a quarter of an hour; a higher one is beyond what one machine can keep books of.
const (
	leastRate = 0.001
	maxRate   = 1e7
	maxTime   = 30 * 24 * time.Hour
)

// checkPhase refuses numbers that no phase can have.
func (f *loadFlags) checkPhase(p load.Phase) error {
	switch {
	case p.Connections < 1:
		return misused("such as --connections 64", "--connections %d is below 1", p.Connections)
	case p.Duration <= 0:
		return misused("such as --duration 30s", "--duration %v is not above 0", p.Duration)
	case p.Timeout <= 0 || p.Timeout > longestTimeout:
		return misused("such as --timeout 5s", "--timeout %v is not above 0 and at most %v", p.Timeout, longestTimeout)
	case f.warmup < 0 || p.Ramp < 0 || p.Think < 0:
		return misused("examples of a time: 500ms, 30s, 2m", "--warmup, --ramp-up and --think must not be negative")
	case max(p.Duration, f.warmup, p.Ramp, p.Think) > maxTime:
		return misused("examples of a time: 500ms, 30s, 2m", "--duration, --warmup, --ramp-up and --think are at most %v", maxTime)
	case f.given("requests") && p.Requests < 1:
		return misused("such as -n 10000", "--requests %d is below 1", p.Requests)
	case f.maxBody < 0:
		return misused("such as --max-body 1048576", "--max-body %d is below 0", f.maxBody)
	case p.Model == load.Open && (p.Ramp != 0 || p.Think != 0):
		return misused("leave --rate out for the closed model, or use --ramp for a rate that changes", "--ramp-up and --think belong to the closed model")
	case p.Model == load.Closed && f.given("arrivals"):
		return misused("add --rate or --ramp", "--arrivals belongs to the open model")
	case p.Model == load.Open && p.Arrivals != load.Constant && p.Arrivals != load.Poisson:
		return misused("--arrivals is constant or poisson", "unknown --arrivals %q", p.Arrivals)
	}
	return nil
}

// setRamp reads FROM:TO:DURATION.
func (f *loadFlags) setRamp(p *load.Phase) error {
	const hint = "such as --ramp 100:5000:1m, from 100/s to 5,000/s within a minute"
	parts := strings.Split(f.ramp, ":")
	if len(parts) != 3 {
		return misused(hint, "--ramp %q is not FROM:TO:DURATION", f.ramp)
	}
	var rates [2]float64
	for i := range rates {
		r, err := strconv.ParseFloat(parts[i], 64)
		if err != nil || !(r >= 0 && r <= maxRate) {
			return misused(hint, "--ramp %q: %q is not a rate", f.ramp, parts[i])
		}
		rates[i] = r
	}
	within, err := time.ParseDuration(parts[2])
	if err != nil || within <= 0 || within > maxTime {
		return misused(hint, "--ramp %q: %q is not a time above 0 and at most %v", f.ramp, parts[2], maxTime)
	}
	if max(rates[0], rates[1]) < leastRate {
		return misused(hint, "--ramp %q asks for nothing: neither rate is at least %v", f.ramp, leastRate)
	}
	p.Profile = []load.RatePoint{{Rate: rates[0]}, {At: within, Rate: rates[1]}}
	if !f.given("duration") && f.requests == 0 {
		p.Duration = within
	}
	return nil
}

func (f *loadFlags) checkAgents(p load.Phase) error {
	if f.agents < 1 || f.agents > maxAgents {
		return misused("one agent per core is enough", "--agents %d is not from 1 to %d", f.agents, maxAgents)
	}
	if each := (p.Connections + f.agents - 1) / f.agents; p.Model == load.Closed && each > connectionsLimit() {
		return misused("fewer --connections, more --agents, or a higher limit: ulimit -n", "%d connections of a process are too many: its descriptors allow %d", each, connectionsLimit())
	}
	if f.agents > p.Connections {
		return misused("fewer --agents, or more --connections", "%d agents cannot share %d connections", f.agents, p.Connections)
	}
	return nil
}

// ownDescriptors are those that a process needs in addition to its connections.
const ownDescriptors = 16

// connectionsLimit is how many connections a process may hold here.
func connectionsLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt
	}
	return max(0, int(min(limit.Cur, 1<<31))-ownDescriptors)
}

// warmupOf is the phase before; a ramp is warmed up for at the rate it begins with.
func (f *loadFlags) warmupOf(p load.Phase) (load.Phase, error) {
	p.Number, p.Name, p.Duration = measure.WarmupNumber, "warm-up", f.warmup
	p.Requests = 0
	if len(p.Profile) > 0 {
		p.Rate, p.Profile = p.Profile[0].Rate, nil
		if p.Duration > 0 && p.Rate == 0 {
			return p, misused("start the ramp above 0, or leave --warmup out", "--warmup sends at the first rate of the ramp, which is 0")
		}
	}
	return p, nil
}

// aims finds where the URLs lead, and makes the workload.
func (f *loadFlags) aims(ctx context.Context, env Env, j *measure.Job, urls []string) error {
	route, err := f.route()
	if err != nil {
		return err
	}
	spec := endpoint.Spec{Seed: f.seed, Status: f.expect}
	if len(urls) > maxURLs {
		return misused("run several measurements, one after another", "%d URLs are more than %d", len(urls), maxURLs)
	}
	for _, raw := range urls {
		found, err := aimAt(ctx, f.lookup, raw, route)
		if err != nil {
			return err
		}
		for _, a := range found {
			if err := f.aim(j, &spec, a, len(found) > 1); err != nil {
				return err
			}
		}
	}
	if err := f.chooseEngine(&j.Task); err != nil {
		return err
	}
	return f.workload(env, j, spec)
}

// aim adds an endpoint; apart says that its URL has several.
func (f *loadFlags) aim(j *measure.Job, spec *endpoint.Spec, a endpoint.Endpoint, apart bool) error {
	shown := a.URL()
	if apart {
		shown += " at " + a.Dial
	}
	if f.host != "" {
		base, err := named(a, f.host)
		if err != nil {
			return err
		}
		a.Base = base
	}
	j.URLs = append(j.URLs, shown)
	j.Task.URLs, j.Task.Dial = append(j.Task.URLs, a.Base), append(j.Task.Dial, a.Dial)
	spec.Targets = append(spec.Targets, a.Target)
	return nil
}

// named is the base URL under the name that --header Host gives.
func named(a endpoint.Endpoint, host string) (string, error) {
	scheme, _, _ := strings.Cut(a.Base, "://")
	base := scheme + "://" + host
	if u, err := url.Parse(base); err != nil || u.Host != host || u.Hostname() == "" {
		return "", misused("such as --header 'Host: www.example.org'", "--header Host: %q is not a host", host)
	}
	return base, nil
}

// chooseEngine takes the engine asked for, or the first that speaks the scheme.
func (f *loadFlags) chooseEngine(t *fleet.Task) error {
	secure := slices.ContainsFunc(t.URLs, func(u string) bool { return strings.HasPrefix(u, "https:") })
	names := engineNames()
	t.Engine = f.engine
	if t.Engine == "" {
		t.Engine = names[0]
		if secure || f.http2 {
			t.Engine = "http"
		}
	}
	switch {
	case !slices.Contains(names, t.Engine):
		return misused("--engine is "+strings.Join(names, " or "), "unknown --engine %q", t.Engine)
	case secure && t.Engine != "http":
		return misused("--engine http", "engine %s does not speak https", t.Engine)
	case f.http2 && t.Engine != "http":
		return misused("--engine http", "engine %s does not speak HTTP/2", t.Engine)
	}
	return nil
}

// workload makes the workload and its description for the agents.
func (f *loadFlags) workload(env Env, j *measure.Job, spec endpoint.Spec) error {
	wanted := slices.ContainsFunc(spec.Targets, func(t []string) bool { return len(t) > 1 })
	filledHeader := slices.ContainsFunc(j.Task.Header, func(h load.Field) bool { return strings.Contains(h.Value, "{key}") })
	filledBody := bytes.Contains(j.Task.Body, []byte("{key}"))
	switch {
	case wanted && f.keys == "":
		return misused("--keys FILE, one key a line", "a URL contains {key}, but there are no keys")
	case !wanted && f.keys != "" && !filledHeader && !filledBody:
		return misused("such as 'http://127.0.0.1:8080/demo?name={key}'", "--keys is given, but no URL, header or body contains {key}")
	}
	spec.Filled = f.keys != "" && (filledHeader || filledBody)
	if err := endpoint.CheckStatus(f.expect); err != nil {
		return misused("such as --expect-status 2xx,304", "--expect-status: %w", err)
	}
	var err error
	if f.keys != "" {
		if spec.Keys, err = f.keysFile(env); err == nil {
			_, spec.Digest, err = endpoint.ReadKeys(spec.Keys)
		}
		if err == nil && filledHeader {
			err = endpoint.CheckPlain(spec.Keys)
		}
		if err != nil {
			return misused("--keys is a file with one key a line", "%w", err)
		}
	}
	if j.Task.Workload, err = json.Marshal(spec); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if j.Workload, err = endpoint.NewRequests(j.Task.Workload); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}
