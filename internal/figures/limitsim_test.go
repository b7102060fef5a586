package figures

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// simulated is a deployment that is simulated step by step: requests pass an agent's loop, the balancer's one thread, a worker's
// one thread, the worker's pool and the database. Times are in ms of each request. What is 0 is not there.
type simulated struct {
	Cores   int `json:"cores"`
	Clients int `json:"clients,omitempty"` // closed model
	// Rate is that of an open model, Poisson.
	Rate    float64 `json:"rate,omitempty"`
	Workers int     `json:"workers"`
	Pool    int     `json:"pool"` // of each worker

	Agent    float64 `json:"agent_ms"`            // CPU
	Balancer float64 `json:"balancer_ms"`         // CPU
	Worker   float64 `json:"worker_ms"`           // CPU
	Database float64 `json:"database_ms"`         // CPU
	Delay    float64 `json:"delay_ms,omitempty"`  // in the database, any number at a time
	Disk     float64 `json:"disk_ms,omitempty"`   // the same, at a disk
	Serial   float64 `json:"serial_ms,omitempty"` // in the database, one at a time
	Locked   float64 `json:"locked_ms,omitempty"` // the same, under a row lock
	Missed   float64 `json:"missed,omitempty"`    // share of statements that need the disk; 0: all

	AgentQuota    float64 `json:"agent_quota,omitempty"`    // in cores, of each agent
	DatabaseQuota float64 `json:"database_quota,omitempty"` // in cores
	Hot           float64 `json:"hot,omitempty"`            // share of the requests that go to the first worker
	Drops         float64 `json:"drops,omitempty"`          // share of connections dropped, one for each request
}

const (
	simStep    = 1e-4 // seconds
	simWarm    = 1    // seconds that are not sampled
	simSeconds = 4
	simPeriod  = 0.1 // of quotas
	simAgents  = 2
)

// request is one under way; stage counts up.
type request struct {
	stage  int
	left   float64
	agent  int
	worker int
}

const (
	atAgent = iota
	atBalancer
	atWorker
	atPool
	atCPU
	atDelay
	atDisk
	atSerial
	done
	refused
)

// thread takes its requests one after another.
type thread struct {
	queue       []*request
	ran, waited float64
}

// quota bounds a group of threads.
type quota struct{ cores, left, throttled float64 }

func (q *quota) open() bool { return q.cores <= 0 || q.left > 0 }

// world is the simulation under way.
type world struct {
	simulated
	rng      *rand.Rand
	now      float64
	agents   [simAgents]thread
	balancer thread
	workers  []thread
	free     []int
	waiting  [][]*request
	order    []*request // statements that need a core
	delayed  []*request
	serial   thread
	quotas   [simAgents + 1]quota // the last is the database's

	flight, answers, opened, drops, statements, reads int
	inFlight, cpu, dbCPU, lockWait, pressure          float64
	next                                              float64 // arrival
}

func newWorld(s simulated) *world {
	w := &world{simulated: s, rng: rand.New(rand.NewPCG(1, 2)), workers: make([]thread, s.Workers), waiting: make([][]*request, s.Workers)}
	for range s.Workers {
		w.free = append(w.free, s.Pool)
	}
	for i := range simAgents {
		w.quotas[i].cores = s.AgentQuota
	}
	w.quotas[simAgents].cores = s.DatabaseQuota
	for i := range s.Clients {
		w.send(i % simAgents)
	}
	return w
}

// send begins a request, or has its connection dropped.
func (w *world) send(agent int) {
	r := &request{agent: agent, worker: w.rng.IntN(w.Workers), stage: -1}
	if w.Hot > 0 && w.rng.Float64() < w.Hot {
		r.worker = 0
	}
	if w.Drops > 0 {
		w.opened++
		if w.rng.Float64() < w.Drops {
			w.drops++
			r.stage, r.left = refused, 1 // the first packet is sent again after a second
			w.delayed = append(w.delayed, r)
			return
		}
	}
	w.flight++
	w.advance(r)
}

