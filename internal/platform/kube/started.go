package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"golang.org/x/sys/unix"

	"bakeoff/internal/platform"
)

// A started pod is a platform.Pod.
type started struct {
	deployment *deployment
	name       string
	uid        types.UID
	container  string // its main container, as the node's runtime calls it
	address    string
	placed     platform.Placement
	log        *podLog

	mu    sync.Mutex
	pid   int    // of the first process; 0: not known yet
	why   string // it is about to end
	lapse string // why it was not ready for a while; empty: it always was
	done  chan struct{}
	exit  platform.Exit
}

func newStarted(d *deployment, name, log string, pod *core.Pod) *started {
	s := &started{
		deployment: d, name: name, uid: pod.UID, container: mainOf(pod).ContainerID, address: pod.Status.PodIP, placed: placement(pod, d.workload),
		done: make(chan struct{}),
	}
	s.log = newPodLog(d.run.api, pod, log, d.workload.LogLimit, s.done)
	return s
}

// placement is how a pod is placed now.
func placement(pod *core.Pod, w platform.Workload) platform.Placement {
	main := mainOf(pod)
	p := platform.Placement{
		Pod: pod.Name, UID: string(pod.UID), Node: pod.Spec.NodeName, Image: main.ImageID, Restarts: int(main.RestartCount),
		Ready: condition(pod, core.PodReady).LastTransitionTime.Time,
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name != mainName && (c.Name != samplerName || !w.Sampled) {
			p.Others = append(p.Others, c.Name)
		}
	}
	return p
}

// Name implements platform.Process.
func (s *started) Name() string { return s.name }

// Placement implements platform.Pod.
func (s *started) Placement() platform.Placement { return s.placed }

// Address implements platform.Pod.
func (s *started) Address() string { return s.address }

// Log implements platform.Pod.
func (s *started) Log() string { return s.log.path }

// Done implements platform.Process.
func (s *started) Done() <-chan struct{} { return s.done }

// Exit implements platform.Process.
func (s *started) Exit() platform.Exit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exit
}

// PID implements platform.Process.
func (s *started) PID() int {
	s.mu.Lock()
	pid := s.pid
	s.mu.Unlock()
	if pid != 0 {
		return pid
	}
	pids := s.PIDs()
	if len(pids) == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pid = cmp.Or(s.pid, pids[0])
	return s.pid
}

// PIDs implements platform.Process.
func (s *started) PIDs() []int {
	r := s.deployment.run
	select {
	case <-s.done:
		return nil
	default:
	}
	if r.options.PIDs == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
	defer cancel()
	pids, err := r.options.PIDs(ctx, s)
	if err != nil {
		return nil
	}
	return slices.Sorted(slices.Values(pids))
}

// Stop implements platform.Process. It removes the workload with all its pods.
func (s *started) Stop(ctx context.Context, grace time.Duration) error {
	return s.deployment.remove(ctx, grace)
}

// Look implements platform.Pod.
func (s *started) Look(ctx context.Context) (platform.Placement, error) {
	r, pod := s.deployment.run, &core.Pod{}
	at := where("", r.scope.Namespace, "pods", s.placed.Pod)
	err := r.insist(ctx, func(ctx context.Context) error { return r.api.get(ctx, at, nil, pod) })
	switch {
	case apierrors.IsNotFound(err) || err == nil && pod.UID != s.uid:
		s.see(nil, true)
		return platform.Placement{}, fmt.Errorf("%s: the pod %s is not there any more", s.name, s.placed.Pod)
	case err != nil:
		return platform.Placement{}, denied(err)
	}
	s.see(pod, false) // the watch may be late: who looks then asks why it has ended
	now := placement(pod, s.deployment.workload)
	s.mu.Lock()
	now.Lapse = s.lapse
	s.mu.Unlock()
	switch {
	case pod.DeletionTimestamp != nil && !s.deployment.removing.Load():
		return now, fmt.Errorf("%s: the pod %s on %s is being removed: %s", s.name, pod.Name, now.Node, cmp.Or(condition(pod, core.DisruptionTarget).Message, podDeleted))
	case mainOf(pod).State.Running == nil:
		return now, fmt.Errorf("%s: the pod %s does not run", s.name, pod.Name)
	case !ready(pod):
		return now, fmt.Errorf("%s: the pod %s on %s is not ready: %s", s.name, pod.Name, now.Node, notReady(pod))
	}
	return now, nil
}

