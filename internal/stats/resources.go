package stats

// Resources are what one agent had and lacked in one window, as it found itself.
// Times are nanoseconds; what the system does not report is 0.
type Resources struct {
	Descriptors     int64 `json:"descriptors"` // most that were open at once, by a look every 100 ms
	DescriptorLimit int64 `json:"descriptor_limit"`
	Ports           int64 `json:"ports"`    // local ports that its connections hold at the window's end
	PortLow         int64 `json:"port_low"` // the first and the last that the system gives out
	PortHigh        int64 `json:"port_high"`
	// TimeWait are closed connections of the whole network namespace that still hold their ports.
	TimeWait int64   `json:"time_wait"`
	Cores    float64 `json:"cores"` // it may use, by affinity and CPU quota
	// LoopCPU and LoopWait are, for each loop, the time it ran and the time it was ready to run and had no core.
	LoopCPU  []int64 `json:"loop_cpu_ns,omitempty"`
	LoopWait []int64 `json:"loop_wait_ns,omitempty"`
	// Stopped and Starved are the time for which the agent was away for 1 ms or longer: because its whole
	// process stood still, or because it had no core. The window it began in has it.
	Stopped int64 `json:"stopped_ns,omitempty"`
	Starved int64 `json:"starved_ns,omitempty"`
	// Throttled is for how long its group of processes was held back by a CPU quota, added over cores.
	Throttled int64 `json:"throttled_ns,omitempty"`
	// Stolen is what the host took away of this machine's time, added over cores.
	Stolen int64 `json:"stolen_ns,omitempty"`
}

// Add joins another window or agent: the greatest of each gauge, the sum of each time, without those of loops.
func (r *Resources) Add(o Resources) {
	r.Descriptors, r.DescriptorLimit = max(r.Descriptors, o.Descriptors), max(r.DescriptorLimit, o.DescriptorLimit)
	r.Ports, r.TimeWait = max(r.Ports, o.Ports), max(r.TimeWait, o.TimeWait)
	if o.PortHigh > 0 {
		r.PortLow, r.PortHigh = o.PortLow, o.PortHigh
	}
	r.Cores = max(r.Cores, o.Cores)
	r.Stopped += o.Stopped
	r.Starved += o.Starved
	r.Throttled += o.Throttled
	r.Stolen += o.Stolen
}

// PortRange is the number of local ports that the system gives out; 0 where it does not say.
func (r Resources) PortRange() int64 {
	if r.PortHigh == 0 {
		return 0
	}
	return r.PortHigh - r.PortLow + 1
}
