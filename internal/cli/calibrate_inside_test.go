package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/calibrate"
	"bakeoff/internal/record"
	"bakeoff/internal/venue/machine"
)

// A run warns of a calibration that is older than 30 days, and has it all the same. One that is forgotten is gone.
func TestCalibrationLasts(t *testing.T) {
	cache, here := t.TempDir(), new(machine.Venue).Machine().Fingerprint
	var stdout, stderr bytes.Buffer
	env := Env{Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string { return map[string]string{"BAKEOFF_CACHE": cache}[name] }}
	for age, old := range map[time.Duration]bool{record.CalibrationLasts - time.Hour: false, record.CalibrationLasts + time.Hour: true} {
		stderr.Reset()
		if _, err := calibrate.Keep(cache, record.Calibration{Fingerprint: here, At: time.Now().Add(-age)}); err != nil {
			t.Fatal(err)
		}
		if got := known(env, cache, here); got == nil || strings.Contains(stderr.String(), "is older than 30 days, and its ceiling refuses no trial") != old {
			t.Errorf("%v old: %v\n%s", age, got, stderr.String())
		}
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
