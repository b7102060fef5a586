package balancer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"
)

// Counter asks an nginx how many requests it has taken.
type Counter struct {
	status  string
	client  *http.Client
	scrapes atomic.Int64
}

// NewCounter asks the nginx whose counter is at that host:port, as Site says. Nobody else may ask it.
func NewCounter(address string) *Counter {
	return &Counter{status: "http://" + address + "/status", client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}}
}

var requestsLine = regexp.MustCompile(`(?m)^ *\d+ +\d+ +(\d+) *$`)

// Requests returns how many requests nginx has taken since its start, less
// those of this method.
func (c *Counter) Requests(ctx context.Context) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.status, nil)
	if err != nil {
		return 0, fmt.Errorf("balancer: %w", err)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("balancer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return 0, fmt.Errorf("balancer: %w", err)
	}
	own := c.scrapes.Add(1)
	found := requestsLine.FindSubmatch(body)
	if found == nil {
		return 0, fmt.Errorf("balancer: status page says %q", body)
	}
	total, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("balancer: %w", err)
	}
	return total - own, nil
}

// Disconnect closes the counter's idle connections.
func (c *Counter) Disconnect() { c.client.CloseIdleConnections() }
