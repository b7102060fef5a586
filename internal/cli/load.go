package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/measure"
)

// errInvalidLoad is a measurement that must not be used.
var errInvalidLoad = errors.New("the measurement is invalid")

// errMissed is a requirement that a valid measurement does not meet.
var errMissed = errors.New("a requirement is missed")

func loadCommand(env Env) *cobra.Command {
	f := loadFlags{lookup: net.DefaultResolver}
	cmd := &cobra.Command{
		Use:     "load URL...",
		Short:   "load a server and report how it answered: the load engine alone",
		Long:    loadHelp,
		Example: loadExamples,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misused(urlHint, "%s takes one URL or more", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			log.SetOutput(io.Discard) // net/http says there what a server does wrong in HTTP/2
			f.given = cmd.Flags().Changed
			return runLoad(cmd.Context(), env, &f, args)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return misused("'bakeoff load --help' explains the flags", "%w", ownWords(err))
	})
	f.register(cmd.Flags())
	return cmd
}

const loadHelp = `load sends requests to one or more URLs, counts every one of them, and prints how
many were answered, how fast, and whether the figures can be trusted.

With --rate the requests follow a schedule (open model). A request that is due waits
for a free connection while its clock runs, so a stall of the server cannot stay hidden.
The response time starts when the request was due, the service time when it was actually
sent; both end with the last byte. A request that is still unsent one --timeout after it
was due is dropped and counted.

Without --rate each of the --connections sends its next request when its last answer has
arrived (closed model). Such a client waits while the server stalls, so its times do not
show the latency that users would see.

A URL is sent as it was typed: only bytes that a request must not contain are
percent-encoded, and the first line of the result shows what was sent. Several URLs are
requested equally often; URLs of one server share connections. {key} is replaced by a key
of --keys, percent-encoded in URLs, as it is in headers and in the body; which request gets
which key depends only on --seed. A name is looked up once, and the whole measurement uses
that address; --all-addresses uses every address. --unix and --connect-to connect elsewhere
and leave the request as it is.

The result has one example of each class of failures. Values of headers and queries are
masked in it.

An answer is ok when its status is in --expect-status (default 2xx; redirects are not
followed, and are bad unless expected), and bad otherwise. A request without a whole
answer within --timeout is a timeout. A request that failed in any other way is an error,
counted by class. planned = sent + dropped and sent = ok + bad + timeout + error hold
exactly. late: sent more than 1 ms after it was due, which is this program's fault;
queued: it had to wait for a free connection, because the server paused or --connections is
too low. Rates are per second of sending. The warm-up is not part of any figure.

Answers, time-outs and drops are in the distributions, time-outs and drops as "longer
than"; errors are not. A percentile is printed when 100 samples lie beyond it; otherwise
"-" (null) is printed with the number of samples it needs. A percentile that lies among
time-outs is a lower bound, marked ">" (listed in "censored"). The same marks apply to
mean, min and max. The files of --hlog and --hgrm have no such marks: time-outs and drops
are counted at their bound.

The measurement is invalid when an agent was itself the limit: it lost more than 1 % of
its requests because it had no ports, descriptors or time left, or, with --rate, the p99
of its lateness is above 1 ms and above a tenth of the service time's p99. The reason
names the cause and the time: what ran out and its limit, or that the agent was stopped,
held back by a CPU quota, without a core, or busy all the time.

Load goes to this machine only, unless --allow-host names another host; this holds in
private networks too. Link-local, metadata, multicast and broadcast addresses are always
refused.

--require compares a figure with a bound: p50, p99.9 and so on, mean, min or max of the
response time (closed model: of the service time; "service p99" selects it), errors (every
planned request that was not answered as expected), ok, bad, timeouts, dropped, late or
queued, as a count or in %, rate or goodput. A figure with too few samples counts as missed.

exit status: 0 measured, whatever the server answered; 1 failed; 2 wrong usage; 3 valid, but a
requirement was missed; 4 invalid; 130 interrupted (once: prints what was measured so far; twice: ends at once)`

const loadExamples = `  # 1,000 requests a second for 30 s, after 5 s of warm-up
  bakeoff load --rate 1000 --duration 30s --warmup 5s http://127.0.0.1:8080/ping

  # as fast as 64 connections get answers, with keys from a file, over two replicas
  bakeoff load --keys names.txt 'http://127.0.0.1:8081/demo?name={key}' 'http://127.0.0.1:8082/demo?name={key}'

  # from 100/s to 5,000/s within a minute, by four processes, for a program to read
  bakeoff load --ramp 100:5000:1m --agents 4 --json --hlog ramp.hlog --allow-host staging.example.org https://staging.example.org/`

// runLoad measures and prints.
func runLoad(ctx context.Context, env Env, f *loadFlags, urls []string) (err error) {
	j, err := f.job(ctx, env, urls)
	if f.forget != nil {
		defer func() { err = errors.Join(err, f.forget()) }()
	}
	if err != nil {
		return err
	}
	files, err := measure.OpenFiles(measure.Paths{HLog: f.hlog, HGRM: f.hgrm, Windows: f.windows})
	if err != nil {
		return misused("its folder must exist and be yours to write", "%w", err)
	}
	m, err := measured(ctx, env, j, files)
	err = errors.Join(err, files.Close(m))
	if m == nil {
		return err
	}
	r := m.Result(j)
	return errors.Join(err, printLoad(env, j, m, r, f.json), judgeLoad(m, r))
}

// measured runs the job, in this process or by agents.
func measured(ctx context.Context, env Env, j *measure.Job, files *measure.Files) (m *measure.Measurement, err error) {
	if j.Agents == 1 {
		alone := measure.Alone{Job: j, Engine: engines()[j.Task.Engine], Guest: env.Guest}
		return measure.Run(ctx, j, alone, files, env.Stderr)
	}
	agents, err := startAgents(ctx, env, j.Agents)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, agents.close()) }()
	if err := agents.spool(&j.Task); err != nil {
		return nil, err
	}
	return measure.Run(ctx, j, measure.Together{Job: j, Fleet: agents.fleet}, files, env.Stderr)
}

// judgeLoad is the error that a measurement ends with, if any.
func judgeLoad(m *measure.Measurement, r measure.Result) error {
	switch {
	case m.Interrupted():
		return controller.ErrInterrupted
	case !r.Valid:
		return fmt.Errorf("%w: %s", errInvalidLoad, strings.Join(r.Reasons, "; "))
	case len(r.Missed()) > 0:
		return fmt.Errorf("%w: %s", errMissed, strings.Join(r.Missed(), "; "))
	}
	return nil
}

func printLoad(env Env, j *measure.Job, m *measure.Measurement, r measure.Result, asJSON bool) error {
	if !asJSON {
		return measure.WriteText(env.Stdout, j, m, r)
	}
	enc := json.NewEncoder(env.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}
