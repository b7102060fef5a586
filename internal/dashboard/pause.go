package dashboard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
	"sync"
	"time"

	"bakeoff/internal/record"
)

const (
	// restAfter is how many times as long as figures took to compute none are computed while a run of the folder is under way: the
	// machine is being measured.
	restAfter = 20
	// lookEvery is for how long it is believed that no run of the folder is under way.
	lookEvery = 5 * time.Second
	// mostMeanwhile is how many bytes of lines are read of a finished run while another one is under way: that takes one core a second or
	// two, and nobody can interrupt it.
	mostMeanwhile = 32 << 20
)

// errResting is that figures are not computed now, errLarge that they are not computed at all while a run is under way.
var (
	errResting = errors.New("not computed yet: a run of this folder is under way, and figures are computed at most for a twentieth of the time; load this page again in a minute")
	errLarge   = fmt.Errorf("not computed now: a run of this folder is under way, and this one has more than %d MB of lines to read; load this page again when that run has ended", mostMeanwhile>>20)
)

// pause keeps figures from being computed too often while a run of the folder is under way.
type pause struct {
	runs *runs

	mu    sync.Mutex
	busy  int       // turns
	until time.Time // nothing is computed before that
	alive string    // a run that was under way; empty: none was
	seen  time.Time // when all runs of the folder were looked at
}

// claim begins a turn of computing, and says whether a run is under way, so that the turn is one of one core; where wait is more than
// 0, it is so long until the next attempt and no turn.
func (p *pause) claim(live bool) (wait time.Duration, measured bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if measured = live || p.lives(); measured {
		wait = max(0, time.Until(p.until))
		if p.busy > 0 {
			wait = max(wait, time.Second)
		}
	}
	if wait == 0 {
		p.busy++
	}
	return wait, measured
}

// spent ends a turn.
func (p *pause) spent(w work) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	if until := time.Now().Add(restAfter * w.spent()); until.After(p.until) {
		p.until = until
	}
}

// saw notes a run that is under way.
func (p *pause) saw(dir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive = dir
}

// measured reports whether a run of the folder is under way: the machine is being measured.
func (p *pause) measured() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lives()
}

// lives is measured for a caller that holds mu.
func (p *pause) lives() bool {
	if p.alive != "" && record.Glance(p.alive).Live {
		return true
	}
	p.alive = ""
	if time.Since(p.seen) < lookEvery {
		return false
	}
	all, err := p.runs.list()
	if err != nil {
		return false // nothing is there that could be disturbed
	}
	p.seen = time.Now()
	for _, l := range all {
		if l.Live {
			p.alive = l.Dir
		}
	}
	return p.alive != ""
}

// work is when computing began, and what the collector of garbage had used by then.
type work struct {
	begun     time.Time
	collected time.Duration
}

func begin() work { return work{time.Now(), collected()} }

// spent is the CPU time that computing took, at most: on the one core the time since then, and on all what the collector used.
func (w work) spent() time.Duration { return time.Since(w.begun) + collected() - w.collected }

// collected is the CPU time that the collector of garbage has used.
func collected() time.Duration {
	of := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(of)
	if of[0].Value.Kind() != metrics.KindFloat64 {
		return 0
	}
	return time.Duration(of[0].Value.Float64() * float64(time.Second))
}

// turn is the time that one page may take to compute figures. It begins with the first that have to be.
type turn struct {
	pause    *pause
	asked    bool
	has      bool
	wait     time.Duration // until the next attempt, if it has no time
	measured bool          // a run is under way
	work     work
}

// take reports whether figures may be computed.
func (t *turn) take(live bool) bool {
	if !t.asked {
		t.wait, t.measured = t.pause.claim(live)
		t.asked, t.has, t.work = true, t.wait == 0, begin()
	}
	return t.has
}

func (t *turn) end() {
	if t.has {
		t.pause.spent(t.work)
	}
}

// bytesIn is how many bytes of lines the trials of a run have.
func bytesIn(dir string) (sum int64) {
	trials := filepath.Join(dir, "trials")
	entries, err := os.ReadDir(trials)
	if err != nil {
		return 0 // there is nothing to read
	}
	for _, e := range entries {
		for _, name := range []string{"load.jsonl", "series.jsonl"} {
			if info, err := os.Lstat(filepath.Join(trials, e.Name(), name)); err == nil {
				sum += info.Size()
			}
		}
	}
	return sum
}
