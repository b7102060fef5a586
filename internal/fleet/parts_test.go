package fleet

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/load"
)

func TestSequence(t *testing.T) {
	type step struct {
		epoch, sequence int64
		want            outcome
	}
	cases := map[string][]step{
		"in order":             {{5, 1, accepted}, {5, 2, accepted}, {5, 3, accepted}},
		"duplicate":            {{5, 1, accepted}, {5, 1, duplicate}, {5, 2, accepted}},
		"old again":            {{5, 1, accepted}, {5, 2, accepted}, {5, 1, duplicate}, {5, 3, accepted}},
		"zero and below":       {{5, 0, duplicate}, {5, -1, duplicate}, {5, 1, accepted}},
		"first is missing":     {{5, 2, gap}},
		"hole":                 {{5, 1, accepted}, {5, 3, gap}},
		"swapped":              {{5, 1, accepted}, {5, 3, gap}, {5, 2, accepted}},
		"older epoch":          {{5, 1, accepted}, {4, 2, stale}, {5, 2, accepted}},
		"newer epoch":          {{6, 1, stale}, {5, 1, accepted}},
		"older epoch, a hole":  {{4, 9, stale}, {5, 1, accepted}},
		"far beyond the whole": {{5, 1 << 62, gap}, {5, 1, accepted}},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) {
			tracker := tracker{epoch: 5}
			for i, s := range steps {
				if got := tracker.accept(s.epoch, s.sequence); got != s.want {
					t.Errorf("step %d (epoch %d, window %d): %d, want %d", i, s.epoch, s.sequence, got, s.want)
				}
			}
		})
	}
}

func TestLease(t *testing.T) {
	type step struct {
		at    time.Duration // since the lease was made
		renew time.Duration // sent then; negative: none
		want  bool          // valid after that
	}
	const none = -1
	cases := map[string][]step{
		"never renewed":                {{0, none, true}, {1999 * time.Millisecond, none, true}, {2 * time.Second, none, false}},
		"renewed from the sending":     {{1 * time.Second, 500 * time.Millisecond, true}, {2499 * time.Millisecond, none, true}, {2500 * time.Millisecond, none, false}},
		"an older echo takes nothing":  {{1 * time.Second, 900 * time.Millisecond, true}, {1100 * time.Millisecond, 100 * time.Millisecond, true}, {2899 * time.Millisecond, none, true}, {2900 * time.Millisecond, none, false}},
		"an echo after the end":        {{2100 * time.Millisecond, 2050 * time.Millisecond, false}, {2200 * time.Millisecond, none, false}},
		"queued echoes after a thaw":   {{1 * time.Second, 900 * time.Millisecond, true}, {8 * time.Second, 1200 * time.Millisecond, false}, {8 * time.Second, 8 * time.Second, false}},
		"a late echo cannot bridge it": {{1900 * time.Millisecond, 100 * time.Millisecond, true}, {2100 * time.Millisecond, none, false}},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLease(2 * time.Second)
				for i, s := range steps {
					time.Sleep(s.at - l.now())
					if s.renew >= 0 {
						l.renew(s.renew)
					}
					if got := l.valid(); got != s.want {
						t.Errorf("step %d at %s: valid %t, want %t", i, s.at, got, s.want)
					}
				}
			})
		})
	}
}

func TestEndedLeaseStaysSo(t *testing.T) {
	l := newLease(time.Hour)
	l.end()
	l.renew(l.now())
	if l.valid() {
		t.Error("an ended lease is valid")
	}
	l = newLease(0)
	if l.valid() {
		t.Error("a lease of no length is valid")
	}
	l.until.Store(int64(time.Hour)) // by a renewal that was under way
	if l.valid() {
		t.Error("a lease that was seen to have run out is valid again")
	}
}

func BenchmarkPermit(b *testing.B) {
	l := newLease(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if !l.valid() {
			b.Fatal("not valid")
		}
	}
}

func TestClock(t *testing.T) {
	cases := map[string]struct {
		shift, trip time.Duration // of the agent's clock against the controller's; round trip
		want        time.Duration // shift applied
	}{
		"one clock":              {0, 200 * time.Microsecond, 0},
		"one clock, slow trip":   {0, 80 * time.Millisecond, 0},
		"within the error":       {30 * time.Millisecond, 80 * time.Millisecond, 0},
		"another clock, ahead":   {5 * time.Second, 2 * time.Millisecond, 5 * time.Second},
		"another clock, behind":  {-5 * time.Second, 2 * time.Millisecond, -5 * time.Second},
		"a little beyond, ahead": {30 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var k clock
				sent := time.Now()
				theirs := sent.Add(c.trip / 2).Add(-c.shift).UnixNano()
				k.learn(sent, sent.Add(c.trip), theirs)
				slow := sent.Add(10 * time.Second)
				k.learn(sent, slow, theirs) // a bad measure must not replace a good one
				in := time.Now().Add(time.Minute)
				got := k.local(in.UnixNano())
				if applied := got.Sub(in); applied != c.want {
					t.Errorf("shift applied %s, want %s", applied, c.want)
				}
			})
		})
	}
}

