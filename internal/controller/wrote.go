package controller

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

const (
	wroteLength = 200      // characters of an exception that are quoted
	wroteWithin = 64 << 10 // bytes at the end of a log in which one is looked for
)

// ownFailure is in the text of a reason where answers said that the target itself failed.
var ownFailure = regexp.MustCompile(`\bstatus 5\d\d\b`)

// markLogs keeps how long the logs of the replicas are.
func (t *trial) markLogs() {
	t.logged = map[string]int64{}
	for _, r := range t.rec.Replicas {
		if info, err := os.Stat(t.logOf(r)); err == nil {
			t.logged[r.Name] = info.Size()
		}
	}
}

func (t *trial) logOf(r record.Replica) string {
	return filepath.Join(t.writer.LogDir(), r.Name+".log")
}

// wrote is the last exception that a replica has written to its log since markLogs, of the first replica that wrote any. It is empty
// where none did.
func (t *trial) wrote() string {
	for _, r := range t.rec.Replicas {
		if line := lastException(written(t.logOf(r), t.logged[r.Name])); line != "" {
			return r.Name + " wrote: " + show.Clip(show.Inert(line), wroteLength)
		}
	}
	return ""
}

// written is what a log has beyond a place in it, of its last 64 KiB; empty where it cannot be read: it only explains.
func written(path string, from int64) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close() // opened for reading
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(file, max(from, info.Size()-wroteWithin), wroteWithin))
	if err != nil {
		return ""
	}
	return string(text)
}

// traceback begins a stack of Python's, which the line of its exception follows.
const traceback = "Traceback (most recent call last):"

// beforeStack is the line of an exception that its stack follows, as Go and Node write it.
var beforeStack = regexp.MustCompile(`^(panic|fatal error|(Uncaught )?[\w$.]*(Error|Exception)( \[\w+\])?): `)

// lastException is the line of the last exception in a log, empty where there is none.
func lastException(log string) (last string) {
	stack := false
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == traceback:
			stack = true
		case stack && line != "" && line[0] != ' ':
			last, stack = line, false
		case !stack && beforeStack.MatchString(line):
			last = line
		}
	}
	return last
}
