// Package figures turns a run directory into numbers, each with what limits its use: a record in, a Summary
// out. It reads what internal/record proves whole and nothing else: every figure is computed from load.jsonl,
// series.jsonl and trial.json, so that it can be computed again. The same run directory gives the same
// Summary.
//
// It refuses to average percentiles, to give one that too few requests support, to count an invalid trial or
// the pilot into any statistic, and to call the service time of a closed model a latency. internal/report
// arranges and draws these figures.
package figures

import (
	"slices"
	"time"

	"bakeoff/internal/gate"
	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// SummaryFile is where a run directory holds its Summary, SummaryVersion the version of it.
const (
	SummaryFile    = "summary.json"
	SummaryVersion = 1
)

// Percents are the percentiles of every distribution shown.
func Percents() []float64 { return []float64{50, 90, 95, 99, 99.9, 99.99} }

// Summary is a run as figures; as JSON it is summary.json. Times are in
// seconds, memory in bytes, CPU in cores (seconds per second).
type Summary struct {
	Format   int      `json:"format"`
	Headline string   `json:"headline"`
	Marks    []string `json:"marks,omitempty"` // what a reader must know before any figure: short, shared, aborted, ...
	Caveats  []string `json:"-"`               // the marks but those that a table of targets shows: how many blocks of one are valid
	// Verdict is what may be claimed about the primary metric; where nothing may, NoVerdict says why.
	Verdict   *Verdict `json:"verdict,omitempty"`
	NoVerdict string   `json:"no_verdict,omitempty"`
	AB        *AB      `json:"ab,omitempty"` // nil: not a run of two versions of one target
	// Thresholds are those of the plan, each for every target that it is about.
	Thresholds []Threshold `json:"thresholds,omitempty"`
	Limits     []Limit     `json:"limits,omitempty"` // by target, in the primary phase
	Costs      []Cost      `json:"costs,omitempty"`  // of answers, by phase and target; none where targets are running servers
	Idle       []Idle      `json:"idle,omitempty"`   // what replicas took before any load, by target
	Pairs      []Pair      `json:"pairs,omitempty"`  // of phases that differ in one thing alone, by phase and target
	TimeShares []TimeShare `json:"time_shares,omitempty"`
	Attempts   Attempts    `json:"attempts"`
	Run        Facts       `json:"run"`
	// Baselines are of the machine at rest, before block 1 and each time the run was resumed.
	Baselines []record.Baseline `json:"baselines,omitempty"`
	// Calibration of the machine that there was when the run began; nil: none.
	Calibration *record.Calibration `json:"calibration,omitempty"`
	Speed       *Speed              `json:"speed,omitempty"` // of the machine, over all trials; nil: not measured
	Machine     record.Machine      `json:"machine"`
	Database    record.DatabaseInfo `json:"database,omitzero"` // this and the next two are left out where the targets are running servers
	Balancer    record.BalancerInfo `json:"balancer,omitzero"`
	Dataset     Dataset             `json:"dataset,omitzero"`
	Targets     []Target            `json:"targets"`            // in plan order
	Phases      []Phase             `json:"phases"`             // measured ones, with medians and ranges over valid blocks
	Capacity    *Capacity           `json:"capacity,omitempty"` // nil: the plan does not ask for it
	Trials      []Trial             `json:"trials"`             // of blocks from 1, in order; invalid ones among them
	Pilot       []Trial             `json:"pilot,omitempty"`
	Found       *record.Pilot       `json:"pilot_found,omitempty"` // what the controller took from it
	Timelines   []Timeline          `json:"timelines,omitempty"`
	Trends      []gate.Trend        `json:"trends,omitempty"`   // how the phases of each target change while they last, over all valid blocks, and in turns those of all together
	Unusable    []Unusable          `json:"unusable,omitempty"` // trials that are in no statistic, and why
	Time        Time                `json:"time"`
	Notes       []string            `json:"notes,omitempty"`
	Problems    []record.Problem    `json:"problems,omitempty"` // damage of the run directory

	capacityPhase *Phase // stands for the stages of all blocks; nil: there are none

	checked bool                // targets' honesty was checked: the run is of a version that does it
	still   map[string][]string // why no rows changed, to the names of the phases in which they did not

	foreignIn map[int]map[string]string // by phase, which tier limited which target where that was another one's; for thresholds

	margin float64 // of the plan, within which differences do not matter; 0: the default one
}

// Facts are what identifies a run.
type Facts struct {
	Name        string `json:"name"`
	Bakeoff     string `json:"bakeoff"`
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"`
	Stopped     bool   `json:"stopped,omitempty"` // a person ended it, or may have; whether that was before its last block, its trials say
	Platform    string `json:"platform"`
	Machines    int    `json:"machines,omitempty"` // of a cluster, that pods of the run were on
	Seed        uint64 `json:"seed"`
	PlanDigest  string `json:"plan_digest"`
	Primary     string `json:"primary"` // metric declared in the plan
	AllowUnfair string `json:"allow_unfair,omitempty"`
	// ChecksLeftOut are the checks of the targets' honesty that the plan leaves out.
	ChecksLeftOut []string `json:"checks_left_out,omitempty"`
	// Search says that the run is a part of a search for the best setting of its targets, such as "stage 1 of 3".
	Search string `json:"search,omitempty"`

	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Blocks   int       `json:"blocks"`   // planned
	Planned  int       `json:"planned"`  // trials of blocks from 1
	Finished int       `json:"finished"` // places of those that hold a finished trial
	Short    bool      `json:"short,omitempty"`
	Shared   bool      `json:"shared,omitempty"`
}

// Dataset is what the plan says of the rows and keys.
type Dataset struct {
	Rows     int64   `json:"rows"`
	Seed     uint64  `json:"seed"`
	HitRatio float64 `json:"hit_ratio"`
	Lookups  string  `json:"lookups"`
}

// Running reports whether the targets are servers that ran already.
func (s *Summary) Running() bool {
	return len(s.Targets) > 0 && !slices.ContainsFunc(s.Targets, func(t Target) bool { return t.Kind != record.KindURL })
}

// Target is one target as it was deployed, and how many of its trials count.
type Target struct {
	record.TargetInfo
	Valid   int `json:"valid"`   // blocks with a valid trial
	Invalid int `json:"invalid"` // invalid trials, repeats counted each
	// Pilot is the throughput the pilot found, ok answers per second; 0 without a pilot.
	Pilot float64 `json:"pilot_ok_per_s,omitempty"`
}

// Time is where the run's time went.
type Time struct {
	MeasuredS float64       `json:"measured_s"` // seconds of measured phases in trials that count, without rounds that are left out
	WallS     float64       `json:"wall_s"`
	Useful    float64       `json:"useful"` // measured / wall
	Steps     []record.Step `json:"steps"`  // sums over all finished trials, the pilot's included
	Shares    []Share       `json:"shares"` // of what is not useful, the greatest first
}

// Unusable is a trial that is in no statistic.
type Unusable struct {
	Block    int             `json:"block"`
	Target   string          `json:"target"`
	Attempt  int             `json:"attempt"`
	Status   string          `json:"status"` // invalid, aborted, damaged, unfinished
	Reasons  []record.Reason `json:"reasons"`
	Repeated string          `json:"repeated"` // what became of the place: "valid in attempt 2", "not repeated", ...
}

// Trial is one finished trial.
type Trial struct {
	Block    int             `json:"block"`
	Position int             `json:"position"`
	Target   string          `json:"target"`
	Attempt  int             `json:"attempt"`
	Status   string          `json:"status"`
	Reasons  []record.Reason `json:"reasons,omitempty"`
	Warnings []record.Reason `json:"warnings,omitempty"` // what does not make it invalid
	Used     bool            `json:"used"`               // counts in the statistics
	Replicas []Readied       `json:"replicas,omitempty"` // as they were before they were loaded
	Phases   []PhaseFigures  `json:"phases"`
	Stages   []StageFigures  `json:"stages,omitempty"` // of a search for the capacity, or of the block
	// WorkS is the mean CPU time of the yardstick's work in the measured phases; 0: not measured. Speed is that of the
	// machine at that time, as a multiple of its median over all trials that have one.
	WorkS float64 `json:"yardstick_s,omitempty"`
	Speed float64 `json:"speed,omitempty"`

	turns    bool     // the targets of the block took turns
	times    []*times // of all phases, the warm-up too
	timeline []record.Step
}

// PhaseFigures is one measured phase of one trial.
type PhaseFigures struct {
	Number    int              `json:"number"`
	Name      string           `json:"name"`
	Model     string           `json:"model"`
	DurationS float64          `json:"duration_s"`
	Books     stats.Books      `json:"books"`
	Outcomes  map[string]int64 `json:"outcomes,omitempty"` // whatever was not ok, by class
	Status    map[int]int64    `json:"status,omitempty"`   // answers by status code
	Unwritten int64            `json:"unwritten,omitempty"`
	Lost      map[string]int64 `json:"lost,omitempty"`
	leftOutS  float64          // of DurationS, in rounds that are left out
	WorkS     float64          `json:"yardstick_s,omitempty"` // mean CPU time of the yardstick's work; 0: not measured
	// Rates per second of the phase: planned, sent, answered correctly.
	Offered  float64 `json:"offered_per_s"`
	Achieved float64 `json:"achieved_per_s"`
	Goodput  float64 `json:"goodput_per_s"`
	// Drift is the level of the last third over that of the first: of the rate of right answers, in the open
	// model of the median response time; 0: fewer than three windows.
	Drift float64 `json:"drift,omitempty"`
	// Response is from the intended time, Service from the actual send. Lateness is the generator's own.
	Response []Percentile `json:"response"`
	Service  []Percentile `json:"service"`
	Lateness []Percentile `json:"lateness"`
	// Agents is what the agents had and lacked: the greatest gauges of any agent and window, and the sums of
	// their times.
	Agents   *stats.Resources `json:"agents,omitempty"`
	GCPauseS float64          `json:"gc_pause_s"` // of all agents
	Checked  int64            `json:"checked"`
	Hits     int64            `json:"hits"`
	Misses   int64            `json:"misses"`
	Opened   int64            `json:"connections_opened"` // by the agents
	Replicas []Replica        `json:"replicas,omitempty"`
	// Imbalance is the greatest share of answers of a replica over the mean share: 1 is even, the number of
	// replicas the worst.
	Imbalance float64    `json:"imbalance"`
	Witness   Witness    `json:"witness"`
	Resources []Resource `json:"resources"`

	totals    stats.Totals
	levels    *gate.Levels
	stretches stretches
	ceilingS  float64 // answers per second that the agents reach at most on this path; 0: not known
	stage     bool    // of a search for the capacity, or of a block
	observed  observed
}

// Witness is what the database and the balancer counted, per request sent.
type Witness struct {
	record.Witness
	ReadsPerRequest  float64            `json:"reads_per_request"`
	OthersPerRequest map[string]float64 `json:"others_per_request,omitempty"`
}

// Replica is one replica in one phase as the agents saw it, and its processes.
type Replica struct {
	Name    string       `json:"name"`
	Answers int64        `json:"answers"`
	Share   float64      `json:"share"`
	Errors  int64        `json:"errors"` // answers that were not ok
	Service []Percentile `json:"service"`
	// Connections are the clients' established connections of each worker in the middle of the last phase,
	// most first.
	Connections []int `json:"connections"`
}

// Resource is what one process tree or worker used in one phase.
type Resource struct {
	Tier     string  `json:"tier"`
	Name     string  `json:"name"`               // a worker's pid follows a slash
	Cores    float64 `json:"cores"`              // CPU seconds per second, between the first and the last sample of the phase
	Samples  int     `json:"samples"`            // fewer than two give no cores
	RSSBytes int64   `json:"rss_bytes"`          // greatest in the phase
	PSSBytes int64   `json:"pss_bytes"`          // greatest in the phase; 0 where not readable
	PerReqS  float64 `json:"cpu_s_per_answer"`   // cores x length of the phase / answers received
	From     string  `json:"cpu_from,omitempty"` // where its CPU time was read: "cgroup v2", "cgroup v1", "/proc"
}

// Percentile is one percentile of a distribution, or why it is not given.
type Percentile struct {
	P       float64 `json:"p"` // in percent
	Seconds float64 `json:"seconds"`
	Over    bool    `json:"over,omitempty"`  // falls among time-outs: known to be more than Seconds
	Needs   int64   `json:"needs,omitempty"` // not given: this many requests are needed
	Has     int64   `json:"has"`
	// Unmeasured: the loader did not measure this distribution.
	Unmeasured bool `json:"unmeasured,omitempty"`
}

// Spread is a figure over the valid blocks of a target.
type Spread struct {
	N      int     `json:"n"` // blocks that give it
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	// Over says which of them are lower bounds, because they fall among time-outs.
	MedianOver bool `json:"median_over,omitempty"`
	MinOver    bool `json:"min_over,omitempty"`
	MaxOver    bool `json:"max_over,omitempty"`
}

// Phase is one measured phase of the plan over all targets.
type Phase struct {
	Number      int           `json:"number"`
	Name        string        `json:"name"`
	Model       string        `json:"model"`
	Engine      string        `json:"engine,omitempty"` // that drove it; empty: one of bakeoff's own
	Ask         string        `json:"ask,omitempty"`    // "ping": answers that the database has no part in; empty: lookups
	Direct      bool          `json:"direct,omitempty"` // without the balancer that there was
	Connections int           `json:"connections"`
	Rate        float64       `json:"rate,omitempty"`
	Arrivals    string        `json:"arrivals,omitempty"`
	DurationS   float64       `json:"duration_s"`
	TimeoutS    float64       `json:"timeout_s"`
	Targets     []PhaseTarget `json:"targets"`
}

// ByService says that the times of the phase are service times: in the closed model, and of an engine that does
// not say when a request should have been sent.
func (p Phase) ByService() bool { return p.Model == "closed" || p.Engine != "" }

// PhaseTarget is one target in one phase: medians and ranges over its valid blocks.
type PhaseTarget struct {
	Target    string  `json:"target"`
	Blocks    int     `json:"blocks"` // valid ones
	Goodput   Spread  `json:"goodput_per_s"`
	Achieved  Spread  `json:"achieved_per_s"`
	Imbalance Spread  `json:"imbalance"`
	Late      float64 `json:"late_share"` // of arrivals planned, over all valid blocks
	// Response and Service are medians and ranges of the blocks' own
	// percentiles; one that a block does not support is not given (N is less than Blocks).
	Response []PercentileSpread `json:"response"`
	Service  []PercentileSpread `json:"service"`
	// PooledResponse and PooledService are percentiles of the histograms
	// merged over all valid blocks. They are never used for a verdict: blocks differ, and pooling hides that.
	PooledResponse []Percentile `json:"pooled_response"`
	PooledService  []Percentile `json:"pooled_service"`
	PooledLateness []Percentile `json:"pooled_lateness"`
	// Curve is the pooled distribution of response times point by point, in the closed model of service times.
	Curve         []CurvePoint      `json:"curve,omitempty"`
	Books         stats.Books       `json:"books"` // sums over valid blocks
	Outcomes      map[string]int64  `json:"outcomes,omitempty"`
	Opened        int64             `json:"connections_opened"`
	Checked       int64             `json:"checked"`
	Hits          int64             `json:"hits"`
	Misses        int64             `json:"misses"`
	Reads         Spread            `json:"reads_per_request"`
	ReadsTotal    int64             `json:"reads"`
	Others        map[string]Spread `json:"others_per_request,omitempty"`
	DBConnections Spread            `json:"database_connections_opened"`
	Tiers         []Tier            `json:"tiers"`
	Replicas      []PhaseReplica    `json:"replicas,omitempty"`
	Warnings      []string          `json:"warnings,omitempty"` // what limits the use of the medians
}

// PercentileSpread is a percentile over the valid blocks.
type PercentileSpread struct {
	P float64 `json:"p"`
	Spread
	Needs int64 `json:"needs,omitempty"` // not given by every block: the requests a block needs
	Has   int64 `json:"has"`             // fewest requests of a block
	// Unmeasured: the loader of a block did not measure this distribution.
	Unmeasured bool `json:"unmeasured,omitempty"`
}

// Tier is one tier while one target was measured: sums over its members.
type Tier struct {
	Tier    string `json:"tier"`
	Cores   Spread `json:"cores"`
	PerReqS Spread `json:"cpu_s_per_answer"`
	Memory  Spread `json:"memory_bytes"` // proportional where readable, else resident
	Kind    string `json:"memory_kind"`  // "PSS" or "RSS"
}

// PhaseReplica is one replica over the valid blocks. Workers have other pids in each
// block, so they are compared by rank: the busiest of each block, the second, and so on.
type PhaseReplica struct {
	Name        string       `json:"name"`
	Share       Spread       `json:"share"`
	Cores       Spread       `json:"cores"`
	Memory      Spread       `json:"memory_bytes"`
	Kind        string       `json:"memory_kind"`
	Errors      int64        `json:"errors"`
	Service     []Percentile `json:"pooled_service"`
	WorkerCores []Spread     `json:"worker_cores"`
	WorkerBytes []Spread     `json:"worker_memory_bytes"`
	Connections []Spread     `json:"worker_connections"`
}
