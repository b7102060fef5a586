package gate

import (
	"strings"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

const ms = time.Millisecond

func allOf(d time.Duration) *stats.Histogram {
	h := stats.NewHistogram()
	h.RecordN(d, 1000)
	return h
}

// few are a thousand times: n are d, and the others next to nothing.
func few(d time.Duration, n int64) *stats.Histogram {
	h := stats.NewHistogram()
	h.RecordN(d, n)
	h.RecordN(time.Microsecond, 1000-n)
	return h
}

func TestLimited(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		h    Health
		want []string // of each limit: its cause, and what its text begins with
	}{
		{"on time", Health{open, 1000, nil, allOf(ms / 2), allOf(ms), Strain{}, false}, nil},
		{"late by more than 1 ms", Health{open, 1000, nil, allOf(2 * ms), allOf(ms), Strain{}, false}, []string{"unknown: lateness p99 is 2.00 ms, at most 1.00 ms is allowed: "}},
		{"late by less than a tenth of a slow service", Health{open, 1000, nil, allOf(2 * ms), allOf(50 * ms), Strain{}, false}, nil},
		{"late by more than a tenth", Health{open, 1000, nil, allOf(6 * ms), allOf(50 * ms), Strain{}, false}, []string{"unknown: lateness p99 is 6"}},
		{"the closed model has no lateness", Health{"closed", 1000, nil, allOf(6 * ms), allOf(ms), Strain{}, false}, nil},
		{"one percent lost", Health{"closed", 1000, map[string]int64{"ports": 10}, allOf(0), allOf(ms), Strain{}, false}, nil},
		{
			"more than that, the most first",
			Health{"closed", 25000, map[string]int64{"ports": 6, "descriptors": 4812}, allOf(0), allOf(ms), windows(stats.Window{
				Resources: &stats.Resources{Descriptors: 64, DescriptorLimit: 64, Ports: 2, PortLow: 40000, PortHigh: 40001, TimeWait: 3},
			}), false},
			[]string{
				"descriptors: 4,812 of 25,000 requests lost because no descriptors were left (limit 64, 64 open)",
				"ports: 6 of 25,000 requests lost because no local ports were left (2 of range 40000 to 40001; 2 held, 3 connections of this machine in TIME_WAIT)",
			},
		},
		{"memory", Health{"closed", 100, map[string]int64{"memory": 2}, allOf(0), allOf(ms), Strain{}, false}, []string{"memory: 2 of 100 requests lost because the kernel had no memory"}},
		{"silence", Health{"closed", 100, map[string]int64{"permit": 50}, allOf(0), allOf(ms), Strain{}, false}, []string{"permit: 50 of 100 requests lost because the controller was silent"}},
		{
			"too late to be sent",
			Health{"closed", 100, map[string]int64{"loop": 50}, allOf(0), allOf(ms), windows(stats.Window{Resources: &stats.Resources{Stopped: 3e8}}), false},
			[]string{"stopped: 50 of 100 requests taken up too late to be sent: it stood still for 300 ms at second 0"},
		},
		{"a driver, late by more than 1 ms in a few cases", Health{open, 1000, nil, few(6*ms, 400), allOf(ms), Strain{}, true}, nil},
		{"the same of a target", Health{open, 1000, nil, few(6*ms, 400), allOf(ms), Strain{}, false}, []string{"unknown: lateness p99 is 6"}},
		{"a driver, late in most cases", Health{open, 1000, nil, few(6*ms, 600), allOf(ms), Strain{}, true}, []string{"unknown: median lateness is 6"}},
		{"a driver, late by less than a tenth of a slow service", Health{open, 1000, nil, few(6*ms, 600), allOf(70 * ms), Strain{}, true}, nil},
		{"a driver that lost requests", Health{"closed", 1000, map[string]int64{"memory": 11}, allOf(0), allOf(ms), Strain{}, true}, []string{"memory: 11 of 1,000 requests lost"}},
		{"nothing planned", Health{open, 0, nil, stats.NewHistogram(), stats.NewHistogram(), Strain{}, false}, nil},
	} {
		got := c.h.Limited()
		same := len(got) == len(c.want)
		for i := range c.want {
			same = same && strings.HasPrefix(got[i].Cause+": "+got[i].Text, c.want[i])
		}
		if !same {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// windows are the seconds of ten; the first are given.
func windows(given ...stats.Window) Strain {
	var s Strain
	for i := range 10 {
		w := stats.Window{}
		if i < len(given) {
			w = given[i]
		}
		w.Begin, w.Length = time.Duration(i)*time.Second, time.Second
		s.Add(w)
	}
	return s
}

// The cause is what took the most of the time that counts, and everything else that took enough of it is said.
func TestCause(t *testing.T) {
	t.Parallel()
	still := func(d time.Duration) stats.Window {
		return stats.Window{Resources: &stats.Resources{Stopped: int64(d)}}
	}
	starved := func(d, throttled time.Duration) stats.Window {
		return stats.Window{Resources: &stats.Resources{Starved: int64(d), Throttled: int64(throttled), Cores: 0.5}}
	}
	busy := stats.Window{Resources: &stats.Resources{LoopCPU: []int64{1e7, 98e7}, LoopWait: []int64{0, 0}}}
	all := func(w stats.Window) (out []stats.Window) {
		for range 10 {
			out = append(out, w)
		}
		return out
	}
	for name, c := range map[string]struct {
		s    Strain
		want string
	}{
		"a freeze":                   {windows(stats.Window{}, stats.Window{}, still(203*ms)), "stopped: it stood still for 203 ms at second 2"},
		"several freezes":            {windows(still(50*ms), still(60*ms)), "stopped: it stood still for 110 ms in 2 seconds, most at second 1 (60.0 ms)"},
		"one too short to matter":    {windows(still(40 * ms)), "unknown: "},
		"a quota":                    {windows(starved(600*ms, 550*ms)), "quota: its CPU quota (0.5 cores) held it back for 550 ms at second 0"},
		"a quota, and others":        {windows(starved(900*ms, 100*ms)), "starved: it was ready to run and had no core for 900 ms at second 0; its CPU quota (0.5 cores) held it back for 100 ms at second 0"},
		"others, and a quota":        {windows(starved(900*ms, 400*ms)), "starved: it was ready to run and had no core for 900 ms at second 0; its CPU quota (0.5 cores) held it back for 400 ms at second 0"},
		"others":                     {windows(starved(600*ms, 0)), "starved: it was ready to run and had no core for 600 ms at second 0"},
		"short waits":                {windows(all(stats.Window{Resources: &stats.Resources{LoopCPU: []int64{1e8}, LoopWait: []int64{2e8}}})...), "starved: it was ready to run and had no core for 2.00 s in 10 seconds"},
		"the collector":              {windows(stats.Window{GCPause: 300 * ms}), "collector: its garbage collector paused it for 300 ms at second 0"},
		"the host":                   {windows(stats.Window{Resources: &stats.Resources{Stolen: int64(time.Second)}}), "host: the host took this machine's cores away for 1.00 s at second 0"},
		"too much to do":             {windows(all(busy)...), "loop: its loop was busy all the time for 9.80 s in 10 seconds, most at second 0 (980 ms)"},
		"busy for one second":        {windows(busy), "unknown: "},
		"a freeze of a busy one":     {windows(append(all(busy)[:9], still(900*ms))...), "stopped: it stood still for 900 ms at second 9; its loop was busy"},
		"the greater comes first":    {windows(starved(300*ms, 0), still(200*ms)), "starved: it was ready to run and had no core for 300 ms at second 0; it stood still for 200 ms at second 1"},
		"a process without its loop": {windows(all(stats.Window{CPU: 1950 * ms, Resources: &stats.Resources{Cores: 2}})...), "loop: "},
		"the same on one core":       {windows(all(stats.Window{CPU: 990 * ms, Resources: &stats.Resources{Cores: 1}})...), "loop: "},
		"within a quota":             {windows(all(stats.Window{CPU: 490 * ms, Resources: &stats.Resources{Cores: 0.5}})...), "unknown: "},
	} {
		cause, text := c.s.cause()
		if !strings.HasPrefix(cause+": "+text, c.want) {
			t.Errorf("%s: %s: %s, want %s", name, cause, text, c.want)
		}
	}
}

// Several windows of one second are one second.
func TestCauseInSlices(t *testing.T) {
	t.Parallel()
	var s Strain
	for i := range 12 {
		w := stats.Window{Begin: time.Duration(i) * 250 * ms, Length: 250 * ms}
		if i == 5 || i == 6 || i == 8 { // two in second 1, one in second 2
			w.Resources = &stats.Resources{Stopped: int64(time.Duration(i) * 10 * ms)}
		}
		s.Add(w)
	}
	const want = "it stood still for 190 ms in 2 seconds, most at second 2 (80.0 ms)"
	if cause, text := s.cause(); cause != "stopped" || text != want {
		t.Errorf("%s: %s, want %s", cause, text, want)
	}
}
