package cli

import (
	"fmt"
	"os"

	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/show"
)

// portRange is the range of local ports that the kernel gives to connections of this machine; nothing where it does not
// say.
func portRange() (low, high int) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, 0
	}
	if _, err := fmt.Sscan(string(text), &low, &high); err != nil {
		return 0, 0
	}
	return low, high
}

// enoughPorts refuses more connections than there are local ports for: to one address each takes a port of its own.
// where names the setting.
func enoughPorts(where string, connections, addresses int) error {
	low, high := portRange()
	ports, to := high-low+1, "one address"
	if low == 0 || connections <= ports*addresses {
		return nil
	}
	if addresses > 1 {
		to = fmt.Sprintf("%d addresses", addresses)
	}
	return misused("fewer connections, or more local ports: sysctl -w net.ipv4.ip_local_port_range='1024 65535'",
		"%s: %s connections to %s need more local ports than this machine has: %s (net.ipv4.ip_local_port_range is %d to %d)",
		where, show.Count(int64(connections)), to, show.Count(int64(ports)), low, high)
}

// planPorts refuses a plan, of a file of this name, whose closed phases need more local ports than there are.
func planPorts(name string, p *plan.Plan) error {
	addresses := 1
	if p.Balancer.Kind == "direct" {
		addresses = max(p.Deployment.Replicas, 1)
	}
	for i, phase := range p.Phases {
		if phase.Model != load.Closed {
			continue // its connections are an upper bound
		}
		if err := enoughPorts(fmt.Sprintf("%s: phases[%d].connections", name, i), phase.Connections, addresses); err != nil {
			return err
		}
	}
	return nil
}
