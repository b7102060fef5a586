package stats

// Means are what one agent had and lacked in one second, as it found itself.
// Times are nanoseconds; what the system does not tell is 0.
type Means struct {
	Descriptors     int64 `json:"descriptors"` // most that were open at once, by a look every 100 ms
	DescriptorLimit int64 `json:"descriptor_limit"`
	Ports           int64 `json:"ports"`    // local ports that its connections hold at the second's end
	PortLow         int64 `json:"port_low"` // the first and the last that the system gives out
	PortHigh        int64 `json:"port_high"`
	// TimeWait are closed connections of the whole network namespace that still hold their ports.
	TimeWait int64   `json:"time_wait"`
	Cores    float64 `json:"cores"` // it may use, by affinity and CPU quota
	// LoopCPU and LoopWait are, for each loop, the time it ran and the time it was ready to run and had no core.
	LoopCPU  []int64 `json:"loop_cpu_ns,omitempty"`
	LoopWait []int64 `json:"loop_wait_ns,omitempty"`
	// Stopped and Starved are the time for which the agent was away for 1 ms or longer: because its whole
	// process stood still, or because it had no core. The second it began in has it.
	Stopped int64 `json:"stopped_ns,omitempty"`
	Starved int64 `json:"starved_ns,omitempty"`
	// Throttled is for how long its group of processes was held back by a CPU quota, added over cores.
	Throttled int64 `json:"throttled_ns,omitempty"`
	// Stolen is what the host took away of this machine's time, added over cores.
	Stolen int64 `json:"stolen_ns,omitempty"`
}

// Add joins another second or agent: the greatest of each gauge, the sum of each time, without those of loops.
func (m *Means) Add(o Means) {
	m.Descriptors, m.DescriptorLimit = max(m.Descriptors, o.Descriptors), max(m.DescriptorLimit, o.DescriptorLimit)
	m.Ports, m.TimeWait = max(m.Ports, o.Ports), max(m.TimeWait, o.TimeWait)
	if o.PortHigh > 0 {
		m.PortLow, m.PortHigh = o.PortLow, o.PortHigh
	}
	m.Cores = max(m.Cores, o.Cores)
	m.Stopped += o.Stopped
	m.Starved += o.Starved
	m.Throttled += o.Throttled
	m.Stolen += o.Stolen
}

// PortRange is the number of local ports that the system gives out; 0 where it does not say.
func (m Means) PortRange() int64 {
	if m.PortHigh == 0 {
		return 0
	}
	return m.PortHigh - m.PortLow + 1
}
