package measure

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
)

// Numbers of the phases; they tell the requests of one from those of the other.
const (
	WarmupNumber  = 0
	MeasureNumber = 1
)

// Job is what is asked for.
type Job struct {
	URLs   []string // as their user gave them
	Agents int
	Warmup load.Phase // nothing when its Duration is 0
	Phase  load.Phase
	Task   fleet.Task // without a phase
	load.Workload
}

// Check says what in the job no engine can carry out, or nil.
func (j *Job) Check() error { return j.job(j.Phase, load.Share{Of: 1}).Check() }

// job is one agent's part of a phase.
func (j *Job) job(phase load.Phase, share load.Share) load.Job {
	t := j.Task
	return load.Job{
		URLs: t.URLs, Dial: t.Dial, Header: t.Header, Method: t.Method, Body: t.Body, Seed: t.Seed,
		Phase: phase, Share: share, Workload: j.Workload,
	}
}

// rates are what the schedule asks for, for people.
func (j *Job) rates() string {
	p := j.Phase
	if len(p.Profile) == 0 {
		return fmt.Sprintf("%s/s", number(p.Rate))
	}
	return fmt.Sprintf("%s/s to %s/s within %v", number(p.Profile[0].Rate), number(p.Profile[1].Rate), p.Profile[1].At)
}

// number writes a figure with thousands apart and at most one decimal.
func number(v float64) string {
	if v != math.Trunc(v) {
		v = math.Round(v*10) / 10
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	whole, fraction, found := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		return whole + "." + fraction
	}
	return whole
}
