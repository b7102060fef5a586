package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"bakeoff/internal/platform"
)

// runScope is that of a run whose Job is there in newSite.
func runScope() platform.Scope {
	return platform.Scope{
		Run: "seed-1", Namespace: "ns", Owner: platform.Owner{Name: "bakeoff-controller", UID: "uid-1"},
		Sampler: platform.Container{Image: "r/bakeoff:1", Requests: platform.Amounts{MilliCPU: 20, Bytes: 32 << 20}},
	}
}

// django is a target of three replicas.
func django() platform.Workload {
	return platform.Workload{
		Name: "target-django", Role: platform.RoleTarget, Target: "django", Copies: 3, OnePerNode: true, Sampled: true, Within: 90 * time.Second,
		Main: platform.Container{
			Image: "r/django:1", Ready: "/ping", Ports: []platform.Port{{Name: "http", Number: 8080}}, Requests: platform.Amounts{MilliCPU: 500, Bytes: 512 << 20},
		},
	}
}

// A site is a fake server that makes the pods of what is applied, as the controllers and nodes of a cluster do.
type site struct {
	*fakeServer
	// shape changes each pod that is made.
	shape func(i int, pod *core.Pod)
	// events are what is said of a workload when it is applied.
	events []core.Event
	// lingers is how long pods are there after what made them.
	lingers time.Duration
}

var (
	podsResource   = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	eventsResource = schema.GroupVersionResource{Version: "v1", Resource: "events"}
)

// newSite is one in which w is to be deployed.
func newSite(t *testing.T, w platform.Workload) *site {
	t.Helper()
	job := &batch.Job{ObjectMeta: meta.ObjectMeta{Name: "bakeoff-controller", Namespace: "ns", UID: "uid-1"}}
	s := &site{fakeServer: newFakeServer(job), shape: func(int, *core.Pod) {}}
	s.logs = func(string, url.Values) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
	s.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, nil }) // they linger
	makers := []string{"deployments", "statefulsets", "jobs"}
	for _, maker := range makers {
		s.PrependReactor("patch", maker, func(clienttesting.Action) (bool, runtime.Object, error) {
			s.makePods(t, w)
			return false, nil, nil
		})
		s.PrependReactor("delete", maker, func(clienttesting.Action) (bool, runtime.Object, error) {
			s.endPods(t, w)
			return false, nil, nil
		})
	}
	return s
}

// endPods deletes the pods that are there, as a cluster does: at first they are only marked.
func (s *site) endPods(t *testing.T, w platform.Workload) {
	for i := range w.Pods() {
		name := podOf(w, i).Name
		pod, err := s.Tracker().Get(podsResource, "ns", name)
		if err != nil || pod.(*core.Pod).DeletionTimestamp != nil {
			continue
		}
		pod.(*core.Pod).DeletionTimestamp = new(meta.Now())
		if err := s.Tracker().Update(podsResource, pod, "ns"); err != nil {
			t.Error(err)
		}
		time.AfterFunc(s.lingers, func() { _ = s.Tracker().Delete(podsResource, "ns", name) })
	}
}

func (s *site) makePods(t *testing.T, w platform.Workload) {
	for i := range w.Pods() {
		pod := podOf(w, i)
		s.shape(i, pod)
		if err := s.Tracker().Create(podsResource, pod, "ns"); err != nil {
			t.Error(err)
		}
	}
	for i, e := range s.events {
		e.Name, e.Namespace, e.UID = fmt.Sprint("event-", i), "ns", types.UID(fmt.Sprint("event-", i))
		if err := s.Tracker().Create(eventsResource, &e, "ns"); err != nil {
			t.Error(err)
		}
	}
}

// change changes a pod that is there.
func (s *site) change(t *testing.T, name string, how func(*core.Pod)) {
	t.Helper()
	pod, err := s.CoreV1().Pods("ns").Get(context.Background(), name, meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	how(pod)
	if err := s.Tracker().Update(podsResource, pod, "ns"); err != nil {
		t.Fatal(err)
	}
}

// podOf is a pod of a workload that is ready; the first one is on the last node.
func podOf(w platform.Workload, i int) *core.Pod {
	object := platform.ObjectName(w.Name)
	name := fmt.Sprintf("%s-%d", object, i)
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID("uid-" + name), Labels: map[string]string{labelRun: "seed-1", labelName: object}},
		Spec: core.PodSpec{
			NodeName: fmt.Sprintf("node-%d", 3-i), Containers: []core.Container{{Name: mainName, Image: w.Main.Image, Resources: core.ResourceRequirements{Limits: amounts(w.Main.Limits)}}},
			InitContainers: []core.Container{{Name: samplerName, Image: "r/bakeoff:1"}},
		},
		Status: core.PodStatus{
			PodIP: fmt.Sprintf("10.0.0.%d", i), Phase: core.PodRunning,
			Conditions: []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue, LastTransitionTime: meta.Unix(1000, 0)}},
			ContainerStatuses: []core.ContainerStatus{{
				Name: mainName, ContainerID: "containerd://" + name, ImageID: "r/django@sha256:1", State: core.ContainerState{Running: &core.ContainerStateRunning{}},
			}},
		},
	}
}

