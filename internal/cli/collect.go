package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"bakeoff/internal/export"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// Secrets of collectors, where no file is named.
const (
	passwordVariable  = "BAKEOFF_INFLUXDB_PASSWORD"
	tokenVariable     = "BAKEOFF_INFLUXDB_TOKEN"
	otlpTokenVariable = "BAKEOFF_OTLP_TOKEN"
)

// influx is the InfluxDB of a plan with its secrets read.
func influx(env Env, i plan.InfluxDB, allowed []string) (export.Influx, error) {
	out := export.Influx{
		URL: i.URL, Database: i.Database, Bucket: i.Bucket, Org: i.Org, Schema: i.Schema, User: i.User, CAFile: i.CAFile, AllowHosts: allowed,
	}
	const at = "collect.influxdb"
	var err error
	if i.User != "" {
		if out.Password, err = secret(env, at, i.PasswordFile, passwordVariable); err == nil && out.Password == "" {
			err = misused("name a password_file, or set "+passwordVariable, "collect.influxdb.user %q has no password", i.User)
		}
	} else {
		out.Token, err = secret(env, at, i.TokenFile, tokenVariable)
	}
	return out, err
}

// otlp is the OTLP server of a plan with its secrets read.
func otlp(env Env, o plan.OTLP, allowed []string) (export.OTLP, error) {
	out := export.OTLP{URL: o.URL, CAFile: o.CAFile, AllowHosts: allowed, Headers: http.Header{}}
	const at = "collect.otlp"
	var err error
	if out.Token, err = secret(env, at, o.TokenFile, otlpTokenVariable); err != nil || o.HeadersFile == "" {
		return out, err
	}
	text, err := secretFile(at, o.HeadersFile)
	if err != nil {
		return out, err
	}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		name, value, found := strings.Cut(strings.TrimSpace(line), ":")
		if value = strings.TrimSpace(value); !found || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) || value == "" {
			return out, usageError{fmt.Errorf("%s: %s:%d is not a header, such as X-Api-Key: KEY", at, o.HeadersFile, i+1)}
		}
		out.Headers.Add(name, value)
	}
	return out, nil
}

// secret is the line that a file of mode 0600 holds, or a variable of the environment. No error carries it.
func secret(env Env, at, path, variable string) (string, error) {
	if path == "" {
		return env.Getenv(variable), nil
	}
	text, err := secretFile(at, path)
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(text)
	if line == "" || strings.ContainsAny(line, "\r\n") {
		return "", usageError{fmt.Errorf("%s: %s does not hold one line of at most %d bytes", at, path, mostSecret)}
	}
	return line, nil
}

// mostSecret is how long a file with secrets may be, in bytes.
const mostSecret = 4096

