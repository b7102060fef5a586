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
	if info, err := os.Lstat(c.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("influxd: %s is a link: its data has to be in the run directory", c.Dir)
	}
	file, err := c.open("lock", os.O_RDWR)
	if err != nil {
		return nil, err
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
	file, err := c.open("influxd.conf", os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(c.Text())
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("influxd: %w", err)
	}
	return []string{"-config", file.Name()}, nil
}

// Log opens the file for what the server prints, empty.
func (c Config) Log() (*os.File, error) { return c.open("log", os.O_WRONLY|os.O_TRUNC) }

// open opens a file of the folder, which it makes where it is missing. A run directory may come from anybody: no link is followed.
func (c Config) open(name string, how int) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(c.Dir, name), how|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("influxd: %w", err)
	}
	return file, nil
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
