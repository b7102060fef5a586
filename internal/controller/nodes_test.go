package controller

import (
	"context"
	"errors"
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

// Where there was no room for any target a run ends; where there was for one a trial is repeated, as a node may have been lost for a
// while.
func TestNeverRoom(t *testing.T) {
	full := act{deploy: fmt.Errorf("%w: replica 3 of 3 has no node", venue.ErrNoRoom)}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"], w.script["fastapi"] = []act{full}, []act{full}
		dir, err := Run(t.Context(), w.options(t, "blocks: 1\nturns: off\n"+twoTargets+closedOnly))
		wantList(t, "trials", attemptsOf(t, dir)[:1], "1 fastapi not-ready")
		if err == nil || !strings.Contains(err.Error(), "there has been no room for any target: no room: replica 3 of 3 has no node") {
			t.Errorf("%v", err)
		}
		if rec := runOf(t, dir); rec.Status != record.Aborted {
			t.Errorf("%s", rec.Status)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{intact: fmt.Errorf("%w: pod x was started again", venue.ErrPlacement)}, full}
		dir, _ := conducted(t, w.options(t, "blocks: 1\n"+oneTarget+closedOnly))
		wantList(t, "trials", attemptsOf(t, dir), "1 flask placement", "2 flask not-ready", "3 flask")
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["fastapi"] = []act{full, full}
		dir, _ := conducted(t, w.options(t, "blocks: 1\nturns: off\n"+twoTargets+closedOnly))
		wantList(t, "trials", attemptsOf(t, dir), "1 fastapi not-ready", "1 flask", "2 fastapi not-ready", "3 fastapi")
	})
	synctest.Test(t, func(t *testing.T) { // a run that is resumed has had room before
		w := newWorld()
		o := w.options(t, "blocks: 3\n"+oneTarget+closedOnly)
		o.Resume = interrupted(t, w, o, "flask", 2, 1)
		w.script["flask"] = []act{{}, {}, full}
		dir, _ := conducted(t, o)
		if got := strings.Join(attemptsOf(t, dir), ", "); !strings.Contains(got, "flask not-ready") {
			t.Errorf("%s", got)
		}
	})
}

