package controller

import (
	"bakeoff/internal/load"
	"bakeoff/internal/record"
)

// ceiling is how many requests per second the agents can send at most in the phase, by the calibration that there was when the
// run began; 0: it was for other agents or another way, too old or of agents that have changed since, or there was none.
func (r *run) ceiling(p load.Phase) float64 {
	rec, agents := r.writer.Run(), r.o.Plan.Agents
	c := rec.Calibration
	if c == nil || c.Void(rec.Started, r.o.Version) != "" || c.Engine != r.engineOf(p) || c.Agents != agents.Count || p.Reconnect || p.HTTP2 {
		return 0
	}
	return c.Ceilings[r.way(p)]
}

// ceiling is the same for the trial's target; a driver has none: a calibration knows nothing of its requests.
func (t *trial) ceiling(p load.Phase) float64 {
	if t.drives() {
		return 0
	}
	return t.run.ceiling(p)
}

// way is how the agents reach the targets in a phase, as a calibration calls it; none of these where something else is before
// them, or encryption costs more.
func (r *run) way(phase load.Phase) string {
	p := r.o.Plan
	switch {
	case direct(p, phase):
		return record.PathDirect
	case p.Running():
		for _, t := range p.Targets {
			if t.Encrypted() {
				return ""
			}
		}
		for _, t := range r.writer.Run().Targets { // a calibration knows nothing of a network
			if !onThisMachine(t.Address) {
				return ""
			}
		}
		return record.PathDirect
	case p.Balancer.Kind == "direct":
		return record.PathDirect
	case p.Balancer.Kind == "nginx":
		return record.PathNginx
	}
	return ""
}
