package cluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bakeoff/internal/balancer"
	"bakeoff/internal/collect"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/scratch"
	"bakeoff/internal/target"
	"bakeoff/internal/venue"
)

// Venue is a cluster, for the controller of a run in it.
type Venue struct {
	b       builder
	cluster platform.Cluster
	asked   samplers
	members *members
	places  *places
	pending []pending // recipes whose images are not looked at yet
	filled  *member   // the private database, once it is there
}

// New is the venue of a run whose workloads follow from these options; key is the one that its samplers ask for.
func New(o Options, c platform.Cluster, key string) *Venue {
	return &Venue{b: builder{o, o.Plan.Kubernetes}, cluster: c, asked: newSamplers(key), members: &members{}, places: newPlaces()}
}

// Controller is the name of the Job of the controller, which owns all other objects of a run.
func Controller() string { return platform.ObjectName(controllerName) }

// Name implements venue.Host.
func (v *Venue) Name() string { return "kubernetes" }

// Machine is all nodes that pods were on so far, together.
func (v *Venue) Machine() record.Machine { return v.places.machine() }

// Nodes implements venue.Host.
func (v *Venue) Nodes() []record.Node { return v.places.all() }

// Hidden implements venue.Host: other pods of a node cannot be seen.
func (v *Venue) Hidden() bool { return true }

// Room implements venue.Host.
func (v *Venue) Room(dir string) int64 {
	free, err := record.Free(dir)
	if err != nil {
		return -1
	}
	return free
}

// Lost implements venue.Host.
func (v *Venue) Lost() error { return v.cluster.Lost() }

// Others implements venue.Host: a run in a cluster knows of no other one.
func (v *Venue) Others() []string { return nil }

// Temporary implements venue.Host.
func (v *Venue) Temporary(use string) (dir string, remove func() error, err error) {
	return scratch.New(use)
}

// Overhead as seen on three nodes that share two cores, with images in place.
func (v *Venue) Overhead() plan.Overhead {
	return plan.Overhead{
		Setup: 45 * time.Second, Trial: 12 * time.Second, Phase: 500 * time.Millisecond, Together: 5 * time.Second, Slice: 50 * time.Millisecond,
	}
}

// Missing implements venue.Venue. What a cluster lacks shows when its pods are to start.
func (v *Venue) Missing(context.Context, *plan.Plan, []*target.Recipe) ([]target.Need, error) {
	return nil, nil
}

// pending is a recipe whose image is still to be looked at.
type pending struct {
	prepared *target.Prepared
	progress func(text string, passing bool)
}

// Prepare implements venue.Venue. A target may need the database to start, so its image is looked at once that is there: what was
// installed in it is known after Database.
func (v *Venue) Prepare(_ context.Context, r *target.Recipe, progress func(text string, passing bool)) (*target.Prepared, error) {
	p := target.InImage(r)
	v.pending = append(v.pending, pending{p, progress})
	return p, nil
}

// Database starts or opens the database, and rolls every target out once, so that its image is on every node, and is known.
func (v *Venue) Database(ctx context.Context, s venue.Storage) (venue.Database, error) {
	db, err := v.database(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, p := range v.pending {
		if err := v.rollOut(ctx, p, db.Access(), filepath.Join(s.Dir, "rollout")); err != nil {
			return db, err
		}
	}
	v.pending = nil
	return db, nil
}

// server is the database with its workload.
type server struct {
	*database.Server
	venue  *Venue
	member *member // nil: it is somebody else's
}

func (v *Venue) database(ctx context.Context, s venue.Storage) (_ *server, err error) {
	if s.Plan.Kind == database.KindExternal {
		db, err := database.Open(ctx, database.External{DSN: v.b.o.DSN, AllowHosts: s.AllowHosts, Less: s.Less})
		return &server{db, v, nil}, err
	}
	b := v.b
	b.o.Connections = s.Connections
	w, err := b.database()
	if err != nil {
		return nil, err // it names the database
	}
	passwords := map[string]string{adminKey: rand.Text(), passwordKey: rand.Text()}
	if err := v.cluster.Secret(ctx, databaseSecret, passwords); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.takeBack(ctx, w.Name))
		}
	}()
	m, err := v.deployOne(ctx, w, "database", filepath.Join(s.Dir, "database"))
	if err != nil {
		return nil, err
	}
	db, err := database.Attach(ctx, database.Attached{
		Container: b.container(), Process: m, Host: m.Address(), AdminPassword: passwords[adminKey], TargetPassword: passwords[passwordKey],
	})
	if err != nil {
		return nil, err
	}
	v.places.setDatabase(m.Placement().Node)
	v.filled = m
	return &server{db, v, m}, nil
}

