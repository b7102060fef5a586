package grafana

import "fmt"

// Dashboards are all pages, for both schemas.
func Dashboards() []Dashboard {
	return []Dashboard{
		{UID: "bakeoff-run", Title: "bakeoff: a run", Panels: runPanels()},
		{UID: "bakeoff-target", Title: "bakeoff: one target", PerTarget: true, Panels: targetPanels()},
		{UID: "bakeoff-compare", Title: "bakeoff: targets compared", Panels: comparePanels()},
		{UID: "bakeoff-agents", Title: "bakeoff: load generators", Panels: agentPanels()},
		{UID: "bakeoff-tiers", Title: "bakeoff: database and balancer", Panels: tierPanels()},
		{UID: "bakeoff-jmeter", Title: "bakeoff: JMeter's measurements", JMeter: true, PerTarget: true, Panels: jmeterPanels()},
	}
}

// perSecond is the reason for which a panel takes the greatest of several seconds.
const perSecond = "The greatest of the interval's seconds, each the percentile of its own answers."

const (
	ofRun    = `"run" =~ /^$run$/ AND $timeFilter`
	ofTarget = `"run" =~ /^$run$/ AND "target" =~ /^$target$/ AND $timeFilter`
)

// over is a query for a picture over time.
func over(what, from, where, by, alias string) Query {
	if by != "" {
		by = ", " + by
	}
	return Query{alias, fmt.Sprintf(`SELECT %s FROM %q WHERE %s GROUP BY time($__interval)%s fill(none)`, what, from, where, by)}
}

// one is a query for a number or a table.
func one(what, from, where, by string) Query {
	text := fmt.Sprintf(`SELECT %s FROM %q WHERE %s`, what, from, where)
	if by != "" {
		text += " GROUP BY " + by
	}
	return Query{"", text}
}

// whole is a query for the sum over the members of something, each with the mean of its samples: a member that several
// targets share is written with each of them, and counts once.
func whole(what, from, where, by, alias string) Query {
	members := fmt.Sprintf(`SELECT mean(%q) AS "mean" FROM %q WHERE %s GROUP BY time($__interval), %q, "member" fill(none)`, what, from, where, by)
	return Query{alias, fmt.Sprintf(`SELECT sum("mean") FROM (%s) WHERE $timeFilter GROUP BY time($__interval), %q fill(none)`, members, by)}
}

func series(title, unit, description string, queries ...Query) Panel {
	return Panel{Title: title, Description: description, Type: "timeseries", Unit: unit, Wide: 12, Queries: queries}
}

func number(title string, q Query) Panel {
	return Panel{Title: title, Type: "stat", Unit: "short", Wide: 6, Queries: []Query{q}}
}

func runPanels() []Panel {
	return []Panel{
		number("Requests sent", one(`sum("sent")`, "bakeoff", ofRun, "")),
		number("Answered correctly", one(`sum("ok")`, "bakeoff", ofRun, "")),
		number("Wrong answers, timeouts and errors", one(`sum("bad") + sum("timeout") + sum("error")`, "bakeoff", ofRun, "")),
		number("Never sent", one(`sum("dropped")`, "bakeoff", ofRun, "")),
		series("Correct answers", "reqps", "Per second of the time in which a target has the load.",
			over(`mean("ok_per_s")`, "bakeoff", ofRun, `"target"`, "$tag_target")),
		series("p99 of the response time", "ms", perSecond, over(`max("response_p99_ms")`, "bakeoff", ofRun, `"target"`, "$tag_target")),
		{
			Title: "Phases that have ended", Description: "The exact figures of the report; valid is 0 where the trial is refused.", Type: "table",
			Unit: "short", Wide: 24, Queries: []Query{one(`"goodput_per_s", "response_p50_ms", "sent", "ok", "valid", "status"`, "bakeoff_phases", ofRun, `"target", "phase", "block"`)},
		},
	}
}

