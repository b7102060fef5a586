package kube

import (
	"fmt"
	"path"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"bakeoff/internal/platform"
)

// A situation is what is known of a workload that is not ready.
type situation struct {
	scope    platform.Scope
	workload platform.Workload
	pods     []*core.Pod // those that are not being removed
	notes    []note      // since it was applied
}

// reasons are why it is not ready, the most precise first. Some are true of every pod that starts, and have to last.
func (s situation) reasons() []Reason {
	var out []Reason
	for _, pod := range s.pods {
		out = append(out, s.ofPod(pod)...)
	}
	out = append(out, s.ofStorage()...)
	out = append(out, s.ofPlaces()...)
	return append(out, s.ofMaker()...)
}

// reason makes one.
func (s situation) reason(key string, after time.Duration, format string, args ...any) Reason {
	return Reason{Workload: who(s.workload), Text: fmt.Sprintf(format, args...), key: key, after: after}
}

// describe is the line that shows all of a pod.
func (s situation) describe(pod string) string {
	return fmt.Sprintf("kubectl describe pod %s -n %s", pod, s.scope.Namespace)
}

// ofPod is why a pod that has a node is not ready.
func (s situation) ofPod(pod *core.Pod) []Reason {
	if pod.Spec.NodeName == "" {
		return nil
	}
	var out []Reason
	for _, c := range pod.Status.InitContainerStatuses {
		if t := c.State.Terminated; t == nil || t.ExitCode != 0 || c.Name == samplerName { // one of a mesh ends when it has done its work
			out = append(out, s.ofContainer(pod, c)...)
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		out = append(out, s.ofContainer(pod, c)...)
	}
	if moved := condition(pod, core.DisruptionTarget); moved.Status == core.ConditionTrue {
		out = append(out, s.moved(pod, moved.Message))
	} else if pod.Status.Phase == core.PodFailed && pod.Status.Reason != "" {
		out = append(out, s.moved(pod, strings.TrimSpace(pod.Status.Reason+": "+pod.Status.Message)))
	}
	return out
}

func (s situation) moved(pod *core.Pod, why string) Reason {
	r := s.reason("moved "+pod.Name, atOnce, "the pod %s was taken off %s: %s", pod.Name, pod.Spec.NodeName, why)
	r.Line = "kubectl describe node " + pod.Spec.NodeName
	return r
}

// ofContainer is why a container of a pod does not run, or has ended.
func (s situation) ofContainer(pod *core.Pod, c core.ContainerStatus) []Reason {
	ended := c.State.Terminated
	if ended == nil && c.RestartCount > 0 {
		ended = c.LastTerminationState.Terminated
	}
	switch {
	case ended != nil:
		return []Reason{s.ended(pod, c, *ended)}
	case c.State.Waiting != nil:
		return s.waits(pod, c, *c.State.Waiting)
	}
	return nil
}

// waits is why a container has not been started.
func (s situation) waits(pod *core.Pod, c core.ContainerStatus, w core.ContainerStateWaiting) []Reason {
	key := "waits " + pod.Name + " " + c.Name
	var r Reason
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable",
		"SignatureValidationFailed":
		return []Reason{s.image(pod, c, w)}
	case "CreateContainerConfigError":
		r = s.reason(key, settled, "the pod %s cannot be started: %s", pod.Name, brief(w.Message))
	case "CreateContainerError", "RunContainerError", "PostStartHookError":
		r = s.reason(key, settled, "the program of the pod %s cannot be started: %s", pod.Name, brief(w.Message))
	default:
		return nil
	}
	r.Line = s.describe(pod.Name)
	return []Reason{r}
}

// image is why there is no image.
func (s situation) image(pod *core.Pod, c core.ContainerStatus, w core.ContainerStateWaiting) Reason {
	image, node := imageOf(pod, c), pod.Spec.NodeName
	key := "image " + image
	switch {
	case w.Reason == "InvalidImageName":
		r := s.reason(key, atOnce, "%q is not the name of an image", image)
		r.Hint = "kubernetes.registry, tag or images of the plan"
		return r
	case strings.Contains(w.Message, "NotFound") || strings.Contains(w.Message, "not found") || strings.Contains(w.Message, "manifest unknown"):
		r := s.reason(key, atOnce, "the image %s is not in its registry (%s)", image, node)
		r.Hint, r.Line = "push it", s.push(c, image)
		return r
	}
	after := pullAgain
	if refusedPull(w.Message) {
		after = settled
	}
	r := s.reason(key, after, "%s cannot get the image %s: %s", node, image, brief(w.Message))
	r.Hint, r.Line = "kubernetes.pull_secret is for a registry that asks who it is", s.describe(pod.Name)
	return r
}

