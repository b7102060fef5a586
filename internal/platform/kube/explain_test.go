package kube

import (
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"

	"bakeoff/internal/platform"
)

// unplaced makes the last n pods of a target have no node, for what the scheduler says.
func unplaced(n int, message string) func(int, *core.Pod) {
	return func(i int, p *core.Pod) {
		if i < 3-n {
			return
		}
		p.Spec.NodeName, p.Status.ContainerStatuses = "", nil
		p.Status.Conditions = []core.PodCondition{{Type: core.PodScheduled, Status: core.ConditionFalse, Reason: core.PodReasonUnschedulable, Message: message}}
	}
}

// waiting makes the second pod's container wait.
func waiting(reason, message string) func(int, *core.Pod) {
	return secondContainer(func(c *core.ContainerStatus) {
		c.State, c.ContainerID = core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: reason, Message: message}}, ""
	})
}

// crashed makes the second pod's container one that has ended once, and waits to be started again.
func crashed(t core.ContainerStateTerminated) func(int, *core.Pod) {
	return secondContainer(func(c *core.ContainerStatus) {
		c.State = core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}}
		c.LastTerminationState, c.RestartCount = core.ContainerState{Terminated: &t}, 1
	})
}

func secondContainer(change func(*core.ContainerStatus)) func(int, *core.Pod) {
	return func(i int, p *core.Pod) {
		if i == 1 {
			p.Status.Conditions = nil
			change(&p.Status.ContainerStatuses[0])
		}
	}
}

// said is an event.
func said(kind, object, reason, message string) []core.Event {
	return []core.Event{{InvolvedObject: core.ObjectReference{Kind: kind, Name: object}, Reason: reason, Message: message}}
}

// asIs leaves a workload as it is.
func asIs(*platform.Workload) {}

// An explained is what the cluster shows of a workload, and what the user reads.
type explained struct {
	workload func(*platform.Workload)
	shape    func(int, *core.Pod)
	events   []core.Event
	within   time.Duration
	want     []string
}

func database(w *platform.Workload) {
	amounts := platform.Amounts{MilliCPU: 2000, Bytes: 8 << 30}
	*w = platform.Workload{
		Name: "database", Role: platform.RoleDatabase, Lifetime: platform.Stateful, Storage: platform.Storage{Path: "/data", Bytes: 1 << 30},
		Main: platform.Container{Image: "mysql:8.0", Requests: amounts, Limits: amounts},
	}
}

func agent(w *platform.Workload) {
	*w = platform.Workload{
		Name: "agent-0", Role: platform.RoleAgent, Lifetime: platform.Once, AwayFrom: []string{platform.RoleTarget}, MustKeep: true,
		Main: platform.Container{Image: "r/bakeoff/bakeoff:1", Requests: platform.Amounts{MilliCPU: 1000}},
	}
}

func jmeterServer(w *platform.Workload) {
	agent(w)
	w.Name, w.Main.Image = "jmeter-server-0", "r/jmeter:1"
}

// alone is unplaced for a workload of one pod.
func alone(message string) func(int, *core.Pod) {
	return func(_ int, p *core.Pod) { unplaced(3, message)(0, p) }
}

// nothing makes pods that are not of the run.
func nothing(_ int, p *core.Pod) { p.Labels = nil }