func targetPanels() []Panel {
	percentiles := []Query{}
	for _, p := range []string{"p50", "p90", "p99", "max"} {
		percentiles = append(percentiles, over(`max("response_`+p+`_ms")`, "bakeoff", ofTarget, "", p))
	}
	outcomes := []Query{}
	for _, kind := range []string{"ok", "bad", "timeout", "error"} {
		outcomes = append(outcomes, over(`sum("`+kind+`")`, "bakeoff", ofTarget, "", kind))
	}
	replicas := ofTarget + ` AND "tier" = 'target'`
	return []Panel{
		series("Response time", "ms", perSecond, percentiles...),
		series("Answers by outcome", "short", "Counts in each interval.", outcomes...),
		series("Cores used by each replica", "short", "", over(`mean("cores")`, "bakeoff_resources", replicas, `"member"`, "$tag_member")),
		series("Memory of each replica", "bytes", "Resident; pages that processes share count in each.",
			over(`max("rss_bytes")`, "bakeoff_resources", replicas, `"member"`, "$tag_member")),
	}
}

func comparePanels() []Panel {
	counting := ofRun + ` AND "valid" = 1 AND "kind" = 'measured'`
	const byBlock = `"target", "phase", "block"`
	goodput := one(`last("goodput_per_s")`, "bakeoff_phases", counting, byBlock)
	// Of a block that was repeated the last valid attempt counts.
	medians := fmt.Sprintf(`SELECT median("last") FROM (%s) WHERE $timeFilter GROUP BY "target", "phase"`, goodput.Text)
	return []Panel{
		{
			Title: "Goodput: median over the valid blocks", Description: "As in the report.", Type: "barchart", Unit: "reqps", Wide: 24,
			Queries: []Query{{"", medians}},
		},
		{Title: "Goodput of each block", Type: "table", Unit: "reqps", Wide: 12, Queries: []Query{goodput}},
		{Title: "Median response time of each block", Type: "table", Unit: "ms", Wide: 12, Queries: []Query{one(`last("response_p50_ms")`, "bakeoff_phases", counting, byBlock)}},
	}
}

func agentPanels() []Panel {
	return []Panel{
		series("Lateness of the generator, p99", "ms", perSecond, over(`max("lateness_p99_ms")`, "bakeoff", ofRun, `"target"`, "$tag_target")),
		series("Requests taken up late", "short", "More than 1 ms after their intended time: the generator's fault.",
			over(`sum("late")`, "bakeoff", ofRun, `"target"`, "$tag_target")),
		series("Cores used by each agent", "short", "", over(`mean("cores")`, "bakeoff_resources", ofRun+` AND "tier" = 'agent'`, `"member"`, "$tag_member")),
		series("Time in which agents stood still or had no core", "ns", "", over(`sum("agents_stopped_ns") + sum("agents_starved_ns")`, "bakeoff", ofRun, "", "all agents")),
	}
}

func tierPanels() []Panel {
	tiers := series("Cores used by each tier", "short", "Sums over the tier's members; the replicas of each target are a line.",
		whole("cores", "bakeoff_resources", ofRun+` AND "tier" != 'target'`, "tier", "$tag_tier"),
		whole("cores", "bakeoff_resources", ofRun+` AND "tier" = 'target'`, "target", "replicas of $tag_target"))
	tiers.Least = "2s" // in less not every member has a sample
	return []Panel{
		tiers,
		series("Connections of the database", "short", "", over(`max("threads_connected")`, "bakeoff_resources", ofRun+` AND "tier" = 'database'`, "", "connected")),
		series("Answers of each replica", "short", "Counts in each interval: the balancer's shares.",
			over(`sum("answers")`, "bakeoff_replicas", ofRun, `"replica"`, "$tag_replica")),
		series("Memory of database and balancer", "bytes", "", over(`max("rss_bytes")`, "bakeoff_resources", ofRun+` AND ("tier" = 'database' OR "tier" = 'balancer')`, `"member"`, "$tag_member")),
	}
}

func jmeterPanels() []Panel {
	of := `"application" =~ /^$target$/ AND $timeFilter`
	all := of + ` AND "transaction" = 'all' AND "statut" = 'all'`
	percentiles := []Query{}
	for _, p := range []string{"50", "90", "95", "99"} {
		percentiles = append(percentiles, over(`max("pct`+p+`.0")`, "jmeter", all, "", "p"+p))
	}
	return []Panel{
		number("Requests", one(`sum("count")`, "jmeter", all, "")),
		number("Errors", one(`sum("countError")`, "jmeter", all, "")),
		series("Requests in each interval", "short", "", over(`sum("count")`, "jmeter", all, "", "requests")),
		series("Response time", "ms", "The greatest of the interval's points, each of 5 s.", percentiles...),
		series("Connections", "short", "JMeter's active threads.", over(`max("meanAT")`, "jmeter", of+` AND "transaction" = 'internal'`, "", "connections")),
	}
}
