package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/jmeter"
	"bakeoff/internal/platform"
)

// Agents starts the agents of a fleet, each in a pod of its own.
type Agents struct{ venue *Venue }

// Agents are those of the venue.
func (v *Venue) Agents() Agents { return Agents{v} }

// agent is one of them; with its process its workload ends.
type agent struct {
	*member
	venue *Venue
}

// Start starts the program's role of an agent with that environment, which may hold secrets, and returns once its pod runs.
func (a Agents) Start(ctx context.Context, spec platform.Spec) (platform.Process, error) {
	v, values := a.venue, map[string]string{}
	for _, pair := range spec.Env {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	if err := v.cluster.Secret(ctx, spec.Name, values); err != nil {
		return nil, err
	}
	m, err := v.deployOne(ctx, v.b.agent(spec.Name, slices.Sorted(maps.Keys(values))), spec.Name, filepath.Dir(spec.Log))
	if err != nil {
		return nil, errors.Join(err, v.takeBack(ctx, spec.Name))
	}
	v.places.setAgent(spec.Name, m.Placement().Node)
	return agent{m, v}, nil
}

// JMeter gives each of JMeter's servers a pod of its own.
func (v *Venue) JMeter() jmeter.Elsewhere { return servers{v} }

type servers struct{ venue *Venue }

// jmeterServer is one of them; with its process its workload ends.
type jmeterServer struct {
	agent
	jmeter.KeeperClient
}

// Host implements jmeter.Remote.
func (s jmeterServer) Host() string { return s.Pod.Address() }

// Dir implements jmeter.Remote.
func (s jmeterServer) Dir() string { return KeeperDir }

// Start implements jmeter.Elsewhere.
func (s servers) Start(ctx context.Context, name, log string) (jmeter.Remote, error) {
	v, token := s.venue, rand.Text()
	if err := v.cluster.Secret(ctx, name, map[string]string{TokenKey: token}); err != nil {
		return nil, err
	}
	m, err := v.deployOne(ctx, v.b.jmeter(name), name, filepath.Dir(log))
	if err != nil {
		return nil, errors.Join(err, v.takeBack(ctx, name))
	}
	v.places.setAgent(name, m.Placement().Node)
	return jmeterServer{agent{m, v}, jmeter.KeeperClient{Address: at(m.Address(), KeeperPort), Token: token}}, nil
}

// Stop implements platform.Process.
func (a agent) Stop(ctx context.Context, grace time.Duration) error {
	a.venue.places.dropAgent(a.name)
	a.venue.members.drop(a.member)
	return a.Pod.Stop(ctx, grace)
}
