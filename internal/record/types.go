// Package record is the run directory: what writers and readers share, and
// the only thing they share. docs/format.md describes it field by field. It
// refuses to read what it cannot prove whole: every file of a finished trial has its length and digest
// in trial.json, and trial.json its own in events.jsonl.
package record

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"bakeoff/internal/capacity"
	"bakeoff/internal/stats"
)

// FormatVersion is the version of the run directory written by this package; every one from
// oldestFormat on can be read.
const (
	FormatVersion = 2
	oldestFormat  = 1
)

// Statuses of a run.
const (
	Incomplete = "incomplete" // a run starts as this; it stays so when its controller was killed
	Complete   = "complete"
	Aborted    = "aborted" // interrupted by the user, or ended by an error
)

// Statuses of a trial.
const (
	Valid        = "valid"
	Invalid      = "invalid"
	TrialAborted = "aborted"
)

// Interrupted is the first line of the reason of a run that a person ended.
const Interrupted = "interrupted"

// PlatformImported is the platform of a run that another program measured: its record was made of that one's results.
const PlatformImported = "imported"

// Run is run.json.
type Run struct {
	Format     int             `json:"format"`
	Bakeoff    string          `json:"bakeoff"` // version of the program
	Name       string          `json:"name"`    // of the plan
	PlanDigest string          `json:"plan_digest"`
	Seed       uint64          `json:"seed"`
	Salt       string          `json:"salt,omitempty"` // drawn at random: which answers are checked and the order of keys depend on it; empty in runs from before
	Status     string          `json:"status"`
	Reason     string          `json:"reason,omitempty"`  // why aborted
	Resumed    int             `json:"resumed,omitempty"` // how many times it went on after it had ended or was killed
	Started    time.Time       `json:"started"`
	Ended      time.Time       `json:"ended,omitzero"`
	Short      bool            `json:"short,omitempty"`
	Shared     bool            `json:"shared,omitempty"` // ran at the same time as another run on the same machine
	Platform   string          `json:"platform"`
	Machine    Machine         `json:"machine"`
	Nodes      []Node          `json:"nodes,omitempty"`    // of a cluster that pods of the run were on, by name
	Programs   []Program       `json:"programs,omitempty"` // but those of the targets, whose digests are with them
	Database   DatabaseInfo    `json:"database,omitzero"`  // absent where the targets are running servers
	Balancer   BalancerInfo    `json:"balancer,omitzero"`  // likewise
	Targets    []TargetInfo    `json:"targets"`            // in plan order
	Plan       json.RawMessage `json:"plan"`               // as resolved
	PlanDir    string          `json:"plan_dir,omitempty"` // what paths of recipes are relative to; absent where the plan has none
	Pilot      *Pilot          `json:"pilot,omitempty"`
	Order      []Place         `json:"order"`               // every trial planned, in order; block 0 is the pilot
	Baselines  []Baseline      `json:"baselines,omitempty"` // of the machine at rest: one, and another each time the run was resumed
	// Calibration of this machine that there was when the run began; nil: none.
	Calibration *Calibration `json:"calibration,omitempty"`
	// NoTurns is why the targets take no turns, where more than the plan had to be looked at; empty: they do, or the plan alone says it.
	NoTurns string `json:"no_turns,omitempty"`
	// ChecksLeftOut are the checks of the targets' honesty that the plan leaves out, such as "moves: off".
	ChecksLeftOut []string `json:"checks_left_out,omitempty"`

	Notes     []string   `json:"notes,omitempty"`
	Revisions *Revisions `json:"revisions,omitempty"` // nil: not a comparison of two versions of one target
	// Search says that the run is a part of a search for the best setting of its targets, such as "stage 1 of 3".
	Search   string  `json:"search,omitempty"`
	Measured float64 `json:"measured_s"` // seconds of measured phases
	Wall     float64 `json:"wall_s"`
}

// Stopped reports whether a person ended the run, or may have: by Ctrl-C, by what means the same, by killing it, or by a time
// limit for the rest of it when it was resumed.
func (r Run) Stopped() bool {
	first, _, _ := strings.Cut(r.Reason, "\n")
	return r.Status == Incomplete || r.Status == Aborted && (first == Interrupted || r.Resumed > 0)
}

