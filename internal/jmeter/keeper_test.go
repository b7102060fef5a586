package jmeter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/platform"
	"bakeoff/internal/stats"
)

// machines are Keepers in this process, each at an address of the loopback device of its own.
type machines struct {
	t    *testing.T
	java Java

	mu   sync.Mutex
	made []*keptMachine
}

// keptMachine is a Remote.
type keptMachine struct {
	KeeperClient
	host, dir, name string
	stop            context.CancelFunc
	done            chan struct{}
	err             error // how it ended
}

func (m *keptMachine) Host() string          { return m.host }
func (m *keptMachine) Dir() string           { return m.dir }
func (m *keptMachine) Name() string          { return m.name }
func (m *keptMachine) PID() int              { return 0 }
func (m *keptMachine) PIDs() []int           { return nil }
func (m *keptMachine) Done() <-chan struct{} { return m.done }
func (m *keptMachine) Exit() platform.Exit   { return platform.Exit{Code: 1, Why: fmt.Sprint(m.err)} }

func (m *keptMachine) Stop(context.Context, time.Duration) error {
	m.stop()
	<-m.done
	return nil
}

// Start implements Elsewhere.
func (all *machines) Start(ctx context.Context, name, log string) (Remote, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	host := fmt.Sprintf("127.0.%d.%d", 1+os.Getpid()%250, 2+len(all.made))
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	m := &keptMachine{host: host, dir: all.t.TempDir(), name: name, done: make(chan struct{})}
	m.KeeperClient = KeeperClient{Address: l.Addr().String(), Token: "canary"}
	ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	keeper := &Keeper{Token: "canary", Dir: m.dir, Java: all.java, Output: output}
	go func() {
		defer close(m.done)
		m.err = errors.Join(keeper.Serve(ctx, l), output.Close())
	}()
	all.made = append(all.made, m)
	return m, nil
}

