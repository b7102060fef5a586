package record

// Reason says why a trial is invalid, or what to know of a valid one.
type Reason struct {
	Code string `json:"code"` // one of the Code constants
	Text string `json:"text"`
	// Cause says why an agent was the limit: one of the Cause constants; empty for other codes.
	Cause string `json:"cause,omitempty"`
	// Wrote is what a replica wrote to its log of it, such as "django-2 wrote: KeyError: 'x'"; empty: nothing is known.
	Wrote string `json:"wrote,omitempty"`
}

// Words are the code, the text, and what a replica wrote.
func (r Reason) Words() string {
	words := r.Code + ": " + r.Text
	if r.Wrote != "" {
		words += "; " + r.Wrote
	}
	return words
}

// Codes of reasons. This is the whole table; docs/format.md explains each, and
// a test compares the two. Those marked "gate" can be computed again from the
// record by package gate.
const (
	CodeContract         = "contract"          // checks of the contract failed before or after the load
	CodeNoAnswer         = "no-answer"         // a running server gave no answer at all
	CodeNotReady         = "not-ready"         // the target could not be started
	CodeConnections      = "connections"       // after its start the target held more database connections than the plan gives it
	CodeNoOverlap        = "no-overlap"        // workers could not show two statements running at once
	CodeLeftBehind       = "left-behind"       // statements of the target ran in the database while nothing was asked of it, or it wrote its access log only at its end
	CodeLocks            = "locks"             // the target held locks on rows of the table
	CodeAccount          = "account"           // the target changed its account in the database
	CodeWorkerGone       = "worker-gone"       // a worker ended during the load or a check
	CodePlacement        = "placement"         // in a cluster: replicas are not one per node, of one image, and the same as at the start, or an agent is next to one
	CodeAgentLost        = "agent-lost"        // an agent fell silent or ended
	CodeBooks            = "books"             // gate: the agents' counts do not add up
	CodeWitness          = "witness"           // gate: database or balancer counted something else than the agents
	CodeLookups          = "lookups"           // gate: answers were not each one indexed lookup of its own
	CodeStale            = "stale"             // gate: rows that changed during the phase were answered as they were not at that moment
	CodeMoves            = "moves"             // gate: fewer rows changed during the phase than were to
	CodeShares           = "shares"            // gate: answers did not name the replica that gave them, or its share was not as equal as the plan demands
	CodeDeclared         = "declared"          // gate: the target did otherwise than its recipe declares
	CodeLittlesLaw       = "littles-law"       // gate: the times recorded of requests are not those they spent in flight
	CodeWrongAnswers     = "wrong-answers"     // gate: an answer had a wrong body, or too many requests were not answered correctly
	CodeNotSteady        = "not-steady"        // gate: the level changed during the phase by more than noise explains
	CodeGeneratorLimited = "generator-limited" // gate: an agent was the limit, not the target
	CodeDisturbedHost    = "disturbed-host"    // gate: others used the machine during the load
	CodeNotWatched       = "not-watched"       // gate, a warning: it is not known whether others used the machine during the load
	CodeTooFewArrivals   = "too-few-arrivals"  // an open phase would have had hardly any arrivals, and was not run
	CodeBlock            = "block"             // the targets could not take their turns in the block to its end, mostly as another one was refused: all are measured again together
	CodeNotStopped       = "not-stopped"       // the target could not be stopped
	CodeGhost            = "ghost"             // processes of the target outlived it; they were ended
	CodeRewritten        = "rewritten"         // somebody else changed the trial's files while it ran
	CodeInterrupted      = "interrupted"       // the user ended the run
	CodeRunEnded         = "run-ended"         // an error ended the run
)

// Causes for which an agent was itself the limit.
const (
	CausePorts       = "ports"       // no local port was left
	CauseDescriptors = "descriptors" // no descriptor was left
	CauseMemory      = "memory"      // the kernel had no memory for a connection
	CausePermit      = "permit"      // the controller was silent, so it might not send
	CauseStopped     = "stopped"     // its process stood still
	CauseQuota       = "quota"       // a CPU quota held it back
	CauseStarved     = "starved"     // others had the cores
	CauseHost        = "host"        // the host took the machine's time
	CauseCollector   = "collector"   // its own garbage collector
	CauseLoop        = "loop"        // its loop had more to do than one core can
	CauseUnknown     = "unknown"     // it was late, and nothing of the above is seen
)