// Machines is how many machines the nodes of a cluster are: those with the same kernel are one. It is 1 where no node is known.
func (r Run) Machines() int {
	kernels := map[string]bool{}
	for _, n := range r.Nodes {
		kernels[cmp.Or(n.BootID, n.Name)] = true
	}
	return max(1, len(kernels))
}

// SaltOf is the salt of a block's trials: all its targets are asked for the same keys in the same order, those of another block
// for others. Empty: the run is from before there were salts.
func (r Run) SaltOf(block int) string {
	if r.Salt == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d", r.Salt, block)
}

// Revisions are the two versions that a run compares of one target. Base and Head are the names of its targets.
type Revisions struct {
	Base Revision `json:"base"`
	Head Revision `json:"head"`
}

// Names of the targets of a run that compares two versions.
const (
	Base = "base"
	Head = "head"
)

// Revision is where one version of a target came from.
type Revision struct {
	Given  string `json:"given"`            // a folder, or what named a commit
	Folder string `json:"folder,omitempty"` // of the target, within its repository; empty: it is in none
	Commit string `json:"commit,omitempty"` // in hexadecimal; empty: no commit is known
	// Dirty: the working tree has changes of the target that are in no commit. Of a folder they were measured, of a commit
	// they were not.
	Dirty bool `json:"dirty,omitempty"`
	Tree  bool `json:"working_tree,omitempty"` // the files of the working tree were measured, not those of the commit
}

// Place is one planned trial.
type Place struct {
	Block    int    `json:"block"`
	Position int    `json:"position"`
	Target   string `json:"target"`
}

// Machine is what the figures depend on.
type Machine struct {
	Fingerprint string `json:"fingerprint"`
	Hostname    string `json:"hostname"`
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"`
	Kernel      string `json:"kernel"`
	OS          string `json:"os"`
	Governor    string `json:"governor"` // "unknown" where the machine does not say
	Virtual     string `json:"virtual,omitempty"`
	Microcode   string `json:"microcode,omitempty"` // of the processor
	Limits      Limits `json:"limits,omitzero"`
}

// Node is a machine of a cluster, as one of the run's pods on it sees it.
type Node struct {
	Name        string `json:"name"`
	BootID      string `json:"boot_id"` // of its kernel: nodes with the same one are one machine
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"`
	Kernel      string `json:"kernel"`
}

// Limits are what the system lets this account's processes have; what it does not say is left out.
type Limits struct {
	CPUQuota   float64 `json:"cpu_quota_cores,omitempty"` // of the control group; 0: none
	OpenFiles  uint64  `json:"open_files,omitempty"`      // hard limit
	Processes  uint64  `json:"processes,omitempty"`       // hard limit
	LocalPorts string  `json:"local_ports,omitempty"`     // first and last
	Backlog    string  `json:"listen_backlog,omitempty"`  // most connections that wait to be accepted
	HugePages  string  `json:"huge_pages,omitempty"`      // transparent ones, such as "madvise"
	SMT        string  `json:"smt,omitempty"`             // whether cores have two threads: "on", "off", ...
}

