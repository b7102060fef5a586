package controller

import "fmt"

// blame puts before an error that ends the run what has ended under way: anyone who asks a process that is gone only hears that
// the connection was refused.
func (t *trial) blame(fatal error) error {
	if fatal == nil {
		return nil
	}
	cause := t.run.o.Venue.Lost()
	if cause == nil {
		cause = t.run.stage.ended()
	}
	if cause == nil && t.d != nil {
		cause = t.d.intact()
	}
	if cause == nil {
		return fatal
	}
	return fmt.Errorf("%w; therefore: %w", cause, fatal)
}
