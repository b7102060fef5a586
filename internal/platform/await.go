package platform

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"
)

// ErrEnded is returned by Await for a process that ended before what was awaited came.
var ErrEnded = errors.New("platform: the process ended")

// lookEvery is the time between two tries of Await.
const lookEvery = 20 * time.Millisecond

// Await calls try, again and again, until it returns true or an error; that error is then Await's own. It ends with
// ErrEnded when p has ended and another try did not succeed, and with the context's error when that ends. A p of nil
// never ends.
func Await(ctx context.Context, p Process, try func(context.Context) (bool, error)) error {
	var over <-chan struct{}
	if p != nil {
		over = p.Done()
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for last := false; ; {
		done, err := try(ctx)
		switch {
		case err != nil || done:
			return err
		case last:
			return ErrEnded
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			last = true
		case <-tick.C:
		}
	}
}

// LogTail is the end of a log, for a message: at most 15 lines and 4 KiB, or why there is none.
func LogTail(path string) string {
	const most, lines = 4096, 15
	file, err := os.Open(path)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	defer file.Close() // opened for reading
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd) // else the beginning is shown
	}
	data, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return "(log unreadable: " + err.Error() + ")"
	}
	end := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(data), "")), "\n")
	return strings.Join(end[max(0, len(end)-lines):], "\n")
}