// run begins a run at a site.
func (s *site) run(t *testing.T, o Options) *Run {
	t.Helper()
	r, err := fakeCluster(t, s.fakeServer).Run(context.Background(), runScope(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A workload is deployed as pods in the order of their nodes, with their logs, until it is removed.
func TestDeploy(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		s.logs = func(pod string, _ url.Values) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("2026-01-02T03:04:05.000000001Z ready " + pod + "\n")), nil
		}
		r := s.run(t, Options{PIDs: func(_ context.Context, p platform.Pod) ([]int, error) {
			return []int{8, 7, len(p.Name())}, nil
		}})
		defer r.Close()
		pods, err := r.Deploy(t.Context(), w, dir)
		if err != nil || len(pods) != 3 {
			t.Fatalf("%v, %v", pods, err)
		}
		for i, p := range pods {
			want := platform.Placement{Pod: fmt.Sprintf("bakeoff-target-django-%d", 2-i), Node: fmt.Sprintf("node-%d", i+1), Image: "r/django@sha256:1"}
			want.UID, want.Ready = "uid-"+want.Pod, time.Unix(1000, 0).UTC()
			got := p.Placement()
			got.Ready = got.Ready.UTC()
			if p.Name() != fmt.Sprintf("django-%d", i+1) || fmt.Sprint(got) != fmt.Sprint(want) || p.Address() != fmt.Sprintf("10.0.0.%d", 2-i) {
				t.Errorf("%s: %+v at %s, want %+v", p.Name(), got, p.Address(), want)
			}
			if !slices.Equal(p.PIDs(), []int{7, 8, 8}) || p.PID() != 7 {
				t.Errorf("%s: processes %v, first %d", p.Name(), p.PIDs(), p.PID())
			}
		}
		if now, err := pods[0].Look(t.Context()); err != nil || now.Pod != pods[0].Placement().Pod {
			t.Errorf("%+v, %v", now, err)
		}
		if _, err := r.Deploy(t.Context(), w, dir); err == nil {
			t.Error("deployed twice")
		}
		if err := r.Remove(t.Context(), w.Name); err != nil {
			t.Fatal(err)
		}
		for _, p := range pods {
			<-p.Done()
			text, err := os.ReadFile(filepath.Join(dir, p.Name()+".log"))
			if err != nil || string(text) != "ready "+p.Placement().Pod+"\n" || p.PIDs() != nil {
				t.Errorf("%s: %q, %v", p.Name(), text, err)
			}
		}
		s.removed(t)
		if err := errors.Join(r.Remove(t.Context(), w.Name), r.Remove(t.Context(), "none"), pods[0].Stop(t.Context(), 0)); err != nil {
			t.Error(err)
		}
	})
}

// A removal lasts until no pod is left, and gives pods less time where it is asked to; one that takes too long names them.
func TestRemoveLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		s.lingers = 4 * time.Second
		r := s.run(t, Options{})
		defer r.Close()
		pods, err := r.Deploy(t.Context(), w, "")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := pods[0].Stop(short, 0); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "target django is not removed: ") ||
			!strings.Contains(err.Error(), "left: bakeoff-target-django-2 on node-1, bakeoff-target-django-1 on node-2") {
			t.Errorf("%v", err)
		}
		hurried := 0
		for _, a := range s.Actions() {
			d, ok := a.(clienttesting.DeleteActionImpl)
			if ok && d.Resource.Resource == "pods" && *d.DeleteOptions.GracePeriodSeconds == 1 && *d.DeleteOptions.Preconditions.UID == types.UID("uid-"+d.Name) {
				hurried++
			}
		}
		if hurried != 3 {
			t.Errorf("%d pods had less time", hurried)
		}
		again, err := r.Deploy(t.Context(), w, "") // it waits for the pods of before
		if err != nil || len(again) != 3 || time.Since(began) < s.lingers {
			t.Fatalf("deployed again after %s: %d pods, %v", time.Since(began), len(again), err)
		}
		began = time.Now()
		if err := r.Remove(t.Context(), w.Name); err != nil || time.Since(began) < s.lingers {
			t.Errorf("removed after %s, %v", time.Since(began), err)
		}
	})
}

