package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
)

func attachCommand(env Env) *cobra.Command {
	var p place
	var out string
	cmd := &cobra.Command{
		Use:   "attach RUN",
		Short: "follow a run that is in progress, and print its report at the end",
		Long: `attach follows a run directory from another terminal, or after the terminal of the run was
lost. It shows what "bakeoff run" shows, from the beginning, and prints the report when
the run has ended. Ctrl-C ends attach and does not touch the run.

With --context or --namespace RUN is the name of a run in a cluster, as run --detach prints it.
attach then also fetches the run directory into --out, and at the end removes what the run made
in the cluster.

exit status: 0 the run is complete; 1 it was aborted, or its controller is gone;
2 there is no run; 130 interrupted`,
		Args: exactly(1, "one run directory, or the name of a run in a cluster"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.sane(); err != nil {
				return err
			}
			if !cmd.Flags().Changed("context") && p.namespace == "" {
				return attach(cmd.Context(), env, args[0])
			}
			return attachAway(cmd.Context(), env, p, out, args[0])
		},
	}
	cmd.Flags().StringVar(&out, "out", runsFolder, "of a run in a cluster: folder in which to create the run directory")
	p.register(cmd.Flags())
	return cmd
}

func attach(ctx context.Context, env Env, dir string) error {
	screen := newScreen(env.Stderr, time.Now, true)
	err := screen.follow(ctx, dir)
	screen.close()
	if err != nil {
		return err
	}
	reader, err := record.Open(dir)
	if err != nil {
		return err
	}
	summary, err := figures.Build(reader)
	if err == nil {
		err = writeSummary(env.Stdout, reader, summary)
	}
	switch run := reader.Run(); run.Status {
	case record.Aborted:
		err = errors.Join(err, fmt.Errorf("the run was aborted: %s", run.Reason))
	case record.Incomplete:
		line := "bakeoff run --resume " + dir
		if run.Platform == inKubernetes {
			line += " --platform " + inKubernetes
		}
		err = errors.Join(err, fmt.Errorf("the run has not ended, but its controller is gone (resume it: %s)", line))
	}
	return err
}

// follow shows the progress of a run from its beginning until nobody writes it any more.
func (p *progress) follow(ctx context.Context, dir string) error {
	for item, err := range record.Follow(ctx, dir, record.Position{}) {
		var line *record.LineError
		if err == nil && p.terminal {
			p.keep(item)
		}
		switch {
		case errors.As(err, &line): // the report names it
		case err != nil:
			return err
		case item.Pause != nil && !item.Pause.Live:
			return nil
		case item.Event != nil:
			p.take(*item.Event)
		}
	}
	return context.Cause(ctx)
}

// take shows an event of a record as it was shown when it happened.
func (p *progress) take(e record.Event) {
	if e.Kind == record.EventResumed || e.Sequence == 1 {
		p.mu.Lock()
		p.began = e.At
		p.mu.Unlock()
	}
	if said, ok := e.Progress(); ok {
		p.showAt(said, e.At)
	}
}
