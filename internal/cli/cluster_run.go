package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"bakeoff/internal/controller"
	"bakeoff/internal/database"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/kube"
	"bakeoff/internal/record"
	"bakeoff/internal/remote"
	"bakeoff/internal/shell"
	"bakeoff/internal/show"
	"bakeoff/internal/sidecar"
	"bakeoff/internal/venue/cluster"
)

// Platforms.
const (
	onThisMachine = "local"
	inKubernetes  = "kubernetes"
)

// What becomes of a run's objects in a cluster once everything of it was fetched.
const (
	cleanAlways  = "always"
	cleanSuccess = "success" // only after a run that did what it was to do
	cleanNever   = "never"
)

// place is where in which cluster something is to be, and what becomes of it.
type place struct {
	context, namespace string
	cleanup            string
}

// register adds the flags of a place.
func (p *place) register(flags *pflag.FlagSet) {
	p.find(flags)
	flags.StringVar(&p.cleanup, "cleanup", cleanAlways, "in a cluster: remove what the run made, once everything is fetched: always, success or never")
}

// find adds the flags that say where it is.
func (p *place) find(flags *pflag.FlagSet) {
	flags.StringVar(&p.context, "context", "", "in a cluster: the context of the kubeconfig to use (default: the current one)")
	flags.StringVar(&p.namespace, "namespace", "", "in a cluster: the namespace to use (default: one of the run's own, removed with it)")
}

// sane refuses what means nothing.
func (p place) sane() error {
	if ways := []string{cleanAlways, cleanSuccess, cleanNever}; !slices.Contains(ways, p.cleanup) {
		return usageError{fmt.Errorf("--cleanup: unknown %q (there are: %s)", p.cleanup, strings.Join(ways, ", "))}
	}
	return nil
}

// flags are those that name the cluster again in another command, for the shell.
func (p place) flags() string {
	var out []string
	if p.context != "" {
		out = append(out, "--context", p.context)
	}
	return shell.Line(append(out, "--namespace", p.namespace))
}

// away is a run that is conducted in a cluster, as it is seen from here.
type away struct {
	env    Env
	place  place
	out    string // folder of runs
	resume string // the run directory to resume; empty: none
	events *eventLines
	page   func(run string) // shows a run directory in a web browser; nil: none is shown

	at     *kube.Laptop
	what   platform.Workload // the controller
	token  string
	screen *progress
	pod    string
	client *remote.Client
	copy   *record.Copy // nil: there is no run directory yet
	dir    string       // of the copy; empty likewise
	began  bool         // the run has begun
	ended  bool         // the controller has nothing more to give
	acked  bool         // it knows that all was fetched, and ends
}

// runAway runs a plan in a cluster.
func runAway(ctx context.Context, env Env, f runFlags, path string) error {
	out, resume, err := f.paths()
	if err != nil {
		return err
	}
	p, err := f.planAway(env, path)
	if err != nil {
		return err
	}
	d, err := describe(env, p, cluster.Options{
		Short: f.short, Run: newClusterRun(p.Plan, time.Now()), Namespace: f.namespace,
		Starting: cluster.Starting{Resume: resume != "", MaxTime: f.maxTime},
	})
	if err != nil {
		return err
	}
	if d.dsn, err = dsnOf(p.Plan); err != nil {
		return err
	}
	d.say(env)
	sayTooFew(env, controller.Options{Plan: p.Plan, Short: f.short})
	api, err := kube.Open(f.context)
	if err != nil {
		return usageError{err}
	}
	f.namespace = d.scope.Namespace
	a := &away{
		env: env, place: f.place, out: out, resume: resume, at: api.At(d.scope.Namespace, d.scope.Run),
		what: d.workloads[0], screen: newProgress(env.Stderr, time.Now),
	}
	if f.json && !f.detach {
		a.events = &eventLines{w: env.Stdout}
	}
	if f.dashboard {
		page, err := openPage(ctx, env, a.root())
		if err != nil {
			return err
		}
		defer page.close(env)
		a.page = page.server.Show
	}
	err = a.run(ctx, d, f.detach)
	a.screen.close()
	if f.detach && err == nil {
		_, err = fmt.Fprintf(env.Stdout, "bakeoff attach %s %s\n", d.scope.Run, a.attachFlags())
		return err
	}
	return a.result(err, f.strict, f.json)
}

