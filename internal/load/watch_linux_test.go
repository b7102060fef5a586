package load

import (
	"encoding/json"
	"os"
	"runtime"
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

// A sampler distinguishes an absence from work, from sleep that was intended, and from waiting for another goroutine.
// It runs alone: what else the process does would be a reason for the absence.
func TestLookout(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := newWatch(time.Now(), func() int { return 0 }, func() []int { return nil })
	o := w.sampler()
	defer o.close()
	now := func() int64 { return int64(time.Since(w.start)) }
	sleep := func(d time.Duration) { // in the kernel: the process stands still
		spec := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&spec, nil)
	}
	spin := func(d time.Duration) {
		for until := threadCPU() + d; threadCPU() < until; {
		}
	}
	for _, c := range []struct {
		name           string
		awake          func() // until it sleeps
		meant, slept   time.Duration
		atLeast, below time.Duration // stopped
	}{
		{"busy", func() { spin(30 * ms) }, 0, 0, 0, ms},
		{"asleep as meant", func() {}, 30 * ms, 30 * ms, 0, 15 * ms},
		{"woken early", func() {}, 50 * ms, 10 * ms, 0, ms},
		{"away while awake", func() { sleep(40 * ms) }, 0, 0, 35 * ms, time.Second},
		{"away while awake, and woken early afterwards", func() { sleep(40 * ms) }, 50 * ms, 5 * ms, 35 * ms, time.Second},
		{"busy and away", func() { spin(30 * ms); sleep(40 * ms) }, 0, 0, 35 * ms, time.Second},
		{"overslept", func() {}, 10 * ms, 50 * ms, 35 * ms, time.Second},
		{"waited for another", func() {
			from := now()
			sleep(40 * ms)
			o.idle += now() - from
		}, 0, 0, 0, ms},
	} {
		c.awake()
		slept := now()
		sleep(c.slept)
		o.woke(now(), slept, int64(c.meant))
		w.gather()
		var stopped time.Duration
		for _, m := range w.seen {
			if !m.ready {
				stopped += m.length
			}
		}
		w.seen = nil
		if stopped < c.atLeast || stopped >= c.below {
			t.Errorf("%s: stopped for %v, want %v to %v", c.name, stopped, c.atLeast, c.below)
		}
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
	for name := range engines {
		t.Run(name, func(t *testing.T) {
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
	for name := range engines {
		t.Run(name, func(t *testing.T) {
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
