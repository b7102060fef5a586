package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/venue"
)

// noteNodes keeps which machines of a cluster the run has been on so far, also before it was resumed, and says where several nodes are
// one machine, and where they are not alike.
func (r *run) noteNodes(rec *record.Run) {
	nodes := withNodes(rec.Nodes, r.o.Venue.Nodes())
	if len(nodes) == 0 {
		return
	}
	rec.Nodes = nodes
	for _, names := range oneMachine(nodes) {
		addNote(rec, fmt.Sprintf("the nodes %s are one machine, whose processors they share: what others use of them is a warning only", strings.Join(names, ", ")))
	}
	rec.Notes = slices.DeleteFunc(rec.Notes, func(n string) bool { return strings.HasPrefix(n, unlikeNote) })
	if kinds := kindsOf(nodes); len(kinds) > 1 {
		addNote(rec, unlikeNote+strings.Join(kinds, "; ")+
			"; what a target can do depends on where its pods were, too (replicas in trial.json); kubernetes.pods.node_selector keeps a run on nodes of one kind")
	}
}

// notePrograms keeps the programs of a cluster that no pod had before the first trial, such as its nginx.
func (r *run) notePrograms(ctx context.Context) error {
	if !r.o.Apart {
		return nil
	}
	programs, err := r.o.Venue.Programs(ctx, r.o.Plan, r.o.Version)
	if err != nil {
		return err
	}
	return r.writer.Update(func(rec *record.Run) {
		for _, differs := range record.Differ(*rec, record.Run{Programs: programs}) {
			addNote(rec, "resumed with "+differs)
		}
		rec.Programs = withPrograms(rec.Programs, programs)
	})
}

// withPrograms are the programs that are known now, and others that were known before.
func withPrograms(was, now []record.Program) []record.Program {
	out := slices.Clone(now)
	for _, p := range was {
		if !slices.ContainsFunc(now, func(known record.Program) bool { return known.Name == p.Name }) {
			out = append(out, p)
		}
	}
	return out
}

// unlikeNote begins the note about nodes of several kinds.
const unlikeNote = "the nodes are not alike: "

// withNodes are the nodes that were known and those that are known now, by name; of the same name what is known now.
func withNodes(was, now []record.Node) []record.Node {
	all := map[string]record.Node{}
	for _, n := range slices.Concat(was, now) {
		all[n.Name] = n
	}
	var out []record.Node
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out
}

// kindOf is what figures depend on of a node.
func kindOf(n record.Node) string {
	return fmt.Sprintf("%s, %s, %d GiB, kernel %s", n.CPU, show.Plural(n.Cores, "core"), n.MemoryBytes>>30, n.Kernel)
}

// kindsOf are the kinds of nodes, each with the names of its nodes before it.
func kindsOf(nodes []record.Node) (out []string) {
	names := map[string][]string{}
	for _, n := range nodes {
		names[kindOf(n)] = append(names[kindOf(n)], n.Name)
	}
	for _, kind := range slices.Sorted(maps.Keys(names)) {
		out = append(out, strings.Join(names[kind], ", ")+" ("+kind+")")
	}
	return out
}

// alike reports whether all nodes of now are of kinds that were there before. A cluster may have more nodes than a run is on at a time.
func alike(was, now []record.Node) bool {
	known := map[string]bool{}
	for _, n := range was {
		known[kindOf(n)] = true
	}
	return len(now) > 0 && !slices.ContainsFunc(now, func(n record.Node) bool { return !known[kindOf(n)] })
}

// rememberImage keeps the image of a target's first valid trial.
func (r *run) rememberImage(rec record.Trial) {
	if len(rec.Replicas) == 0 || r.images[rec.Target] != "" {
		return
	}
	if r.images == nil {
		r.images = map[string]string{}
	}
	r.images[rec.Target] = rec.Replicas[0].Image
}

// sameImages fails where a target has another image than in its first valid trial, which may be from before the run was resumed.
func (t *trial) sameImages() error {
	first := t.run.images[t.rec.Target]
	for _, r := range t.rec.Replicas {
		if first != "" && !platform.SameImage(first, r.Image) {
			return fmt.Errorf("%w: %s has the image %s, and had %s in its first valid trial", venue.ErrPlacement, r.Name, r.Image, first)
		}
	}
	return nil
}

// oneMachine are the names of nodes that are one machine, machine by machine; none where each node is one.
func oneMachine(nodes []record.Node) [][]string {
	var boots []string
	names := map[string][]string{}
	for _, n := range nodes {
		if n.BootID == "" {
			continue
		}
		if names[n.BootID] == nil {
			boots = append(boots, n.BootID)
		}
		names[n.BootID] = append(names[n.BootID], n.Name)
	}
	var out [][]string
	for _, boot := range boots {
		if len(names[boot]) > 1 {
			out = append(out, slices.Sorted(slices.Values(names[boot])))
		}
	}
	return out
}

// leastErrors is how many times the uncertainty of the agents' clocks a slice takes at least: they begin and end it that much apart.
const leastErrors = 50

// clocks keeps how the agents' clocks were against the controller's in the last phase that they ended.
func (r *run) clocks(report fleet.Report) {
	if report.ClockError > 0 {
		r.clockError, r.clocksAt = report.ClockError, report.Agents
	}
}

// noteClocks says by how much the agents' clocks differ, where they have clocks of their own.
func (r *run) noteClocks(rec *record.Run) {
	if !r.o.Apart || len(r.clocksAt) == 0 {
		return
	}
	var parts []string
	for _, a := range r.clocksAt {
		parts = append(parts, fmt.Sprintf("agent %d %+.3f ms (known to %.3f ms)", a.Agent, milliseconds(a.ClockShift), milliseconds(a.ClockError)))
	}
	addNote(rec, "clocks against the controller's at the end: "+strings.Join(parts, ", "))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// leastSlice is how long slices are at least where agents have clocks of their own.
func (r *run) leastSlice() time.Duration {
	if !r.o.Apart {
		return 0
	}
	return leastErrors * r.clockError
}

// noteContainers names the containers in pods of the target that are not ours, such as the sidecar of a mesh.
func (t *trial) noteContainers() error {
	var names []string
	for _, r := range t.rec.Replicas {
		names = append(names, r.Others...)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	text := fmt.Sprintf("pods of %s have containers that are not bakeoff's, whose work is measured with it: %s", t.rec.Target, strings.Join(slices.Compact(names), ", "))
	if slices.Contains(t.run.writer.Run().Notes, text) {
		return nil
	}
	return t.run.writer.Update(func(rec *record.Run) { addNote(rec, text) })
}

// noRoom ends the turns where the venue has no room for all targets at once.
func (s *recipes) noRoom(started []*replicated) {
	if len(started) < 2 {
		return
	}
	for _, d := range started {
		if errors.Is(d.err, venue.ErrNoRoom) && s.o.noTurns == nil {
			s.o.noTurns = fmt.Errorf("there is no room for all targets at once: %w", d.err)
		}
	}
}
