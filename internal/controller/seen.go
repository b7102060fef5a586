package controller

import (
	"context"
	"fmt"
	"strings"

	"bakeoff/internal/record"
)

// keptOpen are the connections that nginx still has open to each replica after requests through it, as a check: it keeps
// some wherever a server leaves them open. Where something else is before the replicas nobody keeps any.
func (d *replicated) keptOpen() (record.Check, bool, error) {
	if d.stage.o.Plan.Balancer.Kind != "nginx" || d.keepAlive() == 0 {
		return record.Check{}, false, nil
	}
	if err := d.at.CountConnections(); err != nil {
		return record.Check{}, false, err
	}
	out := record.Check{When: before, Name: "balancer's connections", OK: true}
	var counts []string
	for _, r := range d.at.Replicas() {
		n := 0
		for _, w := range r.Workers {
			n += w.Connections
		}
		out.OK = out.OK && n > 0
		counts = append(counts, fmt.Sprintf("%d to %s", n, r.Name))
	}
	out.Detail = fmt.Sprintf("declared to stay open for %s; open: %s", d.keepAlive(), strings.Join(counts, ", "))
	return out, true, nil
}

// seen is what the recipe and the plan declare, against what the check and the witnesses saw.
func (d *replicated) seen(ctx context.Context, checks []record.Check) ([]Seen, error) {
	open, err := d.openNow(ctx)
	if err != nil {
		return nil, err
	}
	lines, err := d.at.LogLines()
	if err != nil {
		return nil, err
	}
	says, log := d.declared(), "off"
	if says.AccessLog {
		log = "on"
	}
	return []Seen{
		{"workers", fmt.Sprint(d.entrant.Replicas * d.entrant.recipe.Processes(d.entrant.Workers)), fmt.Sprintf("%d said they are ready", d.workers())},
		{"database connections", "at most " + d.entrant.sum(d.stage.o.Plan.InFlight()), fmt.Sprintf("%d after the start, %d after the check", d.open, open)},
		{"protocol", says.Protocol, detailOf(checks, "protocol")},
		{"keep-alive", d.keepAlive().String(), detailOf(checks, "keep-alive")},
		{"balancer's connections", "kept", detailOf(checks, "balancer's connections")},
		{"access log", log, fmt.Sprintf("%d lines in the logs, the start's among them", lines)},
	}, nil
}

// detailOf is what the checks of a name found, of the first replica where they agree.
func detailOf(checks []record.Check, name string) string {
	for _, c := range checks {
		if _, detail, found := strings.Cut(c.Detail, "; "); c.Name == name && found {
			return detail
		}
	}
	return "not looked at"
}