// refusedPull reports whether a registry refuses to say whether it has an image: asked again it would refuse again.
func refusedPull(message string) bool {
	for _, text := range []string{"pull access denied", "insufficient_scope", "401 Unauthorized", "403 Forbidden", "authentication required"} {
		if strings.Contains(message, text) {
			return true
		}
	}
	return false
}

// imageOf is the image of a container as the workload names it.
func imageOf(pod *core.Pod, c core.ContainerStatus) string {
	for _, list := range [][]core.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, one := range list {
			if one.Name == c.Name {
				return one.Image
			}
		}
	}
	return c.Image
}

// push is the line that pushes an image: bakeoff's own needs no other program.
func (s situation) push(c core.ContainerStatus, image string) string {
	own := s.workload.Role == platform.RoleController || s.workload.Role == platform.RoleAgent
	switch {
	case c.Name == samplerName, own && !hasJMeter(image):
		return "bakeoff image --push " + image
	case own:
		return "bakeoff image --jmeter IMAGE-WITH-JAVA --push " + image
	}
	return "docker push " + image
}

// hasJMeter reports whether an image has JMeter next to bakeoff, by the name that such images have unless the plan says otherwise.
func hasJMeter(image string) bool {
	name, _, _ := strings.Cut(path.Base(image), "@")
	name, _, _ = strings.Cut(name, ":")
	return name == "jmeter"
}

// ended is why a container has ended before it was ready.
func (s situation) ended(pod *core.Pod, c core.ContainerStatus, t core.ContainerStateTerminated) Reason {
	key, what := "ended "+pod.Name+" "+c.Name, "the pod "+pod.Name
	if c.Name != mainName {
		what = "the " + c.Name + " of " + what
	}
	var r Reason
	switch {
	case t.Reason == "OOMKilled" && c.Name == mainName:
		r = s.reason(key, atOnce, "%s needed more memory than it may have: %s", what, outOfMemory(s.workload))
		r.Hint = "raise " + resourcesOf(s.workload)
	case t.Reason == "StartError" || t.Reason == "ContainerCannotRun":
		r = s.reason(key, atOnce, "the program of %s cannot be started: %s", what, brief(t.Message))
		r.Line = s.describe(pod.Name)
		return r
	case s.overdue(pod):
		r = s.reason(key, atOnce, "%s was not ready within %s: %s", what, within(s.workload), asked(s.workload))
	default:
		exit := exitOf(t)
		r = s.reason(key, atOnce, "%s ended before it was ready: %s", what, exit)
		if exit.Signal != "" { // the event that says who ended it may come later
			r.after = heardLater
		}
	}
	if c.Name == mainName {
		r.pod = pod.Name
	}
	r.Line = fmt.Sprintf("kubectl logs %s -c %s -n %s", pod.Name, c.Name, s.scope.Namespace)
	if c.RestartCount > 0 {
		r.Line += " --previous"
	}
	return r
}

// outOfMemory says what limit was reached.
func outOfMemory(w platform.Workload) string {
	if w.Main.Limits.Bytes == 0 {
		return "OOMKilled; it has no limit, so its node had no more"
	}
	limit := size(w.Main.Limits.Bytes)
	return "OOMKilled at its limit of " + limit.String()
}

// overdue reports whether a node ended a container because it was not ready in time.
func (s situation) overdue(pod *core.Pod) bool {
	for _, n := range s.notes {
		if n.kind == "Pod" && n.object == pod.Name && n.reason == "Killing" && strings.Contains(n.text, "failed startup probe") {
			return true
		}
	}
	return false
}

// asked is what a container did not answer.
func asked(w platform.Workload) string {
	if w.Main.Ready != "" {
		return fmt.Sprintf("GET %s on port %d is not answered with 2xx", w.Main.Ready, w.Main.Ports[0].Number)
	}
	return fmt.Sprintf("port %d takes no connection", w.Main.Ports[0].Number)
}

