//go:build !linux

package load

// NewRaw returns nil: the engine needs Linux.
func NewRaw(int) Engine { return nil }
