package record

import (
	"encoding/json"
	"fmt"
	"time"
)

// Event is one line of events.jsonl.
type Event struct {
	Sequence int64           `json:"seq"` // from 1, without gaps
	At       time.Time       `json:"at"`
	Kind     string          `json:"kind"`
	Fields   json.RawMessage `json:"fields,omitempty"`
}

// Begun is what the event "trial-begun" says.
type Begun struct {
	Folder   string `json:"folder"` // inside trials/
	Block    int    `json:"block"`
	Position int    `json:"position"`
	Target   string `json:"target"`
	Attempt  int    `json:"attempt"`
}

// Abandoned is what the event "trial-abandoned" says.
type Abandoned struct {
	Folder string `json:"folder"` // inside trials/
	Reason string `json:"reason"`
}

// Proof is what the event "trial" says of a finished trial.
type Proof struct {
	Folder   string `json:"folder"` // inside trials/
	Block    int    `json:"block"`
	Position int    `json:"position"`
	Target   string `json:"target"`
	Attempt  int    `json:"attempt"`
	Status   string `json:"status"`
	SHA256   string `json:"sha256"` // of trial.json
}

// Progress is what the event "progress" says: what a person who waits for the run may want to see.
type Progress struct {
	Block   int    `json:"block,omitempty"`   // of the trial; 0 is the pilot
	Blocks  int    `json:"blocks,omitempty"`  // of the plan
	Trial   int    `json:"trial,omitempty"`   // of all in the run, from 1
	Trials  int    `json:"trials,omitempty"`  // planned
	Attempt int    `json:"attempt,omitempty"` // of the trial, from 1
	Target  string `json:"target,omitempty"`  // empty outside trials
	Text    string `json:"text"`
	// Lasting texts stay to be read when the next one comes; Verbatim ones are to be copied, too:
	// nothing is before them.
	Lasting  bool `json:"lasting,omitempty"`
	Verbatim bool `json:"verbatim,omitempty"`
	// Passing texts are replaced by the next one within seconds; they are not recorded.
	Passing bool `json:"-"`
	// Expect is how long the step is expected to last; 0 when unknown.
	Expect time.Duration `json:"expect_ns,omitempty"`
	// Stage is the stage of a search for the capacity, or of a block, that begins; nil: none does.
	Stage *StageBegun `json:"stage,omitempty"`
}

// StageBegun is a stage as it begins: its phase, and what its targets have to meet at which rates.
type StageBegun struct {
	Phase      int                `json:"phase"`
	Name       string             `json:"name"`
	DurationS  float64            `json:"duration_s"`
	Percentile float64            `json:"percentile"` // in percent
	BoundS     float64            `json:"bound_s"`
	Rates      map[string]float64 `json:"rates"` // arrivals per second, by target
}

// Progress returns what an event of that kind says, and whether it is one.
func (e Event) Progress() (Progress, bool) {
	var p Progress
	ok := e.Kind == EventProgress && json.Unmarshal(e.Fields, &p) == nil
	return p, ok
}

// folder is the trial that an event begins or ends.
func (e Event) folder() string {
	var f struct{ Folder string }
	if err := json.Unmarshal(e.Fields, &f); err != nil {
		return ""
	}
	if _, _, ok := parseFolder(f.Folder); !ok {
		return ""
	}
	return f.Folder
}

// check refuses a proof whose folder is not the one of its trial.
func (p Proof) check() error {
	if _, _, ok := parseFolder(p.Folder); !ok || p.Folder != trialFolder(p.Block, p.Position, p.Target, p.Attempt) {
		return fmt.Errorf("%q is not the folder of trial %d-%d of %q, attempt %d", p.Folder, p.Block, p.Position, p.Target, p.Attempt)
	}
	return nil
}