// placesExplained are of pods that have no node, or no volume.
func placesExplained() map[string]explained {
	return map[string]explained{
		"two nodes for three replicas": {
			asIs, unplaced(1, "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."),
			nil, 10 * time.Second,
			[]string{"target django: replica 3 of 3 has no node: 2 of 2 carry one already; fewer replicas, another node, or kubernetes.spread: any (kubectl get nodes)"},
		},
		"taints": {
			asIs, unplaced(2, "0/3 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 2 node(s) had untolerated taint(s). preemption: not eligible"),
			nil, 10 * time.Second,
			[]string{"target django: replica 2 of 3 has no node: of 3 nodes, 1 carries one already, 2 have a taint that it does not tolerate; ", "or kubernetes.pods.tolerations", "(kubectl get nodes -o custom-columns=NODE"},
		},
		"a taint by its name": {
			asIs, unplaced(3, "0/1 nodes are available: 1 node(s) had untolerated taint {a.example/dedicated: db}. preemption: not eligible"),
			nil, 10 * time.Second,
			[]string{"replica 1 of 3 has no node: 1 of 1 has a taint that it does not tolerate (a.example/dedicated: db)"},
		},
		"insufficient cpu": {
			database, alone("0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found."),
			nil, 10 * time.Second,
			[]string{"database: it has no node: 3 of 3 have less than 2 cores free for it; lower kubernetes.resources.database (kubectl describe nodes)"},
		},
		"insufficient memory and a cordoned node": {
			asIs, unplaced(3, "0/2 nodes are available: 1 Insufficient memory, 1 node(s) were unschedulable. preemption: none"),
			nil, 10 * time.Second,
			[]string{"of 2 nodes, 1 has less than 544 MiB free for it, 1 is cordoned; lower kubernetes.resources.target, or kubectl uncordon NODE"},
		},
		"agents away from targets": {
			agent, alone("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. preemption: none"),
			nil, 10 * time.Second,
			[]string{"agent-0: it has no node: 3 of 3 carry pods that it must keep away from; another node, or a reason in kubernetes.allow_colocated (kubectl get pods -o wide -n ns)"},
		},
		"a node that is not well": {
			asIs, unplaced(3, "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }. preemption: none"),
			nil, 10 * time.Second,
			[]string{"of 2 nodes, 1 has less than 0.52 cores free for it, 1 has a taint that the cluster itself sets on a node that is not well (node.kubernetes.io/disk-pressure); lower kubernetes.resources.target (kubectl describe nodes)"},
		},
		"a server of JMeter": {
			jmeterServer, alone("0/3 nodes are available: 3 Insufficient cpu. preemption: none"), nil, 10 * time.Second,
			[]string{"jmeter-server-0: it has no node: 3 of 3 have less than 1 core free for it; lower kubernetes.resources.jmeter"},
		},
		"a node that is brought and does not come": {
			asIs, unplaced(1, "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. preemption: none"),
			said("Pod", "bakeoff-target-django-2", "TriggeredScaleUp", "pod triggered scale-up: [{pool 2->3 (max: 5)}]"), 391 * time.Second,
			[]string{"replica 3 of 3 has no node: 2 of 2 carry one already; the cluster brings a node, as it says, and none has come (TriggeredScaleUp: pod triggered scale-up: [{pool 2->3 (max: 5)}]); "},
		},
		"no node at all": {asIs, unplaced(3, "no nodes available to schedule pods"), nil, 10 * time.Second, []string{"has no node: no nodes available to schedule pods (kubectl get nodes)"}},
		"no default storage class": {
			database, alone("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found, preemption: not helpful"),
			said("PersistentVolumeClaim", "storage-bakeoff-database-0", "FailedBinding", "no persistent volumes available for this claim and no storage class is set"),
			10 * time.Second,
			[]string{"database: kubernetes.storage.database names no class and the cluster has no default; name one, or leave storage out (kubectl get storageclass)"},
		},
		"a storage class that is not there": {
			database, alone("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found, preemption: not helpful"),
			said("PersistentVolumeClaim", "storage-bakeoff-database-0", "ProvisioningFailed", `storageclass.storage.k8s.io "fast" not found`),
			10 * time.Second,
			[]string{`database: the class of kubernetes.storage.database is not there: storageclass.storage.k8s.io "fast" not found`},
		},
	}
}

