package report

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// bytesRead is how much this process has read of files and pipes.
func bytesRead(t *testing.T) uint64 {
	t.Helper()
	for line := range strings.Lines(string(must[[]byte](t)(os.ReadFile("/proc/self/io")))) {
		if rest, found := strings.CutPrefix(line, "rchar: "); found {
			return must[uint64](t)(strconv.ParseUint(strings.TrimSpace(rest), 10, 64))
		}
	}
	t.Fatal("the system does not say how much was read")
	return 0
}

// allocated is how many bytes this process has allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
