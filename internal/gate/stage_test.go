package gate

import (
	"slices"
	"testing"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

func stageOf(rate float64) record.Phase {
	return record.Phase{Number: 2, Name: "stage-1", Model: "open", Rate: rate, DurationS: 10, Stage: &record.Stage{Percentile: 0.99, BoundS: 0.05, Errors: 0.001}}
}

// stageWindow is one of an agent's: that many answers in 5 ms, and in 80 ms, and time-outs. Ten of them were taken up late.
func stageWindow(begin time.Duration, fast, slow, timeouts int64) stats.Window {
	w := stats.Window{
		Begin: begin, Length: time.Second, Books: stats.Books{Planned: fast + slow + timeouts, Sent: fast + slow + timeouts, OK: fast + slow, Timeout: timeouts},
		Response: stats.NewHistogram(), Service: stats.NewHistogram(), Lateness: stats.NewHistogram(),
	}
	w.Response.RecordN(5*time.Millisecond, fast)
	w.Response.RecordN(80*time.Millisecond, slow)
	for range timeouts {
		w.Response.RecordOver(10 * time.Second)
	}
	w.Service.Merge(w.Response)
	late := min(10, fast+slow)
	w.Lateness.RecordN(2*time.Second, late)
	w.Lateness.RecordN(time.Microsecond, fast+slow+timeouts-late)
	return w
}

// The windows of all agents are added up second by second, with what came after the end of slices.
func TestBatches(t *testing.T) {
	b := NewBatches(stageOf(100))
	b.Add(stageWindow(0, 90, 10, 0))
	b.Add(stageWindow(250*time.Millisecond, 50, 0, 2))
	aside := stageWindow(time.Second, 0, 5, 0)
	aside.Aside = true
	b.Add(aside)
	got := b.Stage()
	want := []capacity.Batch{{Planned: 152, Failed: 2, Answers: 152, Slow: 12}, {Planned: 5, Answers: 5, Slow: 5}}
	if got.Rate != 100 || got.Limited || !slices.Equal(got.Batches, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What would refuse a phase is a finding in a stage: too many errors, a rate that steps, agents that are too late.
func TestStagesAreNotRefused(t *testing.T) {
	for _, stage := range []bool{false, true} {
		rec := stageOf(100)
		rec.Witness = record.Witness{DatabaseReads: NotCounted, BalancerTotal: NotCounted}
		if !stage {
			rec.Stage = nil
		}
		p := NewPhase(rec)
		for i := range 30 {
			w := stageWindow(time.Duration(i)*time.Second/3, 95, 0, 5)
			w.Length = time.Second / 3
			if i >= 15 {
				w = stageWindow(w.Begin, 0, 95, 5)
				w.Length = time.Second / 3
			}
			p.Load(0, w)
		}
		found := p.Judge(nil)
		var codes []string
		for _, r := range found.Reasons {
			codes = append(codes, r.Code)
		}
		slices.Sort(codes)
		if codes = slices.Compact(codes); stage && (len(codes) > 0 || !found.Limited) {
			t.Errorf("stage: %v, limited %v", found.Reasons, found.Limited)
		} else if !stage && (found.Limited || !slices.Equal(codes, []string{record.CodeGeneratorLimited, record.CodeNotSteady, record.CodeWrongAnswers})) {
			t.Errorf("phase: %q, limited %v", codes, found.Limited)
		}
	}
}

// A stage that misses the objective only by answers that the agents took up later than its bound says nothing of the target, though
// the agents' lateness is within its own bounds. One that meets it, or misses it without them as well, is judged.
func TestStagesMissedByAgents(t *testing.T) {
	for slow, limited := range map[int64]bool{9: false, 15: true, 20: true, 21: false} {
		rec := stageOf(1000)
		rec.Witness = record.Witness{DatabaseReads: NotCounted, BalancerTotal: NotCounted}
		p := NewPhase(rec)
		for i := range 10 {
			p.Load(0, stageWindow(time.Duration(i)*time.Second, 1000-slow, slow, 0)) // ten of them were late
		}
		if found := p.Judge(nil); found.Limited != limited || len(found.Reasons) > 0 {
			t.Errorf("%d slow answers of 1,000, 10 of them by the agents: limited %v, %v", slow, found.Limited, found.Reasons)
		}
	}
}