// Program is a program that a run starts, as a file.
type Program struct {
	Name    string `json:"name"` // bakeoff, nginx, mariadb, ...
	Path    string `json:"path"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// DatabaseInfo is the database as it was used.
type DatabaseInfo struct {
	Kind           string            `json:"kind"`   // private or external
	Vendor         string            `json:"vendor"` // mariadb or mysql
	Version        string            `json:"version"`
	MaxConnections int               `json:"max_connections"`
	Settings       map[string]string `json:"settings"` // pinned settings as the server reports them
	Collation      string            `json:"collation"`
	Rows           int64             `json:"rows"`
	Digest         string            `json:"digest"`                   // of the dataset, computed
	FillSeconds    float64           `json:"fill_s"`                   // this run's fill, or 0
	FromCache      bool              `json:"from_cache"`               // filled data directory copied
	DigestAtFill   string            `json:"digest_at_fill"`           // read back from the server
	DigestAtEnd    string            `json:"digest_at_end,omitempty"`  // read back at the end of the run
	Counter        string            `json:"counter"`                  // how statements are counted: "digest" or "handler_read_key"
	CounterReason  string            `json:"counter_reason,omitempty"` // why not by handler_read_key, and what distorts the count; empty: nothing
	// Uncounted says what of each lookup cannot be counted here, and why.
	Uncounted []string `json:"uncounted,omitempty"`
	// AccountReason says why all trials share one account; empty: each has one of its own.
	AccountReason string `json:"account_reason,omitempty"`
	// MovesReason says why no rows change in phases that could have it; empty: they do.
	MovesReason string `json:"moves_reason,omitempty"`
	// LookupS is the time of a lookup by our own connection while nothing else was asked, the lower quartile of some, prepared before or as text, whichever is longer; 0: not measured.
	LookupS float64 `json:"lookup_s,omitempty"`
}

// BalancerInfo is the balancer as it was used.
type BalancerInfo struct {
	Kind     string            `json:"kind"`
	Version  string            `json:"version,omitempty"`
	Settings map[string]string `json:"settings,omitempty"`
}

// KindURL is the kind of a target that is a running server; those that are
// deployed of a recipe have no kind.
const KindURL = "url"

// KindDriver is the kind of a target that is no server: the agents asked the database themselves. It is in no ranking.
const KindDriver = "driver"

// TargetInfo is a target as it was deployed. A running server has a kind, a URL, an
// address and what is expected of it, and nothing of a recipe or a deployment.
type TargetInfo struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind,omitempty"`
	URL       string            `json:"url,omitempty"`
	Address   string            `json:"address,omitempty"` // that was dialled, with its port
	Expect    *Expect           `json:"expect,omitempty"`
	Recipe    string            `json:"recipe,omitempty"`
	Variant   string            `json:"variant,omitempty"`
	Server    string            `json:"server,omitempty"` // of the recipe, in place of its own
	Title     string            `json:"title,omitempty"`
	Tags      []string          `json:"tags,omitempty"`
	Replicas  int               `json:"replicas,omitempty"`
	Workers   int               `json:"workers,omitempty"` // processes per replica
	Pool      *int              `json:"pool,omitempty"`    // connections per worker; 0: as many as requests in flight
	Protocol  string            `json:"protocol,omitempty"`
	AccessLog *bool             `json:"access_log,omitempty"`
	Settings  []Setting         `json:"settings,omitzero"`
	Versions  map[string]string `json:"versions,omitzero"` // of every package
	Digest    string            `json:"digest,omitempty"`  // of the recipe folder
}

// Expect is what a right answer of a running server is.
type Expect struct {
	Status int    `json:"status"`
	Body   string `json:"body,omitempty"` // text that the body contains
}

// Setting is one setting that is not the framework's default.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Source  string `json:"source"`
}

// Baseline is what others did on the machine while the run had started everything and loaded nothing.
type Baseline struct {
	At      time.Time `json:"at"` // its end
	Seconds float64   `json:"seconds"`
	Cores   float64   `json:"cores"` // CPUs that the run may use
	// Container says that processes outside this one's PID namespace cannot be seen by name.
	Container bool `json:"container,omitempty"`
	// WarnOnly is set where the user agreed to share the machine, and for a short run: nothing is refused for what others do.
	WarnOnly bool `json:"warn_only,omitempty"`
	// Mixed says that servers under test run on this machine that the run did not start: their
	// CPU time cannot be distinguished from that of strangers.
	Mixed bool `json:"mixed,omitempty"`
	// Looks is how many times the machine was watched for so long; this was the quietest of them. 0: not known.
	Looks int `json:"looks,omitempty"`
	Disturbance
}

// Disturbance is what others than the run did on the machine in a stretch of time.
type Disturbance struct {
	Foreign   float64    `json:"foreign"`              // share of the CPU time of all cores that processes of others used
	Steal     float64    `json:"steal"`                // share of it that the host of this virtual machine took away
	Throttled float64    `json:"throttled"`            // share of the time for which a CPU quota held the run back, summed over CPUs
	QuotaUsed float64    `json:"quota_used,omitempty"` // share of its CPU quota that the run itself used; 0: no quota
	SwapIn    float64    `json:"swap_in_per_s"`        // pages read back from swap
	Memory    float64    `json:"memory"`               // share of the time in which some task waited for memory
	IO        float64    `json:"io"`                   // share of the time in which some task waited for input or output
	CPUTimeNS int64      `json:"cpu_time_ns"`          // that passed on all cores
	Seen      float64    `json:"seen"`                 // the part of Foreign that processes used that can be seen
	Strangers []Stranger `json:"strangers,omitempty"`
}

