package record

import (
	"time"

	"bakeoff/internal/stats"
)

// load1 is a line of load.jsonl in format 1: a window was one second and said which, and what an agent
// had and lacked was called means.
type load1 struct {
	Load
	Second int              `json:"second"`
	Means  *stats.Resources `json:"means"`
}

// decodeLoad1 reads a line of format 1 as a Load.
func decodeLoad1(raw []byte) (Load, error) {
	old, err := decode[load1](raw)
	l := old.Load
	l.Begin, l.Length, l.Resources = time.Duration(old.Second)*time.Second, time.Second, old.Means
	return l, err
}
