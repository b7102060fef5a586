package platform

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kinds of workloads.
const (
	// Deployed pods are started again when they end.
	Deployed Lifetime = iota
	// Stateful is one pod with a name and a storage of its own.
	Stateful
	// Once is one pod that is never started again.
	Once
)

// Lifetime says what happens when a pod of a workload ends.
type Lifetime int

// Roles of workloads. A pod's role is one of its labels.
const (
	RoleController = "controller"
	RoleDatabase   = "database"
	RoleTarget     = "target"
	RoleBalancer   = "balancer"
	RoleAgent      = "agent"
	RoleCollector  = "collector"
)

// A Workload is a number of alike pods in a cluster, each with one main container.
type Workload struct {
	// Name is unique among the workloads of a run; [a-z0-9-]{1,72}.
	Name string
	Role string
	// Target is the one whose replicas, or whose balancer, this is; empty: it serves the whole run.
	Target   string
	Lifetime Lifetime
	Copies   int // of Deployed; the others have one
	// OnePerNode forbids two copies on one node.
	OnePerNode bool
	// AwayFrom are roles whose nodes the pods keep away from: where other nodes have room, or, if they must, always.
	AwayFrom []string
	MustKeep bool
	Main     Container
	// Sampled puts a sampler next to the main container, which sees its processes.
	Sampled bool
	// Early: the name of the workload stands for pods that are not ready yet, too. It always stands for the addresses of the
	// pods themselves, with nothing in between.
	Early bool
	// Files are mounted, by name, in FilesDir; they hold no secrets.
	Files map[string]string
	// Folders can be written to and end with the pod; those in memory count as the container's.
	Folders []Folder
	// Storage outlives a restart of a Stateful pod; the zero value is a folder of the pod.
	Storage Storage
	// Within bounds the time until the pods are ready, Lifelong that of a Once.
	Within, Lifelong time.Duration
	// Rights: its pods may use the cluster's API, as Rules say.
	Rights bool
	// LogLimit is how many bytes of each pod's log are kept, as Spec.LogLimit.
	LogLimit int64
	// Front is what the cluster puts before the pods; the zero value: nothing.
	Front Front
}

// Kinds of fronts.
const (
	FrontService = "service" // an address of the cluster's own, whose connections it spreads over the pods
	FrontIngress = "ingress" // an Ingress before such an address
	FrontRoute   = "route"   // an HTTPRoute of a Gateway before such an address
)

// Front is something of the cluster's own that spreads requests over the pods of a workload.
type Front struct {
	Kind string
	Name string // of its objects; as a workload's, and of no other
	Port int    // of the pods, and of the address
	// Host is the name by which requests ask for the workload; of an Ingress and an HTTPRoute.
	Host string
	// Class is that of an Ingress, Gateway and Namespace the Gateway of an HTTPRoute; an empty one is left to the cluster: its default
	// class, the run's namespace.
	Class, Gateway, Namespace string
	// Annotations are those of the Ingress or the HTTPRoute, and of the Service that it leads to.
	Annotations map[string]string
	// Address is where an Ingress or a Gateway is reached, as far as it is known beforehand.
	Address string
}

// Manager is who the objects of a run are managed by, and the beginning of their names.
const Manager = "bakeoff"

// longestName leaves room for what a cluster appends to a name where it makes a label of it.
const longestName = 52

// ObjectName is the name of the objects of a workload, a secret or a document, at which its pods are reached: with a
// prefix, so that it meets nothing of others in their namespace, and where that is too long cut, with a digest at its end.
func ObjectName(name string) string {
	whole := strings.TrimRight(Manager+"-"+name, "-")
	if len(whole) <= longestName {
		return whole
	}
	sum := sha256.Sum256([]byte(whole))
	return fmt.Sprintf("%s-%s", strings.TrimRight(whole[:longestName-9], "-"), hex.EncodeToString(sum[:4]))
}

// FilesDir is where a workload's files are mounted.
const FilesDir = "/etc/bakeoff"

// Container is the main container of a pod.
type Container struct {
	Image string
	Argv  []string // the image's own where it is empty
	Dir   string   // working folder; the image's own where it is empty
	Env   []Variable
	Ports []Port
	// Ready is asked until it answers 2xx: a path on the first port. Empty: a connection to that port; without
	// ports a pod is ready when it runs.
	Ready    string
	Requests Amounts
	Limits   Amounts
}

