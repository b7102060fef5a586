package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/show"
	"bakeoff/internal/venue/cluster"
)

// attachAway follows a run in a cluster, and ends it there as who started it would have.
func attachAway(ctx context.Context, env Env, p place, out, run string) error {
	api, err := kube.Open(p.context)
	if err != nil {
		return usageError{err}
	}
	if p.namespace == "" {
		p.namespace = platform.ObjectName(run)
	}
	if err := over(ctx, api, p, run); err != nil {
		return err
	}
	a, err := takeUp(env, api, p, out, run)
	if err != nil {
		return err
	}
	err = a.watch(ctx)
	a.screen.close()
	if ctx.Err() != nil {
		return err
	}
	return a.result(err, false, false)
}

// over fails where the run has ended, and its controller, too, as it should. Who may not see that finds out by asking.
func over(ctx context.Context, api *kube.Cluster, p place, run string) error {
	found, err := api.Find(ctx, p.namespace)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	for _, f := range found {
		if f.Run == run && f.Over {
			return fmt.Errorf("run %s has ended, and so has its controller, which kept the run directory for a day or until it was fetched; bakeoff clean %s removes what is left of it",
				run, p.flags())
		}
	}
	return nil
}

// takeUp is a run in a cluster that was started before.
func takeUp(env Env, api *kube.Cluster, p place, out, run string) (*away, error) {
	dir, err := filepath.Abs(out)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return &away{env: env, place: p, out: dir, at: api.At(p.namespace, run), what: cluster.Conducts(), screen: newScreen(env.Stderr, time.Now, true)}, nil
}

// watch follows the run to its end. Ctrl-C ends the watching alone.
func (a *away) watch(ctx context.Context) (err error) {
	if a.token, err = a.at.Token(ctx, cluster.TokenSecret, cluster.TokenKey); err != nil {
		return err
	}
	a.began = true // for all that is known here: somebody else started it
	if err = a.reach(ctx); err == nil {
		err = a.follow(ctx, false)
	}
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), a.close())
	}
	return a.leave(ctx, a.lost(err))
}

// cleanAway removes what runs left in a cluster, each after it was fetched.
func cleanAway(ctx context.Context, env Env, p place, out string) error {
	api, err := kube.Open(p.context)
	if err != nil {
		return usageError{err}
	}
	found, err := api.Find(ctx, p.namespace)
	if err != nil {
		return err
	}
	removed, alone := 0, 0
	var errs []error
	for _, f := range found {
		if f.InProgress && p.namespace == "" {
			fmt.Fprintf(env.Stdout, "left alone, as it may be in progress: run %s in namespace %s (bakeoff clean %s ends, fetches and removes it)\n", f.Run, f.Namespace,
				place{context: p.context, namespace: f.Namespace}.flags())
			alone++
			continue
		}
		if err := cleanRun(ctx, env, api, f, p.context, out); err != nil {
			errs = append(errs, fmt.Errorf("run %s: %w", f.Run, err))
			continue
		}
		removed++
		fmt.Fprintf(env.Stdout, "removed: run %s from namespace %s\n", f.Run, f.Namespace)
	}
	fmt.Fprintf(env.Stdout, "%s removed from the cluster, %d left alone\n", show.Plural(removed, "run"), alone)
	return errors.Join(errs...)
}

// cleanRun ends a run, fetches it and removes it.
func cleanRun(ctx context.Context, env Env, api *kube.Cluster, f kube.Found, of, out string) error {
	a, err := takeUp(env, api, place{of, f.Namespace, cleanAlways}, out, f.Run)
	if err != nil {
		return err
	}
	defer a.screen.close()
	var ended endedError
	if !f.Answers && !f.InProgress {
		a.screen.clear()
		fmt.Fprintf(env.Stderr, "bakeoff: run %s: its controller has ended or is lost: the run directory is where it was fetched before, if it was\n", f.Run)
	}
	if f.Answers {
		if err := a.finish(ctx); err != nil && !errors.As(err, &ended) {
			return fmt.Errorf("nothing was removed, since its controller does not give the run: %w", err)
		}
	}
	err = a.leave(ctx, nil)
	if a.dir != "" && err == nil {
		fmt.Fprintf(env.Stdout, "fetched %s\n", a.dir)
	}
	return err
}

// finish stops a run and waits for its end.
func (a *away) finish(ctx context.Context) (err error) {
	if a.token, err = a.at.Token(ctx, cluster.TokenSecret, cluster.TokenKey); err != nil {
		return err
	}
	if err := a.reach(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if err := a.client.Stop(ctx); err != nil {
		return err
	}
	return a.follow(ctx, false)
}
