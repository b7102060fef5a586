package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"golang.org/x/sync/errgroup"

	"bakeoff/internal/platform"
)

// A stage is a namespace of a real API server with the Job of a controller, and pods that come up although there are no nodes: the
// test takes the part of scheduler and kubelet for those that no real node may take.
type stage struct {
	admin, controller server
	namespace         string
	scope             platform.Scope
}

// newStage makes one; the controller has the rights of those workloads.
func newStage(t *testing.T, namespaceName string) *stage {
	t.Helper()
	s := &stage{admin: realCluster(t, ""), namespace: namespaceName}
	namespace(t, s.admin, namespaceName, "restricted")
	s.controller = realCluster(t, "system:serviceaccount:"+namespaceName+":bakeoff-controller")
	s.scope = platform.Scope{
		Run: "seed-1", Namespace: namespaceName, NodeSelector: map[string]string{"bakeoff-test": "nowhere"},
		Sampler: platform.Container{Image: "r/bakeoff:1"},
	}
	s.own(t)
	return s
}

// own makes the Job that owns a run; its pod never starts.
func (s *stage) own(t *testing.T) {
	t.Helper()
	job := &batch.Job{
		ObjectMeta: meta.ObjectMeta{Name: "bakeoff-controller"},
		Spec: batch.JobSpec{Suspend: new(true), Template: core.PodTemplateSpec{Spec: core.PodSpec{
			RestartPolicy: core.RestartPolicyNever, Containers: []core.Container{{Name: "c", Image: "i"}},
		}}},
	}
	job, err := s.admin.client.BatchV1().Jobs(s.namespace).Create(t.Context(), job, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.scope.Owner = platform.Owner{Name: job.Name, UID: string(job.UID)}
}

// disown deletes that Job, and with it all that it owns.
func (s *stage) disown(t *testing.T) {
	t.Helper()
	background := meta.DeletePropagationBackground
	ctx := context.WithoutCancel(t.Context())
	if err := s.admin.client.BatchV1().Jobs(s.namespace).Delete(ctx, "bakeoff-controller", meta.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Error(err)
	}
}

// workloads are one of each kind.
func (s *stage) workloads(suffix string) []platform.Workload {
	main := platform.Container{Image: "r/x:1", Ports: []platform.Port{{Name: "http", Number: 8080}}}
	return []platform.Workload{
		{Name: "once" + suffix, Role: platform.RoleAgent, Lifetime: platform.Once, Main: main},
		{
			Name: "target-x" + suffix, Role: platform.RoleTarget, Target: "x" + suffix, Copies: 2, Main: main, Files: map[string]string{"a": "b"}, Sampled: true,
			Front: platform.Front{Kind: platform.FrontIngress, Name: "front-x" + suffix, Port: 8080, Host: "x" + suffix + ".example"},
		},
		{
			Name: "database" + suffix, Role: platform.RoleDatabase, Lifetime: platform.Stateful, Main: main,
			Front: platform.Front{Kind: platform.FrontRoute, Name: "front-y" + suffix, Port: 8080, Host: "y" + suffix + ".example", Gateway: "shared"},
		},
	}
}

// grant gives the controller rights, all of Rules or others.
func (s *stage) grant(t *testing.T, rules []Rule) {
	t.Helper()
	role := &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: "controller", Namespace: s.namespace}}
	for _, r := range rules {
		role.Rules = append(role.Rules, rbac.PolicyRule{APIGroups: []string{r.Group}, Resources: r.Resources, Verbs: r.Verbs, ResourceNames: r.Names})
	}
	binding := &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: "controller", Namespace: s.namespace},
		Subjects:   []rbac.Subject{{Kind: rbac.ServiceAccountKind, Name: "bakeoff-controller", Namespace: s.namespace}},
		RoleRef:    rbac.RoleRef{APIGroup: groupRights, Kind: "Role", Name: "controller"},
	}
	api := s.admin.client.RbacV1() // an update makes what is not there
	if err := errors.Join(second(api.Roles(s.namespace).Update(t.Context(), role, meta.UpdateOptions{})),
		second(api.RoleBindings(s.namespace).Update(t.Context(), binding, meta.UpdateOptions{}))); err != nil {
		t.Fatal(err)
	}
}

// rules are those of a controller of these workloads.
func (s *stage) rules() []Rule {
	return Rules(append(s.workloads(""), platform.Workload{Name: "controller", Rights: true, Lifetime: platform.Once}))
}

// settle waits until the API server knows which rights are lacking.
func (s *stage) settle(t *testing.T, lacking int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		got, err := s.controller.Lacking(t.Context(), s.namespace, s.rules())
		if err == nil && len(got) == lacking {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d rights are lacking, %v, want %d", len(got), err, lacking)
		}
	}
}