// keytool is one that makes an empty key store.
func keytool(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keytool")
	script := "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = -keystore ] && : >\"$2\"; shift; done\nexit 0\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Servers on machines of their own get all that they need, and the keys of each phase, which are gone afterwards; one that does not
// take its keys is lost and replaced.
func TestElsewhere(t *testing.T) {
	o := fakeOptions(t, 2)
	o.Java.Keytool = keytool(t)
	all := &machines{t: t, java: o.Java}
	o.Elsewhere, o.KeyDir = all, t.TempDir()
	behaveAs(t, o.LogDir, "good")
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	run := func() (fleet.Report, stats.Totals) {
		t.Helper()
		var sum stats.Totals
		report, err := l.Run(t.Context(), taskOf("elsewhere"), func(s fleet.Snapshot) { sum.Add(s.Window) })
		if err != nil {
			t.Fatal(err)
		}
		return report, sum
	}
	if report, sum := run(); len(report.Lost) > 0 || sum.Books.OK != 4 {
		t.Fatalf("%+v, %+v", report.Lost, sum.Books)
	}
	for k, m := range all.made {
		if s := l.servers[k]; s.address != net.JoinHostPort(m.host, "1099") || s.process != platform.Process(m) {
			t.Errorf("server %d is at %s", k, s.address)
		}
		if got := names(t, m.dir); got != "bakeoff.properties rmi_keystore.p12" {
			t.Errorf("server %d has %s", k, got)
		}
		text, err := os.ReadFile(filepath.Join(m.dir, propertiesFile))
		if err != nil || !strings.Contains(string(text), "server.rmi.ssl.keystore.file="+filepath.Join(o.KeyDir, keystoreFile)+"\n") {
			t.Errorf("%s, %v", text, err)
		}
	}
	if err := all.made[1].Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if report, _ := run(); len(report.Lost) != 1 || report.Lost[0].Agent != 1 || !strings.Contains(report.Lost[0].Why, "does not take its keys") {
		t.Fatalf("lost %+v", report.Lost)
	}
	if err := l.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report, sum := run(); len(report.Lost) > 0 || sum.Books.OK != 4 || report.Agents[1].Epoch != 2 || len(all.made) != 4 {
		t.Errorf("%+v, %+v, %d machines", report, sum.Books, len(all.made))
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

// A Keeper does what who knows the token says, once, and ends with Java.
func TestKeeper(t *testing.T) {
	o := fakeOptions(t, 1)
	all := &machines{t: t, java: o.Java}
	remote, err := all.Start(t.Context(), "one", filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	m := all.made[0]
	put := func(name string) error { return remote.Put(t.Context(), name, strings.NewReader("x")) }
	if err := errors.Join(put("a.txt"), put("b-1.txt"), remote.Drop(t.Context(), "b-1.txt")); err != nil || names(t, m.dir) != "a.txt" {
		t.Errorf("%v, %s", err, names(t, m.dir))
	}
	for _, name := range []string{".hidden", "%2e%2e%2fa", "a%2fb", "A"} {
		if err := put(name); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if stranger := (KeeperClient{Address: m.Address, Token: "guess"}); stranger.Put(t.Context(), "c", strings.NewReader("x")) == nil || stranger.Java(t.Context(), nil) == nil {
		t.Error("a stranger is served")
	}
	// The fake server ends with status 3.
	dir := t.TempDir()
	behaveAs(t, dir, "server ends")
	flags := []string{"-Xms1m", "-s", "-j", filepath.Join(dir, "log")}
	if err := remote.Java(t.Context(), flags); err != nil {
		t.Fatal(err)
	}
	<-m.done
	if m.err == nil || !strings.Contains(m.err.Error(), "exit status 3") {
		t.Errorf("ended with %v", m.err)
	}
	if err := put("late"); err == nil {
		t.Error("it takes files after its end")
	}
}

// Java is started once.
func TestKeeperTwice(t *testing.T) {
	o := fakeOptions(t, 1)
	all := &machines{t: t, java: o.Java}
	dir := t.TempDir()
	remote, err := all.Start(t.Context(), "one", filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"-Xms1m", "-s", "-j", filepath.Join(dir, "own")}
	if err := remote.Java(t.Context(), flags); err != nil {
		t.Fatal(err)
	}
	if err := remote.Java(t.Context(), flags); err == nil || !strings.Contains(err.Error(), http.StatusText(http.StatusConflict)) {
		t.Errorf("a second time: %v", err)
	}
	if err := remote.Stop(t.Context(), 0); err != nil || all.made[0].err != nil {
		t.Errorf("%v, %v", err, all.made[0].err)
	}
}

// Real servers on machines of their own carry out a phase over TLS: nobody shares an address, and no request is lost or made up.
func TestRealElsewhere(t *testing.T) {
	o := realOptions(t, 2)
	o.Elsewhere, o.Host = &machines{t: t, java: o.Java}, "127.0.0.1"
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	c := newCounting(t, 5*time.Millisecond)
	var sum stats.Totals
	p := load.Phase{Number: 1, Name: "closed", Model: load.Closed, Connections: 5, Duration: 3 * time.Second, Timeout: 2 * time.Second, CheckShare: 0.5}
	report, err := l.Run(t.Context(), fleet.Task{URLs: []string{c.url}, Phase: p, Contract: "same", Seed: 1}, func(s fleet.Snapshot) { sum.Add(s.Window) })
	if err != nil || len(report.Lost) > 0 {
		t.Fatalf("%+v, %v", report.Lost, err)
	}
	if asked := c.asked.Load(); sum.Books.Sent != asked || sum.Books.OK != asked || asked == 0 {
		t.Errorf("books %+v, but the server was asked %d times", sum.Books, asked)
	}
	for _, a := range report.Agents {
		if a.Totals.Books.OK == 0 {
			t.Errorf("server %d did nothing", a.Agent)
		}
	}
}
