package local

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Every started process carries the run's token and its own number twice: in
// the environment variable markVariable, and as the soft limit on realtime
// CPU time. That limit binds only threads scheduled as realtime and is set
// to more than 100,000 years, so it never bites; but the kernel hands it to
// every descendant, through fork, exec, a new session and an emptied
// environment alike, and anyone may read it in /proc/PID/limits. A process can
// change its own: a guest's mark decides nothing that anything else can.
const (
	markVariable = "BAKEOFF_PROCESS"
	markLimit    = 15 // RLIMIT_RTTIME, in microseconds
	markBit      = 1 << 62
	tokenBits    = 46
	numberBits   = 16
)

// A token names one opened platform.
type token uint64

func newToken() token {
	var b [8]byte
	rand.Read(b[:])
	return token(binary.LittleEndian.Uint64(b[:]) & (1<<tokenBits - 1))
}

func (t token) String() string { return fmt.Sprintf("%012x", uint64(t)) }

func parseToken(s string) (token, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 12 || v >= 1<<tokenBits {
		return 0, fmt.Errorf("local: %q is not a token", s)
	}
	return token(v), nil
}

// mark is what process number n of the run carries; 0 is the guard itself.
type mark struct {
	token  token
	number int
}

func (m mark) limit() uint64 {
	return markBit | uint64(m.token)<<numberBits | uint64(m.number)&(1<<numberBits-1)
}

func (m mark) variable() string { return fmt.Sprintf("%s=%v.%d", markVariable, m.token, m.number) }

// set makes what this process forks from now on carry m. A machine whose
// hard limit forbids it is left with the environment variable.
func (m mark) set() {
	var old unix.Rlimit
	if unix.Prlimit(0, markLimit, nil, &old) == nil {
		_ = unix.Prlimit(0, markLimit, &unix.Rlimit{Cur: m.limit(), Max: old.Max}, nil)
	}
}

// markOf reads the mark of a process, by limit or else by environment.
func markOf(pid int) (mark, bool) {
	if m, ok := markByLimit(pid); ok {
		return m, true
	}
	return markByEnvironment(pid)
}

func markByLimit(pid int) (mark, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	if err != nil {
		return mark{}, false
	}
	_, rest, ok := strings.Cut(string(data), "Max realtime timeout")
	f := strings.Fields(rest)
	if !ok || len(f) == 0 {
		return mark{}, false
	}
	v, err := strconv.ParseUint(f[0], 10, 64)
	if err != nil || v>>62 != 1 {
		return mark{}, false
	}
	return mark{token(v >> numberBits & (1<<tokenBits - 1)), int(v & (1<<numberBits - 1))}, true
}

func markByEnvironment(pid int) (mark, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return mark{}, false
	}
	for entry := range strings.SplitSeq(string(data), "\x00") {
		value, ok := strings.CutPrefix(entry, markVariable+"=")
		if !ok {
			continue
		}
		run, number, _ := strings.Cut(value, ".")
		t, err := parseToken(run)
		n, err2 := strconv.Atoi(number)
		if err == nil && err2 == nil {
			return mark{t, n}, true
		}
	}
	return mark{}, false
}
