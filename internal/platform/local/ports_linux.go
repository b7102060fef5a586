package local

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"bakeoff/internal/platform"
)

// ports gives out each port once. They lie below the range from which the
// kernel takes the ports of outgoing connections: the load opens many
// thousands of those, and one of them could sit on a port that a target is
// about to listen on. An abstract socket per port, held until release, keeps
// runs that share the machine from choosing the same one.
type ports struct {
	mu     sync.Mutex
	given  map[int]bool
	claims []int
	closed bool
}

const (
	lowestPort = 10000
	portTries  = 1000
)

// Port implements platform.Platform.
func (p *Platform) Port(ctx context.Context) (int, error) {
	low, high := portRange()
	for range portTries {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("local: port: %w", err)
		}
		port := low + rand.IntN(high-low)
		ok, err := p.ports.claim(port)
		if err != nil {
			return 0, fmt.Errorf("local: port: %w", err)
		}
		if ok {
			return port, nil
		}
	}
	return 0, fmt.Errorf("local: port: none free between %d and %d in %d tries", low, high-1, portTries)
}

// portRange is [lowestPort, first port of outgoing connections), or what lies
// above that range where it begins too low.
func portRange() (low, high int) {
	first, last := 32768, 60999
	if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(data), &first, &last)
	}
	if first-lowestPort >= portTries {
		return lowestPort, first
	}
	if 65536-last > portTries {
		return last + 1, 65536
	}
	return lowestPort, 65536
}

// claim takes a port that is free now and was not given before.
func (s *ports) claim(port int) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, platform.ErrClosed
	}
	if s.given[port] {
		return false, nil
	}
	claim, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	name := fmt.Sprintf("@bakeoff-port-%d", port)
	if unix.Bind(claim, &unix.SockaddrUnix{Name: name}) != nil || !free(port) {
		unix.Close(claim)
		return false, nil
	}
	if s.given == nil {
		s.given = map[int]bool{}
	}
	s.given[port] = true
	s.claims = append(s.claims, claim)
	return true, nil
}

// free binds the port on all addresses without listening; that fails when
// anyone listens on any of them, or a connection still lingers on it.
func free(port int) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet4{Port: port}) == nil
}

func (s *ports) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, claim := range s.claims {
		unix.Close(claim)
	}
	s.claims = nil
}
