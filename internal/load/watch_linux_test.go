package load

import (
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bakeoff/internal/stats"
)

func TestSchedstat(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]time.Duration{
		"4711 42 7\n": {4711, 42}, "0 0 1": {0, 0}, "": {}, "12": {}, "12 13": {}, // cut off: not known
	} {
		if run, wait := schedstat([]byte(text)); run != want[0] || wait != want[1] {
			t.Errorf("%q: %d and %d, want %v", text, run, wait, want)
		}
	}
}

// A sampler distinguishes an absence from work, from sleep that was intended, from waiting for another goroutine, and from
// waiting for a core. Time and counters are virtual here; TestSamplerReads has real ones.
func TestLookout(t *testing.T) {
	t.Parallel()
	stopped := func(from, length time.Duration) []absence { return []absence{{from, length, false}} }
	starved := func(from, length time.Duration) []absence { return []absence{{from, length, true}} }
	for _, c := range []struct {
		name                string
		awake, meant, slept time.Duration // it is awake first, then sleeps
		idle                time.Duration // while awake, until another goroutine was done
		run, waited, others time.Duration // this thread's time on a core and for one; that of the process's other threads
		want                []absence
	}{
		{name: "busy", awake: 30 * ms, run: 30 * ms},
		{name: "busy, less than a millisecond was lost", awake: 30 * ms, run: 29*ms + 1},
		{name: "busy, a millisecond was lost", awake: 30 * ms, run: 29 * ms, want: stopped(0, ms)},
		{name: "asleep as intended", meant: 30 * ms, slept: 30 * ms},
		{name: "woken early", meant: 50 * ms, slept: 10 * ms},
		{name: "away while awake", awake: 40 * ms, want: stopped(0, 40*ms)},
		{name: "away while awake, and woken early afterwards", awake: 40 * ms, meant: 50 * ms, slept: 5 * ms, want: stopped(0, 40*ms)},
		{name: "busy and away", awake: 70 * ms, run: 30 * ms, want: stopped(0, 40*ms)},
		{name: "overslept", meant: 10 * ms, slept: 50 * ms, want: stopped(0, 40*ms)},
		{name: "overslept soon after the counters were read", meant: 5 * ms, slept: 10 * ms, want: stopped(0, 5*ms)},
		{name: "busy, then overslept", awake: 5 * ms, run: 5 * ms, meant: 10 * ms, slept: 50 * ms, want: stopped(5*ms, 40*ms)},
		{name: "waited for another", awake: 40 * ms, idle: 40 * ms},
		{name: "no core while awake", awake: 40 * ms, waited: 40 * ms, want: starved(0, 40*ms)},
		{name: "no core after the sleep", meant: 10 * ms, slept: 50 * ms, waited: 40 * ms, want: starved(0, 40*ms)},
		{name: "away while the rest of the process works", awake: 40 * ms, others: 7 * ms},
		{name: "away while the rest of the process hardly works", awake: 40 * ms, others: 5 * ms, want: stopped(0, 40*ms)},
		{name: "overslept while the rest of the process works", meant: 10 * ms, slept: 50 * ms, others: 7 * ms},
	} {
		w := &watch{start: time.Now(), away: make(chan absence, 9)}
		var run, waited, used time.Duration
		o := &sampler{watch: w, usage: func() (time.Duration, time.Duration, time.Duration) { return run, waited, used }}
		var want []absence
		for round := range time.Duration(2) { // what was seen is not seen again
			from := round * (c.awake + c.slept)
			run, waited, used = run+c.run, waited+c.waited, used+c.run+c.others
			o.idle += int64(c.idle)
			o.woke(int64(from+c.awake+c.slept), int64(from+c.awake), int64(c.meant))
			for _, one := range c.want {
				want = append(want, absence{from + one.from, one.length, one.ready})
			}
		}
		if w.gather(); !slices.Equal(w.seen, want) {
			t.Errorf("%s: away %+v, want %+v", c.name, w.seen, want)
		}
	}
}

// A sampler reads its own thread's time on a core, and that of the whole process. On a busy machine all of it takes longer, and
// what is asserted holds all the same.
func TestSamplerReads(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	o := newWatch(time.Now(), func() int { return 0 }, func() []int { return nil }).sampler()
	defer o.close()
	for until := threadCPU() + 30*ms; threadCPU() < until; {
	}
	began := time.Now()
	run, _, used := o.usage()
	if run-o.run < 30*ms || used-o.used < 15*ms {
		t.Errorf("30ms of work are %v of the thread and %v of the process", run-o.run, used-o.used)
	}
	spec := unix.NsecToTimespec(int64(40 * ms)) // in the kernel: the thread stands still
	_ = unix.Nanosleep(&spec, nil)
	after, _, _ := o.usage()
	if took := time.Since(began); after-run > took-40*ms {
		t.Errorf("of %v, 40ms of them asleep, the thread was on a core for %v", took, after-run)
	}
	before := waitOf(o.stat)
	if _, waited, _ := o.usage(); waited < before || waited > waitOf(o.stat) {
		t.Errorf("waited %v for a core, its file had %v before", waited, before)
	}
}

