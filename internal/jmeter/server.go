package jmeter

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/platform"
)

const (
	// serverWithin is how long a server may take until it takes orders.
	serverWithin = 90 * time.Second
	// answerWithin is how long a living server may take to begin a TLS handshake: longer than a garbage collection pauses it, and
	// than hundreds of its threads wait for a processor that others use too.
	answerWithin = 6 * time.Second
)

// server is one jmeter-server. Its folder is its own.
type server struct {
	index   int
	epoch   int64
	port    int
	address string
	log     string // of its output
	own     string // log of JMeter's own
	process platform.Process
	remote  Remote // the machine of its own; nil: it is a process of this one
}

// startServer starts the process; await waits for it.
func (l *Loader) startServer(ctx context.Context, index int, epoch int64) (*server, error) {
	if err := os.MkdirAll(l.serverDir(index), 0o700); err != nil {
		return nil, err
	}
	s := &server{index: index, epoch: epoch}
	name, err := s.names(l.o.LogDir)
	if err != nil {
		return nil, err
	}
	if l.o.Elsewhere != nil {
		return s, l.startElsewhere(ctx, s, name)
	}
	return s, l.startHere(ctx, s, name)
}

// startHere starts a server as a process of this machine.
func (l *Loader) startHere(ctx context.Context, s *server, name string) (err error) {
	if s.port, err = l.o.Platform.Port(ctx); err != nil {
		return err
	}
	host, dir := l.o.Platform.Host(), l.serverDir(s.index)
	s.address = net.JoinHostPort(host, strconv.Itoa(s.port))
	argv := append(l.java(l.o.serverFlags(), host, dir), s.args(s.own, l.properties)...)
	s.process, err = l.o.Platform.Start(ctx, platform.Spec{Name: name, Argv: argv, Env: environment(l.dir), Dir: dir, Log: s.log})
	return err
}

// args are JMeter's own, for a server that logs to that file.
func (s *server) args(log, properties string) []string {
	return []string{"-s", "-j", log, "-q", properties, "-Dserver_port=" + strconv.Itoa(s.port), "-Jbakeoff.server=" + strconv.Itoa(s.index)}
}

// names chooses logs that no earlier server of the run has written, also before the run was resumed: what is in them is
// taken for what this one says.
func (s *server) names(dir string) (name string, err error) {
	for n := s.epoch; ; n++ {
		name = fmt.Sprintf("jmeter-server-%d", s.index)
		if n > 1 {
			name = fmt.Sprintf("%s-%d", name, n)
		}
		s.log, s.own = filepath.Join(dir, name+".log"), filepath.Join(dir, name+"-jmeter.log")
		_, logErr := os.Lstat(s.log)
		_, ownErr := os.Lstat(s.own)
		if errors.Is(logErr, os.ErrNotExist) && errors.Is(ownErr, os.ErrNotExist) {
			return name, nil
		}
		if err := errors.Join(logErr, ownErr); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
}

// serverDir holds a server's keys; those of one elsewhere only until they are there.
func (l *Loader) serverDir(index int) string {
	return filepath.Join(l.dir, fmt.Sprintf("server-%d", index))
}

// first puts a command before what it loads, where that is allowed: a JVM that waits for the processor starts its threads too late, and
// its answers seem late. A session is scheduled as a whole (sched(7), autogroup), so its niceness counts, and that of the process where
// there are no such groups.
const first = `{ echo -10 >/proc/self/autogroup; } 2>/dev/null
[ "$(nice -n -10 nice 2>/dev/null)" -lt "$(nice)" ] 2>/dev/null && exec nice -n -10 "$@"
exec "$@"`

// java is the command of a JVM on this machine up to JMeter's own arguments.
func (l *Loader) java(flags []string, host, dir string) []string {
	return append([]string{"/bin/sh", "-c", first, "first", l.o.Java.Path}, l.jvm(flags, host, dir)...)
}

// jvm are the arguments of a JVM up to JMeter's own; others reach it at host, and dir is where it may keep what it remembers.
func (l *Loader) jvm(flags []string, host, dir string) []string {
	return append(slices.Clone(flags), "-Djava.awt.headless=true", "-Djava.rmi.server.hostname="+host,
		"-Djava.util.prefs.userRoot="+dir, "-jar", l.o.Home.Jar())
}

// environment is that of every JVM: nothing of the user's.
func environment(home string) []string {
	return []string{"LC_ALL=C.UTF-8", "HOME=" + home, "PATH=/usr/bin:/bin"}
}

// await waits until the server takes orders.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, serverWithin, fmt.Errorf("it took no orders within %s", serverWithin))
	defer cancel()
	err := platform.Await(ctx, s.process, func(context.Context) (bool, error) {
		text, err := s.said()
		if err != nil {
			return false, err
		}
		return strings.Contains(text, "Bound to RMI registry on port"), s.refusal(text)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, platform.ErrEnded):
		return fmt.Errorf("jmeter: server %d ended (%s) before it took orders: %s", s.index, s.process.Exit(), platform.LogTail(s.log))
	case ctx.Err() != nil:
		return fmt.Errorf("jmeter: server %d: %w: %s", s.index, context.Cause(ctx), platform.LogTail(s.log))
	}
	return fmt.Errorf("jmeter: server %d: %w", s.index, err)
}

// said is what both logs say. The registry is bound some time after the output says that the engine was made.
func (s *server) said() (string, error) {
	var all strings.Builder
	for _, name := range slices.Compact([]string{s.log, s.own}) {
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		all.Write(text)
	}
	return all.String(), nil
}

// refusal is what a server says where it cannot listen: it goes on without its registry then, and nobody reaches it.
func (s *server) refusal(log string) error {
	for _, words := range []string{"Listen failed on port", "Port already in use"} {
		if strings.Contains(log, words) {
			return fmt.Errorf("its port %d is taken by another process", s.port)
		}
	}
	return nil
}

// ended reports whether the process is gone, and how.
func (s *server) ended() (string, bool) {
	select {
	case <-s.process.Done():
		return fmt.Sprintf("its JVM is gone: %s", s.process.Exit()), true
	default:
		return "", false
	}
}

// answers reports whether the JVM moves: it begins a TLS handshake. A frozen one does not, though its port takes connections.
func (s *server) answers(ctx context.Context) error {
	dialer := &net.Dialer{Timeout: answerWithin}
	conn, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerWithin))
	heard := &hearing{Conn: conn}
	// Nothing is sent to it or believed of it: that it says anything is enough, even that it wants a certificate.
	err = tls.Client(heard, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
	if heard.bytes > 0 {
		return nil
	}
	return err
}

// hearing counts what is read from a connection.
type hearing struct {
	net.Conn
	bytes int
}

func (h *hearing) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.bytes += n
	return n, err
}
