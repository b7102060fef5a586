package machine

import (
	"fmt"

	"bakeoff/internal/plan"
)

// Check finds what the plan says that only a cluster has, each at its place in the plan's file.
func Check(p *plan.Plan) []plan.Finding {
	if !p.Balancer.InCluster() {
		return nil
	}
	return []plan.Finding{{
		Path: "balancer.kind", Hint: "run with --platform kubernetes, or use nginx",
		Text: fmt.Sprintf("%s is something that a cluster has: nothing on one machine stands for it", p.Balancer.Kind),
	}}
}
