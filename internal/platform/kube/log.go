package kube

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// defaultLogLimit is that of platform.Spec.
	defaultLogLimit = 16 << 20
	// logWithin is how long the end of a log may take to come after its pod has gone.
	logWithin = 5 * time.Second
	// longestPart of a line is written at once.
	longestPart = 64 << 10
)

// A logFile keeps the first bytes of a log, and says at its end how many were discarded.
type logFile struct {
	file       *os.File
	room, lost int64
}

func newLogFile(path string, limit int64) (*logFile, error) {
	if limit <= 0 {
		limit = defaultLogLimit
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return &logFile{file: file, room: limit}, nil
}

// Write implements io.Writer. It never fails: what cannot be kept is counted.
func (l *logFile) Write(data []byte) (int, error) {
	n, err := l.file.Write(data[:min(int64(len(data)), l.room)])
	l.room -= int64(n)
	l.lost += int64(len(data) - n)
	if err != nil {
		l.room = 0
	}
	return len(data), nil
}

func (l *logFile) close() {
	if l.lost > 0 {
		fmt.Fprintf(l.file, "\nbakeoff: %d bytes of this log were discarded\n", l.lost)
	}
	_ = l.file.Close() // a log that cannot be written is short
}

// A podLog follows the log of a pod's main container into a file. It asks for each line's time, and goes on from the last one when
// the stream breaks: no line is lost, and none comes twice.
type podLog struct {
	api      api
	at       string
	path     string // empty: nothing is followed
	limit    int64
	ended    <-chan struct{}    // closed when the container has ended
	replaced atomic.Bool        // and another is in its place
	whole    chan struct{}      // closed when the file has all
	stop     context.CancelFunc // ends the following; nil: nothing is followed

	file *logFile
	last time.Time // of the last line that was written
	same int       // lines of that time
	rest []byte    // the beginning of a line whose end has not come
}

func newPodLog(a api, pod *core.Pod, path string, limit int64, ended <-chan struct{}) *podLog {
	l := &podLog{api: a, at: where("", pod.Namespace, "pods", pod.Name, "log"), path: path, limit: limit, ended: ended, whole: make(chan struct{})}
	if path == "" {
		l.skip()
	}
	return l
}

// skip follows nothing.
func (l *podLog) skip() { close(l.whole) }

// begin makes the file and opens the log; a stream of nil is opened later.
func (l *podLog) begin(ctx context.Context) (io.ReadCloser, error) {
	stream, err := l.open(ctx)
	if apierrors.IsForbidden(err) {
		l.skip()
		return nil, err
	}
	if err != nil {
		stream = nil
	}
	l.file, err = newLogFile(l.path, l.limit)
	if err != nil {
		l.skip()
		if stream != nil {
			_ = stream.Close() // nothing is read of it
		}
		return nil, err
	}
	return stream, nil
}

// open opens the log after the lines that were written.
func (l *podLog) open(ctx context.Context) (io.ReadCloser, error) {
	query := url.Values{"container": {mainName}, "follow": {"true"}, "timestamps": {"true"}}
	if l.replaced.Load() {
		query.Set("previous", "true")
		query.Del("follow")
	}
	if !l.last.IsZero() {
		query.Set("sinceTime", l.last.UTC().Format(time.RFC3339)) // of whole seconds, whatever is asked for
	}
	return l.api.stream(ctx, l.at, query)
}

// follow writes the log until the container has ended and all was read, or ctx ends.
func (l *podLog) follow(ctx context.Context, stream io.ReadCloser) {
	defer close(l.whole)
	defer l.file.close()
	for last := false; ; {
		err := l.copy(ctx, stream)
		stream = nil
		if ctx.Err() != nil || apierrors.IsNotFound(err) || last && (err == nil || answers(err)) {
			break
		}
		select {
		case <-l.ended:
			if last { // the API is away
				pause(ctx, againAfter)
			}
			last = true // what was written at the end may still come
		case <-time.After(againAfter):
		case <-ctx.Done():
		}
	}
	_, _ = l.file.Write(l.rest) // never fails
}

// copy writes what comes from a stream, which it opens where there is none; nil is its end.
func (l *podLog) copy(ctx context.Context, stream io.ReadCloser) error {
	if stream == nil {
		var err error
		if stream, err = l.open(ctx); err != nil {
			return err
		}
	}
	defer stream.Close() // read to its end, or given up
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	lines, known := bufio.NewReaderSize(stream, longestPart), &written{from: l.last, skip: l.same}
	l.rest = nil
	for begun, drop := true, false; ; {
		part, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		at, stamped := time.Time{}, false
		if begun {
			at, part, stamped = stamp(part)
			drop = !stamped || known.has(at) // a node says without a time why it has no log
		}
		switch {
		case drop:
		case err != nil && !long && begun:
			l.rest = bytes.Clone(part)
		default:
			_, _ = l.file.Write(part) // never fails
			l.note(at, stamped)
		}
		if err != nil && !long {
			return ended(err)
		}
		begun = !long
	}
}

// note keeps in mind how far the log was written.
func (l *podLog) note(at time.Time, stamped bool) {
	switch {
	case !stamped:
	case at.Equal(l.last):
		l.same++
	default:
		l.last, l.same = at, 1
	}
}

// ended is the error of a stream, nil where it is its end.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// stamp takes the time off a line.
func stamp(line []byte) (at time.Time, text []byte, ok bool) {
	first, text, found := bytes.Cut(line, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(first))
	if !found || err != nil {
		return time.Time{}, line, false
	}
	return at, text, true
}

// written are the lines that were written before a stream was opened again.
type written struct {
	from time.Time // of the last one
	skip int       // lines of that time
	seen int       // of them in this stream
}

func (w *written) has(at time.Time) bool {
	if at.Equal(w.from) {
		w.seen++
		return w.seen <= w.skip
	}
	return at.Before(w.from)
}
