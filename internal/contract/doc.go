// Package contract checks what a target's answers must be: GET /demo and
// GET /ping as docs/targets.md defines them. It asks a started target at each
// replica and through the balancer, and compares what it says with the rows
// that the database holds and with the statements that the database counted.
//
// It refuses nothing itself: Contract.Check returns findings, and an error
// only where the check could not be made. It knows answers and counts but
// neither recipes nor processes (package target).
package contract
