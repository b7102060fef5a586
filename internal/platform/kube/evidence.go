package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Evidence is what a cluster has to say of a run, as far as it is in a folder.
type Evidence struct {
	Files int      // logs and events.txt
	Lost  []string // what could not be read, and why; it is in unread.txt there, too
}

// Evidence writes the log of every container of every pod of the run, and the events of bakeoff's objects, into a folder; where there
// is neither it makes none. What a node does not give is no error: it would keep the run from being removed for ever. The error
// is of a cluster that does not answer, or of a folder that cannot be written.
func (l *Laptop) Evidence(ctx context.Context, dir string) (Evidence, error) {
	g := &gathering{Laptop: l, dir: dir, silent: map[string]bool{}}
	var pods []core.Pod
	err := insist(ctx, func(ctx context.Context) (err error) {
		pods, err = l.pods(ctx)
		return err
	})
	if err != nil {
		return g.found, err
	}
	for i := range pods {
		if err := g.pod(ctx, &pods[i]); err != nil {
			return g.found, err
		}
	}
	if err := g.events(ctx); err != nil {
		return g.found, err
	}
	if len(g.found.Lost) == 0 {
		return g.found, nil
	}
	return g.found, g.write("unread.txt", strings.Join(g.found.Lost, "\n")+"\n")
}

// gathering is evidence that is being gathered.
type gathering struct {
	*Laptop
	dir    string
	found  Evidence
	silent map[string]bool // nodes that have not answered for a minute: they are asked just once more for each log
}

// pod writes the logs of its containers, and of those before them.
func (g *gathering) pod(ctx context.Context, p *core.Pod) error {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		for _, previous := range []bool{false, true} {
			begun := c.State.Running != nil || c.State.Terminated != nil
			if previous && c.RestartCount == 0 || !previous && !begun {
				continue
			}
			if err := g.log(ctx, p, c.Name, previous); err != nil {
				return err
			}
		}
	}
	return nil
}

// log writes the log of a container, or of the one before it.
func (g *gathering) log(ctx context.Context, p *core.Pod, container string, previous bool) error {
	query, name := url.Values{"container": {container}}, p.Name+"-"+container
	if previous {
		query.Set("previous", "true")
		name += "-previous"
	}
	at, node := where("", g.Namespace, "pods", p.Name, "log"), p.Spec.NodeName
	var local, remote error
	try := func(ctx context.Context) error {
		local, remote = g.read(ctx, at, query, name+".log")
		return remote
	}
	if g.silent[node] {
		_ = try(ctx) // it is kept
	} else if err := insist(ctx, try); err != nil && !answers(err) {
		g.silent[node] = true
	}
	switch {
	case local != nil || ctx.Err() != nil:
		return errors.Join(local, context.Cause(ctx))
	case apierrors.IsNotFound(remote), previous && apierrors.IsBadRequest(remote): // it was removed since, or the node has let go of it
	case remote != nil:
		g.found.Lost = append(g.found.Lost, fmt.Sprintf("log of %s, %s, on %s: %s", p.Name, container, node, words(remote)))
	}
	return nil
}

// silentFor is how long a node may say nothing while its log is read.
const silentFor = 20 * time.Second

var errSilent = fmt.Errorf("nothing has come for %v", silentFor)

// read copies a log into a file. What is wrong here is one error, what is wrong there another.
func (g *gathering) read(ctx context.Context, at string, query url.Values, name string) (local, remote error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dead := time.AfterFunc(silentFor, func() { cancel(errSilent) })
	defer dead.Stop()
	in, err := g.api.stream(ctx, at, query)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	defer in.Close() // only read
	out, err := g.file(name)
	if err != nil {
		return err, nil
	}
	to := &kept{out: out, heard: func() { dead.Reset(silentFor) }}
	_, err = io.Copy(to, in)
	switch local = errors.Join(to.err, out.Close()); {
	case local != nil:
		return fmt.Errorf("kube: %w", local), nil
	case err != nil:
		return nil, causeOf(ctx, err)
	}
	return nil, nil
}

// causeOf is why a request has failed, where it was given up.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// kept is a file that what comes is written to; its own error is none of who sends.
type kept struct {
	out   io.Writer
	err   error
	heard func()
}

func (k *kept) Write(p []byte) (int, error) {
	n, err := k.out.Write(p)
	k.err = err
	k.heard()
	return n, err
}

// file makes one of the folder.
func (g *gathering) file(name string) (*os.File, error) {
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(g.dir, name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	g.found.Files++
	return file, nil
}

func (g *gathering) write(name, text string) error {
	file, err := g.file(name)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(file, text); err != nil {
		return errors.Join(fmt.Errorf("kube: %w", err), file.Close())
	}
	return file.Close()
}

// events are those of the namespace that are about objects of bakeoff, oldest first.
func (l *Laptop) events(ctx context.Context) ([]core.Event, error) {
	var list core.EventList
	if err := l.api.get(ctx, where("", l.Namespace, "events"), nil, &list); err != nil {
		return nil, denied(err)
	}
	ours := slices.DeleteFunc(list.Items, func(e core.Event) bool {
		return !isOurs(e.InvolvedObject.Name)
	})
	slices.SortStableFunc(ours, func(a, b core.Event) int { return happened(a).Compare(happened(b)) })
	return ours, nil
}

// happened is when an event did, the last time.
func happened(e core.Event) time.Time {
	for _, at := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if !at.IsZero() {
			return at
		}
	}
	return e.CreationTimestamp.Time
}

// events writes the events.
func (g *gathering) events(ctx context.Context) error {
	var events []core.Event
	err := insist(ctx, func(ctx context.Context) (err error) {
		events, err = g.Laptop.events(ctx)
		return err
	})
	if apierrors.IsForbidden(err) {
		g.found.Lost = append(g.found.Lost, "events: "+words(err))
		return nil
	}
	if err != nil || len(events) == 0 && g.found.Files == 0 {
		return err
	}
	var text strings.Builder
	for _, e := range events {
		fmt.Fprintf(&text, "%s %s %s/%s %s: %s\n", happened(e).UTC().Format(time.RFC3339), e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason,
			strings.Join(strings.Fields(e.Message), " "))
	}
	return g.write("events.txt", text.String())
}