// Only what was applied is removed, by its UID: another object that has taken the name stays.
func TestRemoveByUID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		var applied, asked []string
		s.PrependReactor("patch", "services", func(a clienttesting.Action) (bool, runtime.Object, error) {
			name := a.(clienttesting.PatchActionImpl).Name
			applied = append(applied, "uid of "+name)
			return true, &core.Service{ObjectMeta: meta.ObjectMeta{Name: name, UID: types.UID("uid of " + name)}}, nil
		})
		s.PrependReactor("delete", "services", func(a clienttesting.Action) (bool, runtime.Object, error) {
			d := a.(clienttesting.DeleteActionImpl)
			if only := d.DeleteOptions.Preconditions; only != nil && only.UID != nil {
				asked = append(asked, string(*only.UID))
			}
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "services"}, d.Name, errors.New("the UID differs"))
		})
		r := s.run(t, Options{})
		defer r.Close()
		if _, err := r.Deploy(t.Context(), w, ""); err != nil {
			t.Fatal(err)
		}
		if err := r.Remove(t.Context(), w.Name); err != nil || len(applied) == 0 || !slices.Equal(asked, applied) {
			t.Errorf("%v: removed %q of %q", err, asked, applied)
		}
	})
}

// What the cluster has refused to make is not removed either: an object of that name would be another's.
func TestRemoveOnlyMade(t *testing.T) {
	for name, c := range map[string]struct {
		refusal error
		removed []string
	}{
		"refused": {apierrors.NewConflict(schema.GroupResource{Group: "apps", Resource: "deployments"}, "x", errors.New("another manager has it")), nil},
		"no answer": {
			errors.New("connection refused"), []string{"/apis/apps/v1/namespaces/ns/deployments/bakeoff-target-django"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := django()
				s := newSite(t, w)
				var removed []string
				s.refuse = func(r *http.Request) error {
					switch {
					case r.Method == http.MethodDelete:
						removed = append(removed, r.URL.Path)
					case r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/deployments/"):
						return c.refusal
					}
					return nil
				}
				r := s.run(t, Options{})
				defer r.Close()
				if _, err := r.Deploy(t.Context(), w, ""); err == nil {
					t.Fatal("deployed")
				}
				if err := r.Remove(t.Context(), w.Name); err != nil {
					t.Error(err)
				}
				if want := append(c.removed, "/api/v1/namespaces/ns/services/bakeoff-target-django"); !slices.Equal(removed, want) {
					t.Errorf("removed %q, want %q", removed, want)
				}
			})
		})
	}
}

