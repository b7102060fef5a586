package cli

import (
	"context"
	"fmt"

	"bakeoff/internal/export"
	"bakeoff/internal/plan"
	"bakeoff/internal/show"
	"bakeoff/internal/target"
)

// collectorNeeds asks the collectors of a plan, and is what they lack; what they do not say is printed.
func collectorNeeds(ctx context.Context, env Env, p *plan.Plan) ([]target.Need, error) {
	var checks []func(context.Context) (export.Checked, error)
	if i := p.Collect.InfluxDB; i.URL != "" {
		to, err := influx(env, i, p.AllowHosts)
		if err != nil {
			return nil, err
		}
		checks = append(checks, to.Check)
	}
	if o := p.Collect.OTLP; o.URL != "" {
		to, err := otlp(env, o, p.AllowHosts)
		if err != nil {
			return nil, err
		}
		checks = append(checks, to.Check)
	}
	var out []target.Need
	for _, check := range checks {
		found, err := check(ctx)
		if err != nil {
			return nil, err
		}
		for _, text := range found.Missing {
			out = append(out, target.Need{What: show.Inert(text)})
		}
		for _, text := range found.Unknown {
			fmt.Fprintf(env.Stdout, "%s: not known: %s\n", p.Name, show.Inert(text))
		}
	}
	return out, nil
}
