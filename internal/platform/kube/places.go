package kube

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"bakeoff/internal/platform"
)

// scalerHeard is how long the cluster's autoscaler may take to say that it brings a node: the usual one looks every 10 s.
const scalerHeard = 7 * time.Second

// ofPlaces is why a pod has no node.
func (s situation) ofPlaces() []Reason {
	placed, why := 0, ""
	for _, pod := range s.pods {
		c := condition(pod, core.PodScheduled)
		switch {
		case pod.Spec.NodeName != "":
			placed++
		case c.Status == core.ConditionFalse && c.Reason == core.PodReasonUnschedulable:
			why = c.Message
		}
	}
	if why == "" {
		return nil
	}
	who := "it"
	if all := s.workload.Pods(); all > 1 {
		who = fmt.Sprintf("replica %d of %d", placed+1, all)
	}
	text, hints, line := s.nodes(why)
	after := scalerHeard
	if said := s.scaler(); said != "" {
		after, text = never, text+"; the cluster brings a node, as it says, and none has come ("+said+")"
	}
	r := s.reason("places", after, "%s has no node: %s", who, text)
	r.Hint, r.Line, r.err = strings.Join(hints, ", or "), line, platform.ErrNoRoom
	return []Reason{r}
}

// scaler is what an autoscaler says of a pod that has no node, for which it brings one; empty: there is none, or it has said nothing.
func (s situation) scaler() string {
	said := ""
	for _, n := range s.notes {
		waits := slices.ContainsFunc(s.pods, func(p *core.Pod) bool { return p.Name == n.object && p.Spec.NodeName == "" })
		if n.kind == "Pod" && waits && (n.reason == "TriggeredScaleUp" || n.reason == "Nominated") { // of cluster-autoscaler, and of Karpenter
			said = n.reason + ": " + brief(n.text)
		}
	}
	return said
}

// What the scheduler says: "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. preemption: ...".
var (
	schedulerText = regexp.MustCompile(`^0/(\d+) nodes are available: (.*)$`)
	taintText     = regexp.MustCompile(`\{([^}]*)\}`)
)

// nodes says in the user's words what the scheduler says of the nodes, what would help, and the line that shows more.
func (s situation) nodes(message string) (text string, hints []string, line string) {
	line = "kubectl get nodes"
	found := schedulerText.FindStringSubmatch(message)
	if found == nil {
		return brief(message), nil, line
	}
	said, _, _ := strings.Cut(found[2], ". ") // what follows is about preemption
	said = strings.TrimSuffix(said, ".")
	if strings.Contains(said, "PersistentVolumeClaims") {
		return said, nil, "kubectl get pvc,storageclass -n " + s.scope.Namespace
	}
	var parts []string
	for _, item := range strings.Split(said, ", ") {
		number, what, _ := strings.Cut(item, " ")
		what, hint, more := s.node(what)
		parts = append(parts, agree(number, what))
		if hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
		if more != "" {
			line = more
		}
	}
	if len(parts) == 1 {
		number, what, _ := strings.Cut(parts[0], " ")
		return fmt.Sprintf("%s of %s %s", number, found[1], what), hints, line
	}
	return fmt.Sprintf("of %s nodes, %s", found[1], strings.Join(parts, ", ")), hints, line
}

// agree puts a number before a verb that is in the plural.
func agree(number, what string) string {
	verb, rest, _ := strings.Cut(what, " ")
	if one := map[string]string{"have": "has", "carry": "carries", "lack": "lacks", "are": "is"}[verb]; number == "1" && one != "" {
		verb = one
	}
	return number + " " + verb + " " + rest
}

// node says what is wrong with nodes that the scheduler says something of.
func (s situation) node(said string) (what, hint, line string) {
	w := s.workload
	has := func(part string) bool { return strings.Contains(said, part) }
	switch {
	case has("didn't match pod anti-affinity rules") && w.OnePerNode:
		return "carry one already", "fewer replicas, another node, or kubernetes.spread: any", ""
	case has("anti-affinity rules"):
		return "carry pods that it must keep away from", s.apart(), "kubectl get pods -o wide -n " + s.scope.Namespace
	case has("taint {node.kubernetes.io/"):
		return "have a taint that the cluster itself sets on a node that is not well" + taint(said), "", "kubectl describe nodes"
	case has("untolerated taint"), has("had taints"):
		return "have a taint that it does not tolerate" + taint(said), "kubernetes.pods.tolerations",
			"kubectl get nodes -o custom-columns=NODE:.metadata.name,TAINTS:.spec.taints"
	case has("Insufficient cpu"):
		return fmt.Sprintf("have less than %s free for it", cores(s.asks().MilliCPU)), "lower " + resourcesOf(w), "kubectl describe nodes"
	case has("Insufficient memory"):
		return fmt.Sprintf("have less than %d MiB free for it", s.asks().Bytes>>20), "lower " + resourcesOf(w), "kubectl describe nodes"
	case has("were unschedulable"):
		return "are cordoned", "kubectl uncordon NODE", ""
	case has("node affinity/selector"):
		return "lack the labels of kubernetes.pods.node_selector " + labelText(s.scope.NodeSelector), "", "kubectl get nodes --show-labels"
	case has("Too many pods"):
		return "have as many pods as they may", "", ""
	}
	return strings.TrimPrefix(said, "node(s) "), "", "kubectl describe nodes"
}

// apart is what lets pods onto nodes from which they keep away.
func (s situation) apart() string {
	if s.workload.Role == platform.RoleAgent {
		return "another node, or a reason in kubernetes.allow_colocated"
	}
	return "another node"
}

// asks is what one pod asks for.
func (s situation) asks() platform.Amounts {
	asks := s.workload.Main.Requests
	if s.workload.Sampled {
		asks.MilliCPU += s.scope.Sampler.Requests.MilliCPU
		asks.Bytes += s.scope.Sampler.Requests.Bytes
	}
	return asks
}

// taint is the one that older schedulers name.
func taint(said string) string {
	if found := taintText.FindStringSubmatch(said); found != nil {
		return " (" + strings.TrimSuffix(strings.TrimSpace(found[1]), ":") + ")"
	}
	return ""
}

// labelText are labels as a plan has them.
func labelText(labels map[string]string) string {
	var out []string
	for key, value := range labels {
		out = append(out, key+"="+strconv.Quote(value))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
