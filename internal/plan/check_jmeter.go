package plan

import (
	"fmt"
	"slices"
	"time"
)

// jmeter refuses what JMeter cannot do in a phase.
func (c *checker) jmeter(path string, ph Phase) {
	c.whole(path+".duration", "such as 10s", ph.Duration)
	c.whole(path+".ramp", "such as 2s", ph.Ramp)
	if ph.Engine == JMeter && c.plan.Agents.HTTP2 {
		c.report(path+".engine", "", "jmeter speaks HTTP/1.1, and agents.http2 asks for HTTP/2")
	}
}

// divides refuses connections that do not divide over the servers: a test plan of a team's own gets one number for all
// of them.
func (c *checker) divides(path string, ph Phase) {
	servers := c.plan.Agents.Count
	if c.plan.Agents.JMX == "" || c.plan.EngineOf(ph) != JMeter || ph.Model == "open" || servers < 1 || c.bad(path) || c.bad("agents.count") {
		return
	}
	if rest := ph.Connections % servers; rest != 0 || ph.Connections < servers {
		c.report(path, fmt.Sprintf("such as %d", ph.Connections-rest+servers), "%d do not divide over %d servers of JMeter, and each gets the same number of threads", ph.Connections, servers)
	}
}

// whole refuses fractions of a second.
func (c *checker) whole(path, hint string, d Duration) {
	if time.Duration(d)%time.Second != 0 && !c.bad(path) {
		c.report(path, hint, "%s is not whole seconds, and JMeter knows no other durations", d)
	}
}

// jmeters refuses what a plan whose phases JMeter carries out cannot have.
func (c *checker) jmeters() {
	p := c.plan
	if c.has("agents.jmx") {
		c.path("agents.jmx", p.Agents.JMX)
	}
	if !p.Uses(JMeter) {
		if c.has("agents.jmx") {
			c.report("agents.jmx", "add engine: jmeter", "is for engine jmeter")
		}
		return
	}
	for i, ph := range p.Phases {
		c.divides(fmt.Sprintf("phases[%d].connections", i), ph)
		if p.Agents.JMX != "" && ph.Model == "open" && p.EngineOf(ph) == JMeter {
			c.report(fmt.Sprintf("phases[%d].model", i), "closed", "a test plan of your own (agents.jmx) decides on its rate itself: it gets threads, of a closed phase")
		}
	}
	if p.Balancer.Kind == "direct" {
		c.report("balancer.kind", "nginx", "JMeter's servers ask one address each: engine jmeter needs a balancer")
	}
	c.whole("warmup", "such as 3s", p.Warmup.Most)
	c.whole("pilot", "such as 3s", p.Pilot)
	open := func(ph Phase) bool { return ph.Model == "open" && p.EngineOf(ph) != JMeter }
	if p.Primary == P99AtRate && !slices.ContainsFunc(p.Phases, open) {
		c.report("primary", "", "%q needs an open phase of another engine: JMeter does not report the intended time of a request", P99AtRate)
	}
}