// An absence is reported in its second, or, when that had been reported already, in the next.
func TestWatchTellsAbsencesBySecond(t *testing.T) {
	t.Parallel()
	start := time.Now()
	w := &watch{start: start, held: func() int { return 3 }, threads: func() []int { return nil }, away: make(chan absence, 9)}
	w.note(start.Add(-50*ms), 40*ms, false) // before the start
	w.note(start.Add(-50*ms), 60*ms, false) // 10 ms of it after it
	w.note(start.Add(2500*ms), 300*ms, true)
	w.note(start.Add(2900*ms), 200*ms, false)
	first := []stats.Window{{Length: time.Second}, {Begin: time.Second, Length: time.Second}}
	w.fill(first)
	w.note(start.Add(1900*ms), 7*ms, false) // second 1 has been reported
	next := []stats.Window{{Begin: 2 * time.Second, Length: time.Second}}
	w.fill(next)
	for i, c := range []struct{ got, stopped, starved int64 }{
		{first[0].Resources.Stopped, 10e6, 0}, {first[1].Resources.Stopped, 0, 0}, {next[0].Resources.Stopped, 207e6, 0}, {next[0].Resources.Starved, 300e6, 0},
	} {
		if c.got != c.stopped+c.starved {
			t.Errorf("%d: %d ns away, want %d", i, c.got, c.stopped+c.starved)
		}
	}
	if m := next[0].Resources; m.Ports != 3 || m.Descriptors < 3 || m.DescriptorLimit < m.Descriptors || m.PortRange() < 2 || m.Cores <= 0 {
		t.Errorf("resources %+v", m)
	}
}

// What cannot be is not counted: a quota is read from both versions' files.
func TestQuotaFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cpu.max": "50000 100000\n", "cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n",
		"cpu.stat": "nr_periods 3\nnr_throttled 2\nthrottled_usec 1500\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := quotaV2(dir); got != 0.5 {
		t.Errorf("version 2: %v cores, want 0.5", got)
	}
	if got := quotaV1(dir); got != 0 {
		t.Errorf("version 1 without a quota: %v cores, want 0", got)
	}
	if got := throttledOf(dir); got != 1500*time.Microsecond {
		t.Errorf("throttled %v, want 1.5ms", got)
	}
	if got := quotaV2(t.TempDir()) + quotaV1(t.TempDir()); got != 0 {
		t.Errorf("no files: %v", got)
	}
}

// Every window says the agent's resources in a real phase.
func TestWindowsTellResources(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newHostile(t, &hostile{fate: fates[0].fate})
			seen := 0
			err := engine().Run(t.Context(), openJob(8, 400, 1200*ms, s.url()), func(w stats.Window) {
				seen++
				m := w.Resources
				if m.Ports < 1 || m.Ports > 8 || m.Descriptors < m.Ports || m.DescriptorLimit < m.Descriptors || m.PortRange() < 2 || m.Cores <= 0 {
					t.Errorf("at %v: %+v", w.Begin, m)
				}
				if name == "raw" && (len(m.LoopCPU) != 1 || w.Begin == 0 && m.LoopCPU[0] <= 0) {
					t.Errorf("at %v: CPU of loops %v", w.Begin, m.LoopCPU)
				}
			})
			if err != nil || seen < 2 {
				t.Errorf("%d windows, %v", seen, err)
			}
		})
	}
}

// stoppedFor runs a job in a process, which is stopped for so long, so long after its first second.
func stoppedFor(t *testing.T, d, after time.Duration, engine string, job Job) total {
	t.Helper()
	cmd := childCommand(t, engine, 0, "", job)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var sum total
	for windows := json.NewDecoder(out); ; {
		var w stats.Window
		if windows.Decode(&w) != nil {
			break
		}
		sum.Add(w)
		if w.Begin == 0 {
			time.Sleep(after)
			_ = cmd.Process.Signal(unix.SIGSTOP)
			time.Sleep(d)
			_ = cmd.Process.Signal(unix.SIGCONT)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return sum
}

// A process that is stopped while nothing is due, and each answer takes long, says so all the same.
func TestStoppedWhileNothingIsDue(t *testing.T) {
	t.Parallel()
	for name := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newHostile(t, &hostile{fate: func(s *hostile, c peer, _ int64, name string) bool {
				time.Sleep(800 * ms)
				return s.answer(c, name)
			}})
			sum := stoppedFor(t, 400*ms, 0, name, closedJob(2, 2500*ms, s.url()))
			if stopped := time.Duration(sum.Resources.Stopped); stopped < 300*ms || stopped > 1200*ms {
				t.Errorf("it says that it stood still for %v, and that was 400ms", stopped)
			}
		})
	}
}

// A process that is stopped over the end of a phase sends late what came due during that time, and loses
// none of it. It takes more than one try where the machine misses the moment.
func TestStoppedOverTheEnd(t *testing.T) {
	t.Parallel()
	for name := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newHostile(t, &hostile{fate: fates[0].fate})
			job := openJob(100, 1000, 1500*ms, s.url())
			job.Phase.Arrivals = Constant
			for try := 1; ; try++ {
				sum := stoppedFor(t, 50*ms, 475*ms, name, job)
				late := sum.Lateness.Slower(25 * ms)
				if late >= 3 && sum.Books.OK == 1500 {
					return
				}
				if try == 8 {
					t.Fatalf("at each of %d tries something was lost, or nothing late; at the last %d late, books %+v, lost %v", try, late, sum.Books, sum.Lost)
				}
			}
		})
	}
}
