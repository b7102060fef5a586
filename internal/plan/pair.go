package plan

import "bakeoff/internal/strictyaml"

// PairConnections asks for a phase twice: on connections that are kept, and with one for each request.
const PairConnections = "connections"

// reconnected ends the name of the second phase of such a pair.
const reconnected = "-reconnect"

// paired are the phases with the second one after the first of each pair.
func (p *Plan) paired() []Phase {
	var out []Phase
	for _, ph := range p.Phases {
		pair := ph.Pair == PairConnections
		ph.Pair = ""
		if out = append(out, ph); pair {
			ph.Name, ph.Reconnect = ph.Name+reconnected, true
			out = append(out, ph)
		}
	}
	return out
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
	c.absent(path+".lookups", "is for lookups; this phase asks for /ping")
	if c.plan.EngineOf(ph) == JMeter {
		c.report(path+".ask", "engine: native", "is for bakeoff's own engines; JMeter drives this phase")
	}
}

// pair checks a phase that is to be measured twice.
func (c *checker) pair(path string, ph Phase) {
	if !c.has(path + ".pair") {
		return
	}
	c.word(path+".pair", ph.Pair, PairConnections)
	if c.has(path + ".reconnect") {
		c.report(path+".reconnect", "remove it", "a pair of connections has both: those that are kept, and one for each request")
	}
	second := ph.Name + reconnected
	if !nameText.MatchString(second) {
		c.report(path+".pair", "a shorter name", "%s is no name for its second phase: 1 to 63 characters", strictyaml.Quote(second))
	}
	for _, other := range c.plan.Phases {
		if other.Name == second {
			c.report(path+".pair", "give that one another name", "%s is the name of a phase of the plan already", strictyaml.Quote(second))
		}
	}
}