// Watched reports whether anything is known: the machine was sampled at both ends of that time.
func (d Disturbance) Watched() bool { return d.CPUTimeNS > 0 }

// Share is the share of the CPU time of all cores that a stranger used.
func (d Disturbance) Share(s Stranger) float64 {
	return float64(s.CPUNS) / float64(max(d.CPUTimeNS, 1))
}

// Stranger is a process that is not the run's: the busiest three of a stretch of time are named.
type Stranger struct {
	Name  string `json:"name"` // as the kernel calls it, at most 15 bytes
	PID   int    `json:"pid"`
	CPUNS int64  `json:"cpu_ns"` // with its ended children
}

// Pilot is what the pilot found.
type Pilot struct {
	Throughput map[string]float64 `json:"throughput"`          // target to requests per second
	MedianNS   map[string]int64   `json:"median_ns,omitempty"` // target to the median response time
	Slowest    string             `json:"slowest"`
	// Capacity is what the search for each target's capacity came to; nil: none was searched for.
	Capacity map[string]capacity.Result `json:"capacity,omitempty"`
}

// Trial is trial.json.
type Trial struct {
	Format   int        `json:"format"`
	Block    int        `json:"block"`
	Position int        `json:"position"`
	Target   string     `json:"target"`
	Attempt  int        `json:"attempt"` // 1, or 2 and 3 for repeats of invalid trials
	Status   string     `json:"status"`
	Reasons  []Reason   `json:"reasons,omitempty"`
	Warnings []Reason   `json:"warnings,omitempty"` // what does not make it invalid
	Started  time.Time  `json:"started"`
	Ended    time.Time  `json:"ended"`
	Nonce    string     `json:"nonce,omitempty"`
	Luck     *Luck      `json:"luck,omitempty"` // of running servers there are Agents only
	Replicas []Replica  `json:"replicas"`
	Declared *Declared  `json:"declared,omitempty"` // of a target that was deployed
	Phases   []Phase    `json:"phases"`
	Checks   []Check    `json:"checks"`   // of the contract: before and after
	Commands []string   `json:"commands"` // every process started, as a shell line without secrets
	Timeline []Step     `json:"timeline"` // where the wall time went
	Files    []FileSeal `json:"files"`
}

// Declared is what a recipe and the plan say of a target, as far as it is measured.
type Declared struct {
	Connections int     `json:"connections"`          // to the database, of all replicas together: the most that may be open
	Together    int     `json:"connections_together"` // the same of all targets that are up at once
	Protocol    string  `json:"protocol"`             // text or prepared
	AccessLog   bool    `json:"access_log"`
	KeepAliveS  float64 `json:"keepalive_s"`      // for which the server leaves an idle connection open, at least
	Driver      bool    `json:"driver,omitempty"` // it is no server: the agents ask the database themselves
	Shares      *Shares `json:"shares,omitempty"`
}

// Shares are what is demanded of who gave the answers, behind a balancer that does not say so itself.
type Shares struct {
	Replicas []string `json:"replicas"`         // each right answer has to name one of them
	Within   float64  `json:"within,omitempty"` // by how much of an equal share the share of each may differ from it; 0: by anything
}

// Names of values in series.jsonl.
const (
	TargetConnections = "target_connections"      // database: the connections that targets have open
	OwnConnections    = "own_connections"         // database: those of the trial's own target, by its account; not there where all share one
	TargetLasting     = "lasting_connections"     // those of TargetConnections that have been open for a second
	OwnLasting        = "own_lasting_connections" // those of OwnConnections, likewise
	InTurn            = "in_turn"                 // database, where targets take turns: 1 where it was this target's turn at the sample
	// Of a replica, a worker and the balancer. Both are of the busiest thread between each sample and the next, added up.
	BusiestThreadNS     = "busiest_thread_ns"      // for which it ran
	BusiestThreadWaitNS = "busiest_thread_wait_ns" // for which it was ready and had no core
	// Of a replica with workers: the same of its other processes, such as one that hands requests on to the workers.
	OtherThreadNS     = "other_thread_ns"
	OtherThreadWaitNS = "other_thread_wait_ns"
	// Of a process tree with a control group of its own.
	GroupVersion = "cgroup"        // 1 or 2
	GroupCPUNS   = "cgroup_cpu_ns" // what the group used
	// Of a process tree with a control group of its own, and of the host, where they are those of the controller.
	ThrottledNS = "throttled_ns" // for which CPU quotas held it back
	QuotaCores  = "quota_cores"  // the smallest of them
	ListenDrops = "listen_drops" // host: connections of this network namespace that full listen queues dropped
)

