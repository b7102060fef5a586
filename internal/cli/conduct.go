package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/database"
	"bakeoff/internal/fleet"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/platform/local"
	"bakeoff/internal/remote"
	"bakeoff/internal/show"
	"bakeoff/internal/venue/cluster"
)

// conductFlags are those of the controller of a run in a cluster.
type conductFlags struct {
	runFlags
	takeUp  bool   // a run to resume arrives from the laptop
	planDir string // of the plan's file, where the run was started
}

// arrivesWithin is how long a run to resume may take to arrive.
const arrivesWithin = 10 * time.Minute

// Ports that the controller's pod listens on, as its workload says.
const (
	laptopAddress = ":8080"
	agentsPort    = "8443"
)

func conductCommand(env Env) *cobra.Command {
	f := conductFlags{runFlags: runFlags{out: "."}}
	cmd := &cobra.Command{
		Use: "conduct PLAN", Short: "role: conduct a run in the cluster that this pod is in", Hidden: true, Args: exactly(1, "one plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := thisPod(env)
			if err != nil {
				return err
			}
			return conduct(cmd.Context(), env, f, args[0], at)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.short, "short", false, "as of run")
	flags.DurationVar(&f.maxTime, "max-time", 0, "as of run")
	flags.BoolVar(&f.takeUp, "resume", false, "wait for a run to resume")
	flags.StringVar(&f.planDir, "plan-dir", "", "folder of the plan's file where the run was started")
	return cmd
}

// controllerPod is what the controller's pod knows of itself.
type controllerPod struct {
	run, job, namespace, address string
	token                        string // of the run
	samplers                     string // their key
}

// namespaceFile is where a pod with a token finds its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

func thisPod(env Env) (at controllerPod, err error) {
	for name, into := range map[string]*string{
		"BAKEOFF_RUN": &at.run, "BAKEOFF_JOB_UID": &at.job, "POD_IP": &at.address, "BAKEOFF_TOKEN": &at.token,
		"BAKEOFF_SAMPLERS_KEY": &at.samplers,
	} {
		if *into = env.Getenv(name); *into == "" {
			return at, usageError{fmt.Errorf("%s is not set: the controller of a run in a cluster is started by bakeoff itself", name)}
		}
	}
	text, err := os.ReadFile(namespaceFile)
	if err != nil {
		return at, fmt.Errorf("the namespace of this pod: %w", err)
	}
	at.namespace = strings.TrimSpace(string(text))
	return at, nil
}

// reached fails where the pods of a cluster are asked for at addresses at which what a run starts in them does not listen.
func (at controllerPod) reached() error {
	if address, err := netip.ParseAddr(at.address); err != nil || address.Unmap().Is4() {
		return nil
	}
	return missingError{
		fmt.Errorf("pods of this cluster have IPv6 addresses, such as %s, and what a run starts in them listens at IPv4 addresses", at.address),
		"a run needs a cluster whose pods have IPv4 addresses, or both with those of IPv4 first",
	}
}

// conduct conducts the run, and keeps its directory until it was fetched.
func conduct(ctx context.Context, env Env, f conductFlags, path string, at controllerPod) error {
	root, err := filepath.Abs(f.out)
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	f.out = root
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	server, err := remote.NewServer(remote.Options{
		Token: at.token, Root: root, Resume: f.takeUp, Stop: func() { stop(controller.ErrInterrupted) },
	})
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", laptopAddress)
	if err != nil {
		return fmt.Errorf("conduct: %w", err)
	}
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, listener) }()
	err = conductRun(running, env, f, path, at, server)
	server.Ended(outcome(err))
	linger(ctx, server.Acked())
	end()
	return errors.Join(err, <-served)
}

// outcome is how a run ended, for who asks for it elsewhere.
func outcome(err error) remote.Outcome {
	if err == nil {
		return remote.Outcome{}
	}
	return remote.Outcome{Error: strings.TrimSpace(err.Error()), Hint: hintOf(err), Exit: exitStatus(err)}
}

