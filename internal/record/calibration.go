package record

import (
	"fmt"
	"time"
)

// Paths on which the ceiling of the agents is measured.
const (
	PathNginx  = "nginx"  // agents, nginx, the null server
	PathDirect = "direct" // agents, the null server
)

// Calibration is what this machine's agents can do, and how true their figures are, measured with servers that look
// nothing up. It decides nothing but what is close to the ceiling.
type Calibration struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"` // that it took
	Bakeoff string    `json:"bakeoff"` // version of the program
	// Program is a digest of its parts that were measured. Same is set in a run whose program has the same parts.
	Program     string `json:"program,omitempty"`
	Same        bool   `json:"same_program,omitempty"`
	Fingerprint string `json:"fingerprint"`
	Short       bool   `json:"short,omitempty"` // to see that everything works: it is not kept
	Engine      string `json:"engine"`
	Agents      int    `json:"agents"`
	// Rest is the machine before anything was loaded: without it others may have made everything look slower than it is.
	Rest Baseline `json:"rest,omitzero"`
	// Ceilings is how many answers per second the agents get from a server that does nothing, by path.
	Ceilings map[string]float64 `json:"ceilings_per_s"`
	Constant ConstantServer     `json:"constant_server"`
	Stall    Stall              `json:"stall"`
	Noise    Noise              `json:"noise"`
	Planted  Planted            `json:"planted"`
}

// CalibrationLasts is how long a calibration's ceiling may decide anything: a machine changes with its kernel, and without.
const CalibrationLasts = 30 * 24 * time.Hour

// Void says why the ceiling decides nothing in a run of that version of bakeoff that began then: agents of another version may be
// faster or slower, unless they are the same. It is empty where the ceiling counts.
func (c Calibration) Void(began time.Time, version string) string {
	switch {
	case began.Sub(c.At) > CalibrationLasts:
		return fmt.Sprintf("older than %.0f days", CalibrationLasts.Hours()/24)
	case c.Bakeoff != version && !c.Same:
		return "made by another version of bakeoff, " + c.Bakeoff
	}
	return ""
}

// ConstantServer is a server that answers after a fixed time, as the agents saw it.
type ConstantServer struct {
	ServerS float64 `json:"server_s"`
	P50S    float64 `json:"p50_s"`
	P99S    float64 `json:"p99_s"`
}

// Stall is a server that answers nothing for a while under a constant rate, as the agents saw it.
type Stall struct {
	StallS float64 `json:"stall_s"`
	RateS  float64 `json:"rate_per_s"`
	ForS   float64 `json:"for_s"`
	TrueS  float64 `json:"true_p99_s"` // of the response time
	SeenS  float64 `json:"seen_p99_s"`
	Honest bool    `json:"honest"` // both within 3 %
}

// Noise is what a run says of two servers that are equal.
type Noise struct {
	Blocks  int     `json:"blocks"`
	PhaseS  float64 `json:"phase_s"`
	SD      float64 `json:"sd"`      // of the log-ratios of blocks
	Detects float64 `json:"detects"` // the smallest true difference that such a run shows with a power of 80 %
	Ratio   float64 `json:"ratio"`   // of the two
	Low     float64 `json:"low"`     // interval of that
	High    float64 `json:"high"`
	Verdict string  `json:"verdict"` // better and worse are false here
}

// Planted is what the same run says of a server that does more work for each answer.
type Planted struct {
	More    float64 `json:"more"` // work, as a share
	Ratio   float64 `json:"ratio"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
	Verdict string  `json:"verdict"`
	Found   bool    `json:"found"`
}
