package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bakeoff/internal/dashboard"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/venue/cluster"
)

// dashboardAway serves pages of a run in a cluster until ctx ends. They are made of a copy, so that they stay when the run is gone; the
// run itself is only read.
func dashboardAway(ctx context.Context, env Env, p place, out, run, listen string) error {
	api, err := kube.Open(p.context)
	if err != nil {
		return usageError{err}
	}
	if run, err = p.one(ctx, api, run); err != nil {
		return err
	}
	a, err := takeUp(env, api, p, out, run)
	if err != nil {
		return err
	}
	a.screen = newProgress(io.Discard, time.Now) // the page shows it
	if err := os.MkdirAll(a.out, 0o700); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	server, err := dashboard.Open(dashboard.Options{Root: a.out, Listen: listen, Token: env.Getenv(pageTokenVariable)})
	if err != nil {
		return usageError{err}
	}
	a.page = server.Show
	fmt.Fprintln(env.Stdout, server.URL())
	fmt.Fprintf(env.Stderr, "bakeoff: run %s in namespace %s is copied into %s, and served until Ctrl-C\n", show.Inert(run), a.at.Namespace, show.Inert(a.out))
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		if err := a.mirror(ctx); err != nil && ctx.Err() == nil {
			a.warn("what is served is all that is known here: " + err.Error())
		}
	}()
	err = server.Serve(ctx)
	<-copied
	return err
}

// one is the run to show, and where it is; there has to be just one where none is named.
func (p *place) one(ctx context.Context, api *kube.Cluster, run string) (string, error) {
	if run != "" {
		if p.namespace == "" {
			p.namespace = platform.ObjectName(run)
		}
		return run, nil
	}
	all, err := api.Find(ctx, p.namespace)
	if err != nil {
		return "", err
	}
	var found []kube.Found
	var names []string
	for _, f := range all {
		if f.Answers || f.InProgress {
			found, names = append(found, f), append(names, f.Run+" in namespace "+f.Namespace)
		}
	}
	switch len(found) {
	case 0:
		return "", misused("bakeoff run --platform kubernetes begins one", "no run is in the cluster")
	case 1:
		p.namespace = found[0].Namespace
		return found[0].Run, nil
	}
	return "", misused("name one, with its --namespace", "there are several runs in the cluster: %s", strings.Join(names, ", "))
}

// mirror copies the run until it has ended, and leaves it in the cluster as it is. Where another command here copies it already that
// copy is shown.
func (a *away) mirror(ctx context.Context) (err error) {
	if a.token, err = a.at.Token(ctx, cluster.TokenSecret, cluster.TokenKey); err != nil {
		return err
	}
	if err := a.reach(ctx); err != nil {
		return err
	}
	err = a.follow(ctx, false)
	switch {
	case errors.Is(err, record.ErrInUse):
		dir, err := a.directory(ctx)
		if err == nil {
			a.page(filepath.Base(dir))
		}
		return err
	case a.ended && a.copy != nil:
		err = a.client.Fetch(ctx, a.copy)
	}
	return errors.Join(err, a.close())
}