// live has every pod of the namespace come up on a node of its own, and end when it is deleted, until ctx ends.
func (s *stage) live(ctx context.Context) {
	seen := map[string]time.Time{}
	for ctx.Err() == nil {
		pods, err := s.admin.client.CoreV1().Pods(s.namespace).List(ctx, meta.ListOptions{})
		if err != nil {
			continue
		}
		for i := range pods.Items {
			s.livePod(ctx, &pods.Items[i], i, seen)
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func (s *stage) livePod(ctx context.Context, pod *core.Pod, i int, deleted map[string]time.Time) {
	pods := s.admin.client.CoreV1().Pods(s.namespace)
	switch {
	case pod.DeletionTimestamp != nil:
		if deleted[pod.Name].IsZero() {
			deleted[pod.Name] = time.Now()
		}
		if time.Since(deleted[pod.Name]) > 700*time.Millisecond { // enough to be asked to hurry
			_ = pods.Delete(ctx, pod.Name, meta.DeleteOptions{GracePeriodSeconds: new(int64(0))}) // again in the next round
		}
	case pod.Spec.NodeName == "":
		to := &core.Binding{ObjectMeta: meta.ObjectMeta{Name: pod.Name}, Target: core.ObjectReference{Kind: "Node", Name: fmt.Sprintf("bakeoff-test-%d", i)}}
		_ = pods.Bind(ctx, to, meta.CreateOptions{}) // likewise
	case !ready(pod):
		pod.Status.Phase, pod.Status.PodIP = core.PodRunning, "192.0.2.1"
		pod.Status.Conditions = append(pod.Status.Conditions, core.PodCondition{Type: core.PodReady, Status: core.ConditionTrue, LastTransitionTime: meta.Now()})
		pod.Status.ContainerStatuses = []core.ContainerStatus{{
			Name: mainName, Ready: true, ContainerID: "containerd://" + pod.Name, ImageID: "r/x@sha256:1", State: core.ContainerState{Running: &core.ContainerStateRunning{}},
		}}
		_, _ = pods.UpdateStatus(ctx, pod, meta.UpdateOptions{}) // likewise
	}
}

// play is all that a controller does with a cluster.
func (s *stage) play(ctx context.Context, dir, suffix string) error {
	r, err := s.controller.Run(ctx, s.scope, Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Secret(ctx, "agent"+suffix, map[string]string{"a": "b"}); err != nil {
		return err
	}
	var all errgroup.Group
	for _, w := range s.workloads(suffix) {
		all.Go(func() error {
			pods, err := r.Deploy(ctx, w, dir)
			if err != nil {
				return errors.Join(err, r.Remove(ctx, w.Name))
			}
			for _, p := range pods {
				now, err := p.Look(ctx)
				if err != nil || now.UID != p.Placement().UID {
					return fmt.Errorf("%+v: %w", now, err)
				}
			}
			return pods[0].Stop(ctx, time.Second)
		})
	}
	return errors.Join(all.Wait(), r.Lost())
}

// A workload of each kind is deployed and removed on a real API server, and nothing of it is left.
func TestAPIDeploys(t *testing.T) {
	s := newStage(t, "bakeoff-test-deploys")
	s.grant(t, s.rules())
	s.settle(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go s.live(ctx)
	if err := s.play(ctx, t.TempDir(), ""); err != nil {
		t.Fatal(err)
	}
	services, err := s.admin.client.CoreV1().Services(s.namespace).List(ctx, meta.ListOptions{})
	if err != nil || len(services.Items) > 0 {
		t.Errorf("left: %v, %v", services, err)
	}
	if left := objectsLeft(ctx, s.admin.client, s.namespace); left != "" {
		t.Errorf("left: %s", left)
	}
	s.disown(t)
}

// objectsLeft are the workloads and pods of a namespace, except the controller's Job.
func objectsLeft(ctx context.Context, client kubernetes.Interface, ns string) string {
	var left []string
	if all, err := client.AppsV1().Deployments(ns).List(ctx, meta.ListOptions{}); err != nil || len(all.Items) > 0 {
		left = append(left, fmt.Sprintf("%d deployments, %v", len(all.Items), err))
	}
	if all, err := client.BatchV1().Jobs(ns).List(ctx, meta.ListOptions{}); err != nil || len(all.Items) > 1 {
		left = append(left, fmt.Sprintf("%d jobs, %v", len(all.Items), err))
	}
	if all, err := client.CoreV1().Pods(ns).List(ctx, meta.ListOptions{}); err != nil || len(all.Items) > 0 {
		left = append(left, fmt.Sprintf("%d pods, %v", len(all.Items), err))
	}
	return strings.Join(left, "; ")
}

// The rights of a controller are the least that work: without any single one of them, something fails that names it.
func TestAPILeastRights(t *testing.T) {
	s := newStage(t, "bakeoff-test-least")
	s.disown(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	go s.live(ctx)
	s.grant(t, s.rules())
	tried := 0
	for i, rule := range s.rules() {
		for _, m := range rule.each(s.namespace) {
			tried++
			t.Run(m.Verb+" "+m.Resource+" "+m.Name, func(t *testing.T) {
				s.own(t)
				defer s.disown(t)
				s.grant(t, without(s.rules(), i, m))
				s.settle(t, 1)
				limit, stop := context.WithTimeout(ctx, 20*time.Second)
				defer stop()
				err := s.play(limit, t.TempDir(), fmt.Sprint("-", tried))
				if want := fmt.Sprintf("may not %s %s", m.Verb, m.Resource); err == nil || !strings.Contains(err.Error(), want) && !forbids(err, m) {
					t.Errorf("without it: %v", err)
				}
			})
		}
	}
	if tried < 20 {
		t.Errorf("%d rights were tried", tried)
	}
}

// forbids reports whether an error says that a right is lacking: the API checks create before patch where an object is not there.
func forbids(err error, m Missing) bool {
	return strings.Contains(err.Error(), fmt.Sprintf("cannot %s resource %q", m.Verb, m.Resource))
}

// without are rules that lack one right of the rule at i.
func without(rules []Rule, i int, m Missing) []Rule {
	out := slices.Clone(rules)
	whole := out[i]
	out = slices.Delete(out, i, i+1)
	for _, resource := range whole.Resources {
		verbs := slices.Clone(whole.Verbs)
		if resource == m.Resource {
			verbs = slices.DeleteFunc(verbs, func(v string) bool { return v == m.Verb })
		}
		if len(verbs) > 0 {
			out = append(out, Rule{Group: whole.Group, Resources: []string{resource}, Verbs: verbs, Names: whole.Names})
		}
	}
	return out
}

// What a real API server, its controllers and its scheduler say of what does not fit is explained within 10 s.
func TestAPIExplains(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, s *stage)
		at      int // of the workloads
		change  func(*platform.Workload)
		want    []string
	}{
		"quota": {func(t *testing.T, s *stage) {
			s.limit(t, core.ResourceList{"pods": resource.MustParse("0")})
		}, 1, nil, []string{"refuses its pods: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0; lower kubernetes.resources.target", "(kubectl describe quota -n "}},
		"quota of a job": {func(t *testing.T, s *stage) {
			s.limit(t, core.ResourceList{"pods": resource.MustParse("0")})
		}, 0, nil, []string{"once: the namespace", "exceeded quota: small"}},
		"quota that wants limits": {func(t *testing.T, s *stage) {
			s.limit(t, core.ResourceList{"limits.cpu": resource.MustParse("1")})
		}, 2, nil, []string{"failed quota: small: must specify limits.cpu"}},
		"limit range": {func(t *testing.T, s *stage) {
			r := &core.LimitRange{ObjectMeta: meta.ObjectMeta{Name: "small"}, Spec: core.LimitRangeSpec{Limits: []core.LimitRangeItem{
				{Type: core.LimitTypeContainer, Max: core.ResourceList{"memory": resource.MustParse("64Mi")}},
			}}}
			if _, err := s.admin.client.CoreV1().LimitRanges(s.namespace).Create(t.Context(), r, meta.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}, 2, func(w *platform.Workload) { w.Main.Limits.Bytes = 1 << 30 }, []string{"maximum memory usage per Container is 64Mi, but limit is 1Gi", "kubectl describe limitrange -n "}},
		"priority": {func(_ *testing.T, s *stage) { s.scope.Priority = "bakeoff-none" }, 2, nil, []string{"no PriorityClass with name bakeoff-none was found", "kubectl get priorityclass"}},
		"pod security": {func(_ *testing.T, s *stage) {
			s.scope.Annotations = map[string]string{"container.apparmor.security.beta.kubernetes.io/main": "unconfined"}
		}, 1, nil, []string{"violates PodSecurity", "--show-labels"}},
		"no place": {func(*testing.T, *stage) {}, 0, nil, []string{"once: it has no node: "}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "bakeoff-test-"+strings.ReplaceAll(name, " ", "-"))
			defer s.disown(t)
			s.grant(t, s.rules())
			s.settle(t, 0)
			c.prepare(t, s)
			w := s.workloads("")[c.at]
			if c.change != nil {
				c.change(&w)
			}
			r, err := s.controller.Run(t.Context(), s.scope, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			began := time.Now()
			_, err = r.Deploy(t.Context(), w, "")
			if _, ok := asReason(err); !ok || time.Since(began) > 12*time.Second { // 10 s since it is visible
				t.Errorf("after %s: %v", time.Since(began), err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}
		})
	}
}

// limit gives the namespace a quota, and waits until it counts.
func (s *stage) limit(t *testing.T, hard core.ResourceList) {
	t.Helper()
	quotas := s.admin.client.CoreV1().ResourceQuotas(s.namespace)
	if _, err := quotas.Create(t.Context(), &core.ResourceQuota{ObjectMeta: meta.ObjectMeta{Name: "small"}, Spec: core.ResourceQuotaSpec{Hard: hard}}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if q, err := quotas.Get(t.Context(), "small", meta.GetOptions{}); err == nil && len(q.Status.Hard) > 0 {
			return
		}
	}
	t.Fatal("the quota is not counted")
}
