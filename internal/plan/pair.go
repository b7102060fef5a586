package plan

import (
	"fmt"
	"regexp"
	"strconv"

	"bakeoff/internal/strictyaml"
)

// What a phase may be measured twice for.
const (
	PairConnections = "connections" // on connections that are kept, and with one for each request
	PairDirect      = "direct"      // through the balancer, and without it
)

// Ends of the name of the second phase of such a pair.
const (
	reconnected = "-reconnect"
	direct      = "-direct"
)

// paired are the phases with the second one after the first of each pair.
func (p *Plan) paired() []Phase {
	var out []Phase
	for _, ph := range p.Phases {
		pair := ph.Pair
		ph.Pair = ""
		out = append(out, ph)
		switch pair {
		case PairConnections:
			ph.Name, ph.Reconnect = ph.Name+reconnected, true
			out = append(out, ph)
		case PairDirect:
			ph.Name, ph.Direct = ph.Name+direct, true
			out = append(out, ph)
		}
	}
	return out
}

var phasePath = regexp.MustCompile(`^phases\[(\d+)\]\.(.+)$`)

// unpaired is where in the plan as it was given a path of the resolved one comes from.
func (p *Plan) unpaired(path string) string {
	m := phasePath.FindStringSubmatch(path)
	if m == nil {
		return path
	}
	at, err := strconv.Atoi(m[1])
	if err != nil {
		return path
	}
	for i, ph := range p.Phases {
		if at == 0 || at == 1 && ph.Pair != "" {
			return fmt.Sprintf("phases[%d].%s", i, m[2])
		}
		if at--; ph.Pair != "" {
			at--
		}
	}
	return path
}

// AskPing asks for GET /ping in a phase.
const AskPing = "ping"

// Pings reports whether the phase is about something else than lookups.
func (ph Phase) Pings() bool { return ph.Ask == AskPing }

// asks checks what a phase asks for.
func (c *checker) asks(path string, ph Phase) {
	if !c.has(path + ".ask") {
		return
	}
	if c.plan.Running() {
		c.absent(path+".ask", "is for kind: recipe; a running server is asked one URL")
		return
	}
	c.word(path+".ask", ph.Ask, AskPing)
	if ph.Lookups != c.plan.Dataset.Lookups { // a resolved plan has those of the dataset
		c.absent(path+".lookups", "is for lookups; this phase asks for /ping")
	}
	if c.plan.EngineOf(ph) == JMeter {
		c.report(path+".ask", "engine: native", "is for bakeoff's own engines; JMeter drives this phase")
	}
}

// pair checks a phase that is to be measured twice.
func (c *checker) pair(path string, ph Phase) {
	if !c.has(path + ".pair") {
		return
	}
	c.word(path+".pair", ph.Pair, PairConnections, PairDirect)
	end := reconnected
	switch {
	case ph.Pair == PairConnections && c.has(path+".reconnect"):
		c.report(path+".reconnect", "remove it", "a pair of connections has both: those that are kept, and one for each request")
	case ph.Pair == PairDirect:
		end = direct
		c.leavesOut(path, ".pair", ph)
		if c.has(path + ".direct") {
			c.report(path+".direct", "remove it", "a direct pair has both: through the balancer, and without it")
		}
	}
	second := ph.Name + end
	if !nameText.MatchString(second) {
		c.report(path+".pair", "a shorter name", "%s is no name for its second phase: 1 to 63 characters", strictyaml.Quote(second))
	}
	for _, other := range c.plan.Phases {
		if other.Name == second {
			c.report(path+".pair", "give that one another name", "%s is the name of a phase of the plan already", strictyaml.Quote(second))
		}
	}
}

// direct checks a phase that leaves the balancer out.
func (c *checker) direct(path string, ph Phase) {
	if c.has(path+".direct") && ph.Direct {
		c.leavesOut(path, ".direct", ph)
	}
}

// leavesOut refuses a key that leaves the balancer out where none is started for the run, or somebody else sends the requests.
func (c *checker) leavesOut(path, key string, ph Phase) {
	switch b := c.plan.Balancer.Kind; {
	case c.plan.Running():
		c.absent(path+key, "is for kind: recipe; before a running server is what is before it")
	case b != "nginx" && !c.bad("balancer.kind"):
		c.report(path+key, "balancer: {kind: nginx}", "leaves the balancer out, which needs balancer.kind nginx, but it is %s", strictyaml.Quote(b))
	case c.plan.EngineOf(ph) == JMeter:
		c.report(path+key, "engine: native", "is for bakeoff's own engines; JMeter drives this phase")
	}
}
