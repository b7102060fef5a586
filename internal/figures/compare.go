package figures

import (
	"fmt"
	"path/filepath"
	"slices"

	"bakeoff/internal/record"
	"bakeoff/internal/verdict"
)

// Labelled is a run with what it is called in a comparison.
type Labelled struct {
	Label   string
	Run     record.Run
	Summary *Summary
}

// Compared is several runs compared with the first of them.
type Compared struct {
	Metric  string           `json:"metric"`
	Unit    string           `json:"unit"`
	Runs    []ComparedRun    `json:"runs"`
	Changes []Change         `json:"changes"` // what else differs between the runs: it may be why figures do
	Targets []ComparedTarget `json:"targets"`
}

// ComparedRun is one of the runs.
type ComparedRun struct {
	Label     string   `json:"label"`
	Name      string   `json:"name"`
	Started   string   `json:"started"`
	Status    string   `json:"status"`
	Elsewhere bool     `json:"elsewhere,omitempty"`  // on another machine than the first
	NoVerdict string   `json:"no_verdict,omitempty"` // why it has no figures that can be compared
	Marks     []string `json:"marks,omitempty"`
}

// Change is something in which a run differs from the first.
type Change struct {
	Run   string `json:"run"` // its label
	What  string `json:"what"`
	First string `json:"first"`
	This  string `json:"this"`
}

// ComparedTarget is one target in all runs, in their order.
type ComparedTarget struct {
	Name  string         `json:"name"`
	Cells []ComparedCell `json:"cells"`
}

// ComparedCell is one target in one run, with the ratio of its figure to that in the first run. On another machine, and where
// either has no figures, there is no interval.
type ComparedCell struct {
	Blocks int            `json:"blocks"`
	Mean   verdict.Number `json:"mean"` // geometric, over blocks
	verdict.Interval
}

// Compare compares finished runs with the first one. It refuses runs whose primary metric is another one.
func Compare(runs []Labelled) (Compared, error) {
	first := runs[0]
	out := Compared{Metric: first.Summary.Run.Primary, Unit: UnitAnswers, Changes: []Change{}}
	switch out.Metric {
	case p99AtRate:
		out.Unit = UnitSeconds
	case capacityMetric:
		out.Unit = UnitRequests
	}
	for _, r := range runs {
		if r.Summary.Run.Primary != out.Metric {
			return out, fmt.Errorf("the primary metric of %s is %q, that of %s is %q: figures of the two cannot be compared", r.Label, r.Summary.Run.Primary, first.Label, out.Metric)
		}
		out.Runs = append(out.Runs, ComparedRun{
			Label: r.Label, Name: r.Summary.Run.Name, Started: r.Summary.Run.Started.UTC().Format("2006-01-02 15:04"), Status: r.Summary.Run.Status,
			Elsewhere: elsewhere(r, first), NoVerdict: r.Summary.NoVerdict, Marks: r.Summary.Caveats,
		})
		out.Changes = append(out.Changes, changes(first, r)...)
	}
	together := intervals(runs)
	for _, name := range targetNames(runs) {
		t := ComparedTarget{Name: name}
		for i, r := range runs {
			t.Cells = append(t.Cells, cell(values(r, name), values(first, name), i > 0 && !elsewhere(r, first), together))
		}
		out.Targets = append(out.Targets, t)
	}
	return out, nil
}

func elsewhere(r, first Labelled) bool {
	return r.Run.Machine.Fingerprint != first.Run.Machine.Fingerprint
}

// intervals is how many of them there are, which hold together.
func intervals(runs []Labelled) int {
	n := 0
	for _, name := range targetNames(runs) {
		for _, r := range runs[1:] {
			if !elsewhere(r, runs[0]) && len(values(r, name)) > 1 && len(values(runs[0], name)) > 1 {
				n++
			}
		}
	}
	return n
}

func cell(these, first []float64, interval bool, together int) ComparedCell {
	out := ComparedCell{Blocks: len(these), Mean: verdict.GeometricMean(these), Interval: verdict.BetweenRuns(these, first, together)}
	if !interval {
		out.Low, out.High, out.Level = verdict.BetweenRuns(nil, nil, 1).Low, verdict.BetweenRuns(nil, nil, 1).High, 0
	}
	return out
}

