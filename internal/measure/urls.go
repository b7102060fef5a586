package measure

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bakeoff/internal/load"
	"bakeoff/internal/show"
)

// urlResult is what became of the requests for one of several URLs.
type urlResult struct {
	URL      string           `json:"url"`
	Sent     int64            `json:"sent"`
	OK       int64            `json:"ok"`
	Bad      int64            `json:"bad"`
	Timeout  int64            `json:"timeout"`
	Error    int64            `json:"error"`
	Status   map[string]int64 `json:"status"`
	Response times            `json:"response_time_ns"`
	Service  times            `json:"service_time_ns"`
}

// byURL are all URLs in the order in which they were given; none where there is one.
func (m *Measurement) byURL(j *Job) []urlResult {
	if len(j.URLs) < 2 {
		return nil
	}
	out := make([]urlResult, len(j.URLs))
	for i, url := range j.URLs {
		u := m.total.URLs[i]
		out[i] = urlResult{
			URL: url, Sent: u.OK + u.Bad + u.Timeout + u.Error, OK: u.OK, Bad: u.Bad, Timeout: u.Timeout, Error: u.Error,
			Status: map[string]int64{}, Response: timesOf(u.Response), Service: timesOf(u.Service),
		}
		for code, n := range u.Status {
			out[i].Status[strconv.Itoa(code)] = n
		}
	}
	return out
}

// writeURLs prints what became of each URL.
func writeURLs(b *strings.Builder, j *Job, m *Measurement) {
	all := m.byURL(j)
	if len(all) == 0 {
		return
	}
	what := "service time"
	if m.phase.Model == load.Open {
		what = "response time"
	}
	fmt.Fprintf(b, "\nby URL, %s\n", what)
	for i, u := range all {
		h := m.total.URLs[i].Service
		if m.phase.Model == load.Open {
			h = m.total.URLs[i].Response
		}
		line := fmt.Sprintf("%s sent, %s ok", show.Count(u.Sent), show.Count(u.OK))
		for _, c := range []count{{"bad", u.Bad, ""}, {"timeouts", u.Timeout, ""}, {"errors", u.Error, ""}} {
			if c.n > 0 {
				line += fmt.Sprintf(", %s %s", show.Count(c.n), c.name)
			}
		}
		for _, f := range figures(h) {
			if f.name == "p50" || f.name == "p99" {
				line += fmt.Sprintf(", %s %s", f.name, f.text())
			}
		}
		var codes []string
		for _, code := range slices.Sorted(maps.Keys(u.Status)) {
			codes = append(codes, fmt.Sprintf("%s: %s", code, show.Count(u.Status[code])))
		}
		fmt.Fprintf(b, "  %s\n    %s\n", u.URL, strings.Join(append([]string{line}, codes...), "; "))
	}
}
