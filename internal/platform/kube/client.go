package kube

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is the API of one.
type Cluster struct {
	api      api
	warnings *warnings
}

// Open finds a cluster as kubectl does, by $KUBECONFIG or ~/.kube/config; an empty context is the current one.
func Open(context string) (*Cluster, error) {
	overrides := &clientcmd.ConfigOverrides{CurrentContext: context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), overrides).ClientConfig()
	switch {
	case clientcmd.IsEmptyConfig(err):
		return nil, errors.New("kube: no cluster is configured: KUBECONFIG, or without it ~/.kube/config, has to name one, as for kubectl")
	case err != nil:
		return nil, fmt.Errorf("kube: %w", err)
	}
	return open(config)
}

// Inside is the cluster in one of whose pods this program runs, by the account of that pod.
func Inside() (*Cluster, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	return open(config)
}

func open(config *rest.Config) (*Cluster, error) {
	seen := &warnings{}
	config.WarningHandler = seen
	a, err := newAPI(config)
	if err != nil {
		return nil, err
	}
	return &Cluster{a, seen}, nil
}

// leastMinor is the first Kubernetes 1.x that knows containers next to the main one from its start to its end. Earlier ones take the
// sampler for one that has to end before the main one begins, and no pod with it ever gets ready.
const leastMinor = 29

// Old fails where the cluster is too old for the pods of a run. One that does not say what it is, is not.
func (c *Cluster) Old(ctx context.Context) error {
	var is struct{ Major, Minor, GitVersion string }
	if err := c.api.get(ctx, "/version", nil, &is); err != nil {
		return nil // what else cannot be read says more
	}
	minor, err := strconv.Atoi(strings.TrimRight(is.Minor, "+"))
	if err != nil || is.Major != "1" || minor >= leastMinor {
		return nil // it does not say, or is new enough
	}
	return fmt.Errorf("the cluster is of Kubernetes %s.%s (%s), and a run needs 1.%d or later", is.Major, is.Minor, is.GitVersion, leastMinor)
}

// warnings are what the API says with an answer that is a success: of a pod that breaks a rule of the namespace it
// says no more, and the pod then never comes.
type warnings struct {
	mu   sync.Mutex
	seen []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, text)
}

// take returns what was seen since the last call.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// A Refusal is an object that the cluster would not take, and why. Run is that of the object which has its place; empty: none has, or
// one of no run.
type Refusal struct{ Kind, Name, Why, Run string }

func (r Refusal) String() string { return fmt.Sprintf("%s %s: %s", r.Kind, r.Name, r.Why) }

// Check has the cluster look at every object as if it were made, and changes nothing. One that is there already
// is a refusal, also where bakeoff made it, and so is what the API only warns of. The error is of a cluster that does not answer.
func (c *Cluster) Check(ctx context.Context, objects []Object) ([]Refusal, error) {
	var out []Refusal
	for _, o := range objects {
		c.warnings.take()
		value, err := o.JSON()
		if err != nil {
			return out, err
		}
		err = c.api.create(ctx, path.Dir(o.at()), value, true, nil)
		warned := c.warnings.take()
		var status apierrors.APIStatus
		switch {
		case err == nil:
		case errors.As(err, &status):
			out = append(out, c.refusal(ctx, o, err))
		default:
			return out, fmt.Errorf("kube: %w", err)
		}
		for _, text := range warned {
			out = append(out, Refusal{Kind: o.Kind, Name: o.Name, Why: text})
		}
	}
	return out, nil
}

// refusal is why the API does not take an object; where its place is taken, by whom.
func (c *Cluster) refusal(ctx context.Context, o Object, err error) Refusal {
	out := Refusal{Kind: o.Kind, Name: o.Name, Why: o.why(err)}
	if !apierrors.IsAlreadyExists(err) {
		return out
	}
	if by, _, err := c.holder(ctx, o); err == nil { // else it is not known whose it is
		out.Run, out.Why = by.Run, by.whose()+", and stays as it is: the name is taken"
	}
	return out
}

// words are the API's own, in one line.
func words(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// why is what the API says of an object, or that it does not know the kind.
func (o Object) why(err error) string {
	if o.Kind == "HTTPRoute" && apierrors.IsNotFound(err) && strings.Contains(err.Error(), "could not find the requested resource") {
		return "the cluster knows no HTTPRoute: the Gateway API is not installed in it (kubectl get crd httproutes." + groupRoute + ")"
	}
	return words(err)
}
