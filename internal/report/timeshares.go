package report

import (
	"bakeoff/internal/figures"
	"bakeoff/internal/show"
)

// timeShareSection is where the time of an answer goes, target by target.
func timeShareSection(s *figures.Summary) []section {
	if len(s.TimeShares) == 0 {
		return nil
	}
	t := show.Table{
		Left: 3, Head: []string{"phase", "target", "part", "share", "range", "of"},
		Caption: "Shares of the time of an answer, medians and ranges over blocks. Database and driver: what agents take that ask the database themselves. Balancer: what goes when they ask the replicas themselves. " +
			"Server and framework: what is left of the whole without these two. Without the database: what an answer to /ping takes, for itself. In the closed model the time is what a connection spends on an answer, " +
			"waits for a core included, in the open one the median service time. What the agents themselves take for a request is in each of them.",
	}
	for _, one := range s.TimeShares {
		for _, part := range []struct {
			name  string
			share figures.Spread
		}{
			{"database and driver", one.Database}, {"balancer", one.Balancer}, {"server and framework", one.Rest}, {"without the database", one.Pinged},
		} {
			if part.share.N > 0 {
				t.Rows = append(t.Rows, []string{
					one.Phase, one.Target, part.name, median(part.share, show.Percent), extent(part.share, show.Percent), median(one.Time, show.Seconds),
				})
			}
		}
	}
	out := section{title: "Shares of the time", tables: []show.Table{t}}
	for _, target := range s.Targets {
		if target.Driver() {
			out.paras = []string{target.Name + " is no server: the agents asked the database themselves, with the statement that targets ask. It is in no ranking."}
		}
	}
	return []section{out}
}
