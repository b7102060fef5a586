package sidecar

import (
	"sync"
	"time"
)

// proportionalEvery is how long a reading of proportional memory is given again. The kernel walks over all pages of a process for it,
// and holds up those of its threads that want more memory.
const proportionalEvery = 10 * time.Second

// memory keeps the proportional memory of processes between readings.
type memory struct {
	read func(pid int) int64

	mu sync.Mutex
	at time.Time // of the oldest that is kept
	of map[int]int64
}

// into gives each process what was last read of it. One that is new, or could not be read, is read at once; all are read again when
// their time is over.
func (m *memory) into(processes []Process, now time.Time) {
	if m.read == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.at) >= proportionalEvery {
		m.at, m.of = now, map[int]int64{}
	}
	for i := range processes {
		pid := processes[i].PID
		bytes := m.of[pid]
		if bytes == 0 {
			bytes = m.read(pid)
			m.of[pid] = bytes
		}
		processes[i].PSSBytes = bytes
	}
}
