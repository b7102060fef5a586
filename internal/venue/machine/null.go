package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"bakeoff/internal/balancer"
	"bakeoff/internal/collect"
	"bakeoff/internal/platform"
)

// Null is a running null server with an nginx before it.
type Null struct {
	Direct, Front string // URLs without a path: the server's own, and nginx's
	process       platform.Process
	nginx         *balancer.Nginx
}

// nullWithin is how long a null server may take to answer.
const nullWithin = 10 * time.Second

// Null starts the role of that name with nginx before it, as it would be before the replicas of a target; their logs are in
// dir. The caller stops it.
func (v *Venue) Null(ctx context.Context, name, dir string, inFlight int) (n *Null, err error) {
	port, err := v.Platform.Port(ctx)
	if err != nil {
		return nil, fmt.Errorf("null server: %w", err)
	}
	address := net.JoinHostPort(v.Platform.Host(), strconv.Itoa(port))
	log := filepath.Join(dir, name+".log")
	process, err := v.Platform.Start(ctx, platform.Spec{Name: name, Argv: []string{v.Self, "null", address}, Log: log})
	if err != nil {
		return nil, fmt.Errorf("null server: %w", err)
	}
	n = &Null{Direct: "http://" + address, process: process}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Stop(context.WithoutCancel(ctx), 0))
		}
	}()
	if err := answers(ctx, process, address); err != nil {
		return nil, fmt.Errorf("null server: %w: %s", err, platform.LogTail(log))
	}
	front := filepath.Join(dir, name+"-nginx")
	if err := os.MkdirAll(front, 0o700); err != nil {
		return nil, fmt.Errorf("null server: %w", err)
	}
	if n.nginx, err = balancer.Start(ctx, balancer.Options{
		Platform: v.Platform, Dir: front, Backends: []balancer.Backend{{Name: name, Address: address}}, InFlight: inFlight,
	}); err != nil {
		return nil, err
	}
	n.Front = n.nginx.URL()
	return n, nil
}

// answers waits until the process accepts connections.
func answers(ctx context.Context, p platform.Process, address string) error {
	ctx, cancel := context.WithTimeout(ctx, nullWithin)
	defer cancel()
	return platform.Await(ctx, p, func(ctx context.Context) (bool, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
}

// Sources are the processes of both.
func (n *Null) Sources() []collect.Source {
	return []collect.Source{{Tier: "target", Process: n.process}, {Tier: "balancer", Process: n.nginx.Process()}}
}

// Stop ends nginx and the server.
func (n *Null) Stop(ctx context.Context, grace time.Duration) error {
	var errs []error
	if n.nginx != nil {
		errs = append(errs, n.nginx.Stop(ctx, grace))
	}
	return errors.Join(append(errs, n.process.Stop(ctx, grace))...)
}