// pulls refuses a plan whose images need a Secret for which the namespace would have to be there before the run.
func (p place) pulls(of *plan.Plan) error {
	if secret := of.Kubernetes.PullSecret; secret != "" && p.namespace == "" {
		return misused("--namespace names the one that has it", "kubernetes.pull_secret: the namespace that is made for the run has no Secret %s", secret)
	}
	return nil
}

// dsnOf reads how the external database of a plan is reached, and refuses one that the plan does not allow to be talked to, and
// this machine's, which nobody in a cluster would reach by that name.
func dsnOf(p *plan.Plan) (string, error) {
	if p.Database.Kind != database.KindExternal {
		return "", nil
	}
	e := database.External{DSNFile: p.Database.DSNFile, AllowHosts: p.AllowHosts}
	if err := e.Consented(); err != nil {
		return "", usageError{err}
	}
	host, err := e.Host()
	if err != nil {
		return "", usageError{err}
	}
	if address, err := netip.ParseAddr(host); host == "localhost" || err == nil && address.IsLoopback() {
		return "", misused("a name or an address that pods reach", "database: %s: %s is each pod itself in a cluster", e.DSNFile, host)
	}
	return database.ReadDSN(e.DSNFile)
}

// root is the folder of the run directory.
func (a *away) root() string {
	if a.resume != "" {
		return filepath.Dir(a.resume)
	}
	return a.out
}

// flags are those that name the run's place again, in the cluster and here, in another command.
func (a *away) flags() string {
	line := a.place.flags()
	if usual, err := filepath.Abs(runsFolder); err != nil || usual != a.root() {
		line += " " + shell.Line([]string{"--out", a.root()})
	}
	return line
}

// attachFlags are those with which attach ends the run as the command that started it would have.
func (a *away) attachFlags() string {
	line := a.flags()
	if a.place.cleanup != cleanAlways {
		line += " " + shell.Line([]string{"--cleanup", a.place.cleanup})
	}
	return line
}

// planAway is the plan of a run in a cluster, which nothing that is known here speaks against.
func (f *runFlags) planAway(env Env, path string) (planFile, error) {
	p, err := f.readAway(env, path)
	if err != nil {
		return p, err
	}
	if err := f.fits(env, p); err != nil { // by what runs cost on one machine: in a cluster they take longer
		return p, err
	}
	return p, f.pulls(p.Plan)
}

// readAway reads that plan; that of a run to resume is in its directory.
func (f *runFlags) readAway(env Env, path string) (planFile, error) {
	p, err := f.plan(env, path)
	if err != nil || p.given != nil {
		return p, err
	}
	p.name = filepath.Join(f.resume, "plan.yaml")
	if p.given, err = os.ReadFile(p.name); err != nil {
		return p, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

// newClusterRun is the name of a new run in a cluster.
func newClusterRun(p *plan.Plan, now time.Time) string {
	name := strings.Trim(p.Name, "-")
	if len(name) > 40 {
		name = strings.TrimRight(name[:40], "-")
	}
	return strings.TrimLeft(name+"-"+strings.ToLower(now.UTC().Format("20060102t150405"))+"-"+random(2), "-")
}

// random is that many random bytes as text.
func random(n int) string {
	out := make([]byte, n)
	_, _ = rand.Read(out) // never fails
	return hex.EncodeToString(out)
}

// run applies what begins the run, and sees it through. Whatever happens, what it made in the cluster is removed as the user wants.
func (a *away) run(ctx context.Context, d described, detach bool) error {
	a.token = secrets(d.scope.Secrets)
	if run := d.scope.Secrets[cluster.TokenSecret]; run[cluster.DSNKey] != "" {
		run[cluster.DSNKey] = d.dsn
	}
	objects, err := kube.Render(d.scope, d.workloads)
	if err != nil {
		return usageError{err}
	}
	if err := a.preflight(ctx, d); err != nil {
		return err
	}
	mine, err := a.admitted(ctx, d, objects)
	if err != nil {
		return err
	}
	err = a.at.Create(ctx, mine)
	if taken := (kube.Taken{}); errors.As(err, &taken) {
		return errors.Join(a.taken(taken, err), a.at.Remove(context.WithoutCancel(ctx)))
	}
	if err == nil {
		err = a.see(ctx, detach)
	}
	if detach && err == nil {
		return a.close()
	}
	return a.leave(ctx, a.lost(err))
}

// secrets fills in what is secret, and returns the run's token.
func secrets(all map[string]map[string]string) (token string) {
	for _, values := range all {
		for key := range values {
			values[key] = random(16)
		}
	}
	samplers := all[cluster.SamplersSecret]
	samplers[cluster.SamplersPublic] = sidecar.Public(samplers[cluster.SamplersKey])
	return all[cluster.TokenSecret][cluster.TokenKey]
}

// preflight refuses what the cluster would refuse later, or what would meet another run. It changes nothing.
func (a *away) preflight(ctx context.Context, d described) error {
	a.say("looking at what may be done in the cluster")
	if err := a.at.Old(ctx); err != nil {
		return missingError{err, ""}
	}
	missing, err := a.at.Missing(ctx, d.workloads, d.scope.Own)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		var lines []string
		for _, m := range missing {
			lines = append(lines, m.String())
		}
		return missingError{errors.New(strings.Join(slices.Compact(lines), "\n")), roleHint(missing)}
	}
	if d.scope.Own {
		return nil
	}
	there, err := a.at.Find(ctx, a.at.Namespace)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return a.full(there[0].Run)
	}
	if owner, err := a.at.Owner(ctx); err != nil || owner != "" {
		return errors.Join(err, a.ownedBy(owner))
	}
	return nil
}

