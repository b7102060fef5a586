package cli

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/show"
	"bakeoff/internal/target"
	"bakeoff/internal/venue/cluster"
)

func renderKubernetes(env Env) *cobra.Command {
	var f clusterFlags
	cmd := &cobra.Command{
		Use:   "kubernetes PLAN",
		Short: "print what a run of a plan is made of in a Kubernetes cluster",
		Long: `render kubernetes prints every object of a run in a cluster, as YAML in the order in which they are
applied, and on stderr what they ask for in all. The plan's key kubernetes says where the images are. The same plan gives
the same text. Secrets are printed without their values, which are made for each run; before the pods of a
target are there, its nginx finds them by name.

With --check nothing is printed: the cluster looks at every object as if it were applied in the namespace, and what it
would refuse, or only warn of, is named; nothing is changed in it. The cluster is found as kubectl finds it.`,
		Args: exactly(1, "one plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.check && f.namespace == "" {
				return misused("such as --namespace bench", "--check needs a namespace that exists")
			}
			objects, err := objectsOf(env, args[0], f)
			if err != nil {
				return err
			}
			if f.check {
				return checkObjects(cmd.Context(), env, f.context, objects)
			}
			return kube.Write(env.Stdout, objects)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.namespace, "namespace", "", "namespace to use (default: one of the run's own, which is made and removed with it)")
	flags.BoolVar(&f.short, "short", false, "the objects of run --short, which ask for less")
	flags.BoolVar(&f.check, "check", false, "have a cluster look at the objects, which must take all of them, and change nothing")
	flags.StringVar(&f.context, "context", "", "with --check: the context of the kubeconfig to use (default: the current one)")
	return cmd
}

// clusterFlags say where in which cluster a run is.
type clusterFlags struct {
	namespace, context string
	short, check       bool
}

// checkObjects fails where the cluster would not take an object.
func checkObjects(ctx context.Context, env Env, name string, objects []kube.Object) error {
	api, err := kube.Open(name)
	if err != nil {
		return usageError{err}
	}
	refused, err := api.Check(ctx, objects)
	if err != nil {
		return err
	}
	for _, r := range refused {
		fmt.Fprintln(env.Stdout, r)
	}
	if len(refused) > 0 {
		return fmt.Errorf("the cluster refuses, or warns of, %d of %s", len(refused), show.Plural(len(objects), "object"))
	}
	fmt.Fprintf(env.Stdout, "the cluster takes all %s\n", show.Plural(len(objects), "object"))
	return nil
}

// objectsOf are those of a run of a plan; what they ask for is printed.
func objectsOf(env Env, path string, f clusterFlags) ([]kube.Object, error) {
	p, err := (&runFlags{short: f.short, out: "."}).plan(env, path)
	if err != nil {
		return nil, err
	}
	d, err := describe(env, p, cluster.Options{Short: f.short, Run: clusterRun(p.Plan), Namespace: f.namespace})
	if err != nil {
		return nil, err
	}
	for _, values := range d.scope.Secrets {
		for key := range values {
			values[key] = "made for each run"
			if key == cluster.DSNKey {
				values[key] = "what the database's dsn_file holds"
			}
		}
	}
	objects, err := kube.Render(d.scope, d.workloads)
	if err != nil {
		return nil, usageError{err}
	}
	d.say(env)
	return objects, nil
}

// described is what a run of a plan is made of in a cluster.
type described struct {
	scope     platform.Scope
	workloads []platform.Workload
	recipes   []*target.Recipe
	together  bool   // all targets are up at once
	dsn       string // of an external database
}

// describe says what a run is made of: one that is named no namespace gets one of its own.
func describe(env Env, p planFile, o cluster.Options) (d described, err error) {
	if findings := append(cluster.Check(p.Plan), tokensHere(env, p.Plan)...); len(findings) > 0 {
		return d, usageError{plan.Locate(p.name, p.given, findings)}
	}
	recipes, err := fs.Sub(env.Assets, "targets")
	if err != nil {
		return d, fmt.Errorf("targets: %w", err)
	}
	ahead, err := controller.LookAhead(controller.Options{Plan: p.Plan, PlanGiven: p.given, PlanName: p.name, PlanDir: p.dir, Recipes: recipes})
	if err != nil {
		return d, explain(err)
	}
	if o.TestPlan, err = testPlanOf(p); err != nil {
		return d, err
	}
	o.Plan, o.Given, o.PlanDir, o.Recipes, o.Connections = p.Plan, p.given, p.dir, ahead.Recipes, ahead.Connections
	if o.Own = o.Namespace == ""; o.Own {
		o.Namespace = platform.ObjectName(o.Run)
	}
	d.recipes, d.together = ahead.Recipes, ahead.Together
	d.scope, d.workloads, err = cluster.Workloads(o)
	return d, err
}

// testPlanOf is the test plan of the user's own that JMeter is to run; nil: there is none. Which plugins are there the image says.
func testPlanOf(p planFile) ([]byte, error) {
	if p.Agents.JMX == "" || !p.Uses(plan.JMeter) {
		return nil, nil
	}
	path := ownPath(p.Plan, p.dir)
	text, err := jmeter.ReadOwnText(path, p.AllowHosts)
	if err == nil {
		if err = cluster.Brings(p.given, text); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	if err != nil {
		return nil, usageError{plan.Locate(p.name, p.given, []plan.Finding{{Path: "agents.jmx", Text: err.Error()}})}
	}
	return text, nil
}

// tokensHere finds the tokens of collectors in variables of this machine, which the controller in a cluster does not get.
func tokensHere(env Env, p *plan.Plan) (out []plan.Finding) {
	for _, one := range []struct{ path, url, variable string }{
		{"collect.influxdb", p.Collect.InfluxDB.URL, tokenVariable}, {"collect.otlp", p.Collect.OTLP.URL, otlpTokenVariable},
	} {
		if one.url != "" && env.Getenv(one.variable) != "" {
			out = append(out, plan.Finding{
				Path: one.path, Hint: "unset it, and export the run once it has ended",
				Text: one.variable + " cannot be used in a cluster yet: the controller there does not get it",
			})
		}
	}
	return out
}

// say says what the run asks for in all, and what a target may lack.
func (d described) say(env Env) {
	for _, r := range d.recipes {
		if !r.HasImage() {
			fmt.Fprintf(env.Stderr, "bakeoff: warning: %s has no Dockerfile: its image has to hold what docs/targets.md says\n", r.Name)
		}
	}
	fmt.Fprintf(env.Stderr, "bakeoff: %s\n", demand(d.scope, d.workloads, d.together))
}

// clusterRun is the name of a run of a plan before it has one of its own.
func clusterRun(p *plan.Plan) string {
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
