package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
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
	for _, c := range []struct {
		text, engine string
		want         record.Extent
	}{
		{strings.Replace(deployed, "ACCESS", "false", 1), "native", record.Extent{Trials: 7, Seconds: 19, Agents: 3, Replicas: 5, Workers: 9}},
		{strings.Replace(deployed, "ACCESS", "true", 1), "native", record.Extent{Trials: 7, Seconds: 19, Agents: 3, Replicas: 5, Workers: 9, LogBytes: 19 * 1_000_000}},
		{strings.Replace(deployed, "ACCESS", "true", 1), plan.JMeter, record.Extent{Trials: 7, Seconds: 19, Agents: 3, Replicas: 5, Workers: 9, LogBytes: 2 * 19 * 1_000_000}},
		{running, "native", record.Extent{Trials: 7, Seconds: 6, Agents: 2}},
		{running, plan.JMeter, record.Extent{Trials: 7, Seconds: 6, Agents: 2, LogBytes: 6 * 1_000_000}},
	} {
		p, err := plan.Load("p.yaml", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		p.Agents.Engine = c.engine
		o := Options{Plan: p}
		if got := o.extent(7); got != c.want {
			t.Errorf("extent %+v, want %+v", got, c.want)
		}
	}
}

// A full disk is said once, with how much room there is and how much the rest of the run needs; another error stays as it is.
func TestFullDiskIsExplained(t *testing.T) {
	w := newWorld()
	w.room = 5e6
	o := w.options(t, oneTarget+closedOnly)
	writer, err := record.Create(t.TempDir(), record.Run{Name: "full"}, nil, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	r := &run{o: &o, writer: writer, trials: 6, number: 2}
	full := fmt.Errorf("write load.jsonl: %w", syscall.ENOSPC)
	got := r.explainDisk(errors.Join(errors.Join(full, errors.New("again")), errors.New("and again")))
	said, _ := errors.AsType[*DiskError](got)
	if said == nil || !said.Begun || said.Dir != writer.Dir() || said.Free != 5e6 || said.Needed != record.Needs(o.extent(4)) || !errors.Is(got, syscall.ENOSPC) {
		t.Fatalf("%+v", got)
	}
	text := fmt.Sprintf("%s has %s free, the run needs about %s more", writer.Dir(), show.Megabytes(5e6), show.Megabytes(float64(said.Needed)))
	if want := full.Error() + " (" + text + ")"; said.Error() != want {
		t.Errorf("%q, want %q", said.Error(), want)
	}
	said.err = errors.New("one\ntwo")
	if want := "one (" + text + ")"; said.Error() != want {
		t.Errorf("%q, want %q", said.Error(), want)
	}
	if said.err = nil; said.Error() != text {
		t.Errorf("seen beforehand: %q, want %q", said.Error(), text)
	}
	if other := errors.New("another"); r.explainDisk(other) != other {
		t.Error("another error is explained as a full disk")
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
