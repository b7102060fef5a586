package figures

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
	"bakeoff/internal/verdict"
)

// mostOthers is how many other runs are read, the newest: reading one takes about as long as reading this
// one.
const mostOthers = 5

// Others is what other runs of the same plan in the same folder say. A run's own interval covers what varies
// within it; what differs from run to run is seen here only.
type Others struct {
	Runs    int       `json:"runs"`             // read
	Older   int       `json:"older"`            // not read: there are Runs newer ones
	LeftOut int       `json:"left_out"`         // not comparable: another machine or other recipes, not complete, or no verdict
	Marks   []string  `json:"marks,omitempty"`  // in what those that were read differ, or may differ, which figures may depend on
	Speeds  []float64 `json:"speeds,omitempty"` // of the machine in each of those read that has one, as a multiple of this run's, the oldest first
	Ratios  []Ratios  `json:"ratios,omitempty"` // of the first target of this run's ranking and each other one
}

// Ratios are those of two targets in several runs.
type Ratios struct {
	A      string         `json:"a"`
	B      string         `json:"b"`
	This   verdict.Number `json:"this"`   // a/b in this run
	Others []float64      `json:"others"` // in each other one, the oldest first
	Spread verdict.Number `json:"spread"` // between runs, this one among them: the standard deviation of ln(a/b); NaN where there is one value
}

// OtherRuns reads the other runs of the plan of a run, whose figures are s, from the folder that holds it.
func OtherRuns(r *record.Reader, s *Summary) (Others, error) {
	var out Others
	if s.Verdict == nil || len(s.Verdict.Targets) < 2 {
		return out, nil
	}
	dir, err := filepath.Abs(r.Dir())
	if err != nil {
		return out, fmt.Errorf("figures: %w", err)
	}
	listed, err := record.List(filepath.Dir(dir))
	if err != nil {
		return out, fmt.Errorf("figures: %w", err)
	}
	first := s.Verdict.Targets[0].Name
	for _, t := range s.Verdict.Targets[1:] {
		c, _ := s.Verdict.Pair(first, t.Name)
		out.Ratios = append(out.Ratios, Ratios{A: first, B: t.Name, This: c.Ratio, Others: []float64{}})
	}
	for _, l := range slices.Backward(listed) {
		switch {
		case l.PlanDigest != s.Run.PlanDigest || filepath.Base(l.Dir) == filepath.Base(dir):
		case out.Runs == mostOthers:
			out.Older++
		default:
			out.add(l, r.Run(), s)
		}
	}
	slices.Reverse(out.Speeds) // as the ratios
	for i := range out.Ratios {
		out.Ratios[i].finish()
	}
	return out, nil
}

// add reads one other run, and takes its ratios where it can be compared.
func (o *Others) add(l record.Listed, this record.Run, here *Summary) {
	r, err := record.Open(l.Dir)
	if err != nil || l.Live || !alike(r.Run(), this) {
		o.LeftOut++
		return
	}
	s, err := Build(r)
	if err != nil || s.Verdict == nil || s.Verdict.Metric != here.Run.Primary {
		o.LeftOut++
		return
	}
	o.Runs++
	if s.Speed != nil && here.Speed != nil {
		o.Speeds = append(o.Speeds, here.Speed.WorkS/s.Speed.WorkS)
	}
	marks := record.Differ(this, r.Run())
	if here.Running() {
		marks = append(marks, "servers whose versions are not known")
	}
	for _, mark := range marks {
		if !slices.Contains(o.Marks, mark) {
			o.Marks = append(o.Marks, mark)
		}
	}
	for i, ratios := range o.Ratios {
		if c, found := s.Verdict.Pair(ratios.A, ratios.B); found && c.Ratio.Known() {
			o.Ratios[i].Others = append(o.Ratios[i].Others, float64(c.Ratio))
		}
	}
}

// OtherSpeed reports whether the machine had another speed in one of them: by more than 5 %. Absolute figures are not compared then;
// ratios are.
func (o Others) OtherSpeed() bool {
	return slices.ContainsFunc(o.Speeds, func(x float64) bool { return math.Abs(x-1) > variedFrom })
}

// alike reports whether another run was of the same recipes on the same machine, and as undisturbed by plan.
func alike(other, this record.Run) bool {
	if other.Status != record.Complete || other.Shared != this.Shared || other.Machine.Fingerprint != this.Machine.Fingerprint {
		return false
	}
	return slices.EqualFunc(other.Targets, this.Targets, func(a, b record.TargetInfo) bool {
		return a.Name == b.Name && a.Digest == b.Digest
	})
}

// finish puts the oldest first, and computes the spread.
func (r *Ratios) finish() {
	slices.Reverse(r.Others)
	logs := []float64{}
	for _, ratio := range append([]float64{float64(r.This)}, r.Others...) {
		if ratio > 0 && !math.IsInf(ratio, 0) {
			logs = append(logs, math.Log(ratio))
		}
	}
	r.Spread = verdict.Number(math.NaN())
	if len(logs) > 1 {
		r.Spread = verdict.Number(stats.Summarize(logs).SD)
	}
}
