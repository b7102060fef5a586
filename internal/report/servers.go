package report

import (
	"fmt"
	"net/netip"
	"slices"

	"bakeoff/internal/record"
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
		return " on " + machine(s) + ": " + list(names)
	case s.here():
		return fmt.Sprintf(" of %s on %s: %s", plural(len(names), "running server"), machine(s), list(names))
	}
	return fmt.Sprintf(" of %s, loaded from %s: %s", plural(len(names), "running server"), plural(s.Machine.Cores, "core"), list(names))
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
	g := grid{left: 1, words: 4, head: []string{"target", "URL", "address", "right status", "body holds"}}
	for _, t := range s.Targets {
		e := expected(t)
		g.rows = append(g.rows, []string{t.Name, t.URL, t.Address, fmt.Sprint(e.Status), cmpOr(e.Body, "anything")})
	}
	return section{title: "Servers as asked", tables: []grid{g}}
}

func expected(t Target) record.Expect {
	if t.Expect == nil {
		return record.Expect{}
	}
	return *t.Expect
}

// answers shows what came back, and how much of it was looked at.
func answers(s *Summary, p Phase) grid {
	g := grid{
		left:    1,
		caption: "Answers over all valid blocks: the status of each was checked; the share whose body was searched for the text that the plan expects (- where it expects none).",
		head:    []string{"target", "sent", "answered", "ok", "bodies checked"},
	}
	for i, t := range p.Targets {
		checked := none
		if expected(s.Targets[i]).Body != "" {
			checked = share(t.Checked, t.Books.Answered())
		}
		g.rows = append(g.rows, []string{t.Target, count(t.Books.Sent), count(t.Books.Answered()), count(t.Books.OK), checked})
	}
	return g
}