// linger waits until everything was fetched, for some time, or until the pod is to end.
func linger(ctx context.Context, fetched <-chan struct{}) {
	timer := time.NewTimer(cluster.KeptFor)
	defer timer.Stop()
	select {
	case <-fetched:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// conductRun is the run itself.
func conductRun(ctx context.Context, env Env, f conductFlags, path string, at controllerPod, server *remote.Server) error {
	if err := at.reached(); err != nil {
		return err
	}
	if f.takeUp {
		within, cancel := context.WithTimeout(ctx, arrivesWithin)
		defer cancel()
		var err error
		if f.resume, err = server.Uploaded(within); err != nil {
			return err
		}
	}
	p, err := f.plan(env, path)
	if err != nil {
		return err
	}
	o, described, err := f.inCluster(env, p, at)
	if err != nil {
		return err
	}
	api, err := kube.Inside()
	if err != nil {
		return err
	}
	scope, _, err := cluster.Workloads(described)
	if err != nil {
		return err
	}
	scope.Owner = platform.Owner{Name: cluster.Controller(), UID: at.job}
	objects, err := api.Run(context.WithoutCancel(ctx), scope, kube.Options{Note: func(line string) { // the cluster forgets events, after an hour as a rule
		fmt.Fprintln(env.Stderr, "bakeoff: event:", show.Inert(line))
	}})
	if err != nil {
		return err
	}
	v := cluster.New(described, objects, at.samplers)
	here, err := openPod(ctx, env, p.Plan)
	if err != nil {
		return errors.Join(err, objects.Close())
	}
	o.Venue, o.Opened, o.Load = v, server.Opened, loadersIn(env, v, here, p.Plan, o.Version, at.address)
	_, err = runCollected(ctx, env, o, func() error { return errors.Join(here.Close(), objects.Close()) }, nil)
	return explain(err)
}

// ownPod is where masters of JMeter run: next to the controller.
type ownPod struct{ platform.Platform }

// Close ends what runs there.
func (p ownPod) Close() error {
	if p.Platform == nil {
		return nil
	}
	return p.Platform.Close()
}

// openPod opens this pod for masters of JMeter, where a plan has a use for it. It refuses an image without JMeter or Java.
func openPod(ctx context.Context, env Env, p *plan.Plan) (ownPod, error) {
	if !p.Uses(plan.JMeter) {
		return ownPod{}, nil
	}
	_, err := jmeter.FindJava(ctx, env.Getenv)
	if err == nil && env.Getenv("JMETER_HOME") == "" {
		err = errors.New("JMETER_HOME is not set")
	}
	if err != nil {
		return ownPod{}, missingError{fmt.Errorf("the image %s is none of JMeter: %w", p.Kubernetes.Image("jmeter"), err), "bakeoff image --jmeter makes it"}
	}
	self, err := os.Executable()
	if err != nil {
		return ownPod{}, fmt.Errorf("own path: %w", err)
	}
	here, err := local.Open(ctx, local.Options{Self: []string{self, "guard"}, StateDir: filepath.Join(os.TempDir(), "state"), Label: p.Name})
	if err != nil {
		return ownPod{}, err
	}
	return ownPod{here}, nil
}

// inCluster are the options of a run in a cluster without the venue and who loads, and what its workloads follow from.
func (f conductFlags) inCluster(env Env, p planFile, at controllerPod) (o controller.Options, of cluster.Options, err error) {
	if findings := cluster.Check(p.Plan); len(findings) > 0 {
		return o, of, usageError{plan.Locate(p.name, p.given, findings)}
	}
	recipes, err := fs.Sub(env.Assets, "targets")
	if err != nil {
		return o, of, fmt.Errorf("targets: %w", err)
	}
	o = controller.Options{
		Plan: p.Plan, PlanGiven: p.given, PlanName: p.name, PlanDir: cmp.Or(f.planDir, p.dir), Recipes: recipes, Out: f.out, Resume: f.resume, Short: f.short,
		MaxTime: f.maxTime, Version: version(), Apart: true, Loading: loading(), DSN: env.Getenv(cluster.DSNVariable),
	}
	if o.DSN == "" && p.Database.Kind == database.KindExternal {
		return o, of, usageError{fmt.Errorf("%s is not set: the controller of a run in a cluster is started by bakeoff itself", cluster.DSNVariable)}
	}
	ahead, err := controller.LookAhead(o)
	if err != nil {
		return o, of, explain(err)
	}
	return o, cluster.Options{
		Plan: p.Plan, Given: p.given, Short: f.short, Recipes: ahead.Recipes, Connections: ahead.Connections, Run: at.run, Namespace: at.namespace,
		DSN: o.DSN,
	}, nil
}

// loadersIn starts what the phases of a plan need in a cluster: agents and JMeter's servers in pods of their own, which find the
// controller at the address of its pod; JMeter's masters here.
func loadersIn(env Env, v *cluster.Venue, here ownPod, p *plan.Plan, version, address string) func(context.Context, string, func(string)) (controller.Loader, error) {
	return func(ctx context.Context, logDir string, tell func(string)) (controller.Loader, error) {
		return startLoaders(ctx, p, "", fleet.Options{
			Launcher: v.Agents(), Count: p.Agents.Count, LogDir: logDir, Version: version, PlanDigest: p.Digest(), Env: passedOn(env),
			Address: net.JoinHostPort("0.0.0.0", agentsPort), Advertise: func(string) string { return net.JoinHostPort(address, agentsPort) },
		}, jmeterSite{
			Preparation: jmeter.Preparation{Platform: here.Platform, Getenv: env.Getenv, Progress: tell},
			elsewhere:   v.JMeter(), host: address, keyDir: cluster.KeeperDir, clock: v.Clock, testPlan: cluster.TestPlan,
		})
	}
}