// sameServer fails where the private server that was filled has ended. The cluster starts one again, which finds its data and has cold
// caches: nobody would notice.
func (v *Venue) sameServer() error {
	if v.filled == nil {
		return nil
	}
	select {
	case <-v.filled.Done():
		return fmt.Errorf("%w: the database's server has ended since it was filled (%s), and the cluster may have started it again",
			venue.ErrPlacement, v.filled.Exit())
	default:
		return nil
	}
}

// Check implements venue.Database; of another server than the one that was filled it is not made.
func (s *server) Check(ctx context.Context, rows *dataset.Dataset) error {
	if err := s.venue.sameServer(); err != nil {
		return err
	}
	return s.Server.Check(ctx, rows)
}

// Digest implements venue.Database, as Check does.
func (s *server) Digest(ctx context.Context) (string, error) {
	if err := s.venue.sameServer(); err != nil {
		return "", err
	}
	return s.Server.Digest(ctx)
}

// takenBackWithin is how long the cluster may take to remove what is not to be used.
const takenBackWithin = 2 * time.Minute

// takeBack removes a workload also after the run was interrupted.
func (v *Venue) takeBack(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takenBackWithin)
	defer cancel()
	return v.cluster.Remove(ctx, name)
}

// deployOne is the one pod of a workload, by that name in the series.
func (v *Venue) deployOne(ctx context.Context, w platform.Workload, name, logDir string) (*member, error) {
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return nil, fmt.Errorf("%s: %w", w.Name, err)
	}
	pods, err := v.cluster.Deploy(ctx, w, logDir)
	if err != nil {
		return nil, err // it names the workload
	}
	if len(pods) != 1 {
		return nil, fmt.Errorf("%s has %d pods", w.Name, len(pods))
	}
	m := v.members.add(pods[0], name, v.asked)
	if err := v.places.image(w.Main.Image, pods[0].Placement()); err != nil {
		return m, err
	}
	if !w.Sampled {
		return m, nil // nobody there says what its node is
	}
	return m, v.places.learn(ctx, m)
}

// Stop closes our connections, and removes a server of the run with its data.
func (s *server) Stop(ctx context.Context, grace time.Duration) error {
	if s.member == nil {
		return s.Server.Stop(ctx, grace)
	}
	s.venue.filled = nil
	s.venue.members.drop(s.member)
	return errors.Join(s.Server.Stop(ctx, grace), s.venue.cluster.Remove(ctx, databaseName))
}

// rollOut starts a target once on the nodes that it will be on, and reads what its image is.
func (v *Venue) rollOut(ctx context.Context, p pending, access database.Access, logDir string) (err error) {
	r := p.prepared.Recipe
	t, known := v.planned(r)
	if !known {
		return fmt.Errorf("target %s is not of the plan", r.Name)
	}
	p.progress(fmt.Sprintf("rolling %s out once, for its image", r.Name), false)
	l := v.b.launch(t, r)
	l.Prepared, l.Database, l.Nonce = p.prepared, access, rand.Text()
	w, err := v.workload(ctx, t, r, l)
	if err != nil {
		return fmt.Errorf("target %s: %w", r.Name, err)
	}
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return fmt.Errorf("target %s: %w", r.Name, err)
	}
	pods, err := v.cluster.Deploy(ctx, w, logDir)
	if err == nil {
		if err = v.looks(ctx, p.prepared, w.Main.Image, pods); err != nil {
			err = fmt.Errorf("target %s: %w", r.Name, err)
		}
	}
	return errors.Join(err, v.takeBack(ctx, w.Name))
}

// planned is the plan's first target of a recipe.
func (v *Venue) planned(r *target.Recipe) (plan.Target, bool) {
	for _, t := range v.b.o.Plan.Targets {
		if t.Recipe == r.Name && t.Variant == r.Variant && t.Server == r.Server {
			return t, true
		}
	}
	return plan.Target{}, false
}

// workload is that of a target's replicas for one start, whose secrets are in place.
func (v *Venue) workload(ctx context.Context, t plan.Target, r *target.Recipe, l target.Launch) (platform.Workload, error) {
	from := targetName(t.Name)
	if err := v.cluster.Secret(ctx, from, map[string]string{nonceKey: l.Nonce, passwordKey: l.Database.Password}); err != nil {
		return platform.Workload{}, err
	}
	return v.b.replicas(t, r, l, from)
}

