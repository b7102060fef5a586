package plan

import "slices"

// driver looks at a target that is no server.
func (c *checker) driver(path string, i int, t Target) {
	for _, key := range []string{".recipe", ".variant", ".server", ".settings", ".replicas", ".workers", ".pool", ".sweep", ".setting_of", ".url", ".expect", ".tls"} {
		c.absent(path+key, "is not for kind: driver; it has no server, and a database connection for each of the agents' own")
	}
	if c.has(path + ".name") {
		c.name(path+".name", t.Name)
	}
	p, kind := c.plan, path+".kind"
	switch {
	case slices.IndexFunc(p.Targets, Target.Driver) != i:
		c.report(kind, "remove it", "there is a driver already: one is enough for all targets")
	case len(p.Ranked()) == 0:
		c.report(kind, "such as targets: [flask, {kind: driver}]", "a driver needs a target of a recipe that it is compared with")
	case p.Asks():
		c.report(kind, "make two plans", "a driver has no capacity to be searched for: make another plan for it")
	case p.Uses(JMeter):
		c.report(kind, "agents.engine: native", "a driver needs bakeoff's own engines, but JMeter drives a phase")
	case p.Dataset.Lookups == "server" || slices.ContainsFunc(p.Phases, func(ph Phase) bool { return ph.Lookups == "server" }):
		c.report(kind, "lookups: client", "a driver draws no keys: lookups must be client's")
	}
}
