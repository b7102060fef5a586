package endpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

const (
	answerWithin = 10 * time.Second // bounds one request of a probe
	shown        = 60               // characters of a body that a detail shows
)

// Probe asks an endpoint a few times, as the engines will, and looks whether
// every answer is right. The request's target must have no place for a key.
type Probe struct {
	Endpoint
	HTTP2  bool
	TLS    load.TLS
	Status int
	Body   string // what the body of a right answer contains; empty: any
	// On each of that many connections, side by side, that many requests are sent one after the other.
	Connections, Each int
}

// Found is what a probe found.
type Found struct {
	Checks   []record.Check
	Answered int // requests that had a whole answer
}

// probed is what became of one request.
type probed struct {
	err    error
	status int
	body   []byte
}

// Check sends the probe's requests; when is "before" or "after" the load. An
// endpoint that does not answer is no error: only the end of ctx is one.
func (p Probe) Check(ctx context.Context, when string) (Found, error) {
	answers := make([][]probed, p.Connections)
	var opened counter
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() { answers[i] = p.ask(ctx, &opened) })
	}
	wait.Wait()
	if ctx.Err() != nil {
		return Found{}, context.Cause(ctx)
	}
	return p.judge(when, answers, opened.n), nil
}

// counter counts for several goroutines.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

// ask sends one connection's requests, until one has no answer.
func (p Probe) ask(ctx context.Context, opened *counter) []probed {
	dialer := net.Dialer{Timeout: answerWithin}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, p.Dial)
			if err == nil {
				opened.add()
			}
			return conn, err
		},
		DisableCompression: true, MaxConnsPerHost: 1, MaxResponseHeaderBytes: 64 << 10,
	}
	if p.HTTP2 {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP2(true)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	config, err := p.TLS.Config()
	if err != nil {
		return []probed{{err: err}}
	}
	transport.TLSClientConfig = config
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport, Timeout: answerWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var out []probed
	for range p.Each {
		one := p.one(ctx, client)
		out = append(out, one)
		if one.err != nil {
			break
		}
	}
	return out
}

// one sends one request, with no header that the engines do not send either.
func (p Probe) one(ctx context.Context, client *http.Client) probed {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Base+p.Target[0], nil)
	if err != nil {
		return probed{err: err}
	}
	request.Header.Set("User-Agent", "")
	answer, err := client.Do(request)
	if err != nil {
		return probed{err: plain(err)}
	}
	defer answer.Body.Close()
	if p.HTTP2 && answer.ProtoMajor != 2 {
		return probed{err: errors.New("the server does not agree on HTTP/2")}
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, load.DefaultBodyLimit+1))
	switch {
	case err != nil:
		return probed{err: plain(err)}
	case len(body) > load.DefaultBodyLimit:
		return probed{err: fmt.Errorf("a body of more than %d bytes", load.DefaultBodyLimit)}
	}
	return probed{status: answer.StatusCode, body: body}
}

// plain is an error without the client's words around it.
func plain(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("nothing within %v", answerWithin)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return op
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// judge makes the checks of all answers together.
func (p Probe) judge(when string, connections [][]probed, opened int) Found {
	var failed error
	var right, contained int
	var wrong, other probed // the last answers that are not as they should be
	found := Found{}
	for _, answers := range connections {
		for _, a := range answers {
			if a.err != nil {
				failed = a.err
				continue
			}
			found.Answered++
			if a.status == p.Status {
				right++
			} else {
				wrong = a
			}
			if bytes.Contains(a.body, []byte(p.Body)) {
				contained++
			} else {
				other = a
			}
		}
	}
	all := p.Connections * p.Each
	if found.Answered == 0 {
		found.Checks = []record.Check{{When: when, Name: "answers", Detail: fmt.Sprint(failed)}}
		return found
	}
	add := func(name string, ok bool, good, bad string) {
		detail := good
		if !ok {
			detail = bad
		}
		found.Checks = append(found.Checks, record.Check{When: when, Name: name, OK: ok, Detail: detail})
	}
	add("answers", failed == nil, fmt.Sprintf("%d of %d, %s opened", found.Answered, all, show.Plural(opened, "connection")),
		fmt.Sprintf("%d of %d; %v", found.Answered, all, failed))
	add("status", right == found.Answered, fmt.Sprintf("%d each time", p.Status),
		fmt.Sprintf("%d in %d of %d answers, not %d", wrong.status, found.Answered-right, found.Answered, p.Status))
	if p.Body != "" {
		add("body", contained == found.Answered, fmt.Sprintf("holds %s each time", show.Quote(p.Body, shown)),
			fmt.Sprintf("does not hold %s in %d of %d answers, it is %s", show.Quote(p.Body, shown), found.Answered-contained, found.Answered, show.Excerpt(string(other.body), shown)))
	}
	return found
}
