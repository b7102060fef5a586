package loadtest

import "runtime"

// LiveHeap is what is in use after a collection, in bytes.
func LiveHeap() int64 {
	runtime.GC()
	runtime.GC() // what pools held back
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
