package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/sidecar"
	"bakeoff/internal/venue"
)

// places is what is known of where the pods of a run are.
type places struct {
	mu       sync.Mutex
	nodes    map[string]record.Node
	agents   map[string]string             // by name, the node of each
	images   map[string]platform.Placement // by the name that the plan has for an image, where it was seen first
	database string                        // node of it
}

func newPlaces() *places {
	return &places{nodes: map[string]record.Node{}, agents: map[string]string{}, images: map[string]platform.Placement{}}
}

// learn finds out about the node that a pod is on, once.
func (p *places) learn(ctx context.Context, m *member) error {
	name := m.Placement().Node
	p.mu.Lock()
	_, known := p.nodes[name]
	p.mu.Unlock()
	if known {
		return nil
	}
	u, err := firstUsage(ctx, m)
	if err != nil {
		return unreached(err)
	}
	node := record.Node{Name: name, BootID: u.BootID, Kernel: u.Kernel, Cores: u.CPUs}
	if u.Host != nil {
		node.CPU, node.MemoryBytes = u.Host.CPU, u.Host.MemoryBytes
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes[name] = node
	return nil
}

// unreached adds to a time-out of the first question to a pod what is usual about it.
func unreached(err error) error {
	if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
		return fmt.Errorf("%w; it runs, so a NetworkPolicy may keep pods of this namespace apart (docs/kubernetes.md says what they need)", err)
	}
	return err
}

// listensWithin is how long a sampler may take from its start until it listens: its pod runs as soon as it was started.
const listensWithin = 10 * time.Second

// firstUsage is what the sampler of a pod says that may just have been started.
func firstUsage(ctx context.Context, m *member) (sidecar.Usage, error) {
	for began := time.Now(); ; {
		u, err := m.asked.usage(ctx, m.Pod, wanted{host: true})
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Since(began) > listensWithin {
			return u, err
		}
		select {
		case <-ctx.Done():
			return u, err
		case <-m.Done():
			return u, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// all are the nodes known so far, by name.
func (p *places) all() []record.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]record.Node, 0, len(p.nodes))
	for _, name := range slices.Sorted(maps.Keys(p.nodes)) {
		out = append(out, p.nodes[name])
	}
	return out
}

// machine is all nodes together, each machine once.
func (p *places) machine() record.Machine {
	m := record.Machine{OS: "unknown", Governor: "unknown"}
	var names, parts []string
	seen := map[string]bool{}
	kinds, kernels := map[string]bool{}, map[string]bool{}
	for _, n := range p.all() {
		names = append(names, n.Name)
		if n.BootID != "" && seen[n.BootID] {
			continue
		}
		seen[n.BootID] = true
		m.Cores += n.Cores
		m.MemoryBytes += n.MemoryBytes
		kinds[n.CPU], kernels[n.Kernel] = true, true
		parts = append(parts, fmt.Sprintf("%s|%d|%d|%s", n.CPU, n.Cores, n.MemoryBytes>>30, n.Kernel))
	}
	if len(names) == 0 {
		m.Cores = runtime.NumCPU() // of the controller's node: nothing else is known yet
	}
	slices.Sort(parts)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	m.Fingerprint, m.Hostname = hex.EncodeToString(sum[:8]), strings.Join(names, ", ")
	m.CPU, m.Kernel = strings.Join(slices.Sorted(maps.Keys(kinds)), ", "), strings.Join(slices.Sorted(maps.Keys(kernels)), ", ")
	return m
}

func (p *places) setAgent(name, node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.agents[name] = node
}

// image fails where what the plan calls by that name is not the same image in all pods of the run, whatever they are there for. A
// node does not ask again for a tag that it has, so one that was pushed again is another image there.
func (p *places) image(name string, at platform.Placement) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, known := p.images[name]
	if !known {
		p.images[name] = at
		return nil
	}
	if !platform.SameImage(first.Image, at.Image) {
		return fmt.Errorf("%w: the image %s of pod %s is %s on %s, and of pod %s it was %s on %s; where a tag was pushed again, give it another one, or name the digest (kubernetes.images)",
			venue.ErrPlacement, name, at.Pod, at.Image, at.Node, first.Pod, first.Image, first.Node)
	}
	return nil
}

// imageOf is the image that was seen first by that name; empty: there was none yet.
func (p *places) imageOf(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.images[name].Image
}

// apart fails where an agent is on one of the nodes of replicas, or on the database's, unless that is permitted.
func (p *places) apart(replicas []string, permitted bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.agents)) {
		what := ""
		switch node := p.agents[name]; {
		case permitted:
		case slices.Contains(replicas, node):
			what = "a replica"
		case node == p.database:
			what = "the database"
		}
		if what != "" {
			return fmt.Errorf("%w: %s is on %s, as %s is, and the plan gives no reason for it (kubernetes.allow_colocated)", venue.ErrPlacement, name, p.agents[name], what)
		}
	}
	return nil
}

func (p *places) setDatabase(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.database = node
}

func (p *places) dropAgent(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.agents, name)
}
