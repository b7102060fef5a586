package gate

import (
	"iter"
	"time"

	"bakeoff/internal/record"
)

// Replay judges a recorded trial again, phase by phase, from its lines of load.jsonl and series.jsonl.
// rest is the baseline that counts for it, as of Baseline. What it returns is what was recorded by the run
// itself, of the codes that gate decides; the others are events that only the run saw.
func Replay(t record.Trial, loads iter.Seq2[record.Load, error], series iter.Seq2[record.Series, error], rest *record.Baseline) (Judgement, error) {
	phases := map[int]*Phase{}
	for _, p := range t.Phases {
		phases[p.Number] = NewPhase(p)
		phases[p.Number].Declare(t.Declared)
	}
	for line, err := range loads {
		if err != nil {
			return Judgement{}, err
		}
		if p := phases[line.Phase]; p != nil {
			p.Load(line.Agent, line.Window)
		}
	}
	for line, err := range series {
		if err != nil {
			return Judgement{}, err
		}
		if p := phases[line.Phase]; p != nil {
			p.Series(line)
		}
	}
	out := Judgement{Stages: map[int]bool{}}
	for _, p := range t.Phases {
		if p.Unjudged {
			continue
		}
		one := phases[p.Number].Judge(rest)
		out.Reasons = append(out.Reasons, one.Reasons...)
		out.Warnings = append(out.Warnings, one.Warnings...)
		if p.Stage != nil {
			out.Stages[p.Number] = one.Limited
		}
	}
	return out, nil
}

// Baseline is the one of a run that counts for a trial that began then, or nil.
func Baseline(run record.Run, began time.Time) *record.Baseline {
	for i := len(run.Baselines) - 1; i >= 0; i-- {
		if !run.Baselines[i].At.After(began) {
			return &run.Baselines[i]
		}
	}
	return nil
}

// Decides reports whether the reasons of a code are computed here from the record.
func Decides(code string) bool {
	switch code {
	case record.CodeBooks, record.CodeWitness, record.CodeLookups, record.CodeStale, record.CodeMoves, record.CodeShares, record.CodeDeclared, record.CodeLittlesLaw, record.CodeWrongAnswers, record.CodeNotSteady,
		record.CodeGeneratorLimited, record.CodeDisturbedHost, record.CodeNotWatched:
		return true
	}
	return false
}