// notReady is why a pod that runs is not ready. The cluster gives no reason when it has not heard of the node for too long.
func notReady(pod *core.Pod) string {
	c := condition(pod, core.PodReady)
	reason := "no reason is given"
	if c.Status == core.ConditionFalse && mainOf(pod).Ready {
		reason = "the cluster does not hear of its node any more, where it was ready"
	}
	return strings.TrimSpace(cmp.Or(c.Reason, reason) + " " + c.Message)
}

// see takes the pod as it is now.
func (s *started) see(pod *core.Pod, gone bool) {
	if gone {
		s.end(platform.Exit{Code: -1, Signal: "SIGKILL", Why: podDeleted}, false)
		return
	}
	s.leaves(pod)
	s.lapses(pod)
	main := mainOf(pod)
	last := main.LastTerminationState.Terminated
	replaced := main.RestartCount > int32(s.placed.Restarts) || main.ContainerID != "" && main.ContainerID != s.container
	switch {
	case replaced && last != nil:
		s.end(exitOf(*last), true)
	case replaced:
		s.end(platform.Exit{Code: -1, Why: "the container was started again"}, true)
	case main.State.Terminated != nil:
		s.end(exitOf(*main.State.Terminated), false)
	case pod.Status.Phase == core.PodFailed:
		s.end(platform.Exit{Code: -1, Signal: "SIGKILL", Why: strings.TrimSpace(pod.Status.Reason + " " + pod.Status.Message)}, false)
	}
}

const podDeleted = "the pod was deleted"

// leaves keeps in mind why a pod is about to end.
func (s *started) leaves(pod *core.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c := condition(pod, core.DisruptionTarget); {
	case c.Status == core.ConditionTrue:
		s.why = "the pod was taken off its node: " + c.Message
	case pod.DeletionTimestamp != nil && s.why == "":
		s.why = podDeleted
	}
}

// lapses keeps in mind that a pod was not ready. A node that comes back says since when its pods were ready as it did before.
func (s *started) lapses(pod *core.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lapse == "" && !ready(pod) && !s.deployment.removing.Load() {
		s.lapse = notReady(pod)
	}
}

// end notes the end, once.
func (s *started) end(e platform.Exit, replaced bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return
	default:
	}
	switch {
	case s.deployment.removing.Load():
		e.Why = "" // we have asked for it
	case e.Why == "OOMKilled":
		e.Why = outOfMemory(s.deployment.workload)
	case s.why != "":
		e.Why = s.why
	}
	e.At = time.Now()
	s.exit = e
	s.log.replaced.Store(replaced)
	close(s.done)
}

// exitOf is how a container has ended. A runtime writes a signal as 128 and its number.
func exitOf(t core.ContainerStateTerminated) platform.Exit {
	e := platform.Exit{Code: int(t.ExitCode)}
	signal := t.Signal
	if signal == 0 && t.ExitCode > 128 {
		signal = t.ExitCode - 128
	}
	if name := unix.SignalName(syscall.Signal(signal)); signal > 0 && name != "" {
		e.Code, e.Signal = -1, name
	}
	if t.Reason != "Error" && t.Reason != "Completed" {
		e.Why = strings.TrimSpace(t.Reason + " " + brief(t.Message))
	}
	return e
}

// open begins to follow the log. It fails only where that is forbidden, or the file cannot be written.
func (s *started) open() error {
	if s.log.path == "" {
		return nil
	}
	r := s.deployment.run
	stream, err := s.log.begin(r.ctx)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(r.ctx)
	s.log.stop = stop
	r.tasks.Go(func() { s.log.follow(ctx, stream) })
	return nil
}

// finish waits until the log is whole, or gives up what is left of it: the file does not change afterwards, as a seal may follow.
func (s *started) finish(ctx context.Context) {
	select {
	case <-s.log.whole:
	case <-ctx.Done():
	case <-time.After(logWithin):
	}
	if s.log.stop != nil {
		s.log.stop()
		<-s.log.whole
	}
}
