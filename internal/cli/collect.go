package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bakeoff/internal/export"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// Secrets of collectors, where no file is named.
const (
	passwordVariable = "BAKEOFF_INFLUXDB_PASSWORD"
	tokenVariable    = "BAKEOFF_INFLUXDB_TOKEN"
)

// influx is the InfluxDB of a plan with its secrets read.
func influx(env Env, i plan.InfluxDB, allowed []string) (export.Influx, error) {
	out := export.Influx{URL: i.URL, Database: i.Database, Bucket: i.Bucket, Org: i.Org, User: i.User, CAFile: i.CAFile, AllowHosts: allowed}
	var err error
	if i.User != "" {
		if out.Password, err = secret(env, i.PasswordFile, passwordVariable); err == nil && out.Password == "" {
			err = misused("name a password_file, or set "+passwordVariable, "collect.influxdb.user %q has no password", i.User)
		}
	} else {
		out.Token, err = secret(env, i.TokenFile, tokenVariable)
	}
	return out, err
}

// secret is what a file of mode 0600 holds, or a variable of the environment. No error carries it.
func secret(env Env, path, variable string) (string, error) {
	if path == "" {
		return env.Getenv(variable), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", usageError{fmt.Errorf("collect.influxdb: %w", err)}
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("collect.influxdb: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", misused("chmod 600 "+path, "collect.influxdb: %s is not a file that only its owner may read", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, 4097))
	if err != nil {
		return "", fmt.Errorf("collect.influxdb: %w", err)
	}
	line := strings.TrimSpace(string(text))
	if line == "" || len(text) > 4096 || strings.ContainsAny(line, "\r\n") {
		return "", usageError{fmt.Errorf("collect.influxdb: %s does not hold one line of at most 4096 bytes", path)}
	}
	return line, nil
}

// collector writes a run to the collectors of its plan while it lasts.
type collector struct {
	env    Env
	to     export.Influx
	schema string
	tell   func(string)
	feed   *export.Feed
	dir    string

	managed  bool
	platform platform.Platform // where a managed server is started
	process  platform.Process  // that server; nil: there is none
	lock     io.Closer         // of its data, while it is up

	counts export.Counts
	err    error
}

// newCollector is nil where the plan names no collector. It sends nothing.
func newCollector(env Env, p *plan.Plan, on platform.Platform, tell func(record.Progress)) (*collector, error) {
	i := p.Collect.InfluxDB
	if i == (plan.InfluxDB{}) {
		return nil, nil
	}
	to, err := influx(env, i, p.AllowHosts)
	if err != nil {
		return nil, err
	}
	return &collector{
		env: env, to: to, schema: i.Schema, managed: i.Kind == plan.KindManaged, platform: on,
		tell: func(text string) { tell(record.Progress{Text: text, Lasting: true}) },
	}, nil
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
	if c.feed, err = export.Start(ctx, dir, c.to, c.schema, c.tell); err != nil {
		c.tell(err.Error())
	}
}

// finish sends what remains, for 10 s at most, and stops a managed server.
func (c *collector) finish() {
	if c == nil {
		return
	}
	if c.feed != nil {
		c.counts, c.err = c.feed.Finish()
	}
	c.err = errors.Join(c.err, c.stop())
}

// say says what the collector has.
func (c *collector) say() {
	if c == nil || c.dir == "" {
		return
	}
	if c.err != nil {
		fmt.Fprintf(c.env.Stderr, "bakeoff: warning: influxdb: %s\n", show.InertLines(c.err.Error()))
	}
	if c.feed != nil {
		sayCounts(c.env.Stderr, c.to.URL, c.counts)
	}
	switch {
	case c.managed && c.process != nil:
		fmt.Fprintf(c.env.Stderr, "bakeoff: hint: to look at it again: bakeoff collector %s\n", show.Inert(c.dir))
		if c.whole() {
			return
		}
		fmt.Fprintf(c.env.Stderr, "bakeoff: hint: it does not have every point: bakeoff export influxdb %s --url URL --database %s, once it is up\n",
			show.Inert(c.dir), managedDatabase)
	case c.managed:
		fmt.Fprintf(c.env.Stderr, "bakeoff: hint: the run directory has everything: bakeoff export influxdb %s --url URL --database NAME\n", show.Inert(c.dir))
	case !c.whole():
		fmt.Fprintf(c.env.Stderr, "bakeoff: hint: the run directory has everything: bakeoff export influxdb %s\n", show.Inert(c.dir))
	}
}

// whole says that the server has every point of the run.
func (c *collector) whole() bool { return c.feed != nil && c.counts.Whole() && c.err == nil }

func sayCounts(w io.Writer, url string, c export.Counts) {
	fmt.Fprintf(w, "bakeoff: influxdb at %s: %s written", show.Inert(url), show.Plural(int(c.Written), "point"))
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

// errNotWhole is that a server does not have every point.
var errNotWhole = errors.New("influxdb does not have every point of the run")

func exportInflux(env Env) *cobra.Command {
	var i plan.InfluxDB
	var hosts []string
	cmd := &cobra.Command{
		Use: "influxdb RUN", Short: "write a run to an InfluxDB: that of its plan, or another one",
		Long: `influxdb writes every window of a run to an InfluxDB of version 1, 2 or 3, or to whatever takes
its line protocol. Writing twice changes nothing: the points are the same. Without flags the server is that of
the run's plan; one on another machine needs --allow-host, and gets no secret unless --url names it: a run
directory may come from somebody else. A password is read from --password-file or
BAKEOFF_INFLUXDB_PASSWORD, a token from --token-file or BAKEOFF_INFLUXDB_TOKEN.

exit status: 0 the server has every point; 1 it does not; 2 wrong usage`,
		Args: exactly(1, "one run directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return backfill(cmd.Context(), env, i, hosts, args[0])
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

func backfill(ctx context.Context, env Env, i plan.InfluxDB, hosts []string, dir string) error {
	r, err := record.Open(dir)
	if err != nil {
		return err
	}
	c, err := plan.CollectOf(r.Run().Plan, i, hosts)
	if err != nil {
		return usageError{err}
	}
	if !c.Secrets {
		env.Getenv = func(string) string { return "" }
	}
	to, err := influx(env, c.InfluxDB, c.AllowHosts)
	if err != nil {
		return err
	}
	warnOf(env, r.Problems())
	counts, err := export.Backfill(ctx, dir, to, c.InfluxDB.Schema, func(text string) {
		fmt.Fprintf(env.Stderr, "bakeoff: %s\n", show.InertLines(text))
	})
	sayCounts(env.Stderr, to.URL, counts)
	if err == nil && !counts.Whole() {
		err = errNotWhole
	}
	return err
}
