package recordtest

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Objective is that of runs with stages.
func Objective() capacity.Objective {
	return capacity.Objective{Percentile: 0.99, Bound: 50 * time.Millisecond, Errors: 0.001}
}

// WithCapacity makes the run one of a capacity: each target meets the objective up to a rate. Its search has found that rate to
// within 10 %, and each of its blocks has four stages.
func (r *Run) WithCapacity(most map[string]float64) {
	r.Capacity, r.OpenS = most, 0
	r.Plan("capacity", `"objective":{"p99":"50ms","errors":"0.1%"}`)
	r.Head.Pilot = &record.Pilot{Throughput: map[string]float64{}, Capacity: map[string]capacity.Result{}}
	for name, rate := range most {
		r.Head.Pilot.Capacity[name] = capacity.Result{
			Outcome: capacity.Found, Centre: capacity.Round(rate), Lower: capacity.Round(rate / 1.05), Upper: capacity.Round(rate * 1.05),
		}
	}
}

// stages writes those of a block.
func (r *Run) stages(t *testing.T, tw *record.TrialWriter, tr *record.Trial, rng *rand.Rand) {
	t.Helper()
	most := r.Capacity[tr.Target] * (1 + 0.01*math.Sin(float64(tr.Block)))
	var done []capacity.Stage
	for {
		rate, more := Objective().Next(r.Head.Pilot.Capacity[tr.Target].Centre, math.Inf(1), done)
		if !more {
			return
		}
		n := len(done) + 1
		p := record.Phase{
			Number: 1 + n, Name: "stage-" + string(rune('0'+n)), Model: "open", Connections: 256, Rate: rate, Arrivals: "poisson", DurationS: 10, TimeoutS: 10,
			Stage: &record.Stage{Percentile: 0.99, BoundS: 0.05, Errors: 0.001},
		}
		done = append(done, r.stage(t, tw, tr, rng, p, most))
	}
}

// stage writes one, whose share of slow answers is that of an M/M/1 queue which meets the objective up to a rate.
func (r *Run) stage(t *testing.T, tw *record.TrialWriter, tr *record.Trial, rng *rand.Rand, p record.Phase, most float64) capacity.Stage {
	t.Helper()
	p.Started = tr.Started.Add(time.Duration(20*p.Number) * time.Second)
	p.Ended = p.Started.Add(p.Duration())
	out := capacity.Stage{Rate: p.Rate}
	share := min(1, 0.01*math.Exp(45*(p.Rate/most-1)))
	for second := range int(p.DurationS) {
		l := Window(rng, p, second, 0, int(p.Rate), tr.Replicas)
		slow := int64(share*p.Rate + 0.5)
		l.Response = stats.NewHistogram()
		l.Response.RecordN(15*time.Millisecond, l.Books.OK-slow)
		l.Response.RecordN(80*time.Millisecond, slow)
		out.Batches = append(out.Batches, capacity.Batch{Planned: l.Books.Planned, Answers: l.Books.OK, Slow: slow})
		check(t, tw.Load(l))
		r.second(t, tw, tr, p, second)
	}
	sent := out.Sum().Planned
	p.Witness = record.Witness{DatabaseReads: sent, BalancerTotal: sent}
	tr.Phases = append(tr.Phases, p)
	return out
}
