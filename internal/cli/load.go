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
		Short:   "put load on a server and say what it did: the engine alone",
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
		return misused("'bakeoff load --help' explains the flags", "%w", err)
	})
	f.register(cmd.Flags())
	return cmd
}

const loadHelp = `load sends requests to one or more URLs, books every one of them, and prints how
many were answered, how fast, and whether the figures may be believed.

With --rate it follows a schedule (open model): a request whose time has come
waits for a free connection with its clock running, so that a server that stalls
cannot hide it. The response time runs from the time the schedule asked for, the
service time from the actual send, both to the last byte. A request still unsent
one --timeout after its time is dropped, and counted.

Without --rate each of --connections sends when its last answer came (closed
model). Such a client waits while the server stalls: its times say nothing about
the latency that users would see.

A URL is asked for as it was typed: only bytes that no request may hold are
percent-encoded, and the first line of the result says what was sent. Of several URLs
each is asked as often as any other; those of one server share connections. {key} stands for a key of
--keys, in URLs percent-encoded, in headers and in the body as it is; which request takes which key depends on --seed alone. A name is
looked up once and that address is dialled for the whole measurement; --all-addresses
takes every one. --unix and --connect-to lead elsewhere and leave the request as it is.

Each class of failures comes with one example in words; values of headers and queries
are masked in it.

An answer is ok when its status is one of --expect-status (2xx; a redirect is
not followed, and is bad unless expected), bad otherwise. A request without a
whole answer within --timeout is a timeout; one that failed in any other way is
an error, counted by its class. planned = sent + dropped and sent = ok + bad +
timeout + error hold exactly. late: taken up more than 1 ms after its time, which
is this program's fault; queued: it had to wait for a free connection, which is
the server's doing. Rates are per second of sending. The warm-up is outside all of this.

Answers, time-outs and drops are in the distributions, the latter two as "longer
than"; errors are not. A percentile is given when 100 samples lie beyond it, else
"-" (null) with the samples it needs; one that falls among time-outs is a lower
bound, marked ">" (named in "censored"). The same marks hold for mean, min and max. The
files of --hlog and --hgrm know no such marks: time-outs and drops stand at their bound.

The measurement is invalid when an agent was itself the limit: more than 1 % of
its requests lost for want of ports, descriptors or time, or, with --rate, a p99
of its lateness above 1 ms and a tenth of the service time's p99. The reason names
the cause: what was lacking, with its limit, or what kept the agent: that it was
stopped, held back by a CPU quota, without a core, busy all the time, and when.

Load goes to this machine only, unless --allow-host names the host: also in
private networks. Link-local, metadata, multicast and broadcast addresses are
always refused.

--require holds a figure against a bound: p50, p99.9 and so on, mean, min or max of the
response time (closed model: of the service time; "service p99" names one), errors (all
that was planned and not answered as expected), ok, bad, timeouts, dropped, late or queued,
as a count or in %, rate or goodput. A figure that too few samples allow is missed.

exit status: 0 measured, whatever the server answered; 1 failed; 2 wrong usage; 3 valid, and a
requirement is missed; 4 invalid; 130 interrupted (once: what was measured so far is printed; twice: at once)`

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
