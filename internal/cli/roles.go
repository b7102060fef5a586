package cli

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"bakeoff/internal/controller"
	"bakeoff/internal/dataset"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/platform/local"
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
			o.Version, o.Engines, o.Workloads = version(), engines(), workloads()
			goFirst()
			return fleet.Agent(cmd.Context(), o)
		},
	}
}

// agentNiceness puts agents before what they load, so that on a shared machine
// they are on time.
const agentNiceness = -10

// goFirst gives every thread of this process, which leads a group of its own,
// its niceness; without the right to do so it stays as it is.
func goFirst() {
	if err := unix.Setpriority(unix.PRIO_PGRP, 0, agentNiceness); err != nil {
		slog.Info("agent keeps its niceness", "err", err)
	}
}

// engines are all load engines by the name plans use.
func engines() map[string]load.Engine {
	return map[string]load.Engine{"http": load.NewHTTP()}
}

// workloads are all contracts an agent can speak.
func workloads() map[string]func(json.RawMessage) (load.Workload, error) {
	return map[string]func(json.RawMessage) (load.Workload, error){
		controller.Contract: func(raw json.RawMessage) (load.Workload, error) {
			var spec dataset.WorkloadSpec
			if err := json.Unmarshal(raw, &spec); err != nil {
				return nil, fmt.Errorf("workload: %w", err)
			}
			return dataset.NewWorkload(spec)
		},
	}
}