// Pods that the cluster has limited by itself are not used, whatever the plan limits.
func TestLimited(t *testing.T) {
	amount := func(cpu, memory string) core.ResourceList {
		out := core.ResourceList{}
		for name, text := range map[core.ResourceName]string{core.ResourceCPU: cpu, core.ResourceMemory: memory} {
			if text != "" {
				out[name] = resource.MustParse(text)
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		plan platform.Amounts
		is   core.ResourceList
		want string // of the error; empty: there is none
	}{
		"none":           {platform.Amounts{}, nil, ""},
		"as asked for":   {platform.Amounts{MilliCPU: 1500, Bytes: 64 << 20}, amount("1500m", "64Mi"), ""},
		"of other kinds": {platform.Amounts{}, core.ResourceList{core.ResourceEphemeralStorage: resource.MustParse("1Gi")}, ""},
		"a default": {
			platform.Amounts{},
			amount("500m", "512Mi"),
			"target django: the cluster has given the pod bakeoff-target-django-1 limits of its own, cpu 500m memory 512Mi; the plan gives none: a LimitRange, or what else changes pods there; " +
				"name limits in kubernetes.resources.target and run without --short, or use a namespace that gives none (kubectl describe limitrange -n ns)",
		},
		"one more": {platform.Amounts{Bytes: 64 << 20}, amount("500m", "64Mi"), "cpu 500m memory 64Mi; the plan gives memory 64Mi"},
		"another":  {platform.Amounts{MilliCPU: 1000}, amount("2", ""), "cpu 2; the plan gives cpu 1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := django()
				w.Main.Limits = c.plan
				s := newSite(t, w)
				s.shape = func(i int, p *core.Pod) {
					if p.Spec.Containers[0].Resources.Limits = amounts(c.plan); i == 1 {
						p.Spec.Containers[0].Resources.Limits = c.is
					}
				}
				r := s.run(t, Options{})
				defer r.Close()
				_, err := r.Deploy(t.Context(), w, "")
				if _, ok := asReason(err); ok != (c.want != "") || ok && !strings.Contains(err.Error(), c.want) {
					t.Errorf("got  %v\nwant %s", err, c.want)
				}
				if err := r.Remove(t.Context(), w.Name); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// removed fails when something of a workload is left, or was not removed in the foreground.
func (s *site) removed(t *testing.T) {
	t.Helper()
	for _, a := range s.Actions() {
		d, ok := a.(clienttesting.DeleteActionImpl)
		if ok && d.Resource.Resource == "deployments" && *d.DeleteOptions.PropagationPolicy != meta.DeletePropagationForeground {
			t.Errorf("%+v", d)
		}
	}
	services, err := s.CoreV1().Services("ns").List(context.Background(), meta.ListOptions{})
	if err != nil || len(services.Items) > 0 {
		t.Errorf("left: %v, %v", services, err)
	}
	deployments, err := s.AppsV1().Deployments("ns").List(context.Background(), meta.ListOptions{})
	if err != nil || len(deployments.Items) > 0 {
		t.Errorf("left: %v, %v", deployments, err)
	}
}

// A pod has ended when its main container has, whatever the cluster does next, and says why.
func TestPodEnds(t *testing.T) {
	ended := func(code int32, reason string) *core.ContainerStateTerminated {
		return &core.ContainerStateTerminated{ExitCode: code, Reason: reason}
	}
	for name, c := range map[string]struct {
		change func(*core.Pod)
		want   string
	}{
		"exit": {func(p *core.Pod) {
			p.Status.ContainerStatuses[0].State = core.ContainerState{Terminated: ended(3, "Error")}
		}, "exit status 3"},
		"out of memory": {func(p *core.Pod) {
			p.Status.ContainerStatuses[0].State = core.ContainerState{Terminated: ended(137, "OOMKilled")}
		}, "ended by SIGKILL: OOMKilled at its limit of 64Mi"},
		"started again": {func(p *core.Pod) {
			c := &p.Status.ContainerStatuses[0]
			c.RestartCount, c.ContainerID, c.LastTerminationState.Terminated = 1, "containerd://other", ended(143, "Error")
		}, "ended by SIGTERM"},
		"evicted": {func(p *core.Pod) {
			p.Status.Phase = core.PodFailed
			p.Status.Conditions = append(p.Status.Conditions, core.PodCondition{Type: core.DisruptionTarget, Status: core.ConditionTrue, Message: "Eviction API: evicting"})
		}, "ended by SIGKILL: the pod was taken off its node: Eviction API: evicting"},
		"deleted": {nil, "ended by SIGKILL: the pod was deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := platform.Workload{Name: "agent-0", Role: platform.RoleAgent, Lifetime: platform.Once, Main: platform.Container{Image: "r/bakeoff:1", Limits: platform.Amounts{Bytes: 64 << 20}}}
				s := newSite(t, w)
				r := s.run(t, Options{})
				defer r.Close()
				pods, err := r.Deploy(t.Context(), w, "")
				if err != nil {
					t.Fatal(err)
				}
				select {
				case <-pods[0].Done():
					t.Fatal("ended before its end")
				default:
				}
				pod := pods[0].Placement().Pod
				if c.change != nil {
					s.change(t, pod, c.change)
				} else if err := s.Tracker().Delete(podsResource, "ns", pod); err != nil {
					t.Fatal(err)
				}
				<-pods[0].Done()
				if got := pods[0].Exit(); got.String() != c.want || got.At.IsZero() {
					t.Errorf("got %s, want %s", got, c.want)
				}
				if _, err := pods[0].Look(t.Context()); err == nil && name != "started again" && name != "evicted" {
					t.Error("it is still looked at")
				}
			})
		})
	}
}

// A look knows what has become of a pod before the watch does.
func TestLookIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		w.Main.Limits.Bytes = 96 << 20
		s := newSite(t, w)
		var late atomic.Bool
		s.refuse = func(r *http.Request) error {
			if late.Load() && r.URL.Query().Get("watch") == "true" {
				return apierrors.NewServiceUnavailable("late")
			}
			return nil
		}
		r := s.run(t, Options{})
		defer r.Close()
		pods, err := r.Deploy(t.Context(), w, "")
		if err != nil {
			t.Fatal(err)
		}
		late.Store(true)
		s.leave(true) // every watch ends
		s.leave(false)
		s.change(t, pods[0].Placement().Pod, func(p *core.Pod) {
			c := &p.Status.ContainerStatuses[0]
			c.RestartCount, c.ContainerID = 1, "containerd://other"
			c.LastTerminationState.Terminated = &core.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
		})
		if now, err := pods[0].Look(t.Context()); err != nil || now.Restarts != 1 {
			t.Errorf("%+v, %v", now, err)
		}
		if err := s.Tracker().Delete(podsResource, "ns", pods[1].Placement().Pod); err != nil {
			t.Fatal(err)
		}
		if now, err := pods[1].Look(t.Context()); err == nil {
			t.Errorf("it is gone: %+v", now)
		}
		for i, want := range []string{"OOMKilled at its limit of 96Mi", podDeleted} {
			select {
			case <-pods[i].Done():
				if got := pods[i].Exit().Why; got != want {
					t.Errorf("%q, want %q", got, want)
				}
			default:
				t.Errorf("%s has not ended", pods[i].Name())
			}
		}
	})
}

