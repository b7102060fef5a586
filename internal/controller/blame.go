package controller

import "fmt"

// blame puts before an error that ends the run what has ended under way: anyone who asks a process that is gone only hears that
// the connection was refused.
func (t *trial) blame(fatal error) error {
	if fatal == nil {
		return nil
	}
	if cause := t.cause(); cause != nil {
		return therefore(cause, fatal)
	}
	return fatal
}

// cause is what has ended under way; nil: nothing.
func (t *trial) cause() error {
	if cause := t.run.o.Venue.Lost(); cause != nil {
		return cause
	}
	if cause := t.run.stage.ended(); cause != nil || t.d == nil {
		return cause
	}
	return t.d.intact()
}

func therefore(cause, fatal error) error { return fmt.Errorf("%w; therefore: %w", cause, fatal) }
