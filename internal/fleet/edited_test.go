package fleet

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/stats"
)

// editor stands between agents and their controller, speaks TLS with both, and may
// change every line that an agent sends. Agents take it for their controller.
type editor struct {
	listener    net.Listener
	fingerprint string
	to          string
	edit        func(agent int) func(message) []message // made for each connection
	work        sync.WaitGroup
	done        chan struct{}
}

func newEditor(t *testing.T, edit func(agent int) func(message) []message) *editor {
	t.Helper()
	cert, print, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS(cert))
	if err != nil {
		t.Fatal(err)
	}
	e := &editor{listener: listener, fingerprint: print, edit: edit, done: make(chan struct{})}
	t.Cleanup(func() {
		close(e.done)
		_ = listener.Close()
		e.work.Wait()
	})
	return e
}

// advertise puts the editor before the controller.
func (e *editor) advertise(controller string) string {
	e.to = controller
	e.work.Go(e.accept)
	return e.listener.Addr().String()
}

func (e *editor) accept() {
	for {
		agent, err := e.listener.Accept()
		if err != nil {
			return
		}
		controller, err := tls.Dial("tcp", e.to, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			_ = agent.Close()
			continue
		}
		ended := make(chan struct{})
		e.work.Go(func() {
			defer close(ended)
			e.up(controller, agent)
		})
		e.work.Go(func() { e.down(agent, controller) })
		e.work.Go(func() {
			select {
			case <-e.done:
			case <-ended:
			}
			_ = closeRaw(agent)
			_ = closeRaw(controller)
		})
	}
}

// up passes an agent's lines on, edited.
func (e *editor) up(controller, agent net.Conn) {
	in := newLineReader(agent, lineLimit)
	first, err := in.read()
	if err != nil || first.Hello == nil || send(controller, first) != nil {
		return
	}
	edit := e.edit(first.Hello.Index)
	for {
		m, err := in.read()
		if err != nil {
			return
		}
		for _, edited := range edit(m) {
			if send(controller, edited) != nil {
				return
			}
		}
	}
}

// down passes the controller's lines on as they are.
func (e *editor) down(agent, controller net.Conn) {
	in := newLineReader(controller, lineLimit)
	for {
		m, err := in.read()
		if err != nil || send(agent, m) != nil {
			_ = closeRaw(agent)
			return
		}
	}
}

// windows makes an edit that changes windows alone; n counts them from 1.
func windows(change func(n int, m message) []message) func() func(message) []message {
	return func() func(message) []message {
		n := 0
		return func(m message) []message {
			if m.Window == nil {
				return []message{m}
			}
			n++
			return change(n, m)
		}
	}
}

// What becomes of a real agent's snapshots on a way that doubles, reorders, loses or forges them.
func TestSnapshotsOnABadWay(t *testing.T) {
	t.Parallel()
	none := func(m message) []message { return []message{m} }
	for _, c := range []struct {
		name string
		edit func() func(message) []message
		lost string // empty: the phase is whole
	}{
		{"each comes twice", windows(func(_ int, m message) []message { return []message{m, m} }), ""},
		{"each comes again later", func() func(message) []message {
			var before []message
			return windows(func(_ int, m message) []message {
				before = append(before, m)
				return append([]message{m}, slices.Clone(before)...)
			})()
		}, ""},
		{"some of another epoch between", windows(func(_ int, m message) []message {
			forged := *m.Window
			forged.Epoch = 7
			forged.Window.Books.Add(m.Window.Window.Books)
			return []message{{Window: &forged}, m}
		}), ""},
		{"all are late, at once", func() func(message) []message {
			var held []message
			return func(m message) []message {
				if m.Window != nil {
					held = append(held, m)
					return nil
				}
				if m.Done != nil {
					return append(held, m)
				}
				return []message{m}
			}
		}, ""},
		{"two swap places", func() func(message) []message {
			var held message
			return windows(func(n int, m message) []message {
				if n == 1 {
					held = m
					return nil
				}
				if n == 2 {
					return []message{m, held}
				}
				return []message{m}
			})()
		}, "window 2 came after window 0: its books have a hole"},
		{"one is lost", windows(func(n int, m message) []message {
			if n == 2 {
				return nil
			}
			return []message{m}
		}), "window 3 came after window 1: its books have a hole"},
		{"the last is lost", func() func(message) []message {
			var held []message
			return func(m message) []message {
				if m.Window != nil { // always one behind
					out := held
					held = []message{m}
					return out
				}
				return []message{m}
			}
		}, "are not the sum of its windows"},
		{"one of another epoch instead", windows(func(n int, m message) []message {
			if n == 2 {
				forged := *m.Window
				forged.Epoch = 0
				m = message{Window: &forged}
			}
			return []message{m}
		}), "window 3 came after window 1: its books have a hole"},
		{"one says something else", windows(func(n int, m message) []message {
			if n == 2 {
				forged := *m.Window
				forged.Window.Books.Add(stats.Books{Planned: 1, Sent: 1, OK: 1})
				m = message{Window: &forged}
			}
			return []message{m}
		}), "are not the sum of its windows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := newWitness(t)
			way := newEditor(t, func(agent int) func(message) []message {
				if agent == 1 {
					return c.edit()
				}
				return none
			})
			f := startFleet(t, 2, func(o *Options) {
				o.Advertise, o.Silence = way.advertise, 20*time.Second // a busy machine is not the subject
				o.Env = append(o.Env, "FLEET_TEST_FINGERPRINT="+way.fingerprint)
			})
			r := await(t, run(t, f, constantTask(server.URL, 100, 1200*time.Millisecond)))
			if r.err != nil || r.books != r.report.Totals().Books {
				t.Fatalf("error %v, books %+v, report %+v", r.err, r.books, r.report.Totals().Books)
			}
			if c.lost == "" {
				if len(r.report.Lost) > 0 || r.books != (stats.Books{Planned: 120, Sent: 120, OK: 120}) {
					t.Errorf("lost %+v, books %+v", r.report.Lost, r.books)
				}
				return
			}
			if len(r.report.Lost) != 1 || r.report.Lost[0].Agent != 1 || !strings.Contains(r.report.Lost[0].Why, c.lost) {
				t.Errorf("lost %+v, want agent 1: %s", r.report.Lost, c.lost)
			}
			select {
			case <-f.Processes()[1].Done():
			case <-time.After(10 * time.Second):
				t.Fatal("the lost agent did not end")
			}
			count, _ := server.settled(t)
			if after, _ := server.settled(t); after != count {
				t.Errorf("%d requests came after the phase and the lost agent were over", after-count)
			}
		})
	}
}
