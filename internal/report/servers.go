package report

import (
	"fmt"
	"net/netip"
	"slices"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// What a report of running servers says instead of what one of deployed targets does.

// noWitness is what must be known of every count of such a run.
const noWitness = "Servers that ran already, asked as they are: nothing was deployed, and all counts are the agents' own (no second witness)"

// ofWhat is the rest of the headline: where, and of which targets.
func ofWhat(s *Summary) string {
	var names []string
	for _, t := range s.Targets {
		names = append(names, t.Name)
	}
	switch {
	case len(names) == 0:
		return " on " + machine(s)
	case !s.running():
		return " on " + machine(s) + ": " + show.List(names)
	case s.here():
		return fmt.Sprintf(" of %s on %s: %s", show.Plural(len(names), "running server"), machine(s), show.List(names))
	}
	return fmt.Sprintf(" of %s, loaded from %s: %s", show.Plural(len(names), "running server"), show.Plural(s.Machine.Cores, "core"), show.List(names))
}

// here tells whether all servers are on the machine of the agents.
func (s *Summary) here() bool {
	return !slices.ContainsFunc(s.Targets, func(t Target) bool {
		at, err := netip.ParseAddrPort(t.Address)
		return err != nil || !at.Addr().IsLoopback()
	})
}

// asked shows what each server was asked.
func asked(s *Summary) section {
	g := show.Table{Left: 1, Words: 4, Head: []string{"target", "URL", "address", "right status", "body holds"}}
	for _, t := range s.Targets {
		e := expected(t)
		g.Rows = append(g.Rows, []string{t.Name, t.URL, t.Address, fmt.Sprint(e.Status), cmpOr(e.Body, "anything")})
	}
	return section{title: "Servers as asked", tables: []show.Table{g}}
}

func expected(t Target) record.Expect {
	if t.Expect == nil {
		return record.Expect{}
	}
	return *t.Expect
}

// answers shows what came back, and how much of it was looked at.
func answers(s *Summary, p Phase) show.Table {
	g := show.Table{
		Left:    1,
		Caption: "Answers over all valid blocks: the status of each was checked; the share whose body was searched for the text that the plan expects (- where it expects none).",
		Head:    []string{"target", "sent", "answered", "ok", "bodies checked"},
	}
	for i, t := range p.Targets {
		checked := show.None
		if expected(s.Targets[i]).Body != "" {
			checked = show.Share(t.Checked, t.Books.Answered())
		}
		g.Rows = append(g.Rows, []string{t.Target, show.Count(t.Books.Sent), show.Count(t.Books.Answered()), show.Count(t.Books.OK), checked})
	}
	return g
}