// rulesExplained are of rules of the namespace, and of what is not said.
func rulesExplained() map[string]explained {
	return map[string]explained{
		"quota": {
			asIs, nothing, said("ReplicaSet", "bakeoff-target-django-5d8f", "FailedCreate", `Error creating: pods "bakeoff-target-django-5d8f-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2`),
			10 * time.Second,
			[]string{"target django: the namespace ns refuses its pods: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2; lower kubernetes.resources.target, or raise the quota (kubectl describe quota -n ns)"},
		},
		"a quota that asks for limits": {
			asIs, nothing, said("ReplicaSet", "bakeoff-target-django-5d8f", "FailedCreate", `Error creating: pods "x" is forbidden: failed quota: small: must specify limits.cpu for: main,sampler; limits.memory for: main,sampler`),
			10 * time.Second,
			[]string{"limits.memory for: main,sampler; name limits of cpu and memory that equal its requests in kubernetes.resources.target, and run without --short", "(kubectl describe quota -n ns)"},
		},
		"limit range": {
			database, nothing, said("StatefulSet", "bakeoff-database", "FailedCreate", `create Pod bakeoff-database-0 in StatefulSet bakeoff-database failed error: pods "bakeoff-database-0" is forbidden: maximum cpu usage per Container is 1, but limit is 2`),
			time.Second,
			[]string{"database: the namespace ns refuses its pods: maximum cpu usage per Container is 1, but limit is 2; change kubernetes.resources.database, or the limit range (kubectl describe limitrange -n ns)"},
		},
		"pod security": {
			agent, nothing, said("Job", "bakeoff-agent-0", "FailedCreate", `Error creating: pods "bakeoff-agent-0-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`),
			time.Second,
			[]string{`agent-0: the namespace ns refuses its pods: violates PodSecurity "restricted:latest": runAsNonRoot != true (kubectl get namespace ns --show-labels)`},
		},
		"another's events are not ours": {
			asIs, unplaced(1, "0/2 nodes are available: 2 node(s) had untolerated taint(s). preemption: none"),
			said("ReplicaSet", "bakeoff-target-django-b-5d8f", "FailedCreate", `Error creating: pods "x" is forbidden: violates PodSecurity`),
			10 * time.Second,
			[]string{"replica 3 of 3 has no node"},
		},
		"nothing is said": {
			asIs, secondPod(func(p *core.Pod) {
				p.Status.ContainerStatuses[0].State = core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "ContainerCreating"}}
			}),
			said("Pod", "bakeoff-target-django-1", "FailedMount", "configmap not found"), 391 * time.Second,
			[]string{"target django: 2 of 3 pods are ready after 6m30s; the pod bakeoff-target-django-1: FailedMount: configmap not found (kubectl get pods -n ns -l bakeoff/name=bakeoff-target-django)"},
		},
	}
}

// imagesExplained are of containers that cannot be made.
func imagesExplained() map[string]explained {
	return map[string]explained{
		"missing image": {
			asIs, waiting("ImagePullBackOff", `Back-off pulling image "r/django:1": ErrImagePull: rpc error: code = NotFound desc = r/django:1: not found`),
			nil, time.Second,
			[]string{"target django: the image r/django:1 is not in its registry (node-2); push it (docker push r/django:1)"},
		},
		"missing image of ours": {
			agent, func(_ int, p *core.Pod) { waiting("ErrImagePull", "r/bakeoff/bakeoff:1: not found")(1, p) },
			nil, time.Second,
			[]string{"agent-0: the image r/bakeoff/bakeoff:1 is not in its registry (node-3); push it (bakeoff image --push r/bakeoff/bakeoff:1)"},
		},
		"missing image of JMeter": {
			jmeterServer, func(_ int, p *core.Pod) { waiting("ErrImagePull", "r/jmeter:1: not found")(1, p) },
			nil, time.Second,
			[]string{"jmeter-server-0: the image r/jmeter:1 is not in its registry (node-3); push it (bakeoff image --jmeter IMAGE-WITH-JAVA --push r/jmeter:1)"},
		},
		"a registry that does not answer": {
			asIs, waiting("ErrImagePull", "dial tcp 10.0.0.1:5000: connection refused"), nil, 31 * time.Second,
			[]string{"target django: node-2 cannot get the image r/django:1: dial tcp 10.0.0.1:5000: connection refused; kubernetes.pull_secret is for"},
		},
		"a registry that refuses": {
			asIs, waiting("ErrImagePull", "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope"), nil, 6 * time.Second,
			[]string{"target django: node-2 cannot get the image r/django:1: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope; kubernetes.pull_secret is for"},
		},
		"no name of an image": {asIs, waiting("InvalidImageName", "x"), nil, time.Second, []string{`"r/django:1" is not the name of an image; kubernetes.registry, tag or images of the plan`}},
		"a secret that is not there": {
			asIs, waiting("CreateContainerConfigError", `secret "bakeoff-run" not found`), nil, 10 * time.Second,
			[]string{`target django: the pod bakeoff-target-django-1 cannot be started: secret "bakeoff-run" not found (kubectl describe pod bakeoff-target-django-1 -n ns)`},
		},
	}
}

