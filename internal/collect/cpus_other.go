//go:build !linux

package collect

func usableCPUs() []int64 { return nil }
