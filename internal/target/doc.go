// Package target turns a recipe into a running, proven replica. A recipe is
// data, targets/<name>/target.yaml: what a machine must have, how to prepare
// the program, how to start it, what it does with connections, and where each
// setting that is not the framework's default comes from. Nothing in this
// package knows a language or a framework: adding a target adds a folder.
//
// It refuses recipes with mistakes (all of them at once, with file, line and
// key), a port that somebody already listens on, workers that never said they
// are ready or that are not part of the process tree that was started, a
// server that answers without this start's nonce, workers whose effective
// pool or protocol is not the declared one, and workers of an overlap-requiring
// recipe that could not show two statements running at once.
//
// Load reads a recipe, Prepare builds it once per content in a cache folder,
// Start and Replica.Ready bring up one replica on a platform. What its answers
// must be is package contract's.
package target