// endsExplained are of containers that have ended.
func endsExplained() map[string]explained {
	return map[string]explained{
		"crash loop": {
			asIs, crashed(core.ContainerStateTerminated{ExitCode: 7, Reason: "Error"}), nil, time.Second,
			[]string{"target django: the pod bakeoff-target-django-1 ended before it was ready: exit status 7 (kubectl logs bakeoff-target-django-1 -c main -n ns --previous); its log ends with:\nno such module"},
		},
		"ended by somebody": {
			asIs, crashed(core.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}), nil, 3 * time.Second,
			[]string{"ended before it was ready: ended by SIGKILL"},
		},
		"ended well, too early": {
			asIs, crashed(core.ContainerStateTerminated{ExitCode: 0, Reason: "Completed"}), nil, time.Second,
			[]string{"ended before it was ready: exit status 0"},
		},
		"out of memory": {
			func(w *platform.Workload) { w.Main.Limits.Bytes = 64 << 20 },
			crashed(core.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}), nil, time.Second,
			[]string{"the pod bakeoff-target-django-1 needed more memory than it may have: OOMKilled at its limit of 64Mi; raise kubernetes.resources.target (kubectl logs", "no such module"},
		},
		"the sampler": {
			asIs, secondPod(func(p *core.Pod) {
				end := core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}}
				well := core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: 0, Reason: "Completed"}}
				p.Status.InitContainerStatuses = []core.ContainerStatus{{Name: "mesh-init", State: well}, {Name: samplerName, State: end}}
			}), nil, time.Second,
			[]string{"target django: the sampler of the pod bakeoff-target-django-1 ended before it was ready: exit status 1 (kubectl logs bakeoff-target-django-1 -c sampler -n ns)"},
		},
		"out of the node's memory": {
			asIs, crashed(core.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}), nil, time.Second, []string{"OOMKilled; it has no limit, so its node had no more"},
		},
		"no such program": {
			asIs, crashed(core.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: `exec: "gunicorn": executable file not found in $PATH`}), nil, time.Second,
			[]string{`the program of the pod bakeoff-target-django-1 cannot be started: exec: "gunicorn": executable file not found in $PATH (kubectl describe pod`},
		},
		"not ready in time": {
			asIs, crashed(core.ContainerStateTerminated{ExitCode: 143, Reason: "Error"}),
			said("Pod", "bakeoff-target-django-1", "Killing", "Container main failed startup probe, will be restarted"), time.Second,
			[]string{"the pod bakeoff-target-django-1 was not ready within 1m30s: GET /ping on port 8080 is not answered with 2xx", "no such module"},
		},
		"evicted": {
			asIs, secondPod(func(p *core.Pod) {
				p.Status.Phase, p.Status.Reason, p.Status.Message = core.PodFailed, "Evicted", "The node was low on resource: memory."
				p.Status.ContainerStatuses = nil
			}), nil, time.Second,
			[]string{"the pod bakeoff-target-django-1 was taken off node-2: Evicted: The node was low on resource: memory. (kubectl describe node node-2)"},
		},
	}
}

// What the cluster shows is explained to the user: in his words, with the object's name and the line to run, within 10 s. One pod
// that cannot be ready ends the wait, while all others are fine.
func TestExplain(t *testing.T) {
	for _, cases := range []map[string]explained{placesExplained(), rulesExplained(), imagesExplained(), endsExplained()} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) { c.test(t, dir) })
			})
		}
	}
}