// ofStorage is why the claim of a stateful workload has no volume.
func (s situation) ofStorage() []Reason {
	var out []Reason
	for _, n := range s.notes {
		if n.kind != "PersistentVolumeClaim" || !strings.HasPrefix(n.object, storageName+"-"+platform.ObjectName(s.workload.Name)+"-") {
			continue
		}
		after := never
		text := fmt.Sprintf("the claim %s has no volume: %s", n.object, n.text)
		switch {
		case strings.Contains(n.text, "no storage class is set"):
			after, text = settled, fmt.Sprintf("kubernetes.storage.%s names no class and the cluster has no default", s.workload.Name)
		case strings.Contains(n.text, "storageclass") && strings.Contains(n.text, "not found"):
			after, text = settled, fmt.Sprintf("the class of kubernetes.storage.%s is not there: %s", s.workload.Name, n.text)
		}
		r := s.reason("storage "+n.object, after, "%s", text)
		r.Hint, r.Line = "name one, or leave storage out", "kubectl get storageclass"
		out = append(out, r)
	}
	return out
}

// ofMaker is why what makes the pods may not: a Deployment's ReplicaSet, a StatefulSet, a Job. They say so in events only; those of a
// Deployment's condition are the same.
func (s situation) ofMaker() []Reason {
	if len(s.pods) >= s.workload.Pods() {
		return nil
	}
	var last *note
	for _, n := range s.notes {
		if n.reason == "FailedCreate" && s.makes(n) {
			last = &n
		}
	}
	if last == nil {
		return nil
	}
	return []Reason{s.forbidden(last.text)}
}

// makes reports whether a note is about what makes the pods of the workload.
func (s situation) makes(n note) bool {
	object := platform.ObjectName(s.workload.Name)
	switch n.kind {
	case "ReplicaSet": // named as its Deployment, with one more part
		part, ok := strings.CutPrefix(n.object, object+"-")
		return ok && !strings.Contains(part, "-")
	case "StatefulSet", "Job":
		return n.object == object
	}
	return false
}

// forbidden says which rule of a namespace forbids pods.
func (s situation) forbidden(text string) Reason {
	ns := s.scope.Namespace
	if _, why, found := strings.Cut(text, " is forbidden: "); found {
		text = why
	}
	r := s.reason("forbidden", settled, "the namespace %s refuses its pods: %s", ns, brief(text))
	r.Line = "kubectl get events -n " + ns
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("violates PodSecurity"):
		r.after, r.Line = atOnce, "kubectl get namespace "+ns+" --show-labels"
	case has("must specify limits"):
		r.Hint = "name limits of cpu and memory that equal its requests in " + resourcesOf(s.workload) + ", and run without --short: the container next to it has some then, too"
		r.Line = "kubectl describe quota -n " + ns
	case has("exceeded quota", "failed quota"):
		r.Hint, r.Line = "lower "+resourcesOf(s.workload)+", or raise the quota", "kubectl describe quota -n "+ns
	case has("usage per Container", "usage per Pod", "limit to request ratio"):
		r.after, r.Hint, r.Line = atOnce, "change "+resourcesOf(s.workload)+", or the limit range", "kubectl describe limitrange -n "+ns
	case has("no PriorityClass"):
		r.after, r.Hint, r.Line = atOnce, "kubernetes.pods.priority_class names it", "kubectl get priorityclass"
	}
	return r
}

// late is what is known when the time is up.
func (s situation) late(after time.Duration) Reason {
	if all := s.reasons(); len(all) > 0 {
		return all[0]
	}
	up, of := 0, s.workload.Pods()
	r := Reason{Workload: who(s.workload), Line: fmt.Sprintf("kubectl get pods -n %s -l %s=%s", s.scope.Namespace, labelName, platform.ObjectName(s.workload.Name))}
	why := ""
	for _, pod := range s.pods {
		if ready(pod) {
			up++
			continue
		}
		r.pod, why = pod.Name, s.lastOf(pod)
	}
	r.Text = fmt.Sprintf("%d of %d pods are ready after %s", up, of, after.Round(time.Second))
	if why != "" {
		r.Text += "; " + why
	}
	return r
}

// lastOf is the last that was said of a pod.
func (s situation) lastOf(pod *core.Pod) string {
	text := ""
	for _, n := range s.notes {
		if n.kind == "Pod" && n.object == pod.Name {
			text = fmt.Sprintf("the pod %s: %s: %s", pod.Name, n.reason, n.text)
		}
	}
	return brief(text)
}

// brief is text in one line of at most 600 characters.
func brief(text string) string {
	const most = 600
	line := []rune(strings.Join(strings.Fields(text), " "))
	if len(line) <= most {
		return string(line)
	}
	return string(line[:most]) + " ..."
}