// secretFile is what a file of mode 0600 holds.
func secretFile(at, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", usageError{fmt.Errorf("%s: %w", at, err)}
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("%s: %w", at, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", misused("chmod 600 "+path, "%s: %s is not a file that only its owner may read", at, path)
	}
	text, err := io.ReadAll(io.LimitReader(file, mostSecret+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", at, err)
	}
	if len(text) > mostSecret {
		return "", usageError{fmt.Errorf("%s: %s does not hold one line of at most %d bytes", at, path, mostSecret)}
	}
	return string(text), nil
}

// collectors are those of a run's plan.
type collectors []*collector

// Names of collectors, in plans, messages and commands.
const (
	kindInflux = "influxdb"
	kindOTLP   = "otlp"
)

// collector writes a run to one of the collectors of its plan while it lasts.
type collector struct {
	env    Env
	kind   string
	influx export.Influx // of that kind
	otlp   export.OTLP   // likewise
	tell   func(string)
	feed   *export.Feed
	dir    string

	listens bool // JMeter's own listener is to write to the server, too
	managed bool
	start   starter        // of a managed server; nil: none can be started
	server  *managedServer // that server; nil: there is none

	counts export.Counts
	err    error
}

// newCollectors are none where the plan names no collector. It sends nothing.
func newCollectors(env Env, p *plan.Plan, start starter, tell func(record.Progress)) (out collectors, err error) {
	say := func(text string) { tell(record.Progress{Text: text, Lasting: true}) }
	if i := p.Collect.InfluxDB; i != (plan.InfluxDB{}) {
		c := &collector{env: env, kind: kindInflux, tell: say, listens: i.Listener, managed: i.Kind == plan.KindManaged, start: start}
		if c.influx, err = influx(env, i, p.AllowHosts); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if o := p.Collect.OTLP; o != (plan.OTLP{}) {
		c := &collector{env: env, kind: kindOTLP, tell: say}
		if c.otlp, err = otlp(env, o, p.AllowHosts); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (all collectors) opened(ctx context.Context, dir string) {
	for _, c := range all {
		c.opened(ctx, dir)
	}
}

// finish has all of them end at once, so that the end takes as long as that of the slowest.
func (all collectors) finish() {
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(c.finish)
	}
	wg.Wait()
}

func (all collectors) say() {
	for _, c := range all {
		c.say()
	}
}

// listener is the URL to which JMeter's own listener writes; empty where it is off.
func (all collectors) listener() string {
	for _, c := range all {
		if at := c.listener(); at != "" {
			return at
		}
	}
	return ""
}

// url is where the collector is.
func (c *collector) url() string {
	if c.kind == kindOTLP {
		return c.otlp.URL
	}
	return c.influx.URL
}

func (c *collector) sink() export.Sink {
	if c.kind == kindOTLP {
		return c.otlp
	}
	return c.influx
}

// opened begins to follow a run; what prevents it is said and does not end the run.
func (c *collector) opened(ctx context.Context, dir string) {
	c.dir = dir
	var err error
	if c.managed {
		err = c.manage(ctx, dir)
	}
	if err != nil {
		c.tell(err.Error())
		return
	}
	if c.feed, err = export.Start(ctx, dir, c.sink(), c.tell); err != nil {
		c.tell(err.Error())
	}
}

// listener is the URL to which JMeter's own listener writes; empty where it is off, or where there is no server.
func (c *collector) listener() string {
	if !c.listens || c.influx.URL == "" {
		return ""
	}
	return strings.TrimSuffix(c.influx.URL, "/") + "/write?" + url.Values{"db": {c.influx.Database}}.Encode()
}

// finish sends what remains, for 10 s at most, and stops a managed server.
func (c *collector) finish() {
	if c.feed != nil {
		c.counts, c.err = c.feed.Finish()
	}
	c.err = errors.Join(c.err, c.stop())
}

// say says what the collector has.
func (c *collector) say() {
	if c.dir == "" {
		return
	}
	if c.err != nil {
		fmt.Fprintf(c.env.Stderr, "bakeoff: warning: %s: %s\n", c.kind, show.InertLines(c.err.Error()))
	}
	if c.feed != nil {
		sayCounts(c.env.Stderr, c.kind, c.url(), c.counts)
	}
	switch {
	case c.managed && c.server != nil && c.server.kept:
		fmt.Fprintf(c.env.Stderr, "bakeoff: hint: to look at it again: bakeoff collector %s\n", show.Inert(c.dir))
		if c.whole() {
			return
		}
		fmt.Fprintf(c.env.Stderr, "bakeoff: hint: it does not have every point: bakeoff export influxdb %s --url URL --database %s, once it is up\n",
			show.Inert(c.dir), managedDatabase)
	case c.managed:
		fmt.Fprintf(c.env.Stderr, "bakeoff: hint: the run directory has everything: bakeoff export influxdb %s --url URL --database NAME\n", show.Inert(c.dir))
	case !c.whole():
		fmt.Fprintf(c.env.Stderr, "bakeoff: hint: the run directory has everything: bakeoff export %s %s\n", c.kind, show.Inert(c.dir))
	}
}

// whole says that the server has every point of the run.
func (c *collector) whole() bool { return c.feed != nil && c.counts.Whole() && c.err == nil }

func sayCounts(w io.Writer, kind, url string, c export.Counts) {
	fmt.Fprintf(w, "bakeoff: %s at %s: %s written", kind, show.Inert(url), show.Plural(int(c.Written), "point"))
	if c.Refused > 0 {
		fmt.Fprintf(w, ", %d refused", c.Refused)
	}
	if c.Left > 0 || c.More {
		atLeast := ""
		if c.More {
			atLeast = "at least "
		}
		fmt.Fprintf(w, ", %s%d not sent", atLeast, c.Left)
	}
	if c.Omitted > 0 {
		fmt.Fprintf(w, ", %d samples left out, of members beyond the first 64", c.Omitted)
	}
	if c.Cause != "" && !c.Whole() {
		fmt.Fprintf(w, " (%s)", show.Inert(c.Cause))
	}
	fmt.Fprintln(w)
}

func exportInflux(env Env) *cobra.Command {
	var i plan.InfluxDB
	var hosts []string
	cmd := &cobra.Command{
		Use: "influxdb RUN", Aliases: []string{"influx"}, Short: "write a run to an InfluxDB: that of its plan, or another one",
		Long: `influxdb writes every window of a run to an InfluxDB of version 1, 2 or 3, or to whatever takes
its line protocol. Writing twice changes nothing: the points are the same. Without flags the server is that of
the run's plan; one on another machine needs --allow-host, and gets no secret unless --url names it: a run
directory may come from somebody else. A password is read from --password-file or
BAKEOFF_INFLUXDB_PASSWORD, a token from --token-file or BAKEOFF_INFLUXDB_TOKEN.

exit status: 0 the server has every point; 1 it does not; 2 wrong usage`,
		Args: exactly(1, "one run directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return backfill(cmd.Context(), env, kindInflux, args[0], func(env Env, recorded []byte) (export.Sink, string, error) {
				d, err := plan.CollectOf(recorded, i, hosts)
				if err != nil {
					return nil, "", usageError{err}
				}
				to, err := influx(env.without(d.Secrets), d.InfluxDB, d.AllowHosts)
				return to, to.URL, err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&i.URL, "url", "", "the server, such as http://127.0.0.1:8086 (default: that of the run's plan)")
	flags.StringVar(&i.Database, "database", "", "database of version 1; it is made where it is missing")
	flags.StringVar(&i.Bucket, "bucket", "", "bucket of version 2")
	flags.StringVar(&i.Org, "org", "", "organisation of version 2")
	flags.StringVar(&i.Schema, "schema", "", "bakeoff, jmeter or both")
	flags.StringVar(&i.User, "user", "", "user of version 1")
	flags.StringVar(&i.PasswordFile, "password-file", "", "file of mode 0600 with the user's password")
	flags.StringVar(&i.TokenFile, "token-file", "", "file of mode 0600 with a token")
	flags.StringVar(&i.CAFile, "ca-file", "", "authorities to trust, PEM")
	flags.StringArrayVar(&hosts, "allow-host", nil, "host other than this machine that may be sent to")
	return cmd
}

// exportOTLP writes a run to a server that takes OpenTelemetry's metrics.
func exportOTLP(env Env) *cobra.Command {
	var o plan.OTLP
	var hosts []string
	cmd := &cobra.Command{
		Use: "otlp RUN", Short: "write a run as OpenTelemetry's metrics: to the server of its plan, or to another one",
		Long: `otlp writes every window of a run as counters and exponential histograms of OpenTelemetry, cumulative, by
OTLP over HTTP with protobuf. Without flags the server is that of the run's plan; one on another machine needs
--allow-host, and gets no secret unless --url names it: a run directory may come from somebody else. A
bearer token is read from --token-file or BAKEOFF_OTLP_TOKEN, headers such as an API key from --headers-file.

exit status: 0 the server has every point; 1 it does not; 2 wrong usage`,
		Args: exactly(1, "one run directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return backfill(cmd.Context(), env, kindOTLP, args[0], func(env Env, recorded []byte) (export.Sink, string, error) {
				d, err := plan.OTLPOf(recorded, o, hosts)
				if err != nil {
					return nil, "", usageError{err}
				}
				to, err := otlp(env.without(d.Secrets), d.OTLP, d.AllowHosts)
				return to, to.URL, err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.URL, "url", "", "the server, such as http://127.0.0.1:4318 (default: that of the run's plan)")
	flags.StringVar(&o.TokenFile, "token-file", "", "file of mode 0600 with a bearer token")
	flags.StringVar(&o.HeadersFile, "headers-file", "", "file of mode 0600 with headers, one a line")
	flags.StringVar(&o.CAFile, "ca-file", "", "authorities to trust, PEM")
	flags.StringArrayVar(&hosts, "allow-host", nil, "host other than this machine that may be sent to")
	return cmd
}

// without is an environment without variables, unless secrets may be sent.
func (e Env) without(secrets bool) Env {
	if !secrets {
		e.Getenv = func(string) string { return "" }
	}
	return e
}

// backfill writes a whole run to the collector that its recorded plan and flags name.
func backfill(ctx context.Context, env Env, kind, dir string, find func(env Env, recorded []byte) (export.Sink, string, error)) error {
	r, err := record.Open(dir)
	if err != nil {
		return err
	}
	to, url, err := find(env, r.Run().Plan)
	if err != nil {
		return err
	}
	warnOf(env, r.Problems())
	counts, err := export.Backfill(ctx, dir, to, func(text string) {
		fmt.Fprintf(env.Stderr, "bakeoff: %s\n", show.InertLines(text))
	})
	sayCounts(env.Stderr, kind, url, counts)
	if err == nil && !counts.Whole() {
		err = fmt.Errorf("%s does not have every point of the run", kind)
	}
	return err
}