// Variable is one of a container's environment: a value, a key of a secret, or a field of the pod, such as
// "metadata.name".
type Variable struct {
	Name, Value string
	Secret, Key string
	Field       string
}

// Port is one that a container listens on.
type Port struct {
	Name   string
	Number int
}

// Folder is one that a container can write to.
type Folder struct {
	Path   string
	Memory bool
	Bytes  int64 // at most; 0: no limit
}

// Storage is a folder that outlives its pod.
type Storage struct {
	Path  string
	Bytes int64
	Class string // the cluster's default where it is empty
}

// Amounts of what a container asks for, or may use at most; 0: nothing is said.
type Amounts struct {
	MilliCPU int64 // thousandths of a core
	Bytes    int64 // of memory
}

// Guaranteed reports whether a container may use just what it asks for, of both.
func (c Container) Guaranteed() bool {
	return c.Requests == c.Limits && c.Limits.MilliCPU > 0 && c.Limits.Bytes > 0
}

// Scope is what all objects of one run have in common.
type Scope struct {
	// Run is its name, a label of every object; [a-z0-9-]{1,63}.
	Run string
	// Namespace holds the objects; Own says that it is made for the run and removed after it.
	Namespace string
	Own       bool
	// Owner is the Job of the controller, once it exists: what it owns is removed with it.
	Owner Owner
	// Sampler is the container next to the main one of sampled workloads.
	Sampler Container
	// PullSecret is the name of one in the namespace, for the images' registry.
	PullSecret string
	// NodeSelector, Tolerations, Priority and Annotations are added to every pod.
	NodeSelector map[string]string
	Tolerations  []Toleration
	Priority     string
	Annotations  map[string]string
	// Secrets are values by key by name.
	Secrets map[string]map[string]string
	// Documents are files for other programs, by key by name; Marks are labels of them by name.
	Documents map[string]map[string]string
	Marks     map[string]map[string]string
}

// Owner is an object that owns others.
type Owner struct{ Name, UID string }

// Toleration lets pods onto nodes with a taint.
type Toleration struct{ Key, Operator, Value, Effect string }

// Total is what workloads ask of a cluster.
type Total struct {
	Pods     int
	MilliCPU int64
	Bytes    int64 // of memory
	Storage  int64 // bytes
}

// Ask is what the workloads ask for at the same time. Those of several targets are up together, or one target
// after another: then the target that asks for the most counts, for each amount alone.
func (s Scope) Ask(workloads []Workload, together bool) Total {
	var all Total
	each := map[string]Total{}
	for _, w := range workloads {
		t := s.ask(w)
		if w.Target == "" || together {
			all = all.plus(t)
			continue
		}
		each[w.Target] = each[w.Target].plus(t)
	}
	var most Total
	for _, name := range slices.Sorted(maps.Keys(each)) {
		most = most.max(each[name])
	}
	return all.plus(most)
}

// ask is what one workload asks for.
func (s Scope) ask(w Workload) Total {
	pod := w.Main.Requests
	if w.Sampled {
		pod.MilliCPU += s.Sampler.Requests.MilliCPU
		pod.Bytes += s.Sampler.Requests.Bytes
	}
	n := int64(w.Pods())
	return Total{Pods: int(n), MilliCPU: n * pod.MilliCPU, Bytes: n * pod.Bytes, Storage: w.Storage.Bytes}
}

// Nodes is how many nodes the workloads need: copies that must not share one, and one more for each pod that must keep away from them, as a
// cluster gives these nodes of their own where it can, before the copies are there.
func Nodes(workloads []Workload) int {
	nodes, apart := 1, 0
	for _, w := range workloads {
		if w.OnePerNode {
			nodes = max(nodes, w.Copies)
		}
		if w.MustKeep {
			apart += w.Pods()
		}
	}
	return nodes + apart
}

// Pods is how many pods the workload has.
func (w Workload) Pods() int {
	if w.Lifetime == Deployed {
		return w.Copies
	}
	return 1
}

func (t Total) plus(o Total) Total {
	return Total{t.Pods + o.Pods, t.MilliCPU + o.MilliCPU, t.Bytes + o.Bytes, t.Storage + o.Storage}
}

func (t Total) max(o Total) Total {
	return Total{max(t.Pods, o.Pods), max(t.MilliCPU, o.MilliCPU), max(t.Bytes, o.Bytes), max(t.Storage, o.Storage)}
}
