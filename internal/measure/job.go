package measure

import (
	"fmt"
	"net/http"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/show"
	"bakeoff/internal/threshold"
)

// Numbers of the phases; they distinguish the requests of one from those of the other.
const (
	WarmupNumber  = 0
	MeasureNumber = 1
)

// Job is what is asked for.
type Job struct {
	URLs   []string // as they are asked for, {key} where a key goes
	Agents int
	// Version of this program, as its results say.
	Version string
	Warmup  load.Phase // nothing when its Duration is 0
	Phase   load.Phase
	Task    fleet.Task // without a phase
	load.Workload
	Require []threshold.Threshold
}

// Check says what in the job no engine can carry out, or nil.
func (j *Job) Check() error { return j.job(j.Phase, load.Share{Of: 1}).Check() }

// job is one agent's part of a phase.
func (j *Job) job(phase load.Phase, share load.Share) load.Job {
	t := j.Task
	return load.Job{
		URLs: t.URLs, Dial: t.Dial, Header: t.Header, TLS: t.TLS, Method: t.Method, Body: t.Body, Seed: t.Seed,
		Phase: phase, Share: share, Workload: j.Workload,
	}
}

// method is the one that is sent.
func (j *Job) method() string {
	if j.Task.Method == "" {
		return http.MethodGet
	}
	return j.Task.Method
}

// rates are what the schedule asks for, for people.
func (j *Job) rates() string {
	p := j.Phase
	if len(p.Profile) == 0 {
		return fmt.Sprintf("%s/s", show.Decimal(p.Rate))
	}
	return fmt.Sprintf("%s/s to %s/s within %v", show.Decimal(p.Profile[0].Rate), show.Decimal(p.Profile[1].Rate), p.Profile[1].At)
}