// A pod that was not ready for a while is known to have been so, also where its node says later that it was always ready.
func TestPodLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		r := s.run(t, Options{})
		defer r.Close()
		pods, err := r.Deploy(t.Context(), w, "")
		if err != nil {
			t.Fatal(err)
		}
		pod := pods[0].Placement().Pod
		synctest.Wait()
		s.change(t, pod, func(p *core.Pod) {
			p.Status.Conditions[0] = core.PodCondition{Type: core.PodReady, Status: core.ConditionFalse, Reason: "NodeLost", LastTransitionTime: meta.Now()}
		})
		synctest.Wait()
		s.change(t, pod, func(p *core.Pod) {
			p.Status.Conditions[0] = core.PodCondition{Type: core.PodReady, Status: core.ConditionTrue, LastTransitionTime: meta.Unix(1000, 0)}
		})
		silent := func(ready bool) func(p *core.Pod) {
			return func(p *core.Pod) {
				p.Status.Conditions[0] = core.PodCondition{Type: core.PodReady, Status: core.ConditionFalse}
				for i := range p.Status.ContainerStatuses {
					p.Status.ContainerStatuses[i].Ready = ready
				}
			}
		}
		for i, change := range []func(p *core.Pod){silent(true), silent(false)} {
			pod := pods[i+1].Placement().Pod
			s.change(t, pod, change)
			synctest.Wait()
			s.change(t, pod, func(p *core.Pod) {
				p.Status.Conditions[0] = core.PodCondition{Type: core.PodReady, Status: core.ConditionTrue, LastTransitionTime: meta.Unix(1000, 0)}
			})
		}
		for i, want := range []string{"NodeLost", "the cluster does not hear of its node any more, where it was ready", "no reason is given"} {
			now, err := pods[i].Look(t.Context())
			if err != nil || now.Lapse != want || !now.Ready.Equal(pods[i].Placement().Ready) {
				t.Errorf("%s: %+v, %v, want the lapse %q", pods[i].Name(), now, err, want)
			}
		}
	})
}

