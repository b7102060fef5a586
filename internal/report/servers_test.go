package report

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// serversRun writes a run of two running servers at these addresses, one block of one phase.
func serversRun(t *testing.T, addresses ...string) *Summary {
	t.Helper()
	s := demo()
	s.run.Database, s.run.Balancer, s.run.Pilot, s.run.Targets, s.run.Order = record.DatabaseInfo{}, record.BalancerInfo{}, nil, nil, nil
	s.run.Plan = json.RawMessage(`{"name":"demo","seed":7,"blocks":1,"primary":"throughput"}`)
	s.run.Notes = []string{"no second witness"}
	for i, address := range addresses {
		name := []string{"old", "new"}[i]
		s.run.Targets = append(s.run.Targets, record.TargetInfo{
			Name: name, Kind: record.KindURL, URL: "http://" + address + "/ping?x=1", Address: address,
			Expect: &record.Expect{Status: 200, Body: strings.Repeat("pong", i)},
		})
		s.run.Order = append(s.run.Order, record.Place{Block: 1, Position: i + 1, Target: name})
	}
	w := s.begin(t)
	for _, p := range s.run.Order {
		tw := must[*record.TrialWriter](t)(w.BeginTrial(p.Block, p.Position, p.Target, 1))
		phase := record.Phase{
			Number: 1, Name: "closed", Model: "closed", Connections: 32, DurationS: 2, TimeoutS: 10,
			Started: epoch, Ended: epoch.Add(2 * time.Second), Witness: record.Witness{DatabaseReads: -1, BalancerTotal: -1, Connections: -1},
		}
		for second := range 2 {
			l := window(rand.New(rand.NewPCG(1, 2)), phase, second, 0, 1000*p.Position, []record.Replica{{Name: "none"}})
			l.Replicas, l.Hits, l.Misses = nil, 0, 0
			check(t, tw.Load(l))
		}
		for second := range 3 {
			for tier, cores := range map[string]float64{"agent": 0.2, "host": 1.2} {
				check(t, tw.Series(record.Series{
					At: epoch.Add(time.Duration(second) * time.Second), Phase: 1, Tier: tier, Name: tier, CPUNS: int64(cores * float64(second) * 1e9), RSSBytes: 1e7,
				}))
			}
		}
		check(t, tw.Finish(record.Trial{Status: record.Valid, Started: epoch, Phases: []record.Phase{phase}, Timeline: []record.Step{{Name: "verify-before", Seconds: 0.6}}}))
	}
	check(t, w.Finish(record.Complete, ""))
	return open(t, w)
}

// A report of running servers says what was asked, and speaks of nothing that there was not.
func TestServers(t *testing.T) {
	s := serversRun(t, "127.0.0.1:8080", "[::1]:8081")
	text := asText(t, s)
	golden(t, "servers.txt", []byte(text))
	asMarkdown(t, s)
	lower := strings.ToLower(text)
	for _, no := range []string{"database", "balancer", "rows", "hit ratio", "replica", "workers", "protocol", "recipe", "table", "statements"} {
		if strings.Contains(lower, no) {
			t.Errorf("it speaks of %q", no)
		}
	}
	if p := s.Phases[0].Targets[0]; p.Reads.N != 0 || p.ReadsTotal != 0 || p.DBConnections.N != 0 {
		t.Errorf("nobody counted, but reads are %+v, %d and connections %+v", p.Reads, p.ReadsTotal, p.DBConnections)
	}
	if per := s.Trials[0].Phases[0].Witness.ReadsPerRequest; per != 0 {
		t.Errorf("%v reads per request", per)
	}
	data := must[[]byte](t)(json.Marshal(s))
	for _, no := range []string{`"database":`, `"balancer":`, `"dataset":`, `"recipe":`, `"replicas":`, `"pool":`} {
		if strings.Contains(string(data), no) {
			t.Errorf("summary.json holds %s", no)
		}
	}
}

// Servers elsewhere do not share the cores of the agents.
func TestHeadlineOfServersElsewhere(t *testing.T) {
	for want, addresses := range map[string][]string{
		"1 block of 2 s of 2 running servers, loaded from 2 cores: old and new": {"127.0.0.1:8080", "10.0.0.1:80"},
		"1 block of 2 s of 1 running server on 2 shared cores: old":             {"127.9.9.9:80"},
	} {
		if got := serversRun(t, addresses...).Headline; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
