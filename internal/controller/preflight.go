package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bakeoff/internal/database"
	"bakeoff/internal/plan"
	"bakeoff/internal/show"
	"bakeoff/internal/strictyaml"
	"bakeoff/internal/target"
)

// MissingError is a list of what this machine lacks.
type MissingError struct {
	Missing []target.Need
}

func (e *MissingError) Error() string {
	var names []string
	for _, m := range e.Missing {
		names = append(names, m.What)
	}
	return "missing on this machine: " + strings.Join(names, ", ")
}

// Packages are the Debian packages that bring what is missing, each once.
func (e *MissingError) Packages() []string {
	seen := map[string]bool{}
	var out []string
	for _, m := range e.Missing {
		if m.Package != "" && !seen[m.Package] {
			seen[m.Package] = true
			out = append(out, m.Package)
		}
	}
	return out
}

func (s *recipes) overhead() plan.Overhead { return s.o.Venue.Overhead() }

// missing are servers and what the recipes ask for.
func (s *recipes) missing(ctx context.Context) ([]target.Need, error) {
	var all []*target.Recipe
	for _, t := range s.o.Plan.Targets {
		e, err := s.o.entrant(t)
		if err != nil {
			return nil, err
		}
		all = append(all, e.recipe)
	}
	missing, err := s.o.Venue.Missing(ctx, s.o.Plan, all)
	return append(missing, s.o.needs(ctx)...), err
}

// needs is what the machine lacks for who loads.
func (o *Options) needs(ctx context.Context) []target.Need {
	if o.Needs == nil {
		return nil
	}
	return o.Needs(ctx, o.Plan)
}

// preflight finds unknown recipes, a connection budget that does not hold,
// unfair differences, and a machine that lacks something.
func (s *recipes) preflight(ctx context.Context) error {
	o := s.o
	entrants, err := o.resolve()
	if err != nil {
		return err
	}
	if err := errors.Join(o.budget(entrants), o.within(entrants), o.fair(entrants), o.ports(entrants), o.consent()); err != nil {
		return &PlanError{err}
	}
	o.decideTurns(entrants)
	missing, err := s.missing(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx) // a look that was cut short finds nothing
	}
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &MissingError{missing}
	}
	return nil
}

// PlanError is a plan that reads well but must not be run.
type PlanError struct{ err error }

func (e *PlanError) Error() string { return e.err.Error() }
func (e *PlanError) Unwrap() error { return e.err }

func (o *Options) resolve() ([]*entrant, error) {
	var out []*entrant
	var errs []error
	var findings []plan.Finding
	for i, t := range o.Plan.Targets {
		e, err := o.entrant(t)
		out = append(out, e)
		if f, ok := finding(i, err); ok && o.PlanGiven != nil {
			findings = append(findings, f)
		} else {
			errs = append(errs, err)
		}
	}
	if len(findings) > 0 {
		errs = append(errs, plan.Locate(o.PlanName, o.PlanGiven, findings))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &PlanError{err}
	}
	return out, nil
}

// finding is what is wrong with target number i of the plan, where the plan's file is to blame and not the recipe's.
func finding(i int, err error) (plan.Finding, bool) {
	var problems strictyaml.Problems
	var unknown *target.UnknownError
	at := fmt.Sprintf("targets[%d].", i)
	switch {
	case err == nil || errors.As(err, &problems):
		return plan.Finding{}, false
	case errors.As(err, &unknown):
		hint := unknown.Hint()
		if unknown.Key == "recipe" && strictyaml.Suggest(unknown.Name, unknown.Known) == "" {
			hint += "; a folder of yours is ./" + unknown.Name
		}
		return plan.Finding{Path: at + unknown.Key, Hint: hint, Text: fmt.Sprintf("unknown %s %q", unknown.What, unknown.Name)}, true
	}
	return plan.Finding{Path: at + "recipe", Text: err.Error()}, true
}

// outline says how many database connections each target may open, as a sum.
func (s *recipes) outline() ([]string, error) {
	entrants, err := s.o.resolve()
	if err != nil {
		return nil, err
	}
	s.o.decideTurns(entrants)
	var out []string
	for _, e := range entrants {
		out = append(out, fmt.Sprintf("database connections of %s: %s", e.plan.Name, e.sum(s.o.Plan.InFlight())))
	}
	if s.o.inTurns() == nil {
		out = append(out, fmt.Sprintf("the targets take turns of %v: all are up together, with %d database connections", s.o.Plan.Turns, s.o.connectionsNeeded(entrants)))
	}
	for _, g := range s.o.Plan.Groups() {
		if len(g.Settings) > 1 {
			out = append(out, fmt.Sprintf("settings of %s: %d: %s", g.Name, len(g.Settings), s.o.Plan.Axes(g)))
		}
	}
	out = append(out, s.o.underBudget(entrants)...)
	out = append(out, balancerLine(s.o.Plan)...)
	if less := s.o.Plan.Trust.Less(); len(less) > 0 {
		out = append(out, "checks of the targets' honesty are left out: "+strings.Join(less, ", "))
	}
	return append(out, s.o.noTurnsLine()...), nil
}

// noTurnsLine says why a plan that asks for turns has none.
func (o *Options) noTurnsLine() []string {
	if why := o.inTurns(); o.Plan.Turns > 0 && why != nil {
		return []string{"the targets do not take turns: " + why.Error()}
	}
	return nil
}

// sum shows where a target's number of connections comes from.
func (e *entrant) sum(inFlight int) string {
	if !e.recipe.Bounded() {
		return fmt.Sprintf("%d (one for each request in flight)", inFlight)
	}
	each := e.recipe.Connections(e.Workers, e.Pool, inFlight)
	return fmt.Sprintf("%s x %d = %d", show.Plural(e.Replicas, "replica"), each, e.connections(inFlight))
}

