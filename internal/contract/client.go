package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bakeoff/internal/show"
)

const (
	askTimeout  = 5 * time.Second // for one request, connecting and reading included
	answerLimit = 64 << 10        // bytes of a header, and of a body
	giveUpAfter = 3               // requests in a row without an answer, after which an endpoint is asked no more
)

// Errors that stand for the answer of an endpoint that is asked no more.
var (
	errGivenUp = errors.New("not asked: the earlier requests had no answer")
	errTooLong = errors.New("not asked: the check takes too long")
)

// answer is one whole answer, or the reason why there is none.
type answer struct {
	status int
	header http.Header
	body   []byte
	shown  string // the start of the body in quotes, without secrets
	asked  time.Time
	read   time.Time // when the last byte was there
	err    error
}

// asker sends single requests over kept connections, with the header that requests under load have: nothing but Host, and
// Connection: close as the connections say. It neither retries nor
// follows redirects, nor speaks to proxies. It is safe for concurrent use.
type asker struct {
	client *http.Client
	hide   *strings.Replacer // takes secrets out
	until  time.Time         // nothing is asked any more
	closed Connections
	sent   atomic.Int64

	mu     sync.Mutex
	silent map[string]int // URL to requests without an answer in a row
}

// Connections say which requests under load have a connection of their own.
type Connections int

// They are kept from request to request, closed after each, or both, as phases differ.
const (
	Kept Connections = iota
	Closed
	KeptAndClosed
)

func newAsker(hide *strings.Replacer, most time.Duration, connections Connections) *asker {
	return &asker{
		closed: connections,
		hide:   hide,
		until:  time.Now().Add(most),
		silent: map[string]int{},
		client: &http.Client{
			Timeout: askTimeout,
			Transport: &http.Transport{
				DisableCompression:     true,
				MaxIdleConnsPerHost:    atOnce,
				MaxResponseHeaderBytes: answerLimit,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// dial has connections to the host of a base URL be made to an address; empty: to that host.
func (a *asker) dial(base, to string) {
	transport, ok := a.client.Transport.(*http.Transport)
	u, err := url.Parse(base)
	if to == "" || !ok || err != nil {
		return
	}
	host, dialer := u.Host, net.Dialer{}
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "80")
	}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == host {
			address = to
		}
		return dialer.DialContext(ctx, network, address)
	}
}

func (a *asker) close() { a.client.CloseIdleConnections() }

// ask sends one request for base + path.
func (a *asker) ask(ctx context.Context, method, base, path string) answer {
	if err := a.giveUp(base); err != nil {
		return answer{err: err}
	}
	out := a.exchange(ctx, method, base+path)
	a.note(base, out.err)
	return out
}

// giveUp is why an endpoint is asked no more, or nil.
func (a *asker) giveUp(base string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.silent[base] >= giveUpAfter:
		return errGivenUp
	case time.Now().After(a.until):
		return errTooLong
	}
	return nil
}

func (a *asker) note(base string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.silent[base] = 0
	} else {
		a.silent[base]++
	}
}

func (a *asker) exchange(ctx context.Context, method, address string) answer {
	out := answer{asked: time.Now()}
	var body io.Reader
	if method == http.MethodGet {
		body = unrepeatable{}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("User-Agent", "") // none is sent
	req.Close = a.closed == Closed || a.closed == KeptAndClosed && a.sent.Add(1)%2 == 0
	res, err := a.client.Do(req)
	if err != nil {
		return answer{err: plain(err)}
	}
	defer res.Body.Close()
	out.status, out.header = res.StatusCode, res.Header
	out.body, err = io.ReadAll(io.LimitReader(res.Body, answerLimit+1))
	out.read = time.Now()
	out.shown = show.Excerpt(a.hide.Replace(string(out.body)), 160)
	switch {
	case err != nil:
		out.err = fmt.Errorf("status %d, then the body broke off after %d bytes: %w", res.StatusCode, len(out.body), plain(err))
	case len(out.body) > answerLimit:
		out.err = fmt.Errorf("status %d with a body of more than %d bytes", res.StatusCode, answerLimit)
	}
	return out
}

// unrepeatable is an empty request body that net/http cannot replay: without
// one it sends a GET again, silently, when a kept connection breaks.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }

// plain takes method and URL off an error of net/http: they are said elsewhere.
func plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// hider returns what takes secrets out of a text, as they are and as they look in
// quotes, in JSON and in a URL.
func hider(secrets []string) *strings.Replacer {
	var pairs []string
	for _, secret := range secrets {
		quoted, encoded := strconv.Quote(secret), []byte(`""`)
		if b, err := json.Marshal(secret); err == nil {
			encoded = b
		}
		for _, form := range []string{secret, quoted[1 : len(quoted)-1], string(encoded[1 : len(encoded)-1]), url.QueryEscape(secret), url.PathEscape(secret)} {
			if form != "" {
				pairs = append(pairs, form, "***")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// demoPath is the path that asks for a key: everything but letters and digits is escaped.
func demoPath(key string) string {
	const plainBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var b strings.Builder
	b.WriteString("/demo?name=")
	for i := range len(key) {
		if strings.IndexByte(plainBytes, key[i]) >= 0 {
			b.WriteByte(key[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", key[i])
		}
	}
	return b.String()
}
