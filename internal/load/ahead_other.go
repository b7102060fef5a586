//go:build !linux

package load

// Realtime is the real-time priority that loops take on Linux.
const Realtime = 1

// MayRealtime tells that loops take no real-time priority here.
func MayRealtime() bool { return false }