// Luck is what a fresh start would leave to chance, drawn from the plan's seed for each attempt at a trial: so that it varies
// from block to block for every target, and is no advantage of one.
type Luck struct {
	Padding int   `json:"padding,omitempty"` // bytes by which the environment of the replicas is longer, which moves their stacks
	Order   []int `json:"order,omitempty"`   // in which the replicas, numbered from 1, were started and are behind the balancer
	Agents  []int `json:"agents,omitempty"`  // the share of the load that each agent takes, from 1: the first has the first connection and request
}

// Step is a stretch of a trial's wall time.
type Step struct {
	Name    string  `json:"name"` // start, ready, verify, warmup, closed, open, verify-after, stop
	Seconds float64 `json:"seconds"`
}

// Replica is one replica as it was started.
type Replica struct {
	Name    string  `json:"name"` // such as "django-1"
	Address string  `json:"address"`
	PID     int     `json:"pid"`
	ReadyS  float64 `json:"ready_s"`
	// Account is the one that it ran under; empty: that of bakeoff itself. HeldBy says how its processes were held together:
	// "cgroup", "guard", or empty where that is not known.
	Account string   `json:"account,omitempty"`
	HeldBy  string   `json:"held_by,omitempty"`
	Workers []Worker `json:"workers"`
	// In a cluster: its pod and the node that this is on, its image with the digest, and how often it was started again.
	Pod      string `json:"pod,omitempty"`
	UID      string `json:"uid,omitempty"` // of the pod
	Node     string `json:"node,omitempty"`
	Image    string `json:"image,omitempty"`
	Restarts int    `json:"restarts,omitempty"`
	// Others are containers in the pod that are not bakeoff's.
	Others []string `json:"other_containers,omitempty"`
}

// Worker is one serving process as it introduced itself.
type Worker struct {
	PID         int      `json:"pid"`
	Pool        int      `json:"pool"`
	Protocol    string   `json:"protocol"`
	Overlap     *Overlap `json:"overlap,omitempty"`
	Connections int      `json:"connections"` // established client connections in the middle of the last phase
}

// Overlap is the proof that two statements ran at once in a worker: seconds on the worker's monotonic
// clock. Proven when SecondBegan < FirstEnded.
type Overlap struct {
	FirstBegan  float64 `json:"first_began"`
	FirstEnded  float64 `json:"first_ended"`
	SecondBegan float64 `json:"second_began"`
	SecondEnded float64 `json:"second_ended"`
}

// Proven reports whether the second statement began before the first ended, and the first before the second ended.
func (o *Overlap) Proven() bool {
	return o != nil && o.SecondBegan < o.FirstEnded && o.FirstBegan < o.SecondEnded
}

// Phase is one phase of a trial and what the witnesses counted around it.
type Phase struct {
	Number      int     `json:"number"`
	Name        string  `json:"name"`
	Model       string  `json:"model"`
	Engine      string  `json:"engine,omitempty"` // that drove it; empty: one of bakeoff's own
	Ask         string  `json:"ask,omitempty"`    // "ping", for what the database has no part in; empty: lookups, or the one URL of a running server
	Direct      bool    `json:"direct,omitempty"` // the agents asked the replicas themselves, although there was a balancer
	Connections int     `json:"connections"`
	Rate        float64 `json:"rate,omitempty"`
	Arrivals    string  `json:"arrivals,omitempty"`
	DurationS   float64 `json:"duration_s"`
	TimeoutS    float64 `json:"timeout_s"`
	// CheckShare is the share of answers whose body was checked, fixed before the phase; 0 in runs from before.
	CheckShare float64   `json:"check_share,omitempty"`
	Warmup     bool      `json:"warmup,omitempty"`
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended"` // the last answer or time-out
	// StartSpreadNS is the greatest difference between the actual starts of the agents in Starts.
	StartSpreadNS int64   `json:"start_spread_ns"`
	Starts        []Start `json:"starts"`
	Witness       Witness `json:"witness"`
	// Moves are the rows that changed while the phase was measured, in the order of their numbers in load.jsonl; nil: none.
	Moves []Move `json:"moves,omitempty"`
	// NoMoves says why no rows changed in a phase that is judged; empty: they did, or it is of a version that did not say it.
	NoMoves string `json:"no_moves,omitempty"`
	// ClockStepNS is by how much the controller's wall clock was set, either way, from the first move on until the last.
	ClockStepNS int64 `json:"clock_step_ns,omitempty"`
	// Turns, where the targets took turns, says of how many slices the phase consists and how long they were
	// together, each with the wait for its last answers; nil: it ran at a stretch.
	Turns *PhaseTurns `json:"turns,omitempty"`
	// Settling, of a warm-up that ends when every target is steady, says how it ended; nil: its length was fixed.
	Settling *Settling `json:"settling,omitempty"`
	// Stage, of a stage at one rate of a search for the capacity, is what it is held against; nil: it is no stage.
	Stage *Stage `json:"stage,omitempty"`
	// CeilingS is how many requests per second the agents can send at most on this path, by the calibration; 0: not known.
	CeilingS float64 `json:"ceiling_per_s,omitempty"`
	// Unjudged says that the phase was cut short, or imported, so that its numbers were not judged.
	Unjudged bool `json:"unjudged,omitempty"`
}

