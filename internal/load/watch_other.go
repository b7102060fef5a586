//go:build !linux

package load

import "bakeoff/internal/stats"

// sleep does nothing here: the system is not asked.
func (w *watch) sleep() { <-w.ended }

func (w *watch) gauges() stats.Resources { return stats.Resources{Ports: int64(w.held())} }

func (w *watch) count() counters { return counters{} }
