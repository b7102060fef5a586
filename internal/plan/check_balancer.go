package plan

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"

	"bakeoff/internal/consent"
	"bakeoff/internal/strictyaml"
)

// InCluster reports whether the balancer is one that a cluster brings along.
func (b Balancer) InCluster() bool {
	return slices.Contains([]string{BalancerService, BalancerIngress, BalancerGateway}, b.Kind)
}

// targetMark stands for the target's name in the host of a balancer.
const targetMark = "{target}"

// HostOf is the name by which requests ask for a target.
func (b Balancer) HostOf(target string) string { return strings.ReplaceAll(b.Host, targetMark, target) }

func (c *checker) balancer() {
	b := c.plan.Balancer
	c.word("balancer.kind", b.Kind, "nginx", "direct", "external", BalancerService, BalancerIngress, BalancerGateway)
	c.brought()
	if b.Kind != "external" {
		c.absent("balancer.url", "is for kind: external")
		c.absent("balancer.replica_ports", "is for kind: external")
		return
	}
	c.replicaPorts()
	if b.URL == "" {
		c.report("balancer.url", "such as http://127.0.0.1:8080", "an external balancer needs a url")
		return
	}
	switch {
	case !c.url("balancer.url", b.URL):
	case strings.ContainsAny(b.URL, "?#"):
		c.report("balancer.url", "", "must end with the path: no ? and no #")
	case strings.HasPrefix(strings.ToLower(b.URL), "https:"):
		c.secure("balancer.url")
	}
}

func (c *checker) replicaPorts() {
	seen := map[int]bool{}
	for i, port := range c.plan.Balancer.ReplicaPorts {
		path := fmt.Sprintf("balancer.replica_ports[%d]", i)
		switch {
		case port < 1 || port > 65535:
			c.report(path, "", "must be 1 to 65535, but is %d", port)
		case seen[port]:
			c.report(path, "", "port %d is listed twice", port)
		}
		seen[port] = true
	}
	if len(seen) == 0 {
		c.report("balancer.replica_ports", "such as [9001, 9002]", "an external balancer needs the ports at which it expects the replicas")
	}
}

// balancerKeys are those of balancers that a cluster brings along, with the kinds that have them.
func balancerKeys() map[string][]string {
	shared := []string{BalancerIngress, BalancerGateway}
	return map[string][]string{
		"class": {BalancerIngress}, "name": {BalancerGateway}, "namespace": {BalancerGateway}, "host": shared, "address": shared, "annotations": shared,
		"equal_within": {BalancerService, BalancerIngress, BalancerGateway},
	}
}

// brought looks at the keys of balancers that a cluster brings along.
func (c *checker) brought() {
	b := c.plan.Balancer
	keys := balancerKeys()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		kinds := keys[key]
		if !slices.Contains(kinds, b.Kind) && !c.bad("balancer.kind") {
			c.absent("balancer."+key, "is for kind: "+strings.Join(kinds, " and "))
		}
	}
	if !b.InCluster() {
		return
	}
	if !c.has("kubernetes") {
		c.report("balancer.kind", "nginx, or add the key kubernetes", "%s is for a run in a cluster: nothing on one machine is one", b.Kind)
	}
	if c.has("balancer.equal_within") && !c.bad("balancer.equal_within") {
		c.delta("balancer.equal_within", b.EqualWithin)
	}
	if b.Kind == BalancerService {
		return
	}
	if c.plan.Uses(JMeter) {
		c.report("balancer.kind", "service or nginx", "JMeter connects to the host that it asks for, and that of kind %s is not its address", b.Kind)
	}
	c.object("balancer.class", b.Class)
	c.gateway()
	c.host()
	c.address()
	for _, key := range sortedKeys(b.Annotations) {
		if domain, _, _ := strings.Cut(key, "/"); !labelKey.MatchString(key) || domain == "bakeoff" {
			c.report(strictyaml.Join("balancer.annotations", key), "", "is not the name of an annotation of yours")
		}
	}
}

// gateway looks at who the Gateway is.
func (c *checker) gateway() {
	b := c.plan.Balancer
	if b.Kind != BalancerGateway {
		return
	}
	if !c.has("balancer.name") {
		c.report("balancer.name", "kubectl get gateways -A lists them", "is missing: the name of a Gateway that is there")
	}
	c.object("balancer.name", b.Name)
	if c.has("balancer.namespace") && !namespaceText.MatchString(b.Namespace) {
		c.report("balancer.namespace", "", "%s is not a namespace", strictyaml.Quote(b.Namespace))
	}
}

var (
	namespaceText = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	ruleHostText  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
)

// host looks at the name that requests ask for. The targets of a block may be up together: each needs a name of its own.
func (c *checker) host() {
	const key, such = "balancer.host", "such as {target}.bench.example; it goes into the header Host, and nobody looks it up"
	b := c.plan.Balancer
	switch {
	case c.bad(key):
	case !c.has(key):
		c.report(key, such, "is missing: by it the controller knows which target is asked for")
	case len(c.plan.Targets) > 1 && !strings.Contains(b.Host, targetMark):
		c.report(key, such, "has to contain {target}: the plan has %d targets, and each needs a host of its own", len(c.plan.Targets))
	default:
		for _, t := range c.plan.Targets {
			if host := b.HostOf(t.Name); len(host) > 253 || !ruleHostText.MatchString(host) || net.ParseIP(host) != nil {
				c.report(key, such, "%s is not a host name: small letters, digits, - and .", strictyaml.Quote(host))
				return
			}
		}
	}
}

// address looks at where connections are made: who names it there allows it.
func (c *checker) address() {
	const key = "balancer.address"
	b := c.plan.Balancer
	switch {
	case c.bad(key):
	case c.has(key):
		host, port := SplitAddress(b.Address)
		if err := consent.Allowable(host); err != nil {
			c.report(key, "such as 10.0.0.5 or traefik.kube-system:80", "%v", err)
		} else if !isPort(port) {
			c.report(key, "", "the port must be 1 to 65535")
		}
	case b.Kind == BalancerGateway:
		c.report(key, "such as 10.0.0.5; kubectl get gateways -A shows it", "is missing: the controller may not read a Gateway of others")
	}
}

// SplitAddress are the host and the port of an address, 80 where it has none.
func SplitAddress(address string) (host, port string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return strings.Trim(address, "[]"), "80"
	}
	return host, port
}
