package load

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// turnServer is a server that counts, and notes requests that come while it is not its turn.
type turnServer struct {
	*httptest.Server
	asked, wrong atomic.Int64
	turn         atomic.Bool
}

func newTurnServer(t *testing.T, after time.Duration) *turnServer {
	s := &turnServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		s.asked.Add(1)
		if !s.turn.Load() {
			s.wrong.Add(1)
		}
		time.Sleep(after)
	}))
	t.Cleanup(s.Close)
	return s
}

// sliceOf runs one slice from now on and returns its windows.
func sliceOf(t *testing.T, s Slices, begin, length, runIn time.Duration) []stats.Window {
	t.Helper()
	var out []stats.Window
	err := s.Run(t.Context(), Slice{Start: time.Now().Add(2 * time.Millisecond), Begin: begin, Length: length, RunIn: runIn}, func(w stats.Window) { out = append(out, w) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Two phases take turns in one process: each slice's books are exact, nothing is sent out of turn,
// connections stay open, and the windows of a phase fit together as if there had been no pause.
func TestSlicesTakeTurns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		engine Slicer
		Phase
	}{
		{NewRaw(2).(Slicer), Phase{Name: "closed", Model: Closed, Connections: 4}},
		{NewRaw(2).(Slicer), Phase{Name: "open", Model: Open, Connections: 16, Rate: 400}},
		{NewHTTP().(Slicer), Phase{Name: "closed", Model: Closed, Connections: 4}},
		{NewHTTP().(Slicer), Phase{Name: "open", Model: Open, Connections: 16, Rate: 400}},
	} {
		t.Run(fmt.Sprintf("%s, %T", c.Name, c.engine), func(t *testing.T) {
			t.Parallel() // each has servers and an engine of its own, and mostly waits for them
			phase := c.Phase
			const length, rounds = 60 * time.Millisecond, 20
			runIn := map[string]time.Duration{Closed: 10 * time.Millisecond}[phase.Model]
			phase.Duration, phase.Timeout, phase.CheckShare = rounds*length, time.Second, 1
			var servers [2]*turnServer
			var slices [2]Slices
			var totals [2]stats.Totals
			for i := range servers {
				servers[i] = newTurnServer(t, 2*time.Millisecond)
				totals[i].Sending = phase.Duration
				var err error
				slices[i], err = c.engine.Slices(t.Context(), Job{
					URLs: []string{servers[i].URL}, Phase: phase, Share: Share{Of: 1}, Seed: 1, Workload: plainWork{},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer slices[i].Close()
			}
			for round := range rounds {
				for i, s := range servers {
					s.turn.Store(true)
					asked := s.asked.Load()
					windows := sliceOf(t, slices[i], time.Duration(round)*length, length, runIn)
					s.turn.Store(false)
					var one stats.Totals
					for _, w := range windows {
						totals[i].Add(w)
						one.Add(w)
					}
					if err := one.Exact(); err != nil || one.Books.Sent != s.asked.Load()-asked {
						t.Errorf("round %d: %v, %+v, asked %d", round, err, one.Books, s.asked.Load()-asked)
					}
					if c := windows[len(windows)-1]; c.Begin != time.Duration(round)*length+runIn || c.Length != length-runIn || c.Aside {
						t.Errorf("round %d: counted from %v for %v", round, c.Begin, c.Length)
					}
				}
			}
			for i, s := range servers {
				b := totals[i].Books
				if s.wrong.Load() > 0 || b.Sent != s.asked.Load() || b.OK != b.Sent || b.OK == 0 || totals[i].Service.Count() != b.OK {
					t.Errorf("asked %d, %d of them out of turn; books %+v, %d service times", s.asked.Load(), s.wrong.Load(), b, totals[i].Service.Count())
				}
				if totals[i].Opened > int64(phase.Connections) {
					t.Errorf("opened %d connections", totals[i].Opened)
				}
				if phase.Model == Open {
					schedule, _ := NewSchedule(1, phase, Share{Of: 1})
					var planned int64
					for _, _, ok := schedule.Next(); ok; _, _, ok = schedule.Next() {
						planned++
					}
					if b.Planned != planned {
						t.Errorf("planned %d of the %d arrivals of the phase", b.Planned, planned)
					}
				}
			}
		})
	}
}

// An idle connection that the server closes between two slices is opened again and fails nothing.
func TestSlicesOpenAgain(t *testing.T) {
	onAll(t, func(t *testing.T, e Engine) {
		if slicer, ok := e.(Slicer); ok { // not over TLS: that is a wrapper of the tests
			openAgain(t, slicer)
		}
	})
}

func openAgain(t *testing.T, e Slicer) {
	s := newTurnServer(t, 0)
	slices, err := e.Slices(t.Context(), Job{
		URLs: []string{s.URL}, Share: Share{Of: 1}, Workload: plainWork{},
		Phase: Phase{Model: Closed, Connections: 3, Duration: time.Second, Timeout: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer slices.Close()
	var all stats.Totals
	for i := range 3 {
		for _, w := range sliceOf(t, slices, time.Duration(i)*20*time.Millisecond, 20*time.Millisecond, 0) {
			all.Add(w)
		}
		s.CloseClientConnections()
	}
	if all.Books.OK != all.Books.Sent || all.Opened < 5 || all.Opened > 9 {
		t.Errorf("books %+v, %d opened", all.Books, all.Opened)
	}
}

// A slice that is to have fresh connections opens each again, and books nothing but that; the next one keeps them.
func TestSlicesRedrawConnections(t *testing.T) {
	for _, e := range []Slicer{NewRaw(2).(Slicer), NewHTTP().(Slicer)} {
		t.Run(fmt.Sprintf("%T", e), func(t *testing.T) {
			s := newTurnServer(t, time.Millisecond)
			slices, err := e.Slices(t.Context(), Job{
				URLs: []string{s.URL}, Share: Share{Of: 1}, Workload: plainWork{},
				Phase: Phase{Model: Closed, Connections: 4, Duration: time.Second, Timeout: time.Second},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer slices.Close()
			const length = 100 * time.Millisecond
			var all stats.Totals
			for i, fresh := range []bool{false, false, true, false, true} {
				one := Slice{
					Start: time.Now().Add(2 * time.Millisecond), Begin: time.Duration(i) * length, Length: length, RunIn: length / 2, Fresh: fresh,
				}
				err := slices.Run(t.Context(), one, func(w stats.Window) {
					want := int64(0)
					if i == 0 || fresh {
						want = 4
					}
					if all.Add(w); w.Aside && w.Opened != want || !w.Aside && w.Opened > 0 {
						t.Errorf("slice %d, aside %v: %d connections opened, want %d in the run-in and none behind it", i, w.Aside, w.Opened, want)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if b := all.Books; b.OK != b.Sent || b.OK != s.asked.Load() || all.Exact() != nil {
				t.Errorf("books %+v, asked %d", b, s.asked.Load())
			}
		})
	}
}

// A slice that is interrupted ends at once with what was in flight booked.
func TestSliceInterrupted(t *testing.T) {
	s := newTurnServer(t, time.Second)
	slices, err := NewRaw(1).(Slicer).Slices(t.Context(), Job{
		URLs: []string{s.URL}, Share: Share{Of: 1}, Workload: plainWork{},
		Phase: Phase{Model: Closed, Connections: 3, Duration: 10 * time.Second, Timeout: 5 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer slices.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var all stats.Totals
	go func() {
		for s.asked.Load() < 3 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	err = slices.Run(ctx, Slice{Start: time.Now(), Length: 10 * time.Second}, func(w stats.Window) { all.Add(w) })
	if err != context.Canceled || all.Books.Error != 3 || all.Exact() != nil || all.Outcomes["interrupted"] != 3 {
		t.Errorf("%v, books %+v, %v", err, all.Books, all.Outcomes)
	}
}

// plainWork asks for one path and takes every answer.
type plainWork struct{}

func (plainWork) AppendTarget(dst []byte, _, _ uint64) []byte { return append(dst, '/') }
func (plainWork) Length(_, _ uint64, _ int64) bool            { return true }
func (plainWork) Check(_, _ uint64, _ int, _ []byte) string   { return "" }
func (plainWork) Hit(_, _ uint64) (hit, known bool)           { return false, false }

// A phase may end before its duration: the slice that is said to be the last hands on all histograms.
func TestSlicesEndEarly(t *testing.T) {
	for _, engine := range []Slicer{NewRaw(1).(Slicer), NewHTTP().(Slicer)} {
		const length, rounds = 40 * time.Millisecond, 3
		s := newTurnServer(t, time.Millisecond)
		s.turn.Store(true)
		phase := Phase{Name: "closed", Model: Closed, Connections: 4, Duration: 10 * length, Timeout: time.Second}
		slices, err := engine.Slices(t.Context(), Job{URLs: []string{s.URL}, Phase: phase, Share: Share{Of: 1}, Seed: 1, Workload: plainWork{}})
		if err != nil {
			t.Fatal(err)
		}
		var answers, recorded int64
		for i := range time.Duration(rounds) {
			one := Slice{Start: time.Now().Add(2 * time.Millisecond), Begin: i * length, Length: length, Until: rounds * length}
			err := slices.Run(t.Context(), one, func(w stats.Window) {
				answers += w.Books.OK
				recorded += w.Response.Count()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		slices.Close()
		if answers == 0 || recorded != answers {
			t.Errorf("%T: %d answers, times of %d", engine, answers, recorded)
		}
	}
}
