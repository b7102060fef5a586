package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bakeoff/internal/dashboard"
	"bakeoff/internal/show"
)

// pageTokenVariable names the token of pages that are served to other machines.
const pageTokenVariable = "BAKEOFF_DASHBOARD_TOKEN"

func dashboardCommand(env Env) *cobra.Command {
	var listen, out string
	var p place
	cmd := &cobra.Command{
		Use: "dashboard [RUN | DIR]", Short: "serve the runs of a folder as web pages, live and finished",
		Long: `dashboard serves pages for a web browser on this machine until Ctrl-C: a run that is under way, second by
second, its targets, its tiers, finished runs, several runs compared, and the history of the folder. The first
line of its output is the address. It only reads: a run does not notice it. RUN is a run directory, whose folder
is served with it; DIR is a folder of runs (default: runs).

With --context or --namespace RUN is the name of a run in a cluster, which may be left out where there is only
one. It is copied into --out as long as the page is served, and stays as it is in the cluster.

The pages are for this machine. --listen serves them on another address; then a browser must come with the token
in the printed address. ` + pageTokenVariable + ` sets the token, of 16 bytes or more; otherwise it is random.
Nothing is encrypted: use a tunnel where others can read the network.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%s takes one run directory or one folder of runs, got %d arguments", cmd.CommandPath(), len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at := ""
			if len(args) == 1 {
				at = args[0]
			}
			if cmd.Flags().Changed("context") || p.namespace != "" {
				return dashboardAway(cmd.Context(), env, p, out, at, listen)
			}
			at = cmp.Or(at, runsFolder)
			return serveDashboard(cmd.Context(), env, at, listen)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", dashboard.Loopback, "host and port; port 0: any that is free")
	cmd.Flags().StringVar(&out, "out", runsFolder, "of a run in a cluster: folder in which to create the run directory")
	p.find(cmd.Flags())
	return cmd
}

func serveDashboard(ctx context.Context, env Env, at, listen string) error {
	root, run, err := servedFolder(at)
	if err != nil {
		return err
	}
	server, err := dashboard.Open(dashboard.Options{Root: root, Run: run, Listen: listen, Token: env.Getenv(pageTokenVariable)})
	if err != nil {
		return usageError{err}
	}
	fmt.Fprintln(env.Stdout, server.URL())
	fmt.Fprintf(env.Stderr, "bakeoff: the runs in %s are served until Ctrl-C\n", show.Inert(root))
	return server.Serve(ctx)
}

// servedFolder is the folder of runs to serve, and the run in it where one is given.
func servedFolder(at string) (root, run string, err error) {
	at, err = filepath.Abs(at)
	if err != nil {
		return "", "", fmt.Errorf("dashboard: %w", err)
	}
	if real, err := filepath.EvalSymlinks(at); err == nil {
		at = real
	}
	info, err := os.Stat(at)
	switch {
	case err != nil:
		return "", "", misused("give a run directory, or a folder of runs", "dashboard: %w", err)
	case !info.IsDir():
		return "", "", misused("give a run directory, or a folder of runs", "dashboard: %s is no folder", at)
	}
	for _, name := range []string{"events.jsonl", "run.json"} {
		if _, err := os.Lstat(filepath.Join(at, name)); err == nil {
			return filepath.Dir(at), filepath.Base(at), nil
		}
	}
	return at, "", nil
}

// page is the page of a run under way, in the process of the run.
type page struct {
	server *dashboard.Server
	stop   context.CancelFunc
	done   chan error
}

// openPage serves the folder that a run is written to, and says where.
func openPage(ctx context.Context, env Env, root string) (*page, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	server, err := dashboard.Open(dashboard.Options{Root: root, Token: env.Getenv(pageTokenVariable)})
	if err != nil {
		return nil, usageError{err}
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // an interrupted run is watched to its end
	p := &page{server: server, stop: stop, done: make(chan error, 1)}
	fmt.Fprintf(env.Stderr, "bakeoff: watch the run at %s\n", server.URL())
	go func() { p.done <- server.Serve(ctx) }()
	return p, nil
}

// close ends the page; a browser keeps what it has.
func (p *page) close(env Env) {
	p.stop()
	if err := <-p.done; err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(env.Stderr, "bakeoff: warning: %s\n", show.InertLines(err.Error()))
	}
}