// advance takes a request to its next stage that takes any time.
func (w *world) advance(r *request) {
	r.stage++
	ms := func(t float64) bool { r.left = t / 1e3; return t > 0 }
	switch r.stage {
	case atAgent:
		ms(w.Agent)
		w.agents[r.agent].queue = append(w.agents[r.agent].queue, r)
	case atBalancer:
		ms(w.Balancer)
		w.balancer.queue = append(w.balancer.queue, r)
	case atWorker:
		ms(w.Worker)
		w.workers[r.worker].queue = append(w.workers[r.worker].queue, r)
	case atPool:
		if w.free[r.worker] == 0 {
			w.waiting[r.worker] = append(w.waiting[r.worker], r)
			return
		}
		w.free[r.worker]--
		w.advance(r)
	case atCPU:
		ms(w.Database)
		w.statements++
		w.order = append(w.order, r)
	case atDelay, atDisk:
		t := w.Delay
		if r.stage == atDisk {
			t = w.Disk
			if w.Missed > 0 && w.rng.Float64() >= w.Missed {
				t = 0
			}
		}
		if !ms(t) {
			w.advance(r)
			return
		}
		if r.stage == atDisk {
			w.reads++
		}
		w.delayed = append(w.delayed, r)
	case atSerial:
		if !ms(w.Serial + w.Locked) {
			w.advance(r)
			return
		}
		w.serial.queue = append(w.serial.queue, r)
	case done:
		w.answer(r)
	}
}

func (w *world) answer(r *request) {
	w.flight--
	w.answers++
	w.free[r.worker]++
	if wait := w.waiting[r.worker]; len(wait) > 0 {
		w.waiting[r.worker] = wait[1:]
		w.free[r.worker]--
		w.advance(wait[0])
	}
	if w.Rate == 0 {
		w.send(r.agent)
	}
}

// running are the statements in the database.
func (w *world) running() int {
	n := len(w.order) + len(w.serial.queue)
	for _, r := range w.delayed {
		if r.stage != refused {
			n++
		}
	}
	return n
}

// step is a tenth of a millisecond.
func (w *world) step() {
	if w.now >= w.next && w.Rate > 0 {
		w.send(w.rng.IntN(simAgents))
		w.next += w.rng.ExpFloat64() / w.Rate
	}
	if math.Mod(w.now, simPeriod) < simStep {
		for i := range w.quotas {
			w.quotas[i].left = w.quotas[i].cores * simPeriod
		}
	}
	w.compute()
	w.wait()
	w.inFlight += float64(w.flight) * simStep
	w.now += simStep
}

// compute gives the cores to those that are ready, at random.
func (w *world) compute() {
	var ready []func(run bool)
	add := func(t *thread, q *quota) {
		if len(t.queue) == 0 {
			return
		}
		if q != nil && !q.open() {
			q.throttled += simStep
			return
		}
		ready = append(ready, func(run bool) {
			if !run {
				t.waited += simStep
				return
			}
			t.ran += simStep
			w.use(q)
			w.serve(t)
		})
	}
	for i := range w.agents {
		add(&w.agents[i], &w.quotas[i])
	}
	add(&w.balancer, nil)
	for i := range w.workers {
		add(&w.workers[i], nil)
	}
	for _, r := range w.order {
		q := &w.quotas[simAgents]
		if !q.open() {
			q.throttled += simStep
			continue
		}
		ready = append(ready, func(run bool) {
			if run {
				w.use(q)
				w.dbCPU += simStep
				r.left -= simStep
			}
		})
	}
	w.rng.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
	for i, one := range ready {
		one(i < w.Cores)
	}
	w.order = w.finished(w.order)
}

func (w *world) use(q *quota) {
	w.cpu += simStep
	if q != nil {
		q.left -= simStep
	}
}

// serve works a step on the requests of a thread, in their order.
func (w *world) serve(t *thread) {
	for left := simStep; left > 0 && len(t.queue) > 0; {
		r := t.queue[0]
		if r.left > left+simStep/1000 { // except for rounding
			r.left -= left
			return
		}
		left -= max(r.left, 0)
		t.queue = t.queue[1:]
		w.advance(r)
	}
}

// finished takes those without anything left to their next stage, and returns the others.
func (w *world) finished(all []*request) []*request {
	var over, rest []*request
	for _, r := range all {
		if r.left <= simStep/2 {
			over = append(over, r)
		} else {
			rest = append(rest, r)
		}
	}
	w.order = rest
	for _, r := range over {
		w.advance(r)
	}
	return w.order
}

