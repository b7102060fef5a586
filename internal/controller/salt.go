package controller

import (
	"crypto/rand"

	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/splitmix"
)

// The salt of a run is drawn at its start and kept in its record. Which answers are checked, and which keys are asked for in which
// order, follows from it; a plan alone says neither.

// newSalt is 130 random bits as text.
func newSalt() string { return rand.Text() }

// salt is that of the trial; a run from before there were salts has none.
func (t *trial) salt() string { return record.Run{Salt: t.run.o.salt}.SaltOf(t.rec.Block) }

// contractSeed is the seed of the keys that the check of the contract asks for.
func (o *Options) contractSeed() uint64 {
	if o.salt == "" {
		return o.Plan.Seed
	}
	return splitmix.NewKey(o.salt, "contract").Draw(o.Plan.Seed, 0)
}

// seedOf is that of one trial: no two ask for the same keys before the load.
func (o *Options) seedOf(t record.Trial) uint64 {
	if o.salt == "" {
		return o.Plan.Seed
	}
	return splitmix.NewKey(o.salt, "contract of "+t.Target).Draw(uint64(t.Block), uint64(t.Attempt))
}

// leastChecked is how many bodies of a phase are checked at least, of those that are expected.
const leastChecked = 3000

// checked is a phase with its salt and with the share of its answers whose body is checked: that of the plan, or more where it
// would be fewer than leastChecked. It is fixed before the phase, by the rate that is expected. Runs from before there were salts
// have that of the plan.
func (t *trial) checked(phase load.Phase) load.Phase {
	phase.Salt = t.salt()
	if t.run.isStage(phase) {
		phase.Rate = t.rate
	}
	trust := t.run.o.Plan.Trust
	if t.run.isWarmup(phase) || trust.Bodies == plan.Off || phase.Salt == "" && trust.Salt != plan.Off {
		return phase
	}
	rate := phase.Rate
	if phase.Model == load.Closed {
		rate = t.expectedRate()
	}
	phase.CheckShare = max(phase.CheckShare, leastChecks(rate*phase.Duration.Seconds()))
	return phase
}

// expectedRate is how many answers per second the target gave in the warm-up, else in the pilot; 0: neither is known.
func (t *trial) expectedRate() float64 {
	warm := t.totals[warmupPhase]
	if rate := warm.Goodput(); rate > 0 || t.run.pilot == nil {
		return rate
	}
	return t.run.pilot.Throughput[t.rec.Target]
}

// ratesOf is what is expected of each of these.
func ratesOf(trials ...*trial) map[string]float64 {
	out := map[string]float64{}
	for _, t := range trials {
		out[t.rec.Target] = t.expectedRate()
	}
	return out
}

// leastChecks is the share of the expected answers that are leastChecked; all of them where it is not known how many there will be.
func leastChecks(expected float64) float64 {
	if expected <= leastChecked {
		return 1
	}
	return leastChecked / expected
}
