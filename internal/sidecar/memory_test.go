package sidecar

import (
	"testing"
	"time"
)

// Proportional memory is read once in its time: of processes that are new at once, of all again when it is over.
func TestProportional(t *testing.T) {
	reads := map[int]int{}
	value := int64(100)
	m := memory{read: func(pid int) int64 { reads[pid]++; return value + int64(pid) }}
	begin := time.Unix(1000, 0)
	look := func(after time.Duration, pids ...int) (out []int64) {
		var processes []Process
		for _, pid := range pids {
			processes = append(processes, Process{PID: pid})
		}
		m.into(processes, begin.Add(after))
		for _, p := range processes {
			out = append(out, p.PSSBytes)
		}
		return out
	}
	for i, step := range []struct {
		after time.Duration
		value int64
		pids  []int
		want  []int64
	}{
		{0, 100, []int{20, 21}, []int64{120, 121}},
		{proportionalEvery - 1, 200, []int{20, 21, 22}, []int64{120, 121, 222}},
		{proportionalEvery, 300, []int{20, 22}, []int64{320, 322}},
		{2*proportionalEvery - 1, 400, []int{22, 21}, []int64{322, 421}},
	} {
		value = step.value
		got := look(step.after, step.pids...)
		for k, want := range step.want {
			if got[k] != want {
				t.Errorf("step %d, process %d: %d bytes, want %d", i, step.pids[k], got[k], want)
			}
		}
	}
	if reads[20] != 2 || reads[21] != 2 || reads[22] != 2 {
		t.Errorf("read %v, want each twice", reads)
	}
	for i, want := range []int64{0, 623, 623} { // one that was just being started
		if value = []int64{-23, 600, 700}[i]; look(3*proportionalEvery, 23)[0] != want {
			t.Errorf("look %d of one that could not be read at first", i)
		}
	}
	one := []Process{{PID: 20}}
	(&memory{}).into(one, begin)
	if one[0].PSSBytes != 0 {
		t.Errorf("without a reader: %d", one[0].PSSBytes)
	}
}