// values are the block values of a target in a run; none where some blocks only bound its capacity, for the others are the lower ones, or
// the higher ones.
func values(r Labelled, target string) (out []float64) {
	bounded := func(v Value) bool { return v.Target == target }
	if r.Summary.Verdict == nil || slices.ContainsFunc(r.Summary.Bounded(), bounded) {
		return nil
	}
	for _, v := range r.Summary.Verdict.Values {
		if v.Target == target {
			out = append(out, v.Value)
		}
	}
	return out
}

// targetNames are those of all runs, as the first has them and then as they come.
func targetNames(runs []Labelled) (out []string) {
	for _, r := range runs {
		for _, t := range r.Summary.Ranked() {
			if !slices.Contains(out, t.Name) {
				out = append(out, t.Name)
			}
		}
	}
	return out
}

// Expected is a run against what earlier runs of its plan on its machine predict.
type Expected struct {
	Earlier int `json:"earlier"` // runs
	// Unread are earlier runs whose figures cannot be computed: they are left out.
	Unread  int              `json:"unread,omitempty"`
	Fewest  int              `json:"fewest"`  // that a prediction needs
	Targets []ExpectedTarget `json:"targets"` // empty: not comparable
}

// ExpectedTarget is one target: the ratio of its figure to the geometric mean of earlier runs, and where it was expected.
type ExpectedTarget struct {
	Name    string `json:"name"`
	Earlier int    `json:"earlier"` // runs that have a figure of it
	verdict.Interval
	Outcome string `json:"outcome"` // "as before", "better", "worse" or "not comparable"
}

// Outcomes against a baseline.
const (
	AsBefore      = "as before"
	Better        = "better"
	Worse         = "worse"
	NotComparable = "not comparable"
)

// Expect compares a run with the earlier ones in a folder: complete runs of the same plan on the same machine.
func Expect(r *record.Reader, s *Summary, folder string) (Expected, error) {
	out := Expected{Fewest: verdict.FewestEarlier, Targets: []ExpectedTarget{}}
	earlier, unread, err := earlierRuns(r, s, folder)
	if err != nil {
		return out, err
	}
	out.Earlier, out.Unread = len(earlier), unread
	this := Labelled{Run: r.Run(), Summary: s}
	for _, t := range s.Ranked() {
		var means []float64
		for _, e := range earlier {
			if m := verdict.GeometricMean(values(e, t.Name)); m.Known() {
				means = append(means, float64(m))
			}
		}
		out.Targets = append(out.Targets, expected(t.Name, means, float64(verdict.GeometricMean(values(this, t.Name))), len(s.Ranked()), s.Run.Primary == p99AtRate))
	}
	return out, nil
}

func expected(name string, earlier []float64, next float64, together int, lowerIsBetter bool) ExpectedTarget {
	out := ExpectedTarget{Name: name, Earlier: len(earlier), Interval: verdict.Predict(earlier, next, together), Outcome: AsBefore}
	switch {
	case !out.Ratio.Known() || !out.Low.Known():
		out.Outcome = NotComparable
	case out.Ratio < out.Low:
		out.Outcome = map[bool]string{true: Better, false: Worse}[lowerIsBetter]
	case out.Ratio > out.High:
		out.Outcome = map[bool]string{true: Worse, false: Better}[lowerIsBetter]
	}
	return out
}

// earlierRuns are complete ones of the plan of a run, on its machine, that began before it; it counts those that cannot be read.
func earlierRuns(r *record.Reader, s *Summary, folder string) (out []Labelled, unread int, err error) {
	listed, err := record.List(folder)
	if err != nil {
		return nil, 0, fmt.Errorf("figures: %w", err)
	}
	for _, l := range listed {
		if l.PlanDigest != s.Run.PlanDigest || !l.Started.Before(s.Run.Started) || l.Live {
			continue
		}
		other, err := record.Open(l.Dir)
		if err != nil {
			unread++
			continue
		}
		run := other.Run()
		if run.Status != record.Complete || run.Shared != r.Run().Shared || run.Machine.Fingerprint != r.Run().Machine.Fingerprint {
			continue
		}
		summary, err := Build(other)
		if err != nil {
			unread++
			continue
		}
		out = append(out, Labelled{Label: filepath.Base(l.Dir), Run: run, Summary: summary})
	}
	return out, unread, nil
}
