package jmeter

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"bakeoff/internal/platform"
)

// masters is the master of the moment as one process of the run, whatever phase it is of.
type masters struct {
	mu      sync.Mutex
	process platform.Process // nil: none yet
}

func (m *masters) set(p platform.Process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.process = p
}

func (m *masters) now() platform.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

// Name implements platform.Process; so do the others.
func (m *masters) Name() string { return "jmeter-master" }

// PID is 0 while there is no master.
func (m *masters) PID() int {
	if p := m.now(); p != nil {
		return p.PID()
	}
	return 0
}

// PIDs are those of the master of the moment.
func (m *masters) PIDs() []int {
	if p := m.now(); p != nil {
		return p.PIDs()
	}
	return nil
}

// Done never is: another master may come.
func (m *masters) Done() <-chan struct{} { return nil }

// Exit is that of the last one.
func (m *masters) Exit() platform.Exit {
	if p := m.now(); p != nil {
		return p.Exit()
	}
	return platform.Exit{}
}

// Stop ends the master of the moment.
func (m *masters) Stop(ctx context.Context, grace time.Duration) error {
	if p := m.now(); p != nil {
		return p.Stop(ctx, grace)
	}
	return nil
}

// master is one run of a test plan on all servers.
type master struct {
	process platform.Process
	log     string // of its output
	plan    string
	jtl     string
}

// startMaster writes a plan and starts a master for it; global are arguments that the servers get too.
func (l *Loader) startMaster(ctx context.Context, name string, plan []byte, global []string) (*master, error) {
	base := filepath.Join(l.o.LogDir, name)
	m := &master{log: base + ".log", plan: base + ".jmx", jtl: base + ".jtl"}
	if err := os.WriteFile(m.plan, plan, 0o600); err != nil {
		return nil, err
	}
	var servers []string
	for _, s := range l.servers {
		servers = append(servers, s.address)
	}
	argv := append(l.java(l.o.masterFlags(), l.host(), l.dir), "-n", "-t", m.plan, "-l", m.jtl, "-j", base+"-jmeter.log", "-q", l.properties, "-R", strings.Join(servers, ","))
	argv = append(argv, global...)
	var err error
	m.process, err = l.o.Platform.Start(ctx, platform.Spec{Name: "jmeter-master", Argv: argv, Env: environment(l.dir), Dir: l.dir, Log: m.log})
	if err == nil {
		l.current.set(m.process)
	}
	return m, err
}

// said is what a master's output says so far.
type said struct {
	begun   bool     // it named the servers that it started
	started []string // by address
	over    bool     // the run has ended
	counted int64    // requests, by JMeter's own count; -1: not known
	text    string
}

var (
	startedText = regexp.MustCompile(`Remote engines have been started:\s*\[([^\]]*)\]`)
	countedText = regexp.MustCompile(`(?m)^summary =\s+([0-9]+) in `)
)

// read is what the master has said.
func (m *master) read() (said, error) {
	text, err := os.ReadFile(m.log)
	if err != nil && !os.IsNotExist(err) {
		return said{}, fmt.Errorf("jmeter: %w", err)
	}
	return understand(string(text)), nil
}

func understand(text string) said {
	out := said{counted: -1, text: text, over: strings.Contains(text, "... end of run")}
	if found := startedText.FindStringSubmatch(text); found != nil {
		out.begun = true
		for name := range strings.SplitSeq(found[1], ",") {
			if name = strings.TrimSpace(name); name != "" {
				out.started = append(out.started, name)
			}
		}
	}
	if all := countedText.FindAllStringSubmatch(text, -1); all != nil {
		out.counted, _ = strconv.ParseInt(all[len(all)-1][1], 10, 64)
	}
	return out
}

// ended reports whether the process is gone.
func (m *master) ended() bool {
	select {
	case <-m.process.Done():
		return true
	default:
		return false
	}
}
