//go:build !linux

package machine

import "bakeoff/internal/record"

// hardware is not known on this system.
func hardware() (cpu string, memory int64) { return "unknown", 0 }

func microcode() string { return "" }

func limits() record.Limits { return record.Limits{} }
