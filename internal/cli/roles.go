package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"bakeoff/internal/collect"
	"bakeoff/internal/controller"
	"bakeoff/internal/dataset"
	"bakeoff/internal/driver"
	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/load"
	"bakeoff/internal/null"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/sidecar"
	"bakeoff/internal/venue/cluster"
	"bakeoff/internal/yardstick"
)

func guardCommand(Env) *cobra.Command {
	return &cobra.Command{
		Use: "guard", Short: "role: own every process of a run, and end them all when the controller is gone", Hidden: true,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if code := local.Guard(); code != 0 {
				return fmt.Errorf("guard ended with %d", code)
			}
			return nil
		},
	}
}

func agentCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "agent", Short: "role: generate load as the controller says", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := fleet.FromEnvironment(env.Getenv)
			if err != nil {
				return usageError{err}
			}
			log.SetOutput(io.Discard) // net/http says there what a server does wrong in HTTP/2
			o.Version, o.Engines, o.Workloads = version(), engines(), workloads()
			if err := fleet.GoFirst(); err != nil {
				fmt.Fprintf(env.Stderr, "bakeoff: warning: %v\n", err)
			}
			return fleet.Agent(cmd.Context(), o)
		},
	}
}

func yardstickCommand(Env) *cobra.Command {
	return &cobra.Command{
		Use: "yardstick FILE", Short: "role: time a fixed piece of work on every core, four times a second", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return yardstick.Run(cmd.Context(), args[0]) },
	}
}

// samplerAddress is where a sampler is asked, in every pod.
const samplerAddress = ":8079"

func sampleCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "sample", Short: "role: say what the main container of the same pod uses", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			public, pod := env.Getenv("BAKEOFF_SAMPLERS_PUBLIC"), env.Getenv("BAKEOFF_POD")
			if public == "" || pod == "" {
				return usageError{errors.New("BAKEOFF_SAMPLERS_PUBLIC or BAKEOFF_POD is not set: samplers are started by bakeoff itself")}
			}
			l, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", samplerAddress)
			if err != nil {
				return fmt.Errorf("sample: %w", err)
			}
			self := os.Getpid()
			return sidecar.Serve(cmd.Context(), l, public, pod, sidecar.Pod{
				Proc: "/proc", Self: self,
				Connections:  func(port int, pids []int) (map[int]int, error) { return collect.Connections(port, pids, self) },
				Proportional: collect.Proportional,
				Limited:      collect.Quota() > 0,
				Host:         collect.Host,
				Hang:         func(pid int) error { return syscall.Kill(pid, syscall.SIGHUP) },
			})
		},
	}
}

func keeperCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "jmeter-server", Short: "role: take the files of a server of JMeter, and start it", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token := env.Getenv("BAKEOFF_TOKEN")
			if token == "" {
				return usageError{errors.New("BAKEOFF_TOKEN is not set: servers of JMeter in a cluster are started by bakeoff itself")}
			}
			java, err := jmeter.FindJava(cmd.Context(), env.Getenv)
			if err != nil {
				return missingError{err, "bakeoff image --jmeter makes the image of JMeter on one that has Java"}
			}
			l, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", fmt.Sprintf(":%d", cluster.KeeperPort))
			if err != nil {
				return fmt.Errorf("jmeter-server: %w", err)
			}
			return (&jmeter.Keeper{Token: token, Dir: cluster.KeeperDir, Java: java, Output: env.Stdout}).Serve(cmd.Context(), l)
		},
	}
}

func nullCommand(Env) *cobra.Command {
	return &cobra.Command{
		Use: "null ADDRESS", Short: "role: answer the same few bytes to every request", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", args[0])
			if err != nil {
				return fmt.Errorf("null: %w", err)
			}
			return null.New().Serve(cmd.Context(), l)
		},
	}
}

// engines are all load engines by the name plans use.
func engines() map[string]load.Engine {
	return map[string]load.Engine{"native": load.NewRaw(1), "http": load.NewHTTP()}
}

// workloads are all contracts an agent can speak.
func workloads() map[string]func(json.RawMessage) (load.Workload, error) {
	ask := lookups()
	return map[string]func(json.RawMessage) (load.Workload, error){
		controller.Contract: func(raw json.RawMessage) (load.Workload, error) {
			var spec dataset.WorkloadSpec
			if err := json.Unmarshal(raw, &spec); err != nil {
				return nil, fmt.Errorf("workload: %w", err)
			}
			return ask(spec)
		},
		driver.Contract:   func(raw json.RawMessage) (load.Workload, error) { return direct(raw, ask) },
		endpoint.Contract: endpoint.NewRequests,
	}
}

// direct makes workloads that ask the database without a target.
func direct(raw json.RawMessage, ask func(dataset.WorkloadSpec) (*dataset.Workload, error)) (load.Workload, error) {
	spec, err := driver.ParseSpec(raw)
	if err != nil {
		return nil, err
	}
	if spec.Ping {
		return driver.NewPings(spec), nil
	}
	w, err := ask(spec.Lookup)
	if err != nil {
		return nil, err
	}
	return driver.NewLookups(spec, w), nil
}

// lookups makes workloads of a dataset that is built once: targets that take turns differ in the lengths of their answers alone.
func lookups() func(dataset.WorkloadSpec) (*dataset.Workload, error) {
	var rows *dataset.Dataset
	return func(spec dataset.WorkloadSpec) (*dataset.Workload, error) {
		if rows == nil || rows.Spec() != spec.Dataset {
			var err error
			if rows, err = dataset.New(spec.Dataset); err != nil {
				return nil, err
			}
		}
		return rows.Workload(spec)
	}
}
