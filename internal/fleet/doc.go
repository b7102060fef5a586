// Package fleet makes many load engines one: it starts agents (processes of
// this same binary), gives each its share of a phase, starts them at the same
// moment, merges what they report each second, and stops them.
//
// An agent connects out to the controller over TLS 1.3. The controller's
// certificate is made for the run, lives in memory only, and is pinned by its
// SHA-256 fingerprint; the agent proves itself by the run's random token, which it sends
// only after the fingerprint was right. Lines of JSON go both ways:
//
//	agent                          controller
//	hello (token, version, ...) ->
//	                            <- welcome (epoch, lease) or refusal (reason)
//	beat n                      ->                       every eighth of the silence bound
//	                            <- beat n                at once
//	                            <- prepare (phase, share, workload)
//	ready (error)               ->
//	                            <- start (instant)
//	window (epoch, sequence)    ->                       every second
//	done (totals, error)        ->
//	                            <- stop, quit            at any time
//
// A lease decides who may continue to send. The controller
// echoes each beat; an agent may send requests until one silence bound (2 s)
// after the moment at which it sent the newest beat that was echoed. The
// controller counts its silence from the arrival of the agent's last line,
// which is never earlier. So when the controller calls an agent lost for its silence, that
// agent's right to send has already ended, whichever direction of the
// connection failed, however long lines were delayed, and whether the agent
// was frozen or not. An agent that is lost for what it said is cut off and killed, and
// ends by its lease at the latest. An expired lease never comes back: a thawed agent ends.
// The lease is checked right before each send. A freeze can still fall between
// the check and the sending of one request, so a lost agent is also killed if
// the platform can reach it.
//
// What becomes of a disturbance:
//
//   - no line from an agent for the silence bound, a closed connection, a
//     dead process: the agent is lost, and killed where that is possible;
//   - a pause shorter than the silence bound: nothing, the phase continues;
//   - a window that arrives twice: the second is ignored;
//   - a missing window, or one before its turn: the agent is lost, because its
//     books can no longer be whole;
//   - a window of another epoch: dropped;
//   - an agent of an epoch that was replaced, of another program version or
//     of another plan, a second agent in one place, a wrong token: refused;
//   - the controller's end, or its silence: the agent ends, and with it its load;
//   - a new controller: it has another token and another certificate, so that
//     agents of the old one have no way back.
//
// docs/fleet.md has the whole table, with the test that shows each line.
//
// Once one agent is lost the others are stopped at once and the phase is
// useless as a measurement; the report of Run says so in Lost.
//
// The common start is an instant of the controller's wall clock, which each
// agent turns into its own monotonic clock by the round trips of its beats. How
// far apart the agents really started is in Run's report (Skew).
//
// The package refuses to run a phase with fewer agents than the plan asks
// for, to reconnect, and to guess: totals that an agent reports at the end must
// equal the sum of its windows.
package fleet
