package plan

import (
	"fmt"
	"slices"
	"time"
)

// jmeter refuses what JMeter cannot do in a phase.
func (c *checker) jmeter(path string, ph Phase) {
	c.whole(path+".duration", "such as 10s", ph.Duration)
	if ph.Engine == JMeter && c.plan.Agents.HTTP2 {
		c.report(path+".engine", "", "jmeter speaks HTTP/1.1, and agents.http2 asks for HTTP/2")
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