func (c explained) test(t *testing.T, dir string) {
	w := django()
	c.workload(&w)
	s := newSite(t, w)
	s.shape, s.events = c.shape, c.events
	s.logs = func(string, url.Values) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("no such module\n")), nil
	}
	r := s.run(t, Options{})
	defer r.Close()
	began := time.Now()
	_, err := r.Deploy(t.Context(), w, dir)
	took := time.Since(began)
	reason, ok := asReason(err)
	if !ok || reason.Workload != who(w) {
		t.Fatalf("%v", err)
	}
	for _, want := range c.want {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
	if took > c.within {
		t.Errorf("explained after %s, want %s", took, c.within)
	}
	if err := r.Remove(t.Context(), w.Name); err != nil {
		t.Error(err)
	}
	if logs, _ := filepath.Glob(filepath.Join(dir, "*.log")); len(reason.Log) > 0 && len(logs) == 0 { // of pods that were there
		t.Errorf("logs kept: %v", logs)
	}
}

// secondPod changes the second pod.
func secondPod(change func(*core.Pod)) func(int, *core.Pod) {
	return func(i int, p *core.Pod) {
		if i == 1 {
			p.Status.Conditions = nil
			change(p)
		}
	}
}

// What the cluster repairs by itself in a few seconds is no reason.
func TestExplainWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		s.shape = unplaced(1, "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. preemption: none")
		r := s.run(t, Options{})
		defer r.Close()
		time.AfterFunc(3*time.Second, func() {
			s.change(t, "bakeoff-target-django-2", func(p *core.Pod) { *p = *podOf(w, 2) })
		})
		pods, err := r.Deploy(t.Context(), w, "")
		if err != nil || len(pods) != 3 {
			t.Fatalf("%v, %v", pods, err)
		}
	})
}

// A node that the cluster's autoscaler says it brings is waited for, which takes minutes.
func TestExplainWaitsForANode(t *testing.T) {
	for _, reason := range []string{"TriggeredScaleUp", "Nominated"} {
		synctest.Test(t, func(t *testing.T) {
			w := django()
			s := newSite(t, w)
			s.shape = unplaced(1, "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. preemption: none")
			r := s.run(t, Options{})
			defer r.Close()
			time.AfterFunc(6*time.Second, func() {
				e := said("Pod", "bakeoff-target-django-2", reason, "a node comes")[0]
				e.Name, e.Namespace, e.UID = "scaler", "ns", "scaler"
				if err := s.Tracker().Create(eventsResource, &e, "ns"); err != nil {
					t.Error(err)
				}
			})
			time.AfterFunc(2*time.Minute, func() {
				s.change(t, "bakeoff-target-django-2", func(p *core.Pod) { *p = *podOf(w, 2) })
			})
			if pods, err := r.Deploy(t.Context(), w, ""); err != nil || len(pods) != 3 {
				t.Errorf("%s: %v, %v", reason, pods, err)
			}
		})
	}
}

// A matter has to last; one that comes again begins again.
func TestPatience(t *testing.T) {
	p, at := patience{}, time.Unix(0, 0)
	r := Reason{Text: "a", key: "a", after: 5 * time.Second}
	for i, c := range []struct {
		after   time.Duration
		reasons []Reason
		final   bool
	}{
		{0, []Reason{r}, false},
		{4 * time.Second, []Reason{r}, false},
		{time.Second, nil, false},
		{time.Second, []Reason{r}, false},
		{4 * time.Second, []Reason{r}, false},
		{time.Second, []Reason{r}, true},
		{0, []Reason{r, {key: "b", after: atOnce}}, true},
	} {
		at = at.Add(c.after)
		if _, final := p.final(c.reasons, at); final != c.final {
			t.Errorf("%d: final %v", i, final)
		}
	}
}

// A file of a log that is kept says how much is not in it.
func TestLogFileLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	l, err := newLogFile(path, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"abc", "defg", "h"} {
		if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	l.close()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "abcde\nbakeoff: 3 bytes of this log were discarded\n" {
		t.Errorf("%q, %v", got, err)
	}
}
