package cli_test

import (
	"encoding/json"
	"testing"

	"bakeoff/internal/record"
)

// A short calibration of this machine takes less than a minute, finds a ceiling on each path, and keeps nothing.
func TestCalibrateShort(t *testing.T) {
	if !long() {
		t.Skip("SKIPPED: BAKEOFF_LONG is not set")
	}
	s := newScene(t)
	s.env = append(s.env, "BAKEOFF_CACHE="+s.path("cache"))
	var c record.Calibration
	if err := json.Unmarshal([]byte(s.run(0, "calibrate", "--short", "--json").stdout.String()), &c); err != nil {
		t.Fatal(err)
	}
	if c.Ceilings[record.PathNginx] < 500 || c.Ceilings[record.PathDirect] <= c.Ceilings[record.PathNginx] || !c.Short || c.Agents != 2 || c.Fingerprint == "" {
		t.Errorf("%+v", c)
	}
	if c.Constant.P50S < 0.01 || c.Constant.P50S > 0.03 || c.Stall.SeenS < 0.5 || c.Noise.Blocks != 7 || c.Seconds > 60 {
		t.Errorf("%+v", c)
	}
	wantAll(t, "doctor", s.run(0, "doctor").stdout.String(), "calibration: none of this machine")
}
