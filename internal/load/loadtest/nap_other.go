//go:build !linux

package loadtest

import "time"

// nap sleeps.
func nap(d time.Duration) { time.Sleep(d) }
