//go:build !linux

package load

func newWaker() (waker, error) { return newTimerWaker() }
