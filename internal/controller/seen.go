package controller

import (
	"context"
	"fmt"
	"strings"

	"bakeoff/internal/record"
)

// seen is what the recipe and the plan declare, against what the check and the witnesses saw.
func (d *replicated) seen(ctx context.Context, checks []record.Check) ([]Seen, error) {
	open, err := d.stage.db.ConnectionCount(ctx)
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
