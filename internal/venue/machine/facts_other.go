//go:build !linux

package machine

// hardware is not known on this system.
func hardware() (cpu string, memory int64) { return "unknown", 0 }
