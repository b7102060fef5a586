package controller

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/fleet"
	"bakeoff/internal/gate"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// What the pilot found is what the report's table of the pilot says, live and read back: answers that come after sending has ended are in
// neither.
func TestThePilotFindsTheReportsGoodput(t *testing.T) {
	const sending = 3 * time.Second
	found := gate.NewPhase(record.Phase{Number: pilotPhase, DurationS: sending.Seconds()})
	w, err := record.Create(t.TempDir(), record.Run{Name: "pilot", Order: []record.Place{{Position: 1, Target: "slow"}}, Targets: []record.TargetInfo{{Name: "slow"}}, Plan: json.RawMessage(`{}`)}, nil, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	lines, err := w.BeginTrial(0, 1, "slow", 1)
	if err != nil {
		t.Fatal(err)
	}
	for agent := range 2 {
		for second, ok := range []int64{0, 1, 1, 1} { // the last after the end
			s := fleet.Snapshot{Agent: agent, Window: stats.Window{Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: ok, Sent: ok, OK: ok}}}
			found.Load(agent, s.Window)
			if err := lines.Load(line(pilotPhase, s, nil, false)); err != nil {
				t.Fatal(err)
			}
		}
	}
	phase := record.Phase{Number: pilotPhase, Name: "pilot", Model: load.Closed, DurationS: sending.Seconds(), Started: time.Now(), Ended: time.Now().Add(4 * time.Second)}
	if err := lines.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{{Name: "warmup", Warmup: true}, phase}}); err != nil {
		t.Fatal(err)
	}
	const want = 4.0 / 3
	sum := found.Totals()
	if live := sum.Goodput(); math.Abs(live-want) > 1e-9 {
		t.Errorf("live: %v/s, want %v", live, want)
	}
	r := &run{writer: w, valid: map[string]map[int]bool{}, pilot: &record.Pilot{Throughput: map[string]float64{}}, tried: map[trialKey]int{}, reached: map[trialKey]float64{}, last: map[int]int{}}
	if err := r.recall(); err != nil {
		t.Fatal(err)
	}
	reader, err := record.Open(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	summary, err := figures.Build(reader)
	if err != nil {
		t.Fatal(err)
	}
	if table := summary.Pilot[0].Phases[0].Goodput; math.Abs(table-want) > 1e-9 || r.pilot.Throughput["slow"] != table {
		t.Errorf("found %v/s, the table says %v, want %v", r.pilot.Throughput["slow"], table, want)
	}
}
