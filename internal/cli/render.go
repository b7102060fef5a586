package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/plan"
)

func renderCommand(env Env) *cobra.Command {
	return parts(&cobra.Command{
		Use: "render", Short: "write a plan, or dashboards of runs, for other programs",
	}, renderJMeter(env), renderGrafana(env), renderKubernetes(env))
}

func renderJMeter(env Env) *cobra.Command {
	var phase string
	cmd := &cobra.Command{
		Use:   "jmeter PLAN",
		Short: "print a phase of a plan as a JMeter test plan",
		Long: `render jmeter prints one phase of a plan as a .jmx that a stock JMeter runs as it is:

  bakeoff render jmeter PLAN > plan.jmx
  jmeter -n -t plan.jmx -l out.jtl -Jhost=127.0.0.1 -Jport=8080

It holds 1,000 keys of the plan with what is right for each. The properties host, port,
threads, ramp and duration replace what the plan says. The open model needs
-Jjmeterengine.force.system.exit=true, or JMeter never ends. A run of bakeoff with
engine: jmeter writes plans of its own, in which each server has its own keys.`,
		Args: exactly(1, "one plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return printTestPlan(cmd.Context(), env, args[0], phase)
		},
	}
	cmd.Flags().StringVar(&phase, "phase", "", "name of the phase (default: the first)")
	return cmd
}

func printTestPlan(ctx context.Context, env Env, path, name string) error {
	p, err := loadPlan(env, path)
	if err != nil {
		return err
	}
	n := 0
	if name != "" {
		n = slices.IndexFunc(p.Phases, func(ph plan.Phase) bool { return ph.Name == name })
	}
	if n < 0 {
		var names []string
		for _, ph := range p.Phases {
			names = append(names, ph.Name)
		}
		return usageError{fmt.Errorf("--phase: the plan has no phase %q (it has %s)", name, strings.Join(names, ", "))}
	}
	task, err := controller.TaskOf(ctx, p.Plan, n+1)
	if err != nil {
		return usageError{err}
	}
	workload, err := workloads()[task.Contract](task.Workload)
	if err != nil {
		return err
	}
	if err := jmeter.Render(env.Stdout, task, workload); err != nil {
		return usageError{err}
	}
	return nil
}
