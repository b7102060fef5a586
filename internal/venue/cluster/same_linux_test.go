package cluster

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/platform"
	"bakeoff/internal/venue"
)

// A database that the cluster has started again is not the one that was filled: what runs is not intact, and the next trial does not begin.
func TestDatabaseStartedAgain(t *testing.T) {
	v, f, d := scene(t, "")
	m, err := v.deployOne(t.Context(), platform.Workload{Name: databaseName, Role: platform.RoleDatabase, Lifetime: platform.Stateful}, "database", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v.filled = m
	db := &server{&database.Server{}, v, m}
	got, err := v.Deploy(t.Context(), d)
	if err != nil || got.Intact() != nil {
		t.Fatal(err, got.Intact())
	}
	f.pods[databaseName][0].ends("OOMKilled at its limit of 8Gi")
	_, digestErr := db.Digest(t.Context())
	for name, err := range map[string]error{"intact": got.Intact(), "look": db.Check(t.Context(), nil), "end": digestErr} {
		if !errors.Is(err, venue.ErrPlacement) || !strings.Contains(err.Error(), "has ended since it was filled (exit status 1: OOMKilled at its limit of 8Gi)") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the plan calls by one name is one image in a run, whatever it is there for: agents, balancers of all targets, targets of one recipe.
func TestOneImage(t *testing.T) {
	start := map[string]func(v *Venue, d venue.Deployment) error{
		"agents": func(v *Venue, d venue.Deployment) error {
			_, err := v.Agents().Start(t.Context(), platform.Spec{Name: "agent-1", Log: filepath.Join(d.LogDir, "agent-1.log")})
			return err
		},
		"nginx": func(v *Venue, d venue.Deployment) error {
			_, err := v.deployOne(t.Context(), platform.Workload{Name: "nginx-other", Copies: 1, Main: platform.Container{Image: v.b.k.Image("nginx")}}, "balancer", d.LogDir)
			return err
		},
		"targets": func(v *Venue, d venue.Deployment) error {
			d.Target.Name, d.Balancer.Kind = "other", "direct"
			_, err := v.Deploy(t.Context(), d)
			return err
		},
	}
	for name, begin := range start {
		for image, refused := range map[string]bool{"mirror/image@sha256:1": false, "r/image@sha256:2": true} {
			v, f, d := scene(t, "  allow_colocated: a test on few nodes\n")
			_, err := v.Agents().Start(t.Context(), platform.Spec{Name: "agent-0", Log: filepath.Join(d.LogDir, "agent-0.log")})
			if err == nil {
				_, err = v.Deploy(t.Context(), d)
			}
			if err != nil {
				t.Fatal(err)
			}
			f.image = image
			if err := begin(v, d); errors.Is(err, venue.ErrPlacement) != refused || refused && !strings.Contains(err.Error(), "is r/image@sha256:2 on node-0, and of pod ") {
				t.Errorf("%s, %s: %v", name, image, err)
			}
		}
	}
}

// A pod that runs, and does not answer at all, may be behind a policy of the network; one that refuses is not.
func TestUnreached(t *testing.T) {
	f, all := newFake(t), &members{}
	silent := &fakePod{of: f, done: make(chan struct{}), address: newAddress(), placement: platform.Placement{Pod: "x", Node: "node-0"}}
	silent.listen(samplerPort, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	asked := samplers{"secret", &http.Client{Timeout: 50 * time.Millisecond}}
	if err := newPlaces().learn(t.Context(), all.add(silent, "agent-0", asked)); err == nil || !strings.Contains(err.Error(), "sampler of x") || !strings.Contains(err.Error(), "NetworkPolicy") {
		t.Errorf("%v", err)
	}
	gone := &fakePod{of: f, done: make(chan struct{}), address: newAddress(), placement: platform.Placement{Pod: "y", Node: "node-1"}}
	close(gone.done)
	if err := newPlaces().learn(t.Context(), all.add(gone, "agent-1", asked)); err == nil || strings.Contains(err.Error(), "NetworkPolicy") {
		t.Errorf("%v", err)
	}
}
