package controller

import (
	"errors"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
)

// watch makes a phase the one that samples, and new lines of the logs, belong to.
func (t *trial) watch(p *gate.Phase) {
	t.markLogs()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watched = p
}

// series writes a sample, and keeps it for the judgement where it belongs to the phase under way.
func (t *trial) series(s record.Series) error {
	if _, counted := s.Values[record.TargetConnections]; counted && t.d != nil {
		s = t.d.claimed(s)
	}
	t.mu.Lock()
	if t.watched != nil && t.watched.Number == s.Phase {
		t.watched.Series(s)
	}
	t.run.memory.host(s)
	t.memory.add(s)
	t.mu.Unlock()
	return t.writer.Series(s)
}

// judge refuses the trial for what the rules say of the phase that has ended.
func (t *trial) judge(rec record.Phase) {
	t.mu.Lock()
	t.watched.Phase = rec
	found := t.watched.Judge(t.run.rest)
	t.measured(rec, found)
	t.mu.Unlock()
	for _, reason := range found.Reasons {
		t.refuse(reason.Code, errors.New(reason.Text))
		last := &t.rec.Reasons[len(t.rec.Reasons)-1]
		if last.Cause = reason.Cause; reason.Code == record.CodeWrongAnswers && ownFailure.MatchString(reason.Text) {
			last.Wrote = t.wrote()
		}
	}
	t.rec.Warnings = append(t.rec.Warnings, found.Warnings...)
}
