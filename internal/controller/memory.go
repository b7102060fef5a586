package controller

import (
	"fmt"
	"strings"
	"time"

	"bakeoff/internal/record"
)

// sampleEvery is how often everything is sampled.
const sampleEvery = time.Second

// memoryReserve is how much more than in the pilot the targets may take together.
const memoryReserve = 1.2

// memory is what the targets took in the pilot, against what the machine had left.
type memory struct {
	targets int64 // bytes, the peaks of all
	used    int64 // by everything, at the least seen
}

// host takes a sample of the host.
func (m *memory) host(s record.Series) {
	if s.Tier == "host" && s.RSSBytes > 0 && (m.used == 0 || s.RSSBytes < m.used) {
		m.used = s.RSSBytes
	}
}

func (m *memory) need(bytes int64) { m.targets += bytes }

// noMemory ends the turns before the first block where the targets do not fit into memory together.
func (r *run) noMemory() error {
	need, free := int64(memoryReserve*float64(r.memory.targets)), r.o.Venue.Machine().MemoryBytes-r.memory.used
	if r.inTurns() != nil || r.memory.used == 0 || need <= free {
		return nil
	}
	r.o.noTurns = fmt.Errorf("together they need %.1f GB of memory (%.1f x what they took in the pilot), but only %.1f GB are free",
		float64(need)/1e9, memoryReserve, float64(free)/1e9)
	return r.noteTurns()
}

// peak is the most memory that a target's replicas took together.
type peak struct {
	at        time.Time
	sum, most int64
}

// add takes a line of a sample; those of one sample come together.
func (p *peak) add(s record.Series) {
	if s.Tier != "target" || strings.Contains(s.Name, "/") {
		return
	}
	if !s.At.Equal(p.at) {
		p.at, p.sum = s.At, 0
	}
	bytes := s.PSSBytes
	if bytes == 0 {
		bytes = s.RSSBytes
	}
	p.sum += bytes
	p.most = max(p.most, p.sum)
}
