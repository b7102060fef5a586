// Package balancer puts a private nginx before the replicas of a target:
// round robin, equal weights, keep-alive to the replicas, retries off so that
// failures show, and the name of the replica that answered in every answer.
// It counts what passed, by nginx's own counter. It refuses to hide a replica
// that fails: none is ever taken out of the round.
package balancer

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/shell"
)

// ErrMissing is returned when this machine has no nginx.
var ErrMissing = errors.New("balancer: nginx not found")

//go:embed nginx.conf.tmpl
var configText string

// IdleTimeout is how long nginx keeps an idle connection to a replica: shorter
// than any server's own time-out, which recipes raise to 75 s, so that nginx
// never writes into a connection its replica is just closing.
const IdleTimeout = 30 * time.Second

// Backend is one replica behind the balancer.
type Backend struct {
	Name    string // such as "django-1"
	Address string // host:port
}

// Options say what to put the balancer before.
type Options struct {
	Platform platform.Platform
	Dir      string // an existing folder for its configuration and log
	Backends []Backend
	// InFlight is the greatest number of requests in flight in the plan; as
	// many idle connections to the replicas are kept.
	InFlight int
}

// Nginx is one running balancer.
type Nginx struct {
	*Counter
	process platform.Process
	argv    []string
	url     string
}

// Find returns the path of the nginx program, or ErrMissing.
func Find() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrMissing
}

// Version returns what the nginx program calls itself, such as "nginx/1.22.1".
func Version(ctx context.Context) (string, error) {
	path, err := Find()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "-v").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("balancer: nginx -v: %w", err)
	}
	_, version, found := strings.Cut(strings.TrimSpace(string(out)), "nginx version: ")
	if !found {
		return "", fmt.Errorf("balancer: nginx -v says %q", out)
	}
	return version, nil
}

// Settings are the settings that matter to a measurement, as written to the configuration.
func Settings(inFlight int) map[string]string {
	return map[string]string{
		"algorithm":              "round robin, equal weights",
		"worker_processes":       "1",
		"proxy_next_upstream":    "off",
		"max_fails":              "0",
		"upstream keepalive":     strconv.Itoa(idleConnections(inFlight)),
		"upstream idle time-out": IdleTimeout.String(),
		"access_log":             "off",
	}
}

func idleConnections(inFlight int) int { return max(64, inFlight) }

// Start writes the configuration, in which no path stands but relative to the prefix, so that any name of a folder will do, starts nginx and waits until it answers.
func Start(ctx context.Context, o Options) (*Nginx, error) {
	if len(o.Backends) == 0 {
		return nil, errors.New("balancer: no replicas")
	}
	path, err := Find()
	if err != nil {
		return nil, err
	}
	front, err := o.Platform.Port(ctx)
	if err != nil {
		return nil, fmt.Errorf("balancer: %w", err)
	}
	back, err := o.Platform.Port(ctx)
	if err != nil {
		return nil, fmt.Errorf("balancer: %w", err)
	}
	host := o.Platform.Host()
	config, err := render(o, host, front, back)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(o.Dir, "nginx.conf")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, fmt.Errorf("balancer: %w", err)
	}
	n := &Nginx{
		Counter: NewCounter(fmt.Sprintf("%s:%d", host, back)),
		argv:    []string{path, "-p", o.Dir, "-e", "stderr", "-c", file},
		url:     fmt.Sprintf("http://%s:%d", host, front),
	}
	n.process, err = o.Platform.Start(ctx, platform.Spec{
		Name: "balancer", Argv: n.argv, Dir: o.Dir, Log: filepath.Join(o.Dir, "balancer.log"),
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
	})
	if err != nil {
		return nil, fmt.Errorf("balancer: %w", err)
	}
	if err := n.ready(ctx); err != nil {
		_ = n.Stop(context.WithoutCancel(ctx), 0)
		return nil, fmt.Errorf("%w: %s", err, platform.LogTail(filepath.Join(o.Dir, "balancer.log")))
	}
	return n, nil
}

func render(o Options, host string, front, back int) ([]byte, error) {
	return Config(Site{
		Backends: o.Backends, InFlight: o.InFlight, Root: os.Geteuid() == 0,
		Front: fmt.Sprintf("%s:%d", host, front), Status: fmt.Sprintf("%s:%d", host, back),
	})
}

// Site is what the configuration depends on.
type Site struct {
	Backends []Backend
	InFlight int    // as in Options
	Front    string // host:port of clients
	Status   string // host:port of the counter
	Root     bool   // nginx is started as root, and its worker stays it
}

// Config is the configuration. Every path in it is relative to nginx's prefix (-p), which it must be able to write to.
func Config(s Site) ([]byte, error) {
	parsed, err := template.New("nginx.conf").Parse(configText)
	if err != nil {
		return nil, fmt.Errorf("balancer: %w", err)
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, map[string]any{
		"Front": s.Front, "Status": s.Status, "Backends": s.Backends, "Idle": idleConnections(s.InFlight),
		"IdleSeconds": int(IdleTimeout.Seconds()), "Root": s.Root,
	})
	if err != nil {
		return nil, fmt.Errorf("balancer: %w", err)
	}
	return out.Bytes(), nil
}

func (n *Nginx) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := platform.Await(ctx, n.process, func(ctx context.Context) (bool, error) {
		_, err := n.Requests(ctx)
		return err == nil, nil
	})
	switch {
	case errors.Is(err, platform.ErrEnded):
		return fmt.Errorf("balancer: nginx ended with %+v", n.process.Exit())
	case err != nil:
		return fmt.Errorf("balancer: not ready: %w", err)
	}
	return nil
}

// URL is the base address the agents load.
func (n *Nginx) URL() string { return n.url }

// Process is nginx itself.
func (n *Nginx) Process() platform.Process { return n.process }

// Command is the command that started it, as a shell line.
func (n *Nginx) Command() string { return shell.Line(n.argv) }

// Stop ends nginx.
func (n *Nginx) Stop(ctx context.Context, grace time.Duration) error {
	n.Disconnect()
	if err := n.process.Stop(ctx, grace); err != nil {
		return fmt.Errorf("balancer: %w", err)
	}
	return nil
}
