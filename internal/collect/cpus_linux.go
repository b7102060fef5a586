package collect

import "golang.org/x/sys/unix"

// usableCPUs are the CPUs that this process and its children may run on; none where that is not known.
func usableCPUs() []int64 {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var out []int64
	for n := range 64 * len(set) {
		if set.IsSet(n) {
			out = append(out, int64(n))
		}
	}
	return out
}
