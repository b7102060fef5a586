package jmeter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strconv"
	"strings"

	"bakeoff/internal/platform"
)

// ServerPort is where a server on a machine of its own listens.
const ServerPort = 1099

// Elsewhere gives each server a machine of its own, on which a Keeper waits for the server's files.
type Elsewhere interface {
	// Start starts a machine for the server of that name, whose output goes to the file log.
	Start(ctx context.Context, name, log string) (Remote, error)
}

// Remote is the machine of one server. It ends when the server's Java does.
type Remote interface {
	platform.Process
	Host() string // address of the machine
	Dir() string  // the server's folder there
	// Put puts a file of that name into the server's folder, Drop removes it.
	Put(ctx context.Context, name string, from io.Reader) error
	Drop(ctx context.Context, name string) error
	// Java starts Java there, once, in the server's folder.
	Java(ctx context.Context, args []string) error
}

// startElsewhere starts a server on a machine of its own. What JMeter logs is in its output there.
func (l *Loader) startElsewhere(ctx context.Context, s *server, name string) error {
	remote, err := l.o.Elsewhere.Start(ctx, name, s.log)
	if err != nil {
		return err
	}
	s.remote, s.process, s.own, s.port = remote, remote, s.log, ServerPort
	s.address = net.JoinHostPort(remote.Host(), strconv.Itoa(ServerPort))
	if err := l.equip(ctx, s); err != nil {
		return errors.Join(err, remote.Stop(context.WithoutCancel(ctx), 0))
	}
	return nil
}

// equip gives a machine what a server needs, and starts it.
func (l *Loader) equip(ctx context.Context, s *server) error {
	if err := s.put(ctx, keystoreFile, l.keystorePath()); err != nil {
		return err
	}
	dir, text := s.remote.Dir(), propertiesText(l.keystorePath(), l.password, l.captures)
	if err := s.remote.Put(ctx, propertiesFile, strings.NewReader(text)); err != nil {
		return err
	}
	return s.remote.Java(ctx, append(l.jvm(l.o.serverFlags(), s.remote.Host(), dir), s.args("/dev/stdout", path.Join(dir, propertiesFile))...))
}

// put puts a file of this machine into the server's folder.
func (s *server) put(ctx context.Context, name, from string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close() // opened for reading
	if err := s.remote.Put(ctx, name, file); err != nil {
		return fmt.Errorf("server %d: %s: %w", s.index, name, err)
	}
	return nil
}