// roleHint is what helps who lacks rights. No Role gives one to make namespaces.
func roleHint(missing []kube.Missing) string {
	hint := "docs/kubernetes.md has a Role with all that a run needs"
	if slices.ContainsFunc(missing, func(m kube.Missing) bool { return m.Resource == "namespaces" }) {
		hint += "; without rights to namespaces, --namespace names one that is there"
	}
	return hint
}

// ownedBy says that the namespace is removed together with another run; empty: it is not.
func (a *away) ownedBy(run string) error {
	if run == "" {
		return nil
	}
	return hintedError{
		usageError{fmt.Errorf("namespace %s is the own one of run %s, and is removed with it: a run takes no other's", a.at.Namespace, run)},
		"without --namespace the run gets one of its own",
	}
}

// full says that another run is where this one was to be.
func (a *away) full(run string) error {
	return hintedError{
		usageError{fmt.Errorf("namespace %s holds run %s: there is room for one", a.at.Namespace, run)},
		fmt.Sprintf("wait for it: bakeoff attach %s %s; or fetch and remove it: bakeoff clean %s", run, a.place.flags(), a.place.flags()),
	}
}

// taken says what has come first.
func (a *away) taken(by kube.Taken, err error) error {
	if by.Run == "" {
		return usageError{err}
	}
	return a.full(by.Run)
}

// admitted has the cluster look at every object of the run, and returns those that the controller does not apply itself. What is
// there afterwards is the namespace, if it is the run's own: nothing can be looked at in one that is not there. After an error it is
// removed again.
func (a *away) admitted(ctx context.Context, d described, objects []kube.Object) ([]kube.Object, error) {
	its := cluster.ByController(d.scope, d.workloads)
	var own, within, mine []kube.Object
	for _, o := range objects {
		switch {
		case o.Kind == "Namespace":
			own = append(own, o)
			continue
		case !its[o.Name]:
			mine = append(mine, o)
		}
		within = append(within, o)
	}
	a.say("having the cluster look at " + show.Plural(len(within), "object"))
	err := a.at.Create(ctx, own) // an error does not say that nothing was made: the answer may have been lost
	if err == nil {
		err = a.checked(ctx, within)
	}
	if err != nil && len(own) > 0 {
		err = errors.Join(err, a.at.Remove(context.WithoutCancel(ctx)))
	}
	return mine, err
}

// checked is what the cluster would not take.
func (a *away) checked(ctx context.Context, objects []kube.Object) error {
	refused, err := a.at.Check(ctx, objects)
	if err != nil || len(refused) == 0 {
		return err
	}
	var all []string
	for _, r := range refused {
		if r.Run != "" { // it has begun since preflight looked
			return a.full(r.Run)
		}
		all = append(all, r.String())
	}
	return fmt.Errorf("the cluster refuses, or warns of, %d of %s:\n%s", len(refused), show.Plural(len(objects), "object"), strings.Join(all, "\n"))
}

// say shows what goes on.
func (a *away) say(text string) { a.screen.show(record.Progress{Text: text}) }

// result prints the end of the run from what was fetched.
func (a *away) result(err error, strict, asJSON bool) error {
	if a.dir == "" {
		return err
	}
	env, unwritten := a.events.conclude(a.env)
	return errors.Join(err, unwritten, printResult(env, a.dir, strict, asJSON))
}

