package load

import (
	"runtime/debug"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// While a phase is under way the collector rests, whatever GOGC is; after it that holds again.
func TestCollectorRests(t *testing.T) {
	before := debug.SetGCPercent(1)
	defer debug.SetGCPercent(before)
	for name, make := range engines {
		t.Run(name, func(t *testing.T) {
			s := newHostile(t, &hostile{fate: fates[0].fate})
			during := 0
			job := openJob(4, 200, time.Second+100*ms, s.url())
			err := make().Run(t.Context(), job, func(stats.Window) {
				during = debug.SetGCPercent(1000)
				debug.SetGCPercent(during)
			})
			if err != nil {
				t.Fatal(err)
			}
			if after := debug.SetGCPercent(1); during < 200 || after != 1 {
				t.Errorf("GOGC is %d during the phase and %d after it", during, after)
			}
		})
	}
}
