package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/influxd"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
	"bakeoff/internal/venue/cluster"
	"bakeoff/internal/venue/machine"
)

// managedDatabase is the database of a managed InfluxDB.
const managedDatabase = "bakeoff"

// managedFolder is where a run's managed InfluxDB keeps its data.
func managedFolder(run string) string { return filepath.Join(run, "influxdb") }

// influxNeed is what a managed InfluxDB needs and this machine lacks.
func influxNeed(p *plan.Plan) []target.Need {
	if p.Collect.InfluxDB.Kind != plan.KindManaged {
		return nil
	}
	if _, err := influxd.Program(); err != nil {
		return []target.Need{{What: "influxd, for collect.influxdb: managed", Package: influxd.Package}}
	}
	return nil
}

// private is the InfluxDB of a run, which nobody else starts before it is closed.
type private struct {
	influxd.Config
	io.Closer
	argv []string
}

// configure makes the configuration of the InfluxDB of a run at free ports, or at this one.
func configure(run string, port int) (private, error) {
	addr, rpc, err := influxd.Addresses()
	if err != nil {
		return private{}, err
	}
	if port > 0 {
		addr = fmt.Sprintf("127.0.0.1:%d", port)
	}
	program, err := influxd.Program()
	if err != nil {
		return private{}, err
	}
	c := influxd.Config{Dir: managedFolder(run), Addr: addr, RPC: rpc}
	lock, err := c.Lock()
	if err != nil {
		return private{}, err
	}
	args, err := c.Write()
	if err != nil {
		return private{}, errors.Join(err, lock.Close())
	}
	return private{c, lock, append([]string{program}, args...)}, nil
}

// managedServer is the InfluxDB of a run, while it is up.
type managedServer struct {
	url  string
	kept bool // its data stay in the run directory
	stop func() error
}

// A starter starts the InfluxDB of the run with that directory.
type starter func(ctx context.Context, dir string) (managedServer, error)

// starterAt is how the InfluxDB of a run at a venue is started; nil: it cannot be.
func starterAt(v venue.Venue) starter {
	switch at := v.(type) {
	case *machine.Venue:
		return influxOn(at.Platform)
	case *cluster.Venue:
		return func(ctx context.Context, dir string) (managedServer, error) {
			url, err := at.InfluxDB(ctx, dir)
			return managedServer{url: url, stop: func() error { return nil }}, err // it ends with all that the run has there
		}
	}
	return nil
}

// influxOn starts it as a process of the run.
func influxOn(p platform.Platform) starter {
	return func(ctx context.Context, dir string) (managedServer, error) {
		config, err := configure(dir, 0)
		if err != nil {
			return managedServer{}, err
		}
		process, err := p.Start(ctx, platform.Spec{Name: "influxdb", Argv: config.argv, Dir: config.Dir, Log: filepath.Join(config.Dir, "log")})
		if err != nil {
			return managedServer{}, fmt.Errorf("influxdb: %w", errors.Join(err, config.Close()))
		}
		return managedServer{url: config.URL(), kept: true, stop: func() error {
			defer config.Close() // nothing was written into it
			ctx, cancel := context.WithTimeout(context.Background(), 2*controller.Grace)
			defer cancel()
			if err := process.Stop(ctx, controller.Grace); err != nil {
				return fmt.Errorf("influxdb: %w", err)
			}
			return nil
		}}, nil
	}
}

// manage starts a run's own InfluxDB. The feed waits until it answers.
func (c *collector) manage(ctx context.Context, dir string) error {
	if c.start == nil {
		return errors.New("influxdb: no managed one can be started here")
	}
	server, err := c.start(ctx, dir)
	if err != nil {
		return err
	}
	at, err := url.Parse(server.url)
	if err != nil {
		return fmt.Errorf("influxdb: %w", err)
	}
	c.server = &server
	c.influx.URL, c.influx.Database = server.url, managedDatabase
	c.influx.AllowHosts = append(slices.Clone(c.influx.AllowHosts), at.Hostname()) // it is the run's own
	c.tell(fmt.Sprintf("influxdb of this run: %s, database %s", c.influx.URL, managedDatabase))
	return nil
}

// stop ends a managed InfluxDB.
func (c *collector) stop() error {
	if c.server == nil {
		return nil
	}
	return c.server.stop()
}

func collectorCommand(env Env) *cobra.Command {
	var port int
	cmd := &cobra.Command{
		Use: "collector RUN", Short: "start the managed InfluxDB of a run again, to look at what it holds",
		Long: `collector starts the InfluxDB that a run with "collect: {influxdb: managed}" started, on the data it
left in the run directory, until Ctrl-C. The run itself is not touched. "bakeoff render grafana" writes
dashboards for it.`,
		Args: exactly(1, "one run directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if port < 0 || port > 65535 {
				return misused("such as --port 8086; 0: any that is free", "--port %d is no port", port)
			}
			return lookAgain(cmd.Context(), env, args[0], port)
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "port on this machine, 0: any that is free")
	return cmd
}

func lookAgain(ctx context.Context, env Env, dir string, port int) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("collector: %w", err)
	}
	r, err := record.Open(dir)
	if err != nil {
		return err
	}
	if r.Live() {
		return usageError{fmt.Errorf("%s is in progress: its InfluxDB is up, at the address that the run printed", dir)}
	}
	if _, err := os.Stat(filepath.Join(managedFolder(dir), "meta")); errors.Is(err, fs.ErrNotExist) {
		return misused("'bakeoff export influxdb RUN --url URL --database NAME' writes it to another one",
			"%s has no data of a managed InfluxDB", dir)
	}
	c, err := configure(dir, port)
	if errors.Is(err, influxd.ErrInUse) {
		return usageError{fmt.Errorf("the InfluxDB of %s is up already: %w", dir, err)}
	}
	if errors.Is(err, influxd.ErrMissing) {
		return missingError{err, installLine([]string{influxd.Package})}
	}
	if err != nil {
		return err
	}
	defer c.Close() // nothing was written into it
	return foreground(ctx, c.Config, c.argv, func() {
		fmt.Fprintf(env.Stdout, "%s database %s\n", c.URL(), managedDatabase)
		fmt.Fprintf(env.Stderr, "bakeoff: the InfluxDB of %s is up until Ctrl-C\n", show.Inert(dir))
	})
}

// foreground runs a server until the context ends, which is no error. It ends with this process, however that ends: the
// thread that starts it lives as long.
func foreground(ctx context.Context, c influxd.Config, argv []string, up func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.SysProcAttr = c.Dir, withParent()
	log, err := c.Log()
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("influxdb: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ends is in its log
		close(ended)
	}()
	if err := c.Await(ctx, ended); err == nil {
		up()
		select {
		case <-ctx.Done():
		case <-ended:
		}
	}
	select {
	case <-ended:
		return fmt.Errorf("influxdb has ended: see %s", filepath.Join(c.Dir, "log"))
	default:
	}
	_ = cmd.Process.Signal(os.Interrupt) // it is there until Wait has returned
	select {
	case <-ended:
	case <-time.After(controller.Grace):
		_ = cmd.Process.Kill()
		<-ended
	}
	return nil
}
