package gate

import (
	"strings"
	"testing"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// A phase that asks for no lookup must make none; the balancer counts all the same.
func TestWitnessOfPings(t *testing.T) {
	books := stats.Books{Planned: 100, Sent: 100, OK: 100}
	for want, w := range map[string]record.Witness{
		"": {BalancerTotal: 100}, "database": {DatabaseReads: 1, BalancerTotal: 100}, "balancer": {DatabaseReads: NotCounted, BalancerTotal: 99},
		"balancer database": {DatabaseReads: 100},
	} {
		w.Counters = map[string]string{"lookups": record.CountsLookups}
		w.Lookups = new(w.DatabaseReads)
		p := phaseOf(w, windowOf(books))
		p.Ask = "ping"
		var blamed []string
		for _, r := range p.Judge(nil).Reasons {
			blamed = append(blamed, strings.Fields(r.Text)[3])
		}
		if got := strings.Join(blamed, " "); got != want {
			t.Errorf("%+v: blamed %q, want %q", w, got, want)
		}
	}
}

func TestWitness(t *testing.T) {
	clean := stats.Books{Planned: 110, Sent: 100, Dropped: 10, OK: 97, Bad: 3}
	cut := stats.Books{Planned: 100, Sent: 100, OK: 90, Bad: 2, Timeout: 5, Error: 3}
	const not = NotCounted
	for _, c := range []struct {
		name            string
		books           stats.Books
		unwritten       int64
		reads, balancer int64
		want            string // of whom there is a reason
	}{
		{"all agree", clean, 0, 100, 100, ""},
		{"nobody counts", clean, 0, not, not, ""},
		{"no balancer that counts", clean, 0, 100, not, ""},
		{"one read too few", clean, 0, 99, 100, "database"},
		{"one read too many", clean, 0, 101, 100, "database"},
		{"no reads", clean, 0, 0, 100, "database"},
		{"reads of dropped arrivals", clean, 0, 110, 100, "database"},
		{"balancer saw one less", clean, 0, 100, 99, "balancer"},
		{"balancer saw one more", clean, 0, 100, 101, "balancer"},
		{"both", clean, 0, 200, 0, "database balancer"},
		{"nothing sent", stats.Books{}, 0, 0, 0, ""},
		{"something from nothing", stats.Books{}, 0, 1, 0, "database"},
		{"cut: as many as answers", cut, 2, 92, 92, ""},
		{"cut: as many as written", cut, 2, 98, 98, ""},
		{"cut: fewer than answers", cut, 2, 91, 91, "database balancer"},
		{"cut: more than written", cut, 2, 99, 99, "database balancer"},
		{"cut: all written", cut, 0, 100, 100, ""},
		{"time-outs alone", stats.Books{Planned: 10, Sent: 10, OK: 9, Timeout: 1}, 0, 9, 10, ""},
		{"errors alone", stats.Books{Planned: 10, Sent: 10, OK: 9, Error: 1}, 1, 10, 9, "database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var blamed []string
			for _, r := range Witness(c.books, c.unwritten, c.reads, c.balancer) {
				if r.Code != "witness" {
					t.Errorf("code %q", r.Code)
				}
				blamed = append(blamed, strings.Fields(r.Text)[1])
			}
			if got := strings.Join(blamed, " "); got != c.want {
				t.Errorf("blamed %q, want %q", got, c.want)
			}
		})
	}
}

// A phase that leaves the balancer out must not be seen by it; what the database counts is compared as ever.
func TestWitnessOfDirectPhases(t *testing.T) {
	books := stats.Books{Planned: 100, Sent: 100, OK: 100}
	for want, w := range map[string]record.Witness{
		"": {DatabaseReads: 100}, "balancer": {DatabaseReads: 100, BalancerTotal: 100}, "database": {DatabaseReads: 99, BalancerTotal: NotCounted},
		"balancer database": {DatabaseReads: 101, BalancerTotal: 1},
	} {
		p := phaseOf(w, windowOf(books))
		p.Direct = true
		var blamed []string
		for _, r := range p.Judge(nil).Reasons {
			blamed = append(blamed, strings.Fields(r.Text)[3])
		}
		if got := strings.Join(blamed, " "); got != want {
			t.Errorf("%+v: blamed %q, want %q", w, got, want)
		}
	}
}
