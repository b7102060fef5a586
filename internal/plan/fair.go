package plan

import (
	"fmt"
	"net/url"
)

// Unfair lists the differences between targets that the plan itself makes: in
// replicas, workers and pools, each compared with the first target. What the recipes add
// (servers without a pool, logging, keep-alive) is not known here. A plan with such
// differences needs allow_unfair.
func (p *Plan) Unfair() []string {
	var out []string
	for _, t := range p.Targets[min(1, len(p.Targets)):] {
		first := p.Targets[0]
		a, b := p.Deployed(first), p.Deployed(t)
		for _, d := range []struct {
			what string
			a, b int
		}{
			{"replicas", a.Replicas, b.Replicas},
			{"workers in all", a.Replicas * a.Workers, b.Replicas * b.Workers},
			{"database connections in all", a.Replicas * a.Workers * a.Pool, b.Replicas * b.Workers * b.Pool},
		} {
			if d.a != d.b {
				out = append(out, fmt.Sprintf("%s: %s has %d, %s has %d", d.what, first.Name, d.a, t.Name, d.b))
			}
		}
	}
	return out
}

// Hosts are the hosts the plan itself names as places to send load to; Load
// has checked them with Consent. The host of an external database stands in its
// DSN file: who reads that asks Consent.
func (p *Plan) Hosts() []string {
	u, err := url.Parse(p.Balancer.URL)
	if p.Balancer.Kind != "external" || err != nil {
		return nil
	}
	return []string{u.Hostname()}
}
