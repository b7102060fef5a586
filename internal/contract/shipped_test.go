package contract_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bakeoff/internal/balancer"
	"bakeoff/internal/contract"
	"bakeoff/internal/gate"
	"bakeoff/internal/target"
)

// Every shipped target keeps the contract as it is deployed: three replicas of
// two workers behind nginx, before and after a load, around which the
// database and the balancer count what the books say, exactly.
func TestLongContract(t *testing.T) {
	if os.Getenv("BAKEOFF_LONG") == "" {
		t.Skip("BAKEOFF_LONG is not set")
	}
	b := newBench(t)
	names, err := target.List(os.DirFS("../../targets"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { b.testShipped(t, name) })
	}
}

func (b *bench) testShipped(t *testing.T, name string) {
	recipe, err := target.Load(os.DirFS("../../targets"), name, "")
	if err != nil {
		t.Fatal(err)
	}
	if missing := recipe.Missing(t.Context()); len(missing) > 0 {
		t.Skipf("SKIPPED: this machine lacks %v", missing)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := target.Prepare(t.Context(), recipe, target.Preparation{
		CacheDir: filepath.Join(cache, "bakeoff", "targets"), Platform: b.platform,
	})
	if err != nil {
		t.Fatal(err)
	}
	replicas, front := b.deploy(t, prepared, name)

	began := time.Now()
	before := b.mustPass(t, "before", replicas, front.URL())
	t.Logf("check took %s; lengths %d and %d; others per request %v", time.Since(began), before.LengthPresent, before.LengthAbsent, before.Others)
	books, unwritten, reads, served := b.load(t, before, front.URL(), func() int64 {
		n, err := front.Requests(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	})
	if books.OK != books.Sent {
		t.Errorf("not every answer is right: %+v", books)
	}
	if reasons := gate.Witness(books, unwritten, reads, served); reasons != nil {
		t.Errorf("%+v", reasons)
	}
	b.contract.Full = true
	defer func() { b.contract.Full = false }()
	began = time.Now()
	b.mustPass(t, "after", replicas, front.URL())
	t.Logf("full check took %s", time.Since(began))
}

// deploy starts three replicas of two workers and nginx before them.
func (b *bench) deploy(t *testing.T, prepared *target.Prepared, name string) (replicas []contract.Endpoint, front *balancer.Nginx) {
	t.Helper()
	var backends []balancer.Backend
	for i := range 3 {
		port, err := b.platform.Port(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		launch := target.Launch{
			Prepared: prepared, Platform: b.platform, Name: fmt.Sprintf("%s-%d", name, i+1), Port: port, Nonce: fmt.Sprintf("nonce%d", i),
			Workers: 2, Pool: 10, Database: b.server.Access(), LogDir: t.TempDir(),
		}
		r, err := target.Start(t.Context(), launch)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopReplica(t, r) })
		if _, err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		replicas = append(replicas, contract.Endpoint{Name: launch.Name, URL: "http://" + r.Address(), Nonce: launch.Nonce})
		backends = append(backends, balancer.Backend{Name: launch.Name, Address: r.Address()})
	}
	front, err := balancer.Start(t.Context(), balancer.Options{Platform: b.platform, Dir: t.TempDir(), Backends: backends, InFlight: 32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopBalancer(t, front) })
	return replicas, front
}

func stopReplica(t *testing.T, r *target.Replica) {
	if err := r.Stop(context.Background(), 10*time.Second); err != nil {
		t.Error(err)
	}
}

func stopBalancer(t *testing.T, n *balancer.Nginx) {
	if err := n.Stop(context.Background(), 5*time.Second); err != nil {
		t.Error(err)
	}
}
