package gate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// Each cause is refused from its own bound on, over what was there at rest; from half of it on, CPU time of
// others and pressure are worth a warning.
func TestDisturbed(t *testing.T) {
	noisy := record.Baseline{Disturbance: record.Disturbance{Foreign: 0.3, Steal: 0.02, SwapIn: 100, Memory: 0.05, IO: 0.2, Throttled: 0.005}}
	mixed := record.Baseline{Mixed: true}
	for _, c := range []struct {
		name     string
		baseline record.Baseline
		d        record.Disturbance
		refused  string // what the text of the refusal begins with
		warned   string
	}{
		{"quiet", record.Baseline{}, record.Disturbance{}, "", ""},
		{"5 % of others", record.Baseline{}, record.Disturbance{Foreign: 0.0499}, "", ""},
		{"more of others", record.Baseline{}, record.Disturbance{Foreign: 0.051}, "", "other programs used 5.1 % of this machine's CPU time"},
		{"10 % of others", record.Baseline{}, record.Disturbance{Foreign: 0.0999}, "", "other programs used 10.0 %"},
		{"more than 10 %", record.Baseline{}, record.Disturbance{Foreign: 0.101}, "other programs used 10.1 %", ""},
		{"a stray program all the time", noisy, record.Disturbance{Foreign: 0.34}, "", ""},
		{"and more for a while", noisy, record.Disturbance{Foreign: 0.41}, "other programs used 41.0 % of this machine's CPU time (30.0 % at rest)", ""},
		{"servers of others under test", mixed, record.Disturbance{Foreign: 0.9}, "", "other programs used 90.0 %"},
		{"steal", record.Baseline{}, record.Disturbance{Steal: 0.049}, "", ""},
		{"more steal", record.Baseline{}, record.Disturbance{Steal: 0.051}, "the host of this virtual machine took 5.1 %", ""},
		{"steal that was there", noisy, record.Disturbance{Foreign: 0.3, Steal: 0.069}, "", ""},
		{"a quota", record.Baseline{}, record.Disturbance{Throttled: 0.009}, "", ""},
		{"a quota that bites", record.Baseline{}, record.Disturbance{Throttled: 0.011}, "a CPU quota held this control group back for 1.1 %", ""},
		{"a quota that the run uses up", record.Baseline{}, record.Disturbance{Throttled: 0.5, QuotaUsed: 0.91}, "", "a CPU quota held this control group back for 50.0 % of the time, and the run itself used it up"},
		{"a quota that others use up", record.Baseline{}, record.Disturbance{Throttled: 0.5, QuotaUsed: 0.89}, "a CPU quota held this control group back for 50.0 %", ""},
		{"a little swap", record.Baseline{}, record.Disturbance{SwapIn: 255}, "", ""},
		{"swap", record.Baseline{}, record.Disturbance{SwapIn: 257}, "257 pages a second were read back from swap", ""},
		{"more swap than at rest", record.Baseline{Disturbance: record.Disturbance{SwapIn: 100}}, record.Disturbance{SwapIn: 400}, "400 pages a second were read back from swap (100 at rest)", ""},
		{"memory", record.Baseline{}, record.Disturbance{Memory: 0.06}, "", "tasks waited for memory in 6.0 %"},
		{"more memory", record.Baseline{}, record.Disturbance{Memory: 0.11}, "tasks waited for memory in 11.0 %", ""},
		{"disk", record.Baseline{}, record.Disturbance{IO: 0.06}, "", "tasks waited for the disk in 6.0 %"},
		{"more disk", record.Baseline{}, record.Disturbance{IO: 0.11}, "tasks waited for the disk in 11.0 %", ""},
		{"a busy disk from the start", noisy, record.Disturbance{IO: 0.24, Memory: 0.09, SwapIn: 350, Throttled: 0.014}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, alone := range []bool{true, false} {
				rest := c.baseline
				rest.WarnOnly = !alone
				var refused, warned []string
				for _, f := range disturbed(rest, c.d, maxSteal) {
					if f.refuse {
						refused = append(refused, f.text)
					} else {
						warned = append(warned, f.text)
					}
				}
				wantRefused, wantWarned := c.refused, c.warned
				if !alone && c.refused != "" { // then it is a warning
					wantRefused, wantWarned = "", c.refused
				}
				check(t, "refused", refused, wantRefused)
				check(t, "warned", warned, wantWarned)
			}
		})
	}
}