// New values of a secret are in a new object, which workloads that are deployed from then on refer to.
func TestSecretAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := platform.Workload{Name: "agent-0", Role: platform.RoleAgent, Lifetime: platform.Once, Main: platform.Container{
			Image: "r/bakeoff:1", Env: []platform.Variable{{Name: "A", Secret: "agent-0", Key: "a"}, {Name: "B", Secret: "run", Key: "b"}},
		}}
		s := newSite(t, w)
		r := s.run(t, Options{})
		defer r.Close()
		for i := range 3 {
			if err := r.Secret(t.Context(), "agent-0", map[string]string{"a": fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Deploy(t.Context(), w, ""); err != nil {
			t.Fatal(err)
		}
		job, err := s.BatchV1().Jobs("ns").Get(t.Context(), "bakeoff-agent-0", meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		env := job.Spec.Template.Spec.Containers[0].Env
		if a, b := env[0].ValueFrom.SecretKeyRef.Name, env[1].ValueFrom.SecretKeyRef.Name; a != "bakeoff-agent-0-3" || b != "bakeoff-run" {
			t.Errorf("secrets %s and %s", a, b)
		}
		secret, err := s.CoreV1().Secrets("ns").Get(t.Context(), "bakeoff-agent-0-3", meta.GetOptions{})
		if err != nil || secret.StringData["a"] != "2" || secret.OwnerReferences[0].UID != "uid-1" || !*secret.Immutable {
			t.Errorf("%+v, %v", secret, err)
		}
		created := 0
		for _, a := range s.Actions() {
			if a.GetResource().Resource == "secrets" && a.GetVerb() == "create" {
				created++
			}
			if a.GetResource().Resource == "secrets" && a.GetVerb() != "create" && a.GetVerb() != "get" {
				t.Errorf("a secret: %v", a)
			}
		}
		if created != 3 {
			t.Errorf("asked %d times for 3 secrets", created)
		}
	})
}

// The run is lost when its Job is gone, or the API was away for a minute; a shorter absence loses nothing.
func TestLost(t *testing.T) {
	t.Run("deleted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := django()
			s := newSite(t, w)
			s.shape = func(_ int, p *core.Pod) { p.Status.Conditions = nil }
			r := s.run(t, Options{})
			defer r.Close()
			began := time.Now()
			time.AfterFunc(20*time.Second, func() {
				if err := s.BatchV1().Jobs("ns").Delete(context.Background(), "bakeoff-controller", meta.DeleteOptions{}); err != nil {
					t.Error(err)
				}
			})
			_, err := r.Deploy(t.Context(), w, "")
			if took := time.Since(began); err == nil || !errors.Is(err, r.Lost()) || !strings.Contains(err.Error(), "the Job bakeoff-controller is not in the namespace ns") || took > 26*time.Second {
				t.Errorf("%v after %s", err, took)
			}
		})
	})
	for away, lost := range map[time.Duration]bool{45 * time.Second: false, 75 * time.Second: true} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := django()
				s := newSite(t, w)
				r := s.run(t, Options{})
				defer r.Close()
				pods, err := r.Deploy(t.Context(), w, "")
				if err != nil {
					t.Fatal(err)
				}
				s.leave(true)
				s.change(t, pods[0].Placement().Pod, func(p *core.Pod) {
					p.Status.ContainerStatuses[0].State = core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: 7}}
				})
				time.Sleep(away)
				s.leave(false)
				<-pods[0].Done() // the watch goes on
				if err := r.Lost(); (err != nil) != lost {
					t.Errorf("lost: %v", err)
				}
			})
		})
	}
}

// A watch whose place the API does not know any more begins again, and notices what has gone.
func TestWatchExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		r := s.run(t, Options{})
		defer r.Close()
		pods, err := r.Deploy(t.Context(), w, "")
		if err != nil {
			t.Fatal(err)
		}
		var watches atomic.Int32
		s.PrependWatchReactor("pods", func(clienttesting.Action) (bool, watch.Interface, error) {
			if watches.Add(1) > 1 {
				return false, nil, nil
			}
			return true, nil, apierrors.NewResourceExpired("too old")
		})
		s.leave(true)
		if err := s.Tracker().Delete(podsResource, "ns", pods[1].Placement().Pod); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.leave(false)
		<-pods[1].Done()
		select {
		case <-pods[0].Done():
			t.Error("a pod that is there has ended")
		default:
		}
		if watches.Load() == 0 {
			t.Error("no watch was opened")
		}
	})
}

// Without the Job that owns a run, and without rights, none begins.
func TestRunRefused(t *testing.T) {
	s := newFakeServer()
	if _, err := fakeCluster(t, s).Run(t.Context(), runScope(), Options{}); !errors.As(err, &deleted{}) {
		t.Errorf("without its Job: %v", err)
	}
	scope := runScope()
	scope.Run = "-"
	if _, err := fakeCluster(t, s).Run(t.Context(), scope, Options{}); err == nil {
		t.Error("a run without a name")
	}
	full := newSite(t, django())
	full.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		why := errors.New(`User "a" cannot list resource "events" in API group "" in the namespace "ns"`)
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", why)
	})
	_, err := fakeCluster(t, full.fakeServer).Run(t.Context(), runScope(), Options{})
	if err == nil || !strings.Contains(err.Error(), "a may not list events in ns: kubectl auth can-i list events -n ns --as=a") {
		t.Errorf("without a right: %v", err)
	}
}
