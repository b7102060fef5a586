//go:build !linux

package load

import (
	"context"
	"errors"
)

// NewRaw returns an engine that refuses to run: it needs Linux.
func NewRaw(int) Engine { return noRaw{} }

type noRaw struct{}

func (noRaw) Run(context.Context, Job, func(Window)) error {
	return errors.New("load: the raw engine needs Linux")
}