// Stage is what a stage of a search for the capacity is held against. Its rate is that of its phase.
type Stage struct {
	Search     bool    `json:"search,omitempty"` // of the pilot search, not of a block
	Percentile float64 `json:"percentile"`       // as a fraction, such as 0.99
	BoundS     float64 `json:"bound_s"`
	Errors     float64 `json:"errors"`            // share of planned requests that may lack a right answer
	Limited    bool    `json:"limited,omitempty"` // an agent could not keep the rate: it says nothing of the target
}

// Objective is what it is held against.
func (s Stage) Objective() capacity.Objective {
	return capacity.Objective{Percentile: s.Percentile, Bound: time.Duration(math.Round(s.BoundS * float64(time.Second))), Errors: s.Errors}
}

// Duration is DurationS to the nearest nanosecond: if it were cut off, the last window could end after it.
func (p Phase) Duration() time.Duration {
	return time.Duration(math.Round(p.DurationS * float64(time.Second)))
}

// LeftOut is how much of the phase's time is in rounds that are left out.
func (p Phase) LeftOut() time.Duration {
	if p.Turns == nil {
		return 0
	}
	return min(p.Duration(), time.Duration(float64(p.Turns.LeftOut)*p.Turns.SliceS*float64(time.Second)))
}

// Move is the change of one row during a phase, by the controller's clock. One without an end was not made, or may not have been.
type Move struct {
	Kind    string `json:"kind"` // "inserted", "renamed" or "deleted"
	ID      int64  `json:"id"`
	Old     string `json:"old,omitempty"` // name before; empty: there was no such row
	New     string `json:"new,omitempty"` // name after; empty: there is no such row
	BegunNS int64  `json:"begun_ns,omitempty"`
	DoneNS  int64  `json:"done_ns,omitempty"`
	Ahead   bool   `json:"ahead,omitempty"` // it was made before the first request was sent
}

// Settling is how a warm-up ended that ends when it is steady.
type Settling struct {
	LeastS float64 `json:"least_s"`
	MostS  float64 `json:"most_s"`
	State  string  `json:"state"` // "steady", or what is to be said at the greatest length
}

// PhaseTurns is what became of a phase in which the targets took turns.
type PhaseTurns struct {
	Slices int     `json:"slices"`
	SliceS float64 `json:"slice_s"`
	RunInS float64 `json:"run_in_s"` // at the start of each slice, booked aside
	OnS    float64 `json:"on_s"`     // all slices together, with the waits for their last answers
	LateNS int64   `json:"late_ns"`  // by so much an agent missed the common start of a slice at worst
	// LeftOut counts rounds in which an agent was late or stood still: all of their windows are aside.
	LeftOut  int  `json:"left_out"`
	Replaced int  `json:"replaced,omitempty"` // how many of them had a round in their place, behind the phase's own
	Rounds   int  `json:"rounds,omitempty"`   // of all targets, those in place of others among them; 0: not known
	Redraws  int  `json:"redraws,omitempty"`  // how often the connections to the replicas were closed and opened again
	Frozen   bool `json:"frozen"`             // the target stood still while it was not its turn
	// IdleShare is the share of the CPU time of all cores that the target used while it was not its turn.
	IdleShare float64 `json:"idle_share"`
}

