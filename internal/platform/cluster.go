package platform

import (
	"context"
	"strings"
	"time"
)

// A Cluster runs the workloads of one run. It is safe for concurrent use.
type Cluster interface {
	// Deploy applies a workload and returns its pods, in the order of their nodes' names, once all of them are ready, or why
	// they cannot be, in words. The replicas of a target are named as it, with a number from 1: django-1; a pod that is alone as its
	// workload. The log of each pod's main container is followed into the file NAME.log of logDir, which is there when Deploy
	// returns, and with an error too, where a log could be read. What was applied is there also when Deploy returns an error: the
	// caller removes it.
	Deploy(ctx context.Context, w Workload, logDir string) ([]Pod, error)
	// Remove deletes a workload's objects, and returns once no pod of it is left. What is not there is no error.
	Remove(ctx context.Context, name string) error
	// Front returns where the front of a deployed workload is reached, an address with or without a port, once the cluster serves it, or
	// why it does not, in words.
	Front(ctx context.Context, name string) (string, error)
	// Secret makes a secret, or gives one that is there new values: workloads that are deployed from now on get them.
	Secret(ctx context.Context, name string, values map[string]string) error
	// Lost says that the cluster does not answer any more, or that the objects of the run were deleted, and why; nil while neither
	// is so.
	Lost() error
}

// A Pod is one started copy of a workload. Its process ids are those that it sees itself; PIDs has none where nothing samples it.
// It has ended when its main container has, for the first time, or when it was removed. Stop removes its workload, the other copies
// included: the cluster would replace a single one.
type Pod interface {
	Process
	Placement() Placement
	// Address is where the pod is reached in the cluster, without a port.
	Address() string
	// Log is the file into which the log of its main container is followed.
	Log() string
	// Look reads again how the pod is placed now. It fails when the pod is not the one that was started, or does not run.
	Look(ctx context.Context) (Placement, error)
}

// Placement is where a pod runs, and what.
type Placement struct {
	Pod, UID, Node string
	Image          string    // with its digest, as the node's runtime names it
	Others         []string  // containers in it that are not ours, such as the sidecar of a mesh
	Restarts       int       // of its main container
	Ready          time.Time // since when
	Lapse          string    // why it was not ready for a while since it was started; empty: it always was
}

// SameImage reports whether two images, as the runtimes of nodes name them, are the same: by their digests, where both have one. A
// runtime may name an image by any repository from which it knows that digest.
func SameImage(a, b string) bool {
	_, first, known := strings.Cut(a, "@")
	_, second, too := strings.Cut(b, "@")
	if known && too {
		return first == second
	}
	return a == b
}