func check(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if len(got) > 1 || (len(got) == 1) != (want != "") || want != "" && !strings.HasPrefix(got[0], want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// Strangers are named with their shares of the machine, and what cannot be seen is said.
func TestStrangers(t *testing.T) {
	d := record.Disturbance{
		Foreign: 0.2, Seen: 0.15, CPUTimeNS: 20e9,
		Strangers: []record.Stranger{{Name: "cc1", PID: 500, CPUNS: 2e9}, {Name: "python3", PID: 7, CPUNS: 1e9}},
	}
	hidden := d
	hidden.Seen, hidden.Strangers = 0.01, nil
	for _, c := range []struct {
		b    record.Baseline
		d    record.Disturbance
		want string
	}{
		{record.Baseline{}, d, "cc1 (pid 500) 10.0 %, python3 (pid 7) 5.0 %"},
		{record.Baseline{Container: true}, hidden, "19.0 % outside this container"},
		{record.Baseline{}, hidden, "19.0 % in processes that had ended, or that this account cannot see"},
		{record.Baseline{}, record.Disturbance{}, ""},
	} {
		if got := Strangers(c.b, c.d); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// A phase whose first or last sample of the machine says nothing is not one that nobody disturbed: it is not known, which is a
// warning, and refuses nothing. The warm-up and a run without a baseline are not asked.
func TestNotWatched(t *testing.T) {
	first, last := hostLines(0.1, 0)
	blank := func(lines []record.Series) []record.Series {
		out := slices.Clone(lines)
		for i := range out {
			if out[i].Tier == "host" {
				out[i].Values = nil // as where the sampler of one node fails
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		lines  []record.Series
		warmup bool
		rest   *record.Baseline
		warned bool
	}{
		"watched":          {slices.Concat(first, last), false, &record.Baseline{}, false},
		"not at the start": {slices.Concat(blank(first), last), false, &record.Baseline{}, true},
		"not at the end":   {slices.Concat(first, blank(last)), false, &record.Baseline{}, true},
		"never":            {nil, false, &record.Baseline{}, true},
		"shared":           {nil, false, &record.Baseline{WarnOnly: true}, true},
		"a warm-up":        {nil, true, &record.Baseline{}, false},
		"no baseline":      {nil, false, nil, false},
	} {
		p := phaseOf(seen(1000), windowOf(stats.Books{Planned: 1000, Sent: 1000, OK: 1000}))
		p.Warmup = c.warmup
		for _, line := range c.lines {
			p.Series(line)
		}
		j := p.Judge(c.rest)
		if len(j.Reasons) > 0 || (len(j.Warnings) == 1) != c.warned {
			t.Errorf("%s: %+v", name, j)
		}
		if c.warned && (j.Warnings[0].Code != record.CodeNotWatched || !strings.HasPrefix(j.Warnings[0].Text, "phase open: it is not known whether others used the machine") || !Decides(j.Warnings[0].Code)) {
			t.Errorf("%s: %+v", name, j.Warnings)
		}
		if p.Disturbance().Watched() == c.warned && !c.warmup && c.rest != nil {
			t.Errorf("%s: watched %v", name, p.Disturbance().Watched())
		}
	}
	if text := Restless(record.Baseline{}, record.Disturbance{}); text != "" {
		t.Errorf("nobody waits for a machine that cannot be watched: %q", text)
	}
}

// A record from before the new values were kept gives what it can: no CPU count, no threads of the kernel.
func TestHostOfAnOldRecord(t *testing.T) {
	var h Host
	at := record.Series{Tier: "host", Values: map[string]float64{"user_ns": 0, "idle_ns": 0, "steal_ns": 0}}
	later := at
	later.At = at.At.Add(4e9)
	later.Values = map[string]float64{"user_ns": 5e9, "idle_ns": 2e9, "steal_ns": 1e9}
	h.Add(record.Series{Tier: "target", Name: "a-1", CPUNS: 1e9})
	h.Add(at)
	h.Add(record.Series{Tier: "target", Name: "a-1", CPUNS: 4e9})
	h.Add(record.Series{Tier: "target", Name: "a-1/17", CPUNS: 3e9})
	h.Add(later)
	d := h.Disturbance()
	if h.Cores() != 2 || d.Foreign != 0.25 || d.Steal != 0.125 || d.Throttled != 0 {
		t.Errorf("%v cores, %+v", h.Cores(), d)
	}
	if d := new(Host).Disturbance(); d.Foreign != 0 || d.CPUTimeNS != 0 {
		t.Errorf("of nothing: %+v", d)
	}
}

// A member whose processes are gone at the end used nothing: its time is not negative.
func TestHostWithAGoneMember(t *testing.T) {
	var h Host
	first, last := hostLines(2, 0)
	first = append(first, record.Series{Tier: "agent", Name: "agent-1", CPUNS: 5e9})
	last = append(last, record.Series{Tier: "agent", Name: "agent-1", CPUNS: 0})
	for _, line := range slices.Concat(first, last) {
		h.Add(line)
	}
	if d := h.Disturbance(); d.Foreign != 0.1 {
		t.Errorf("foreign %v, want 0.1", d.Foreign)
	}
}

// A counter that falls, because a process of a tier ended or was started again, takes nothing off what was used before and after.
func TestFallingCounter(t *testing.T) {
	var h Host
	at := time.Unix(1_000_000, 0)
	for second, own := range []int64{10e9, 12e9, 1e9, 2e9} {
		busy := float64(second) * 1e9
		h.Add(record.Series{Tier: "target", Name: "a-1", CPUNS: own})
		h.Add(record.Series{Tier: "host", At: at.Add(time.Duration(second) * time.Second), Values: map[string]float64{"user_ns": busy, "idle_ns": busy, "cpus": 2}})
	}
	if got := h.Disturbance().Foreign; got != 0 {
		t.Errorf("others used %v of the machine: 2 s and 1 s of the 3 s were the run's own", got)
	}
}