// What no pod had before the first trial is in the record at the end, and a resumed run says where it is another one.
func TestProgramsOfPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := record.Program{Name: "bakeoff", SHA256: "x"}
		nginx := func(sum string) []record.Program { return []record.Program{own, {Name: "nginx", SHA256: sum}} }
		w := newWorld()
		o := w.options(t, "blocks: 3\n"+oneTarget+closedOnly)
		var at string
		var during []record.Program // in the second trial: a controller that is killed then has them in its record
		o.Apart, o.Opened = true, func(dir string) { at = dir }
		w.programs = []record.Program{own}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		w.script["flask"] = []act{
			{phase: func(*phaseFaked) { w.programs = nginx("y") }},
			{phase: func(*phaseFaked) {
				during = runOf(t, at).Programs
				time.AfterFunc(time.Second, func() { cancel(ErrInterrupted) })
			}},
		}
		dir, err := Run(ctx, o)
		if !errors.Is(err, ErrInterrupted) {
			t.Fatal(err)
		}
		if got := runOf(t, dir).Programs; !slices.Equal(got, nginx("y")) {
			t.Errorf("interrupted: %+v", got)
		}
		if !slices.Equal(during, nginx("y")) {
			t.Errorf("in the second trial: %+v", during)
		}
		o.Resume, w.programs = dir, []record.Program{own}
		w.script = map[string][]act{"flask": {
			{}, {}, {deploy: errors.New("it has no nginx yet")}, {phase: func(*phaseFaked) { w.programs = nginx("z") }},
		}}
		conducted(t, o)
		rec := runOf(t, dir)
		if !slices.Equal(rec.Programs, nginx("z")) || !slices.Contains(rec.Notes, "resumed with another nginx") {
			t.Errorf("%+v, %q", rec.Programs, rec.Notes)
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

// A cluster may have more nodes than a run is on at a time: it is resumed on others of the kinds that it was on, and on no other kind.
func TestResumedOnAlikeNodes(t *testing.T) {
	node := func(name, cpu string) record.Node {
		return record.Node{Name: name, CPU: cpu, Cores: 8, MemoryBytes: 32 << 30, Kernel: "6"}
	}
	for name, c := range map[string]struct {
		was, here []record.Node
		refused   bool
	}{
		"fewer of the same kind": {[]record.Node{node("a", "x"), node("b", "x"), node("c", "x")}, []record.Node{node("d", "x"), node("e", "x")}, false},
		"one of another kind":    {[]record.Node{node("a", "x")}, []record.Node{node("a", "x"), node("d", "y")}, true},
		"nothing is known of it": {nil, []record.Node{node("d", "x")}, true},
		"it is on none":          {[]record.Node{node("a", "x")}, nil, true},
	} {
		w := newWorld()
		w.machine, w.nodes = record.Machine{Fingerprint: "b", Hostname: "d"}, c.here
		o := w.options(t, "blocks: 1\n"+oneTarget+closedOnly)
		o.Apart, o.Resume = true, "runs/x"
		writer, err := record.Create(t.TempDir(), record.Run{Name: "x", Machine: record.Machine{Fingerprint: "a", Hostname: "a"}, Nodes: c.was}, nil, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := (&run{o: &o, writer: writer}).sameMachine(); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		writer.Close()
	}
}

// Nodes that are not alike are named with their kinds, once, however many are found; those of before a run was resumed stay known.
func TestUnlikeNodes(t *testing.T) {
	node := func(name, cpu string, cores int) record.Node {
		return record.Node{Name: name, CPU: cpu, Cores: cores, MemoryBytes: 32 << 30, Kernel: "6"}
	}
	w := newWorld()
	o := w.options(t, "blocks: 1\n"+oneTarget+closedOnly)
	r, rec := &run{o: &o}, record.Run{Nodes: []record.Node{node("old", "x", 8)}}
	for _, c := range []struct {
		now  []record.Node
		want string // of the note; empty: there is none
	}{
		{[]record.Node{node("a", "x", 8), node("b", "x", 8)}, ""},
		{[]record.Node{node("a", "x", 8), node("b", "x", 8), node("c", "y", 8)}, "a, b, old (x, 8 cores, 32 GiB, kernel 6); c (y, 8 cores, 32 GiB, kernel 6);"},
		{[]record.Node{node("c", "y", 8), node("d", "x", 16)}, "d (x, 16 cores, 32 GiB, kernel 6); a, b, old (x, 8 cores, 32 GiB, kernel 6); c (y,"},
	} {
		w.nodes = c.now
		r.noteNodes(&rec)
		notes := slices.DeleteFunc(slices.Clone(rec.Notes), func(n string) bool { return !strings.HasPrefix(n, unlikeNote) })
		text, want := strings.Join(notes, "|"), c.want
		if want != "" {
			want = unlikeNote + want
		}
		if !strings.HasPrefix(text, want) || (text == "") != (want == "") || len(notes) > 1 {
			t.Errorf("%v: %q, want %q", c.now, text, want)
		}
	}
	if len(rec.Nodes) != 5 || rec.Nodes[4].Name != "old" {
		t.Errorf("%+v", rec.Nodes)
	}
}

// A target has one image in all valid trials of a run, also where it was resumed in between; a name of another repository is no other one.
func TestImageOfAllTrials(t *testing.T) {
	r := &run{}
	trialOf := func(image string) record.Trial {
		return record.Trial{Target: "flask", Replicas: []record.Replica{{Name: "flask-1", Image: image}}}
	}
	first := &trial{run: r, rec: trialOf("r/flask@sha256:1")}
	if err := first.sameImages(); err != nil {
		t.Errorf("the first trial: %v", err)
	}
	r.rememberImage(first.rec)
	r.rememberImage(trialOf("r/flask@sha256:2")) // the first one counts
	r.rememberImage(record.Trial{Target: "none"})
	for image, refused := range map[string]bool{"r/flask@sha256:1": false, "mirror/flask@sha256:1": false, "r/flask@sha256:2": true} {
		err := (&trial{run: r, rec: trialOf(image)}).sameImages()
		if errors.Is(err, venue.ErrPlacement) != refused || refused && !strings.Contains(err.Error(), "flask-1 has the image r/flask@sha256:2, and had r/flask@sha256:1") {
			t.Errorf("%s: %v", image, err)
		}
	}
	if err := (&trial{run: r, rec: record.Trial{Target: "server"}}).sameImages(); err != nil {
		t.Error(err)
	}
}

// A trial of another image than in the first valid trial is refused, and repeated.
func TestAnotherImageInATrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script["flask"] = []act{{image: "r/flask@sha256:1"}, {image: "r/flask@sha256:2"}, {image: "mirror/flask@sha256:1"}}
		dir, _ := conducted(t, w.options(t, "blocks: 2\n"+oneTarget+closedOnly))
		wantList(t, "trials", attemptsOf(t, dir), "1 flask", "1 flask placement", "2 flask")
	})
}
