package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// firstRole goes first with some threads that are there already, and prints how each thread is scheduled.
func firstRole() int {
	var there sync.WaitGroup
	end := make(chan struct{})
	defer close(end)
	for range 4 {
		there.Add(1)
		go func() {
			runtime.LockOSThread()
			there.Done()
			<-end
		}()
	}
	there.Wait()
	if err := GoFirst(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ids, err := threads()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, id := range ids {
		fmt.Println(Priority(id))
	}
	return 0
}

// mayRealtime reports whether this process may have the real-time policy, which only a thread that ends now is given.
func mayRealtime() bool {
	allowed := make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: realtimePriority}
		allowed <- unix.SchedSetAttr(0, &attr, 0) == nil
	}()
	return <-allowed
}

// Every thread of a process goes first, those that were there before it too.
func TestEveryThreadGoesFirst(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), roleEnv+"=first")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < 5 {
		t.Errorf("%d threads, want at least 5", len(lines))
	}
	realtime := mayRealtime()
	for _, line := range lines {
		if line != lines[0] || realtime && line != "at real-time priority 1, before what it loads" {
			t.Errorf("a thread runs %q, another %q", line, lines[0])
		}
	}
}

// Where real-time priority is refused, short slices are asked for; where those are refused too, it is an error.
func TestShortSlicesWhereRealtimeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		refused []uint32
		want    []unix.SchedAttr
		fails   bool
	}{
		"nothing refused": {nil, []unix.SchedAttr{{Policy: unix.SCHED_RR, Priority: 1}}, false},
		"real-time":       {[]uint32{unix.SCHED_RR}, []unix.SchedAttr{{Policy: unix.SCHED_RR, Priority: 1}, {Policy: unix.SCHED_NORMAL, Runtime: 100_000}}, false},
		"both":            {[]uint32{unix.SCHED_RR, unix.SCHED_NORMAL}, []unix.SchedAttr{{Policy: unix.SCHED_RR, Priority: 1}, {Policy: unix.SCHED_NORMAL, Runtime: 100_000}}, true},
	} {
		var asked []unix.SchedAttr
		err := goFirst(func(attr *unix.SchedAttr) error {
			asked = append(asked, unix.SchedAttr{Policy: attr.Policy, Priority: attr.Priority, Runtime: attr.Runtime})
			if attr.Size != unix.SizeofSchedAttr {
				t.Errorf("%s: size %d", name, attr.Size)
			}
			if slices.Contains(c.refused, attr.Policy) {
				return unix.EPERM
			}
			return nil
		})
		if !slices.Equal(asked, c.want) || errors.Is(err, unix.EPERM) != c.fails || (err != nil) != c.fails {
			t.Errorf("%s: asked for %+v, error %v", name, asked, err)
		}
	}
}

// Threads that start while others are being set are set too, each once; one that has ended is no error, everything else is.
func TestForEachThread(t *testing.T) {
	for name, c := range map[string]struct {
		lists [][]int       // one look after another; nil: the look fails
		fails map[int]error // of setting a thread
		want  []int         // set, in order
		err   error
	}{
		"at once":    {lists: [][]int{{7, 8}, {7, 8}}, want: []int{7, 8}},
		"one starts": {lists: [][]int{{7}, {7, 9}, {7, 9, 10}, {7, 9, 10}}, want: []int{7, 9, 10}},
		"one ends":   {lists: [][]int{{7, 8}, {8}}, fails: map[int]error{7: unix.ESRCH}, want: []int{7, 8}},
		"one takes another's place": {
			lists: [][]int{{7, 8}, {8, 9}, {8, 9}}, fails: map[int]error{7: unix.ESRCH}, want: []int{7, 8, 9},
		},
		"refused":        {lists: [][]int{{7, 8}}, fails: map[int]error{7: unix.EPERM}, want: []int{7}, err: unix.EPERM},
		"no look":        {lists: [][]int{nil}, err: unix.EIO},
		"no second look": {lists: [][]int{{7}, nil}, want: []int{7}, err: unix.EIO},
	} {
		var set []int
		looks := 0
		err := forEachThread(func() ([]int, error) {
			list := c.lists[looks]
			if looks++; list == nil {
				return nil, unix.EIO
			}
			return list, nil
		}, func(id int) error {
			set = append(set, id)
			return c.fails[id]
		})
		if !slices.Equal(set, c.want) || !errors.Is(err, c.err) || (err != nil) != (c.err != nil) || looks != len(c.lists) {
			t.Errorf("%s: set %v, error %v, %d looks", name, set, err, looks)
		}
	}
}

// How a process is scheduled, in words.
func TestPriorityInWords(t *testing.T) {
	if got := Priority(-1); got != "with an unknown priority" {
		t.Errorf("of no process: %q", got)
	}
	words := make(chan [2]string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		id := unix.Gettid()
		nice := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: 7}
		_ = unix.SchedSetAttr(id, &nice, 0)
		first := Priority(id)
		short := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: 7, Runtime: uint64(shortSlice)}
		_ = unix.SchedSetAttr(id, &short, 0)
		words <- [2]string{first, Priority(id)}
	}()
	got := <-words
	// Linux before 6.12 has no slices of a thread's own.
	if got[0] != "at niceness 7" || got[1] != "in time slices of 100µs" && got[1] != "at niceness 7" {
		t.Errorf("%q", got)
	}
}
