package report

import (
	"cmp"
	"fmt"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// What a report of running servers says instead of what one of deployed targets does.

// noWitness is what must be known of every count of such a run.
const noWitness = "Running servers, loaded as they are: nothing was deployed, and all counts are the agents' own (no second witness)"

// asked shows what each server was asked.
func asked(s *figures.Summary) section {
	g := show.Table{Left: 1, Words: 4, Head: []string{"target", "URL", "address", "right status", "body contains"}}
	for _, t := range s.Targets {
		e := expected(t)
		g.Rows = append(g.Rows, []string{t.Name, t.URL, t.Address, fmt.Sprint(e.Status), cmp.Or(e.Body, "anything")})
	}
	return section{title: "Servers as requested", tables: []show.Table{g}}
}

func expected(t figures.Target) record.Expect {
	if t.Expect == nil {
		return record.Expect{}
	}
	return *t.Expect
}

// answers shows what came back, and how much of it was looked at.
func answers(s *figures.Summary, p figures.Phase) show.Table {
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
