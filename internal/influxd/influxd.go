// Package influxd is a private InfluxDB 1 server as a process: where its program is, how it is configured so
// that it keeps everything in one folder and talks to this machine alone, and when it is ready. It starts nothing itself.
package influxd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Package is the Debian package that brings the program.
const Package = "influxdb"

// Causes for which no server is started.
var (
	ErrMissing = errors.New("influxd is not installed")
	ErrInUse   = errors.New("an InfluxDB is up on this folder")
)

// Program is the path of the server's program.
func Program() (string, error) {
	path, err := exec.LookPath("influxd")
	if err != nil {
		return "", ErrMissing
	}
	return path, nil
}

// Config is a server's configuration.
type Config struct {
	Dir  string // of its data; absolute
	Addr string // of HTTP, host and port
	RPC  string // of its own port for backups, likewise
}

// Addresses finds two free ports of this machine.
func Addresses() (http, rpc string, err error) {
	var out [2]string
	for i := range out {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", fmt.Errorf("influxd: %w", err)
		}
		defer l.Close()
		out[i] = l.Addr().String()
	}
	return out[0], out[1], nil
}

// Lock makes the folder and keeps others from starting a server on it until it is closed, or this process ends: two would
// ruin its data. It returns ErrInUse while another has it.
func (c Config) Lock() (io.Closer, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("influxd: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("influxd: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		file.Close() // nothing was written
		return nil, fmt.Errorf("influxd: %s: %w", c.Dir, err)
	}
	return file, nil
}

// Write makes the folder and the configuration file in it, and returns the arguments of the program.
func (c Config) Write() ([]string, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("influxd: %w", err)
	}
	path := filepath.Join(c.Dir, "influxd.conf")
	if err := os.WriteFile(path, []byte(c.Text()), 0o600); err != nil {
		return nil, fmt.Errorf("influxd: %w", err)
	}
	return []string{"-config", path}, nil
}

// Text is the configuration file.
func (c Config) Text() string {
	return fmt.Sprintf(`reporting-disabled = true
bind-address = %q

[meta]
dir = %q

[data]
dir = %q
wal-dir = %q
# Runs of any age and any number of targets fit.
max-series-per-database = 0
query-log-enabled = false

[monitor]
store-enabled = false

[subscriber]
enabled = false

[http]
bind-address = %q
log-enabled = false
`, c.RPC, filepath.Join(c.Dir, "meta"), filepath.Join(c.Dir, "data"), filepath.Join(c.Dir, "wal"), c.Addr)
}

// URL is where clients reach it.
func (c Config) URL() string { return "http://" + c.Addr }

// Await waits until the server answers; ended is closed when its process has.
func (c Config) Await(ctx context.Context, ended <-chan struct{}) error {
	client := &http.Client{Timeout: time.Second}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL()+"/ping", nil)
		if err != nil {
			return fmt.Errorf("influxd: %w", err)
		}
		res, err := client.Do(req)
		if err == nil {
			res.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("influxd does not answer at %s: %w", c.URL(), context.Cause(ctx))
		case <-ended:
			return errors.New("influxd has ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