// wait is the step of those that need no core.
func (w *world) wait() {
	all, disk := w.delayed, false
	w.delayed = nil
	for _, r := range all {
		r.left -= simStep
		disk = disk || r.stage == atDisk
		switch {
		case r.left > simStep/2:
			w.delayed = append(w.delayed, r)
		case r.stage == refused:
			w.flight++
			r.stage = -1
			w.advance(r)
		default:
			w.advance(r)
		}
	}
	if disk {
		w.pressure += simStep
	}
	if n := len(w.serial.queue); n > 1 && w.Locked > 0 {
		w.lockWait += float64(n-1) * simStep
	}
	w.serve(&w.serial)
}

// run simulates the phase and puts the lines that the real parts would write.
func (s simulated) run(started time.Time, load func(record.Load), series func(record.Series)) {
	w := newWorld(s)
	until := func(seconds float64) {
		for w.now < seconds-simStep/2 {
			w.step()
		}
	}
	until(simWarm)
	for second := range simSeconds + 1 {
		if before := *w; second > 0 {
			until(float64(simWarm + second))
			for i := range simAgents {
				load(w.window(&before, started, second-1, i))
			}
		}
		for _, line := range w.lines() {
			line.At, line.Phase = started.Add(time.Duration(second)*time.Second), 1
			series(line)
		}
	}
}

// window is a second of one agent.
func (w *world) window(before *world, started time.Time, second, agent int) record.Load {
	half := func(now, then int) int64 { return int64((now - then) / simAgents) }
	n := half(w.answers, before.answers)
	a, b := w.agents[agent], before.agents[agent]
	cores := float64(w.Cores)
	if w.AgentQuota > 0 {
		cores = w.AgentQuota
	}
	flight := (w.inFlight - before.inFlight) / simAgents
	return record.Load{Agent: agent, Epoch: 1, Sequence: int64(second + 1), Phase: 1, At: started.Add(time.Duration(second) * time.Second), Window: stats.Window{
		Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: n}, Opened: half(w.opened, before.opened),
		InFlight: &flight, CPU: asNS(a.ran - b.ran), Resources: &stats.Resources{
			Cores: cores, LoopCPU: []int64{int64(asNS(a.ran - b.ran))}, LoopWait: []int64{int64(asNS(a.waited - b.waited))},
			Throttled: int64(asNS(w.quotas[agent].throttled - before.quotas[agent].throttled)),
		},
	}}
}

func asNS(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds*1e6)) * time.Microsecond
}

// lines are the samples of every tier.
func (w *world) lines() []record.Series {
	line := func(tier, name string, seconds float64, values map[string]float64) record.Series {
		return record.Series{Tier: tier, Name: name, CPUNS: int64(asNS(seconds)), RSSBytes: 50 << 20, Values: values}
	}
	of := func(t thread) map[string]float64 {
		return map[string]float64{record.BusiestThreadNS: float64(asNS(t.ran)), record.BusiestThreadWaitNS: float64(asNS(t.waited))}
	}
	sum, busiest := 0.0, w.workers[0]
	for _, t := range w.workers {
		sum += t.ran
		if t.ran > busiest.ran {
			busiest = t
		}
	}
	out := []record.Series{line("target", "a-1", sum, of(busiest))}
	for i, t := range w.workers {
		out = append(out, line("target", fmt.Sprintf("a-1/%d", 101+i), t.ran, of(t)))
	}
	db := map[string]float64{
		"threads_running": float64(w.running() + 1), "questions": float64(w.statements), "innodb_data_reads": float64(w.reads), "innodb_row_lock_time": math.Round(w.lockWait * 1e3),
	}
	if q := w.quotas[simAgents]; q.cores > 0 {
		db[record.QuotaCores], db[record.ThrottledNS] = q.cores, float64(asNS(q.throttled))
	}
	return append(out, line("balancer", "nginx", w.balancer.ran, of(w.balancer)), line("database", "database", w.dbCPU, db),
		line("host", "host", w.cpu, map[string]float64{"cpus": float64(w.Cores), "pressure_io_ns": float64(asNS(w.pressure)), record.ListenDrops: float64(w.drops)}))
}
