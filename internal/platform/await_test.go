package platform

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ending is a process; only its end matters.
type ending struct {
	Process
	done chan struct{}
}

func (e ending) Done() <-chan struct{} { return e.done }

// What is awaited is tried every 20 ms, and once more after the process ended.
func TestAwait(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		succeeds int // at this try; 0: never
		fails    int // likewise
		ends     time.Duration
		within   time.Duration
		want     error
		tries    int
	}{
		"at once":             {succeeds: 1, within: time.Second, tries: 1},
		"later":               {succeeds: 6, within: time.Second, tries: 6},
		"an error":            {fails: 3, within: time.Second, want: broken, tries: 3},
		"too late":            {within: 90 * time.Millisecond, want: context.DeadlineExceeded, tries: 5},
		"it ends":             {ends: 50 * time.Millisecond, within: time.Second, want: ErrEnded, tries: 4},
		"it ends with a word": {ends: 50 * time.Millisecond, succeeds: 4, within: time.Second, tries: 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.within)
			defer cancel()
			var p Process
			if c.ends > 0 {
				e := ending{done: make(chan struct{})}
				time.AfterFunc(c.ends, func() { close(e.done) })
				p = e
			}
			tries := 0
			err := Await(ctx, p, func(context.Context) (bool, error) {
				if tries++; tries == c.fails {
					return false, broken
				}
				return tries == c.succeeds, nil
			})
			if !errors.Is(err, c.want) || tries != c.tries {
				t.Errorf("%s: %v after %d tries, want %v after %d", name, err, tries, c.want, c.tries)
			}
		})
	}
}

func TestLogTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Repeat("old\n", 100) + strings.Repeat("new\n", 15) + "\n")
	if got := LogTail(path); got != strings.TrimSpace(strings.Repeat("new\n", 15)) {
		t.Errorf("%q", got)
	}
	write("begin" + strings.Repeat("é", 5000) + "end")
	if got := LogTail(path); len(got) > 4096 || len(got) < 4000 || !strings.HasSuffix(got, "éend") || strings.Contains(got, "begin") || strings.ContainsRune(got, '\ufffd') {
		t.Errorf("%d bytes, %q ... %q", len(got), got[:10], got[len(got)-10:])
	}
	if got := LogTail(path + "x"); !strings.HasPrefix(got, "(no log: ") {
		t.Errorf("%q", got)
	}
}