// Start is when one agent started, in nanoseconds after the common start. It started when
// its clock woke or by as much later as its first request was late.
type Start struct {
	Agent        int   `json:"agent"`
	BeganNS      int64 `json:"began_ns"`       // its clock woke
	FirstNS      int64 `json:"first_ns"`       // its first request was permitted to go; -1: none
	DueNS        int64 `json:"due_ns"`         // its first request was due by schedule; -1: none
	ClockShiftNS int64 `json:"clock_shift_ns"` // its wall clock less the controller's
	ClockErrorNS int64 `json:"clock_error_ns"` // the shift is known to +- this
}

// Witness is what others than the agents counted between two idle points around a phase.
type Witness struct {
	DatabaseReads  int64            `json:"database_reads"`            // row-reading statements on demo_data; -1 where there is no database
	DatabaseOthers map[string]int64 `json:"database_others,omitempty"` // other statements, such as begin, rollback, set
	BalancerTotal  int64            `json:"balancer_requests"`         // our own status requests taken off; -1 where there is no balancer that counts
	Connections    int64            `json:"database_connections"`      // opened in the phase; -1 where there is no database
	LogLines       *int64           `json:"log_lines,omitempty"`       // that the replicas wrote to their logs in the phase; nil: not counted
	// What the database counted of each lookup; nil: not counted. Lookups are index reads, Statements those that touched a table.
	Lookups    *int64 `json:"lookups,omitempty"`
	Statements *int64 `json:"statements,omitempty"`
	// RowsByName were read by the index on name, RowsByOther by another index or by none.
	RowsByName  *int64 `json:"rows_by_name,omitempty"`
	RowsByOther *int64 `json:"rows_by_other,omitempty"`
	// Ranges are reads of an index that are not of one key, Empty the SELECT statements without a row.
	Ranges *int64 `json:"ranges,omitempty"`
	Empty  *int64 `json:"empty,omitempty"`
	// Counters says what each of them was found to count at the start of the run, such as "one per hit (INDEX_STATISTICS)".
	Counters map[string]string `json:"counters,omitempty"`
}

// What a counter was found to count.
const (
	CountsLookups = "one per lookup"
	CountsHits    = "one per hit"
)

// Check is one check of the contract.
type Check struct {
	When    string `json:"when"` // "before" or "after"
	Name    string `json:"name"`
	Replica string `json:"replica,omitempty"` // empty: through the balancer
	OK      bool   `json:"ok"`
	Detail  string `json:"detail,omitempty"`
}

// FileSeal seals one file of a trial.
type FileSeal struct {
	Path   string `json:"path"` // relative to the trial's folder
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Load is one line of load.jsonl: one window of one agent.
type Load struct {
	Agent    int   `json:"agent"`
	Epoch    int64 `json:"epoch"`
	Sequence int64 `json:"sequence"`
	Phase    int   `json:"phase"`
	// At is when the window began, by the controller's clock; zero in runs from before lines said it.
	At time.Time `json:"at,omitzero"`
	stats.Window
}

// Series is one line of series.jsonl: one tier member, one second.
type Series struct {
	At       time.Time          `json:"at"`
	Phase    int                `json:"phase"`               // number of the phase under way, -1 between phases
	Tier     string             `json:"tier"`                // "target", "database", "balancer", "agent", "controller", "yardstick", "host"
	Name     string             `json:"name"`                // such as "django-1"; the worker's pid follows a slash: "django-1/4711"
	CPUNS    int64              `json:"cpu_ns"`              // user + system since the process began; host: busy time of all cores
	RSSBytes int64              `json:"rss_bytes"`           // resident; host: memory in use
	PSSBytes int64              `json:"pss_bytes,omitempty"` // proportional, where readable
	Values   map[string]float64 `json:"values,omitempty"`    // database: threads_connected, ...; host: steal_ns, pressure_io_ns, ...
	// Strangers are, on the host's last line of a phase, the busiest processes in it that are not the run's.
	Strangers []Stranger `json:"strangers,omitempty"`
	// WorkNS, of the yardstick, is the CPU time of each piece of its work since the last line, by core.
	WorkNS [][]int64 `json:"work_ns,omitempty"`
}