// budget refuses a limit below what a target may open.
func (o *Options) budget(entrants []*entrant) error {
	limit := o.Plan.Database.MaxConnections
	if limit == 0 {
		return nil
	}
	var errs []error
	for _, e := range entrants {
		if need := e.connections(o.Plan.InFlight()) + spareConnections; need > limit {
			errs = append(errs, fmt.Errorf("connection budget exceeded: %s may open %s, and bakeoff itself %d: %d in all, but max_connections is %d",
				e.plan.Name, e.sum(o.Plan.InFlight()), spareConnections, need, limit))
		}
	}
	return errors.Join(errs...)
}

// consent refuses an external database that the plan does not allow to be talked to.
func (o *Options) consent() error {
	if o.Plan.Database.Kind != "external" {
		return nil
	}
	return database.External{DSNFile: o.Plan.Database.DSNFile, DSN: o.DSN, AllowHosts: o.Plan.AllowHosts}.Consented()
}

// ports refuses an external balancer that expects another number of replicas.
func (o *Options) ports(entrants []*entrant) error {
	b := o.Plan.Balancer
	if b.Kind != "external" {
		return nil
	}
	for _, e := range served(entrants) {
		if len(b.ReplicaPorts) != e.Replicas {
			return fmt.Errorf("balancer.replica_ports: %d ports are given, %s has %d replicas", len(b.ReplicaPorts), e.plan.Name, e.Replicas)
		}
	}
	return nil
}

// within refuses targets that have more than the plan's budget for each.
func (o *Options) within(entrants []*entrant) error {
	most := o.Plan.Budget
	if most == (plan.Budget{}) {
		return nil
	}
	var errs []error
	for _, e := range served(entrants) {
		if n := e.connections(o.Plan.InFlight()); n > most.Connections {
			errs = append(errs, fmt.Errorf("over budget: %s may open %s connections to the database, budget.connections is %d", e.plan.Name, e.sum(o.Plan.InFlight()), most.Connections))
		}
		if n := e.Replicas * e.Workers; n > most.Workers {
			errs = append(errs, fmt.Errorf("over budget: %s has %s x %s = %d, budget.workers is %d",
				e.plan.Name, show.Plural(e.Replicas, "replica"), show.Plural(e.Workers, "worker"), n, most.Workers))
		}
	}
	return errors.Join(errs...)
}

// term is one thing in which targets must not differ.
type term struct {
	what string
	of   func(*entrant) string
}

// terms are those of a plan: within a budget, workers and connections may differ.
func (o *Options) terms() []term {
	out := []term{
		{"replicas", func(e *entrant) string { return fmt.Sprint(e.Replicas) }},
		{"keep-alive time-out", func(e *entrant) string { return e.keepAlive() }},
		{"access log", func(e *entrant) string { return fmt.Sprint(e.AccessLog) }},
	}
	if o.Plan.Budget != (plan.Budget{}) {
		return out
	}
	return slices.Insert(
		out, 1,
		term{"workers per replica", func(e *entrant) string { return fmt.Sprint(e.Workers) }},
		term{"database connections in all", func(e *entrant) string { return fmt.Sprint(e.connections(o.Plan.InFlight())) }},
	)
}

// fair refuses targets that differ in what is not theirs to choose, unless the plan
// allows it with a reason.
func (o *Options) fair(entrants []*entrant) error {
	if o.Plan.AllowUnfair != "" {
		return nil
	}
	var errs []error
	entrants = served(entrants)
	for _, term := range o.terms() {
		first := term.of(entrants[0])
		for _, e := range entrants[1:] {
			if other := term.of(e); other != first {
				errs = append(errs, fmt.Errorf("unfair: %s: %s has %s, %s has %s (make them equal, or say why with allow_unfair%s)",
					term.what, entrants[0].plan.Name, first, e.plan.Name, other, o.budgetFor(entrants)))
			}
		}
	}
	return errors.Join(errs...)
}

// budgetFor is the way out for a plan whose targets have several settings: the budget that all of them keep.
func (o *Options) budgetFor(entrants []*entrant) string {
	if !o.Plan.Swept() || o.Plan.Budget != (plan.Budget{}) {
		return ""
	}
	var need plan.Budget
	for _, e := range entrants {
		need.Connections = max(need.Connections, e.connections(o.Plan.InFlight()))
		need.Workers = max(need.Workers, e.Replicas*e.Workers)
	}
	return fmt.Sprintf("; settings of one target may differ within a budget: {connections: %d, workers: %d}", need.Connections, need.Workers)
}

// underBudget says what every target may have under the plan's budget, and which has less of it; nothing without a budget.
func (o *Options) underBudget(entrants []*entrant) []string {
	most := o.Plan.Budget
	if most == (plan.Budget{}) {
		return nil
	}
	out := []string{fmt.Sprintf("budget for each target: %d connections to the database and %s, all replicas together; none has a limit of the CPU time that another one has not",
		most.Connections, show.Plural(most.Workers, "worker"))}
	entrants = served(entrants)
	parts := make([]string, len(entrants))
	same := true
	for i, e := range entrants {
		has := func(e *entrant) string {
			return fmt.Sprintf("%d and %d", e.connections(o.Plan.InFlight()), e.Replicas*e.Workers)
		}
		parts[i] = e.plan.Name + " " + has(e)
		same = same && has(e) == has(entrants[0])
	}
	if same {
		return out
	}
	return append(out, "connections and workers differ within the budget: "+strings.Join(parts, ", "))
}

func (e *entrant) keepAlive() string {
	idle, err := e.recipe.KeepAlive()
	if err != nil {
		return err.Error()
	}
	return idle.String()
}
