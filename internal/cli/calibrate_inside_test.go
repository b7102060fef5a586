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

// A run uses a calibration for 30 days; then it warns and does without. One that is forgotten is gone.
func TestCalibrationLasts(t *testing.T) {
	cache, here := t.TempDir(), new(machine.Venue).Machine().Fingerprint
	var stdout, stderr bytes.Buffer
	env := Env{Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string { return map[string]string{"BAKEOFF_CACHE": cache}[name] }}
	for age, used := range map[time.Duration]bool{calibrate.Lasts - time.Hour: true, calibrate.Lasts + time.Hour: false} {
		stderr.Reset()
		if _, err := calibrate.Keep(cache, record.Calibration{Fingerprint: here, At: time.Now().Add(-age)}); err != nil {
			t.Fatal(err)
		}
		if got := fresh(env, cache, here); (got != nil) != used || strings.Contains(stderr.String(), "older than 30 days") == used {
			t.Errorf("%v old: %v\n%s", age, got, stderr.String())
		}
	}
	for _, want := range []string{"the calibration of this machine is removed\n", "there was no calibration of this machine\n"} {
		stdout.Reset()
		if err := forgetCalibration(env); err != nil || stdout.String() != want {
			t.Errorf("%q, %v, not %q", stdout.String(), err, want)
		}
	}
	if got := fresh(env, cache, here); got != nil {
		t.Errorf("forgotten: %+v", got)
	}
}
