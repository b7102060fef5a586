package jmeter

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"bakeoff/internal/load"
)

const (
	// keysPerSecond is how many requests a second one server may ask for before its keys come again.
	keysPerSecond = 10_000
	mostKeys      = 200_000
)

// keysFor is how many keys a server gets for a phase.
func keysFor(p load.Phase, servers int) int {
	n := p.Duration.Seconds() * keysPerSecond
	if p.Model == load.Open {
		n = p.Rate/float64(servers)*p.Duration.Seconds() + 1000
	}
	return int(min(max(n, 1000), mostKeys))
}

// writeKeys writes the requests of one server, a line each: the number in its stream, the target, and what its
// body is compared with; nothing where it is not one of the share that is. Bare: the keys alone.
func writeKeys(path string, w Asked, p load.Phase, k, servers int, bare bool) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("jmeter: keys: %w", err)
	}
	out := bufio.NewWriterSize(file, 1<<16)
	if bare {
		s := stream(p, k)
		for i := range uint64(keysFor(p, servers)) {
			_, _ = out.WriteString(bareKey(w.AppendTarget(nil, s, number(p, k, servers, i))) + "\n") // a buffer keeps its error
		}
	} else {
		keyLines(out, w, p, k, servers, keysFor(p, servers))
	}
	err = out.Flush()
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("jmeter: keys: %w", err)
	}
	return nil
}

func keyLines(out io.Writer, w Asked, p load.Phase, k, servers, count int) {
	s := stream(p, k)
	var line []byte
	for i := range uint64(count) {
		n := number(p, k, servers, i)
		line = strconv.AppendUint(line[:0], n, 10)
		line = append(line, '\t')
		line = w.AppendTarget(line, s, n)
		var patterns []string
		if checks(p, s, n) {
			patterns = w.Patterns(s, n)
		}
		for i := range mostPatterns {
			line = append(line, '\t')
			if i < len(patterns) {
				line = append(line, oneLine(patterns[i])...)
			}
		}
		line = append(line, '\n')
		_, _ = out.Write(line) // a buffer keeps its error
	}
}

// oneLine is a regular expression without the characters that end a field.
func oneLine(pattern string) string {
	return strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`).Replace(pattern)
}

// checks picks the share of requests whose body is compared.
func checks(p load.Phase, stream, n uint64) bool {
	return p.Checker().Checks(stream, n)
}
