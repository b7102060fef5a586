package record

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestSaltOfABlock(t *testing.T) {
	if got := (Run{Salt: "abc"}).SaltOf(7); got != "abc/7" {
		t.Errorf("%q", got)
	}
	if got := (Run{}).SaltOf(7); got != "" {
		t.Errorf("without a salt: %q", got)
	}
}

func TestShareOfAStranger(t *testing.T) {
	if got := (Disturbance{CPUTimeNS: 200}).Share(Stranger{CPUNS: 50}); got != 0.25 {
		t.Errorf("%v", got)
	}
	if got := (Disturbance{}).Share(Stranger{CPUNS: 50}); got != 50 {
		t.Errorf("of no time: %v", got)
	}
}

func TestOverlapIsProven(t *testing.T) {
	for want, all := range map[bool][]*Overlap{
		true:  {{1, 3, 2, 4}, {2, 4, 1, 3}, {1, 4, 2, 3}},
		false: {nil, {1, 2, 2, 3}, {2, 3, 1, 2}, {1, 2, 3, 4}, {3, 4, 1, 2}},
	} {
		for _, o := range all {
			if got := o.Proven(); got != want {
				t.Errorf("%+v: %v", o, got)
			}
		}
	}
}

func TestTimeOfAPhase(t *testing.T) {
	p := Phase{DurationS: 0.3}
	if p.Duration() != 300*time.Millisecond || p.LeftOut() != 0 {
		t.Errorf("%v, %v left out", p.Duration(), p.LeftOut())
	}
	p.Turns = &PhaseTurns{LeftOut: 2, SliceS: 0.1}
	if p.LeftOut() != 200*time.Millisecond {
		t.Errorf("%v left out", p.LeftOut())
	}
	if p.Turns.LeftOut = 9; p.LeftOut() != 300*time.Millisecond {
		t.Errorf("%v left out of %v", p.LeftOut(), p.Duration())
	}
}

// A calibration counts for 30 days, in runs of the version that made it.
func TestVoidCalibration(t *testing.T) {
	at := time.Unix(1000, 0)
	for age, old := range map[time.Duration]string{0: "", 720 * time.Hour: "", 720*time.Hour + time.Second: "older than 30 days"} {
		if got := (Calibration{At: at, Bakeoff: "1"}).Void(at.Add(age), "1"); got != old {
			t.Errorf("after %v: %q, want %q", age, got, old)
		}
	}
	if got := (Calibration{At: at, Bakeoff: "1"}).Void(at, "2"); got != "made by another version of bakeoff, 1" {
		t.Errorf("of another version: %q", got)
	}
}

