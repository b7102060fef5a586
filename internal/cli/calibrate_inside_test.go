package cli

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"bakeoff/internal/calibrate"
	"bakeoff/internal/gate"
	"bakeoff/internal/record"
	"bakeoff/internal/venue/machine"
)

// A run warns of a calibration that is older than 30 days, and has it all the same. One that is forgotten is gone.
func TestCalibrationLasts(t *testing.T) {
	cache, here := t.TempDir(), new(machine.Venue).Machine().Fingerprint
	var stdout, stderr bytes.Buffer
	env := Env{Stdout: &stdout, Stderr: &stderr, Assets: fstest.MapFS{}, Getenv: func(name string) string { return map[string]string{"BAKEOFF_CACHE": cache}[name] }}
	for age, old := range map[time.Duration]bool{record.CalibrationLasts - time.Hour: false, record.CalibrationLasts + time.Hour: true} {
		stderr.Reset()
		if _, err := calibrate.Keep(cache, record.Calibration{Fingerprint: here, Bakeoff: version(), At: time.Now().Add(-age)}); err != nil {
			t.Fatal(err)
		}
		if got := known(env, cache, here); got == nil || strings.Contains(stderr.String(), "is older than 30 days, and its ceiling decides nothing: ") != old || (stderr.Len() > 0) != old {
			t.Errorf("%v old: %v\n%s", age, got, stderr.String())
		}
	}
	if _, err := calibrate.Keep(cache, record.Calibration{Fingerprint: here, Bakeoff: "an earlier one", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := known(env, cache, here); got == nil || !strings.Contains(stderr.String(), " is made by another version of bakeoff, an earlier one, and its ceiling decides nothing: ") {
		t.Errorf("%v\n%s", got, stderr.String())
	}
	for _, want := range []string{"the calibration of this machine is removed\n", "there was no calibration of this machine\n"} {
		stdout.Reset()
		if err := forgetCalibration(env); err != nil || stdout.String() != want {
			t.Errorf("%q, %v, not %q", stdout.String(), err, want)
		}
	}
	if got := known(env, cache, here); got != nil {
		t.Errorf("forgotten: %+v", got)
	}
}

// A calibration of another version counts in a run of the same agents, and a change of a source file that is no test makes them others.
func TestCalibrationOfTheSameAgents(t *testing.T) {
	source := func(engine, test, template string) fstest.MapFS {
		out := fstest.MapFS{"internal/balancer/nginx.conf.tmpl": &fstest.MapFile{Data: []byte(template)}}
		out["internal/load/engine.go"], out["internal/load/engine_test.go"] = &fstest.MapFile{Data: []byte(engine)}, &fstest.MapFile{Data: []byte(test)}
		return out
	}
	was := loadingProgram(source("one", "one", "one"))
	if was == "" || loadingProgram(fstest.MapFS{}) != "" {
		t.Fatalf("the digest is %q, of nothing %q", was, loadingProgram(fstest.MapFS{}))
	}
	cache, here := t.TempDir(), new(machine.Venue).Machine().Fingerprint
	for _, c := range []struct {
		program, engine, test, template string
		void                            bool
	}{
		{was, "one", "one", "one", false},
		{was, "one", "two", "one", false},
		{was, "two", "one", "one", true},
		{was, "one", "one", "two", true},
		{"", "one", "one", "one", true},
	} {
		var stderr bytes.Buffer
		env := Env{Stderr: &stderr, Assets: source(c.engine, c.test, c.template)}
		if _, err := calibrate.Keep(cache, record.Calibration{Fingerprint: here, Bakeoff: "an earlier one", Program: c.program, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		got := known(env, cache, here)
		if got == nil || (stderr.Len() > 0) != c.void || (got.Void(time.Now(), version()) != "") != c.void {
			t.Errorf("%+v: %+v\n%s", c, got, stderr.String())
		}
	}
}

// A calibration begins on a machine that others leave alone, and on no other: what they use all the time would be missing in the
// ceiling that is kept. It looks three times; where nothing is kept, once.
func TestCalibrationAwaitsRest(t *testing.T) {
	busy := record.Disturbance{Foreign: 0.3, CPUTimeNS: 1}
	for name, c := range map[string]struct {
		rest  record.Baseline
		seen  []record.Disturbance // in each look
		looks int
		err   string
	}{
		"at rest":      {record.Baseline{}, []record.Disturbance{{Foreign: 0.01, CPUTimeNS: 1}}, 1, ""},
		"soon":         {record.Baseline{}, []record.Disturbance{busy, {}, {CPUTimeNS: 1}}, 3, ""},
		"a stray":      {record.Baseline{}, []record.Disturbance{busy, busy, busy}, 3, "before anything was loaded, other programs used 30.0 % of this machine's CPU time"},
		"a neighbour":  {record.Baseline{}, []record.Disturbance{busy, busy, {Steal: 0.03, CPUTimeNS: 1}}, 3, "the host of this virtual machine took 3.0 %"},
		"unseen":       {record.Baseline{}, []record.Disturbance{{}, {}, {}}, 3, "it was not known whether others used the machine"},
		"nothing kept": {record.Baseline{WarnOnly: true}, []record.Disturbance{busy}, 1, ""},
	} {
		rest := c.rest
		err := awaitRest(&rest, func() error {
			rest.Disturbance = c.seen[rest.Looks]
			return nil
		})
		if rest.Looks != c.looks || (err != nil) != (c.err != "") || err != nil && (!errors.Is(err, calibrate.ErrDisturbed) || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %d looks, %v", name, rest.Looks, err)
		}
	}
	stopped := errors.New("stopped")
	if err := awaitRest(&record.Baseline{}, func() error { return stopped }); !errors.Is(err, stopped) {
		t.Error(err)
	}
}

// A phase of a calibration counts unless others used the machine, or nobody knows whether they did, or an agent fell behind.
func TestPhasesOfACalibration(t *testing.T) {
	found := gate.Judgement{
		Reasons:  []record.Reason{{Code: record.CodeDisturbedHost, Text: "others"}, {Code: record.CodeWitness, Text: "nobody counted"}, {Code: record.CodeGeneratorLimited, Text: "late"}},
		Warnings: []record.Reason{{Code: record.CodeDisturbedHost, Text: "a little"}, {Code: record.CodeNotWatched, Text: "unseen"}},
	}
	for warnOnly, want := range map[bool][]string{false: {"others", "unseen"}, true: {"others"}} {
		var l calibrate.Loaded
		w := watched{rest: record.Baseline{WarnOnly: warnOnly}}
		w.judge(&l, found)
		if !slices.Equal(l.Disturbed, want) || !slices.Equal(l.Late, []string{"late"}) {
			t.Errorf("%v: %+v", warnOnly, l)
		}
	}
}