// endedError is how a controller elsewhere ended.
type endedError struct{ remote.Outcome }

func (e endedError) Error() string { return e.Outcome.Error }

// lostError is why a run elsewhere is not followed any more; what was fetched of it can be resumed.
type lostError struct {
	err  error
	hint string
}

func (e lostError) Error() string { return e.err.Error() }
func (e lostError) Unwrap() error { return e.err }

// lost says how to go on after a run that did not end properly.
func (a *away) lost(err error) error {
	var ended endedError
	if err == nil || a.dir == "" || errors.As(err, &ended) {
		return err
	}
	line := []string{"bakeoff", "run", "--resume", a.dir, "--platform", inKubernetes}
	if a.place.context != "" {
		line = append(line, "--context", a.place.context)
	}
	if a.place.namespace != platform.ObjectName(a.at.Run) { // that one is the run's own, and is removed with it
		line = append(line, "--namespace", a.place.namespace)
	}
	return lostError{err, "the trials that were finished are here; resume the run with: " + shell.Line(line)}
}

// leave fetches what is left of the run, and removes it from the cluster as the user wants. Nothing is removed before it is fetched.
func (a *away) leave(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
	defer cancel()
	if a.ended && a.copy != nil {
		a.say("fetching the rest of the run")
		if ferr := a.client.Fetch(ctx, a.copy); ferr != nil {
			a.ended, err = false, a.lost(errors.Join(err, ferr))
		}
	}
	if lost := a.rescue(ctx); lost != nil {
		a.still()
		return errors.Join(err, fmt.Errorf("nothing was removed from the cluster, since not everything was fetched: %w", lost))
	}
	if a.ended {
		if err := a.client.Ack(ctx); err != nil {
			a.warn("the controller does not hear that all was fetched: " + err.Error())
		} else {
			a.acked = true
		}
	}
	if a.place.cleanup == cleanNever || a.place.cleanup == cleanSuccess && err != nil {
		a.still()
		return err
	}
	a.say("removing what the run made in the cluster")
	return errors.Join(err, a.at.Remove(ctx))
}

// still says what is left in the cluster.
func (a *away) still() {
	a.screen.clear()
	what := "fetches and removes it"
	if a.acked {
		what = "removes it"
	}
	fmt.Fprintf(a.env.Stderr, "bakeoff: run %s is still in namespace %s, for a day after its end; bakeoff clean %s %s\n",
		a.at.Run, a.at.Namespace, a.flags(), what)
}

func (a *away) warn(text string) {
	a.screen.clear()
	fmt.Fprintf(a.env.Stderr, "bakeoff: warning: %s\n", show.InertLines(text))
}

// rescue fetches the logs and events of the cluster, and proves what was fetched of the record. It refuses while the
// controller has more to give.
func (a *away) rescue(ctx context.Context) error {
	if a.began && !a.ended && (a.pod == "" || a.at.Gone(ctx, a.pod) == nil) {
		return errors.New("the run has not ended, or its controller is out of reach")
	}
	dir := filepath.Join(cmp.Or(a.dir, filepath.Join(a.out, a.at.Run)), "cluster") // a run that never began leaves what the cluster says of it
	found, err := a.at.Evidence(ctx, dir)
	if err != nil {
		return err
	}
	if n := len(found.Lost); n > 0 {
		a.warn(fmt.Sprintf("%s of the cluster cannot be read, and will be gone: %s (all of them: %s)",
			show.Plural(n, "log"), found.Lost[0], filepath.Join(dir, "unread.txt")))
	}
	if a.dir == "" && found.Files > 0 {
		a.screen.clear()
		fmt.Fprintf(a.env.Stderr, "bakeoff: the logs and events of the cluster are in %s\n", show.Inert(dir))
	}
	return a.close()
}

// close ends the copying, and proves what was copied.
func (a *away) close() error {
	if a.copy == nil {
		return nil
	}
	err := a.copy.Close()
	a.copy = nil
	r, oerr := record.Open(a.dir)
	if oerr != nil {
		oerr = fmt.Errorf("what was fetched of the run cannot be read: %v", oerr) //nolint:errorlint // the folder is ours: no wrong usage
	}
	if err := errors.Join(err, oerr); err != nil {
		return err
	}
	if damage := r.Problems(); a.ended && len(damage) > 0 {
		return fmt.Errorf("what was fetched of the run is damaged: %s", damage[0])
	}
	return nil
}
