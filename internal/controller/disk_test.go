package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// The estimate of the disk counts what the plan says: the greatest target, every phase with the wait after it.
func TestExtent(t *testing.T) {
	deployed := `name: x
targets: [{recipe: django, replicas: 5}, {recipe: flask, workers: 9}]
deployment: {replicas: 2, workers: 3, pool: 4, access_log: ACCESS}
agents: {count: 3}
warmup: 2s
phases: [{name: a, model: closed, connections: 4, duration: 5s}, {name: b, model: closed, connections: 4, duration: 10s}]
`
	running := `name: x
targets: [{name: a, kind: url, url: "http://127.0.0.1:1/"}]
warmup: 0s
phases: [{name: a, model: closed, connections: 4, duration: 5s}]
`
	for text, want := range map[string]record.Extent{
		strings.Replace(deployed, "ACCESS", "false", 1): {Trials: 7, Seconds: 19, Agents: 3, Replicas: 5, Workers: 9},
		strings.Replace(deployed, "ACCESS", "true", 1):  {Trials: 7, Seconds: 19, Agents: 3, Replicas: 5, Workers: 9, LogBytes: 19 * 1_000_000},
		running: {Trials: 7, Seconds: 6, Agents: 2},
	} {
		p, err := plan.Load("p.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Plan: p}
		if got := o.extent(7); got != want {
			t.Errorf("extent %+v, want %+v", got, want)
		}
	}
}

// What is shown is in the record, in the same order and whole; a record that cannot be written any more hides nothing.
func TestProgressIsRecorded(t *testing.T) {
	w, err := record.Create(t.TempDir(), record.Run{Name: "progress"}, nil, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var shown, recorded []record.Progress
	progress := alsoRecorded(w, func(e record.Progress) { shown = append(shown, e) })
	said := []record.Progress{
		{Block: 1, Blocks: 2, Trial: 3, Trials: 4, Attempt: 2, Target: "a", Text: "closed", Expect: 90 * time.Second},
		{Text: "cd x", Lasting: true, Verbatim: true},
	}
	for _, e := range said {
		progress(e)
	}
	alsoRecorded(w, nil)(record.Progress{Text: "nobody looks"})
	if err := w.Finish(record.Complete, ""); err != nil {
		t.Fatal(err)
	}
	progress(record.Progress{Text: "after the end"})
	for item, err := range record.Follow(t.Context(), w.Dir(), record.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			if e, ok := item.Event.Progress(); ok {
				recorded = append(recorded, e)
			}
		}
	}
	if want := append(said[:2:2], record.Progress{Text: "nobody looks"}); !slices.Equal(recorded, want) {
		t.Errorf("recorded %+v, want %+v", recorded, want)
	}
	if want := append(said[:2:2], record.Progress{Text: "after the end"}); !slices.Equal(shown, want) {
		t.Errorf("shown %+v, want %+v", shown, want)
	}
}