func TestInstantsHaveAMonotonicReading(t *testing.T) {
	var k clock
	k.learn(time.Now(), time.Now(), time.Now().UnixNano())
	if got := k.local(time.Now().UnixNano()); !strings.Contains(got.String(), "m=") {
		t.Errorf("instant %s", got)
	}
}

func TestClockForgetsOldMeasures(t *testing.T) {
	var k clock
	now := time.Now()
	k.learn(now, now, now.UnixNano())
	for n := range 16 {
		if shift, half := k.shift(); shift != 0 || half != 0 {
			t.Fatalf("after %d others: shift %s, half %s", n, shift, half)
		}
		k.learn(now, now.Add(2*time.Millisecond), now.Add(time.Millisecond-time.Hour).UnixNano())
	}
	if shift, half := k.shift(); shift != time.Hour || half != time.Millisecond {
		t.Errorf("shift %s, half %s", shift, half)
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat(" ", 98) + "{}"
	cases := map[string]struct {
		in   string
		want []error // after each read; nil is a message
	}{
		"two":           {`{"beat":{"number":1}}` + "\n" + `{"quit":{}}` + "\n", []error{nil, nil, io.EOF}},
		"at the limit":  {long[1:] + "\n", []error{nil, io.EOF}},
		"beyond it":     {long + "\n", []error{errTooLong}},
		"without end":   {strings.Repeat("x", 10_000), []error{errTooLong}},
		"torn":          {`{"beat":{"number":1}}`, []error{io.ErrUnexpectedEOF}},
		"empty":         {"", []error{io.EOF}},
		"beyond 2 read": {`{"quit":{}}` + "\n" + long + "\n", []error{nil, errTooLong}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newLineReader(strings.NewReader(c.in), 100)
			for i, want := range c.want {
				if _, err := r.read(); !errors.Is(err, want) {
					t.Errorf("read %d: %v, want %v", i, err, want)
				}
			}
		})
	}
}

func TestPhaseCalledOff(t *testing.T) {
	cases := map[string]struct {
		before, during int64 // phases called off before and after the phase numbered 3 began; 0: none
		want           bool  // it goes on
	}{
		"not at all":                      {0, 0, true},
		"an earlier one":                  {2, 0, true},
		"an earlier one, while it runs":   {0, 2, true},
		"itself, before it began":         {3, 0, false},
		"itself, while it runs":           {0, 3, false},
		"a later one and with it this":    {4, 0, false},
		"a later one, while it runs":      {0, 4, false},
		"an earlier one and then itself":  {2, 3, false},
		"itself and then an earlier once": {3, 2, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ctx, halt := context.WithCancel(t.Context())
			a := &agent{lease: newLease(time.Hour)}
			job := load.Job{Start: time.Now()}
			a.callOff(c.before)
			a.begin(3, halt)
			timed := a.watch(ctx, 3, &job)
			if c.during > 0 {
				a.callOff(c.during)
			}
			if permitted := job.Permit(); permitted != c.want || (ctx.Err() == nil) != c.want {
				t.Errorf("permitted %t, context %v, want %t", permitted, ctx.Err(), c.want)
			}
			a.begin(3, nil)
			halt()
			timed()
			if job.Permit() {
				t.Error("a phase that is over may still send")
			}
		})
	}
}

func TestInboxIsBounded(t *testing.T) {
	box := newInbox(2)
	for i, want := range []bool{true, true, false, false} {
		if got := box.put(event{}, true); got != want {
			t.Errorf("put %d: %t, want %t", i, got, want)
		}
	}
	if !box.put(event{}, false) {
		t.Error("an unbounded event was refused")
	}
	if n := len(box.take()); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
	if !box.put(event{}, true) {
		t.Error("an emptied inbox refuses")
	}
}

// No secret is compared by what gives up at the first difference. How long a comparison takes
// cannot be seen on a busy machine; what it is done with can.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					for _, side := range []ast.Expr{n.X, n.Y} {
						if s, ok := side.(*ast.SelectorExpr); ok && (strings.EqualFold(s.Sel.Name, "token") || strings.EqualFold(s.Sel.Name, "fingerprint")) {
							t.Errorf("%s compares %s with %s", name, s.Sel.Name, n.Op)
						}
					}
				}
			case *ast.SelectorExpr:
				if n.Sel.Name == "ConstantTimeCompare" {
					uses++
				}
			}
			return true
		})
	}
	if uses != 1 {
		t.Errorf("%d comparisons in constant time, want the one of same", uses)
	}
}

func TestSecretsAreCompared(t *testing.T) {
	secret := newToken()
	for other, want := range map[string]bool{secret: true, "": false, secret[:63]: false, secret + "0": false, newToken(): false} {
		if same(secret, other) != want {
			t.Errorf("%q and %q: want %t", secret, other, want)
		}
	}
	if len(secret) != 64 {
		t.Errorf("token %q", secret)
	}
}
