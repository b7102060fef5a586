package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/venue"
)

func TestOneMachine(t *testing.T) {
	of := func(pairs ...string) (out []record.Node) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, record.Node{Name: pairs[i], BootID: pairs[i+1]})
		}
		return out
	}
	for _, c := range []struct {
		nodes []record.Node
		want  string
	}{
		{nil, "[]"},
		{of("a", "1", "b", "2", "c", "3"), "[]"},
		{of("c", "1", "b", "2", "a", "1"), "[[a c]]"},
		{of("a", "", "b", ""), "[]"}, // not known
	} {
		if got := fmt.Sprint(oneMachine(c.nodes)); got != c.want {
			t.Errorf("%v: %s, want %s", c.nodes, got, c.want)
		}
	}
}

// Where agents have clocks of their own no slice is shorter than 50 times what they are uncertain by.
func TestSlicesAgainstClocks(t *testing.T) {
	for _, apart := range []bool{false, true} {
		r := &run{o: &Options{Plan: &plan.Plan{Turns: plan.Turns(250 * time.Millisecond)}, Apart: apart}, pilot: &record.Pilot{}}
		phase := load.Phase{Number: 1, Model: load.Closed, Duration: 8 * time.Second}
		r.clocks(fleet.Report{ClockError: 20 * time.Millisecond, Agents: []fleet.AgentReport{{Agent: 1, ClockShift: -3 * time.Millisecond, ClockError: 20 * time.Millisecond}}})
		r.clocks(fleet.Report{}) // one that has not ended says nothing
		want := 250 * time.Millisecond
		if apart {
			want = time.Second
		}
		if _, length, _ := r.pace(phase); length != want {
			t.Errorf("apart %v: slices of %v, want %v", apart, length, want)
		}
		var rec record.Run
		r.noteClocks(&rec)
		if note := strings.Join(rec.Notes, ""); strings.Contains(note, "agent 1 -3.000 ms (known to 20.000 ms)") != apart {
			t.Errorf("apart %v: %q", apart, note)
		}
	}
}

// A target that is not where it was refuses its trial by that name, and the record says which nodes there were.
func TestPlacementOfATrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.nodes = []record.Node{{Name: "a", BootID: "1"}, {Name: "b", BootID: "1"}}
		w.script["flask"] = []act{{intact: fmt.Errorf("%w: pod x was started again", venue.ErrPlacement)}, {deploy: fmt.Errorf("%w: two on a", venue.ErrPlacement)}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
		wantList(t, "trials", attemptsOf(t, dir), "1 flask placement", "2 flask placement", "3 flask")
		rec := runOf(t, dir)
		if len(rec.Nodes) != 2 || len(rec.Baselines) != 1 || !rec.Baselines[0].WarnOnly {
			t.Errorf("%+v, %+v", rec.Nodes, rec.Baselines)
		}
		const note = "the nodes a, b are one machine, whose processors they share: what others use of them is a warning only"
		if n := len(slices.DeleteFunc(rec.Notes, func(text string) bool { return text != note })); n != 1 {
			t.Errorf("said %d times", n)
		}
	})
}

// Targets for which there is no room next to each other are measured one after another, which is said.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["fastapi"] = []act{{deploy: fmt.Errorf("%w: replica 3 of 3 has no node", venue.ErrNoRoom)}}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: 250ms\n"+twoTargets+closedOnly))
		wantList(t, "trials", attemptsOf(t, dir), "1 fastapi not-ready", "1 flask block", "2 fastapi", "2 flask")
		if rec := runOf(t, dir); !strings.Contains(rec.NoTurns, "replica 3 of 3 has no node") {
			t.Errorf("%q", rec.NoTurns)
		}
	})
}

// A run is resumed on the machine that it was begun on. What a cluster is, is not known before pods are on its nodes.
func TestResumedOnTheSameMachine(t *testing.T) {
	a, b, none := record.Machine{Fingerprint: "a", Hostname: "a"}, record.Machine{Fingerprint: "b", Hostname: "b"}, record.Machine{Fingerprint: "none"}
	for _, c := range []struct {
		apart, resumed bool
		begun, here    record.Machine
		refused        bool
	}{
		{false, true, a, a, false},
		{false, true, a, b, true},
		{false, true, a, none, true},
		{true, true, a, a, false},
		{true, true, a, none, false},
		{true, true, none, a, false},
		{true, true, a, b, true},
		{true, false, a, b, false},
	} {
		w := newWorld()
		w.machine = c.here
		o := w.options(t, "blocks: 1\n"+oneTarget+closedOnly)
		o.Apart = c.apart
		if c.resumed {
			o.Resume = "runs/x"
		}
		writer, err := record.Create(t.TempDir(), record.Run{Name: "x", Machine: c.begun}, nil, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := (&run{o: &o, writer: writer}).sameMachine(); (err != nil) != c.refused {
			t.Errorf("%+v: %v", c, err)
		}
		writer.Close()
	}
}
