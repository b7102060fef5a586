package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bakeoff/internal/gate"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
)

// shares are what is demanded of who answers; nil where the balancer itself says who has.
func (d *replicated) shares() *record.Shares {
	b := d.stage.o.Plan.Balancer
	if !b.InCluster() || d.at == nil || d.entrant.plan.Driver() {
		return nil
	}
	out := &record.Shares{Within: float64(b.EqualWithin)}
	for _, r := range d.at.Replicas() {
		out.Replicas = append(out.Replicas, r.Name)
	}
	return out
}

// spread counts the right answers of each replica, by target, over the measured phases of all valid trials of a run.
type spread map[string]map[string]int64

// add counts those of a trial that has ended; totals are what the agents saw in one of its phases.
func (s spread) add(t record.Trial, totals func(record.Phase) (stats.Totals, error)) error {
	if t.Status != record.Valid || t.Block == 0 || t.Declared == nil || t.Declared.Shares == nil {
		return nil
	}
	for _, p := range t.Phases {
		if p.Warmup || p.Direct {
			continue
		}
		sum, err := totals(p)
		if err != nil {
			return fmt.Errorf("controller: %w", err)
		}
		if s[t.Target] == nil {
			s[t.Target] = map[string]int64{}
		}
		for _, name := range t.Declared.Shares.Replicas {
			s[t.Target][name] += sum.Replicas[name].Answers - sum.Replicas[name].Errors
		}
	}
	return nil
}

const (
	// sharesNote begins the note about them.
	sharesNote = "answers of the replicas behind the "
	// equalEnough is by how much of an equal share equal weights may differ from it: requests are whole.
	equalEnough = 0.01
)

// note puts what was seen into the run's notes, in place of what an earlier part of the run said.
func (s spread) note(rec *record.Run, kind string) {
	rec.Notes = slices.DeleteFunc(rec.Notes, func(n string) bool { return strings.HasPrefix(n, sharesNote) })
	if len(s) == 0 {
		return
	}
	var parts []string
	for _, target := range slices.Sorted(maps.Keys(s)) {
		var counts []int64
		for _, name := range slices.Sorted(maps.Keys(s[target])) {
			counts = append(counts, s[target][name])
		}
		apart, _ := gate.Apart(counts)
		how := "equal weights, within " + show.Percent(equalEnough)
		if apart > equalEnough {
			how = fmt.Sprintf("not equal: up to %s from an equal share", show.Percent(apart))
		}
		parts = append(parts, fmt.Sprintf("%s %s (%s)", target, gate.Portions(counts), how))
	}
	rec.Notes = append(rec.Notes, sharesNote+kind+", right ones, over the measured phases of all valid trials: "+strings.Join(parts, "; "))
}

// pinned says what connections that are kept do behind a Service; empty where nothing is to be said.
func pinned(p *plan.Plan) string {
	kept := slices.ContainsFunc(p.Phases, func(ph plan.Phase) bool { return !ph.Reconnect })
	if p.Balancer.Kind != plan.BalancerService || !kept {
		return ""
	}
	return "a Service spreads connections, not requests: each stays with one replica for as long as it is open, so shares follow the connections"
}

// balancerLine is what is said beforehand of a balancer that a cluster brings along.
func balancerLine(p *plan.Plan) []string {
	b := p.Balancer
	if !b.InCluster() {
		return nil
	}
	shares := "shares of the replicas are shown, whatever they are"
	if b.EqualWithin > 0 {
		shares = fmt.Sprintf("a trial is refused where a replica's share is more than %s from an equal one", b.EqualWithin)
	}
	out := []string{fmt.Sprintf("the balancer is the cluster's (%s): every answer has to name its replica; %s", b.Kind, shares)}
	if text := pinned(p); text != "" {
		out = append(out, text)
	}
	return out
}

// noteCookies says that a balancer sets cookies, which agents do not keep.
func (t *trial) noteCookies(names []string) error {
	if len(names) == 0 {
		return nil
	}
	text := fmt.Sprintf("the balancer before %s sets cookies (%s): agents keep none, so that it does not hold them to a replica as it may hold a browser",
		t.rec.Target, strings.Join(names, ", "))
	if slices.Contains(t.run.writer.Run().Notes, text) {
		return nil
	}
	return t.run.writer.Update(func(rec *record.Run) { addNote(rec, text) })
}
