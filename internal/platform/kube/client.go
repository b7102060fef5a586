package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	batchac "k8s.io/client-go/applyconfigurations/batch/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"bakeoff/internal/platform"
)

// Cluster is the API of one.
type Cluster struct {
	client   kubernetes.Interface
	warnings *warnings
}

// Open finds a cluster as kubectl does, by $KUBECONFIG or ~/.kube/config; an empty context is the current one.
func Open(context string) (*Cluster, error) {
	overrides := &clientcmd.ConfigOverrides{CurrentContext: context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	seen := &warnings{}
	config.WarningHandler, config.UserAgent = seen, platform.Manager
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	return &Cluster{client, seen}, nil
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

// A Refusal is an object that the cluster would not take, and why.
type Refusal struct{ Kind, Name, Why string }

func (r Refusal) String() string { return fmt.Sprintf("%s %s: %s", r.Kind, r.Name, r.Why) }

// Check has the cluster look at every object as if it were applied, and changes nothing. What the API only warns of
// is a refusal too. The error is of a cluster that does not answer.
func (c *Cluster) Check(ctx context.Context, objects []Object) ([]Refusal, error) {
	var out []Refusal
	for _, o := range objects {
		c.warnings.take()
		err := c.apply(ctx, o, true)
		var status apierrors.APIStatus
		switch {
		case err == nil:
		case errors.As(err, &status):
			out = append(out, Refusal{o.Kind, o.Name, words(err)})
		default:
			return out, fmt.Errorf("kube: %w", err)
		}
		for _, text := range c.warnings.take() {
			out = append(out, Refusal{o.Kind, o.Name, text})
		}
	}
	return out, nil
}

// words are the API's own, in one line.
func words(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// apply applies one object; dry changes nothing. What others manage is not taken from them.
func (c *Cluster) apply(ctx context.Context, o Object, dry bool) error {
	options := meta.ApplyOptions{FieldManager: platform.Manager}
	if dry {
		options.DryRun = []string{meta.DryRunAll}
	}
	var err error
	switch a := o.apply.(type) {
	case *coreac.NamespaceApplyConfiguration:
		_, err = c.client.CoreV1().Namespaces().Apply(ctx, a, options)
	case *coreac.ServiceAccountApplyConfiguration:
		_, err = c.client.CoreV1().ServiceAccounts(*a.Namespace).Apply(ctx, a, options)
	case *rbacac.RoleApplyConfiguration:
		_, err = c.client.RbacV1().Roles(*a.Namespace).Apply(ctx, a, options)
	case *rbacac.RoleBindingApplyConfiguration:
		_, err = c.client.RbacV1().RoleBindings(*a.Namespace).Apply(ctx, a, options)
	case *coreac.SecretApplyConfiguration:
		err = c.secret(ctx, a, options)
	case *coreac.ConfigMapApplyConfiguration:
		_, err = c.client.CoreV1().ConfigMaps(*a.Namespace).Apply(ctx, a, options)
	case *coreac.ServiceApplyConfiguration:
		_, err = c.client.CoreV1().Services(*a.Namespace).Apply(ctx, a, options)
	case *appsac.StatefulSetApplyConfiguration:
		_, err = c.client.AppsV1().StatefulSets(*a.Namespace).Apply(ctx, a, options)
	case *appsac.DeploymentApplyConfiguration:
		_, err = c.client.AppsV1().Deployments(*a.Namespace).Apply(ctx, a, options)
	case *batchac.JobApplyConfiguration:
		_, err = c.client.BatchV1().Jobs(*a.Namespace).Apply(ctx, a, options)
	default:
		err = fmt.Errorf("a %s cannot be applied", o.Kind)
	}
	return err
}

// secret creates a secret, so that no right is needed by which it can be read, and applies it only where it is there already.
func (c *Cluster) secret(ctx context.Context, a *coreac.SecretApplyConfiguration, options meta.ApplyOptions) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	var fresh corev1.Secret
	if err := json.Unmarshal(data, &fresh); err != nil {
		return err
	}
	secrets := c.client.CoreV1().Secrets(fresh.Namespace)
	_, err = secrets.Create(ctx, &fresh, meta.CreateOptions{FieldManager: options.FieldManager, DryRun: options.DryRun})
	if apierrors.IsAlreadyExists(err) {
		_, err = secrets.Apply(ctx, a, options)
	}
	return err
}