// looks reads the image of each pod, by that name in the plan, which is to be made of the recipe as this program has it.
func (v *Venue) looks(ctx context.Context, p *target.Prepared, name string, pods []platform.Pod) error {
	for _, pod := range pods {
		m := v.members.add(pod, pod.Name(), v.asked)
		defer v.members.drop(m)
		if err := v.places.learn(ctx, m); err != nil {
			return err
		}
		where := pod.Placement()
		if err := v.places.image(name, where); err != nil {
			return err
		}
		image, err := v.asked.image(ctx, pod)
		if err != nil {
			return err
		}
		if image.Recipe != p.Recipe.Name || image.Digest != p.Digest {
			return fmt.Errorf("the image %s was built from another recipe (%s, digest %.12s) than this bakeoff has (%s, digest %.12s): build it again from targets/%s",
				where.Image, image.Recipe, image.Digest, p.Recipe.Name, p.Digest, p.Recipe.Name)
		}
		p.Versions = image.Versions
	}
	return nil
}

// InfluxDB starts the one of the run, which is up until the objects of the run are removed, and returns its URL.
func (v *Venue) InfluxDB(ctx context.Context, dir string) (string, error) {
	m, err := v.deployOne(ctx, v.b.influxdb(), influxName, filepath.Join(dir, influxName))
	if err != nil {
		return "", err
	}
	return "http://" + at(m.Address(), influxPort), nil
}

// Programs implements venue.Venue: this program as a file, the others as images, whose digests are those of their manifests.
func (v *Venue) Programs(_ context.Context, p *plan.Plan, version string) ([]record.Program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("own path: %w", err)
	}
	sum, err := digestOf(self)
	if err != nil {
		return nil, fmt.Errorf("program bakeoff: %w", err)
	}
	all := []record.Program{{Name: "bakeoff", Path: self, Version: version, SHA256: sum}}
	if image := v.places.imageOf(v.b.k.Image("database")); image != "" && !p.Running() {
		all = append(all, imageProgram("database", image))
	}
	if image := v.places.imageOf(v.b.k.Image("nginx")); image != "" {
		all = append(all, imageProgram("nginx", image))
	}
	return all, nil
}

// imageProgram is the program of an image by its name there.
func imageProgram(name, image string) record.Program {
	at, digest, _ := strings.Cut(image, "@sha256:")
	return record.Program{Name: name, Path: at, SHA256: digest}
}

func digestOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() // opened for reading
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Balancer implements venue.Venue.
func (v *Venue) Balancer(_ context.Context, p *plan.Plan) (record.BalancerInfo, error) {
	info := record.BalancerInfo{Kind: p.Balancer.Kind}
	if info.Kind == "nginx" {
		info.Version, info.Settings = v.b.k.Image("nginx"), balancer.Settings(p.InFlight())
	}
	if p.Balancer.InCluster() {
		info.Settings = settingsOf(p.Balancer)
	}
	return info, nil
}

// settingsOf are those of a balancer that the cluster brings along, as far as the plan has them.
func settingsOf(b plan.Balancer) map[string]string {
	out := map[string]string{}
	for name, value := range map[string]string{
		"class": b.Class, "gateway": b.Name, "namespace of the gateway": b.Namespace, "host": b.Host, "address": b.Address,
	} {
		if value != "" {
			out[name] = value
		}
	}
	for name, value := range b.Annotations {
		out["annotation "+name] = value
	}
	if b.EqualWithin > 0 {
		out["equal within"] = b.EqualWithin.String()
	}
	return out
}

// Yardstick implements venue.Venue: there is none.
func (v *Venue) Yardstick(context.Context, string) (collect.Source, error) {
	return collect.Source{}, nil
}

// Clock implements venue.Venue for the numbers that processes of this venue have.
func (v *Venue) Clock(pids []int) time.Duration { return v.members.clock(pids) }

// Sample implements venue.Venue.
func (v *Venue) Sample(ctx context.Context, every time.Duration, sources []collect.Source, status collect.Status, sink func(record.Series) error) venue.Sampler {
	r, quotas := v.b.k.Resources, map[string]float64{}
	for tier, limits := range map[string]plan.Amounts{
		"target": r.Target.Limits, "database": r.Database.Limits, "balancer": r.Balancer.Limits, "agent": r.Agent.Limits, jmeterQuota: r.JMeter.Limits,
	} {
		quotas[tier] = float64(limits.CPU) / 1000
	}
	return collect.StartMeter(ctx, meter{v.asked, quotas}, every, sources, status, sink)
}
