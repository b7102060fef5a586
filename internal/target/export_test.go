package target

// Release gives up what a process holds of a prepared folder until it ends.
func Release(p *Prepared) error { return p.held.Close() }