func TestFullDisks(t *testing.T) {
	for err, want := range map[error]bool{nil: false, syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EIO: false} {
		if got := DiskFull(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// The estimate grows by a line with its histograms for each agent and second, by histograms for each replica, and so on: what it comes
// to is what documents and error messages have named since it was measured.
func TestNeedsOfSmallRuns(t *testing.T) {
	const base = 3<<20 + 64<<10 + 2*64<<10 // the run and what is held back, a trial, the logs of database and balancer
	for want, e := range map[int64]Extent{
		base + 5<<10 + 512:                                     {Trials: 1, Seconds: 1},
		base + 2*(5<<10+512):                                   {Trials: 1, Seconds: 1.2},
		base + 5<<10 + 512 + 13<<10 + 512:                      {Trials: 1, Seconds: 1, Agents: 1},
		base + 5<<10 + 512 + 64<<10 + 3*512:                    {Trials: 1, Seconds: 1, Replicas: 1, Workers: 2},
		base + 5<<10 + 512 + 17<<10 + 512 + 64<<10 + 3*512 + 7: {Trials: 1, Seconds: 1, Agents: 1, Replicas: 1, Workers: 2, LogBytes: 7},
		3 << 20: {Seconds: 1, Agents: 1},
	} {
		if got := Needs(e); got != want {
			t.Errorf("%+v: %d bytes, want %d", e, got, want)
		}
	}
}

// What a run says of itself is kept as it is set, except for what only the writer knows.
func TestWhatTheWriterKnows(t *testing.T) {
	given := smallRun()
	given.Format, given.Status, given.Reason = 99, Complete, "because"
	w, err := Create(memory(t), given, nil, nil, began)
	check(t, err)
	if run := w.Run(); run.Format != FormatVersion || run.Status != Incomplete || !run.Started.Equal(began) {
		t.Errorf("%+v", run)
	}
	ended := began.Add(time.Minute)
	check(t, w.Update(func(r *Run) {
		r.Format, r.Ended = 98, ended
		r.Targets = []TargetInfo{{Name: "a"}, {Name: "b"}}
		r.Short, r.Shared = true, true
	}))
	if run := mustOpen(t, w.Dir()).Run(); run.Format != FormatVersion {
		t.Errorf("format %d", run.Format)
	}
	check(t, w.Finish(Aborted, "over"))
	if run := mustOpen(t, w.Dir()).Run(); !run.Ended.Equal(ended) || run.Reason != "over" {
		t.Errorf("ended %v: %s", run.Ended, run.Reason)
	}
	if l := Glance(w.Dir()); !slices.Equal(l.Targets, []string{"a", "b"}) || !l.Short || !l.Shared || l.Live || l.Planned != 5 || !l.Ended.Equal(ended) || l.PlanDigest != smallDigest || l.Problem != "" {
		t.Errorf("%+v", l)
	}
}

// A folder's name says place and attempt; what is not written like that is none.
func TestFoldersOfTrials(t *testing.T) {
	for name, want := range map[string]struct {
		place   Place
		attempt int
	}{
		"1-2-a": {Place{1, 2, "a"}, 1}, "0-1-a-b": {Place{0, 1, "a-b"}, 1}, "1-2-a.2": {Place{1, 2, "a"}, 2}, "12-13-a.10": {Place{12, 13, "a"}, 10},
	} {
		if place, attempt, ok := parseFolder(name); !ok || place != want.place || attempt != want.attempt || trialFolder(place.Block, place.Position, place.Target, attempt) != name {
			t.Errorf("%s: %+v, attempt %d, %v", name, place, attempt, ok)
		}
	}
	for _, name := range []string{"", "1", "1-2", "a-2-a", "1-b-a", "01-2-a", "1-2-a.1", "1-2-a.x", "1-2-a.02", "1-2-a.0", `1-2-a\b`, "1-2-a/b", "+1-2-a"} {
		if place, _, ok := parseFolder(name); ok {
			t.Errorf("%q is of %+v", name, place)
		}
	}
}

// A person ended a run if the first line of its reason says so, and may have killed it or cut its rest short; on how many machines it was, its nodes say.
func TestWhatARunSays(t *testing.T) {
	for want, runs := range map[bool][]Run{
		true: {
			{Status: Aborted, Reason: "interrupted"},
			{Status: Aborted, Reason: "interrupted\na replica did not end"},
			{Status: Incomplete},
			{Status: Aborted, Reason: "the run took longer than --max-time 1s", Resumed: 1},
		},
		false: {
			{Status: Complete, Reason: "interrupted"},
			{Status: Complete, Resumed: 2},
			{Status: Aborted},
			{Status: Aborted, Reason: "the disk was full\ninterrupted"},
			{Status: Aborted, Reason: "interrupted by nobody"},
			{Status: Aborted, Reason: "the run took longer than --max-time 5m0s"},
		},
	} {
		for _, r := range runs {
			if r.Stopped() != want {
				t.Errorf("%s, %q: a person ended it: %v", r.Status, r.Reason, !want)
			}
		}
	}
	for want, nodes := range map[int][]Node{
		1: {}, 2: {{Name: "a", BootID: "x"}, {Name: "b", BootID: "y"}, {Name: "c", BootID: "x"}}, 3: {{Name: "a"}, {Name: "b"}, {Name: "c", BootID: "y"}},
	} {
		if got := (Run{Nodes: nodes}).Machines(); got != want {
			t.Errorf("%v are %d machines, want %d", nodes, got, want)
		}
	}
}
