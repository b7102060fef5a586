//go:build !linux

package fleet

// GoFirst does nothing here: the kernel is not asked.
func GoFirst() error { return nil }

// Priority is not known here.
func Priority(int) string { return "with an unknown priority" }
