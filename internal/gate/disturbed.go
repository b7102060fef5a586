package gate

import (
	"fmt"
	"math"
	"strings"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// What others may do on the machine during a phase, over what they did at rest.
const (
	maxForeign   = 0.10 // of the CPU time of all cores
	warnForeign  = 0.05
	maxSteal     = 0.05 // of the same
	maxPressure  = 0.10 // of the time, for memory and for input or output
	warnPressure = 0.05
	// maxThrottled is of the time: a hundredth is what the 99th percentile leaves out.
	maxThrottled = 0.01
	// ownQuota is the share of its quota from which the run itself uses it up: then the quota is the size of
	// the machine, as the number of its cores would be, and nobody disturbs.
	ownQuota = 0.9
	// maxSwapIn is in pages a second, 1 MiB of the usual 4 KiB: programs that wake up once read a few.
	maxSwapIn = 256
)

// Restless says what others do on a machine that is to be left alone for the next trial, or "". It is
// stricter than the judgement of a phase: anyone who waits for a quiet moment has none yet.
func Restless(rest record.Baseline, d record.Disturbance) string {
	if rest.WarnOnly {
		return ""
	}
	if found := disturbed(rest, d, maxSteal/2); len(found) > 0 {
		return found[0].text
	}
	return ""
}

// finding is one way in which others disturbed the machine.
type finding struct {
	text   string
	refuse bool
}

// disturbed says what others did on the machine that is worth saying, and whether it disturbs the phase; steal is the share over
// rest from which on that of the host does.
func disturbed(rest record.Baseline, d record.Disturbance, steal float64) []finding {
	var out []finding
	say := func(now, before, warn, most float64, text string) {
		if over := now - before; over > warn {
			out = append(out, finding{text, over > most && !rest.WarnOnly})
		}
	}
	most := maxForeign
	if rest.Mixed {
		most = math.MaxFloat64 // servers under test may be among the strangers
	}
	say(d.Foreign, rest.Foreign, warnForeign, most, foreign(rest, d))
	say(d.Steal, rest.Steal, steal, steal, fmt.Sprintf("the host of this virtual machine took %s of its CPU time away%s", show.Percent(d.Steal), atRest(rest.Steal)))
	most = maxThrottled
	quota := fmt.Sprintf("a CPU quota held this control group back for %s of the time", show.Percent(d.Throttled))
	if d.QuotaUsed >= ownQuota {
		most, quota = math.MaxFloat64, quota+", and the run itself used it up"
	}
	say(d.Throttled, rest.Throttled, maxThrottled, most, quota)
	say(d.SwapIn, rest.SwapIn, maxSwapIn, maxSwapIn, fmt.Sprintf("%.0f pages a second were read back from swap%s", d.SwapIn, atRestCount(rest.SwapIn)))
	say(d.Memory, rest.Memory, warnPressure, maxPressure, fmt.Sprintf("tasks waited for memory in %s of the time%s", show.Percent(d.Memory), atRest(rest.Memory)))
	say(d.IO, rest.IO, warnPressure, maxPressure, fmt.Sprintf("tasks waited for the disk in %s of the time%s", show.Percent(d.IO), atRest(rest.IO)))
	return out
}

// foreign words how much CPU time others used, and names the busiest.
func foreign(rest record.Baseline, d record.Disturbance) string {
	text := fmt.Sprintf("other programs used %s of this machine's CPU time%s", show.Percent(d.Foreign), atRest(rest.Foreign))
	if who := Strangers(rest, d); who != "" {
		text += ": " + who
	}
	return text
}

// Strangers names the busiest processes of others with their shares of the machine's CPU time, and says
// how much was used by what cannot be seen; "" where there is nothing to say.
func Strangers(b record.Baseline, d record.Disturbance) string {
	var parts []string
	for _, one := range d.Strangers {
		parts = append(parts, fmt.Sprintf("%s (pid %d) %s", one.Name, one.PID, show.Percent(d.Share(one))))
	}
	if hidden := d.Foreign - d.Seen; hidden > d.Foreign/2 {
		where := "in processes that had ended, or that this account cannot see"
		if b.Container {
			where = "outside this container"
		}
		parts = append(parts, show.Percent(hidden)+" "+where)
	}
	return strings.Join(parts, ", ")
}

func atRest(share float64) string {
	if share < 0.001 {
		return ""
	}
	return fmt.Sprintf(" (%s at rest)", show.Percent(share))
}

func atRestCount(n float64) string {
	if n < 1 {
		return ""
	}
	return fmt.Sprintf(" (%.0f at rest)", n)
}
