package target

import "time"

// Release gives up what a process holds of a prepared folder until it ends.
func Release(p *Prepared) error { return p.held.Close() }

// Impatient makes looks at tools end soon.
func Impatient(r *Recipe) { r.patience = 300 * time.Millisecond }
