package cli

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/show"
	"bakeoff/internal/venue/cluster"
)

func renderKubernetes(env Env) *cobra.Command {
	var namespace string
	var short bool
	cmd := &cobra.Command{
		Use:   "kubernetes PLAN",
		Short: "print what a run of a plan is made of in a Kubernetes cluster",
		Long: `render kubernetes prints every object of a run in a cluster, as YAML in the order in which they are
applied, and on stderr what they ask for in all. The plan's key kubernetes says where the images are. The same plan gives
the same text. Secrets are printed without their values, which are made for each run; before the pods of a
target are there, its nginx finds them by name.

This version cannot conduct a run in a cluster yet: the program of the controller is missing. The objects can be
looked at, checked (kubectl apply --dry-run=server) and used in parts.`,
		Args: exactly(1, "one plan"),
		RunE: func(_ *cobra.Command, args []string) error {
			return printObjects(env, args[0], namespace, short)
		},
	}
	cmd.Flags().StringVar(&namespace, "namespace", "", "namespace to use (default: one of the run's own, which is made and removed with it)")
	cmd.Flags().BoolVar(&short, "short", false, "the objects of run --short, which ask for less")
	return cmd
}

func printObjects(env Env, path, namespace string, short bool) error {
	f := runFlags{short: short, out: "."}
	p, err := f.plan(env, path)
	if err != nil {
		return err
	}
	if findings := cluster.Check(p.Plan); len(findings) > 0 {
		return usageError{plan.Locate(p.name, p.given, findings)}
	}
	recipes, err := fs.Sub(env.Assets, "targets")
	if err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	ahead, err := controller.LookAhead(controller.Options{Plan: p.Plan, PlanGiven: p.given, PlanName: p.name, PlanDir: p.dir, Recipes: recipes})
	if err != nil {
		return explain(err)
	}
	run := objectsOf(p.Plan)
	o := cluster.Options{
		Plan: p.Plan, Given: p.given, Short: short, Recipes: ahead.Recipes, Connections: ahead.Connections,
		Run: run, Namespace: namespace, Own: namespace == "",
	}
	if o.Own {
		o.Namespace = platform.ObjectName(run)
	}
	scope, workloads, err := cluster.Workloads(o)
	if err != nil {
		return err
	}
	for _, values := range scope.Secrets {
		for key := range values {
			values[key] = "made for each run"
		}
	}
	objects, err := kube.Render(scope, workloads)
	if err != nil {
		return usageError{err}
	}
	for _, r := range ahead.Recipes {
		if !r.HasImage() {
			fmt.Fprintf(env.Stderr, "bakeoff: warning: %s has no Dockerfile: its image has to hold what docs/targets.md says\n", r.Name)
		}
	}
	fmt.Fprintf(env.Stderr, "bakeoff: %s\n", demand(scope, workloads, ahead.Together))
	return kube.Write(env.Stdout, objects)
}

// objectsOf is the name of a run of a plan before it has one of its own.
func objectsOf(p *plan.Plan) string {
	name := strings.Trim(p.Name, "-")
	if len(name) > 40 {
		name = strings.TrimRight(name[:40], "-")
	}
	return strings.TrimLeft(name+"-"+p.Digest()[:8], "-")
}

// demand is what a run asks of the cluster, in words.
func demand(s platform.Scope, workloads []platform.Workload, together bool) string {
	t := s.Ask(workloads, together)
	text := fmt.Sprintf("the run asks the cluster for %s on at least %s, with %s cores and %s MiB of memory in all",
		show.Plural(t.Pods, "pod"), show.Plural(platform.Nodes(workloads), "node"), thousandths(t.MilliCPU), strconv.FormatInt(t.Bytes>>20, 10))
	if t.Storage > 0 {
		text += fmt.Sprintf(", and %d GiB of storage", t.Storage>>30)
	}
	return text
}

// thousandths are those of a core, as cores.
func thousandths(milli int64) string {
	return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64)
}
