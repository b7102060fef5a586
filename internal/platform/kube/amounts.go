package kube

import (
	"cmp"
	"fmt"

	core "k8s.io/api/core/v1"
)

// limited is why pods must not be used that have other limits than they were asked for with: a LimitRange of their namespace limits what
// nobody has limited, and so may all that changes pods on their way in. It is nil where they have those.
func (s situation) limited() error {
	want := amounts(s.workload.Main.Limits)
	for _, pod := range s.pods {
		is := mainSpec(pod).Resources.Limits
		if is.Cpu().Cmp(*want.Cpu()) == 0 && is.Memory().Cmp(*want.Memory()) == 0 {
			continue
		}
		r := s.reason("limits", atOnce, "the cluster has given the pod %s limits of its own, %s; the plan gives %s: a LimitRange, or what else changes pods there",
			pod.Name, limitText(is), limitText(want))
		r.Hint = "name limits in " + resourcesOf(s.workload) + " and run without --short, or use a namespace that gives none"
		r.Line = "kubectl describe limitrange -n " + s.scope.Namespace
		return r
	}
	return nil
}

// mainSpec is the main container of a pod as the cluster has it.
func mainSpec(pod *core.Pod) core.Container {
	for _, c := range pod.Spec.Containers {
		if c.Name == mainName {
			return c
		}
	}
	return core.Container{}
}

// limitText are limits in words.
func limitText(l core.ResourceList) string {
	text := ""
	for _, one := range []struct {
		name  core.ResourceName
		title string
	}{{core.ResourceCPU, "cpu"}, {core.ResourceMemory, "memory"}} {
		if q, limited := l[one.name]; limited && !q.IsZero() {
			text += fmt.Sprintf(" %s %s", one.title, q.String())
		}
	}
	return cmp.Or(text, " none")[1:]
}
