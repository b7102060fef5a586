package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/record"
)

// ErrAway is returned when the controller did not answer for a minute.
var ErrAway = errors.New("the controller does not answer")

// A StatusError is an answer of the controller, or of what is between, other than the one that was asked for.
type StatusError struct {
	Status int
	Text   string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, http.StatusText(e.Status), e.Text)
}

// final reports whether asking again would change nothing: a controller that starts, or a proxy that has lost it, answers
// with 404 or a status from 500 on.
func (e *StatusError) final() bool {
	return e.Status < 500 && e.Status != http.StatusNotFound && e.Status != http.StatusTooManyRequests
}

// Client is the laptop's side.
type Client struct {
	base, token string
	http        *http.Client
	gone        func(context.Context) error
	outcome     *Outcome
}

// NewClient talks to a controller at a base URL. gone is asked after every failure, and says why the controller cannot come
// back; nil: it may.
func NewClient(transport http.RoundTripper, base, token string, gone func(context.Context) error) *Client {
	if gone == nil {
		gone = func(context.Context) error { return nil }
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token is not for others
	return &Client{
		base: strings.TrimSuffix(base, "/"), token: token, http: &http.Client{Transport: transport, CheckRedirect: stay}, gone: gone,
	}
}

// State is how the run stands.
func (c *Client) State(ctx context.Context) (State, error) {
	var out State
	return out, c.again(ctx, func(ctx context.Context, _ func()) error { return c.get(ctx, "/run", &out) })
}

// Stop ends the run as Ctrl-C does. It returns at once.
func (c *Client) Stop(ctx context.Context) error {
	return c.again(ctx, func(ctx context.Context, _ func()) error { return c.post(ctx, "/stop") })
}

// Ack says that everything was fetched: the controller may end, and its disk with it.
func (c *Client) Ack(ctx context.Context) error {
	return c.again(ctx, func(ctx context.Context, _ func()) error { return c.post(ctx, "/ack") })
}

// again tries until try succeeds, fails for good, or the controller was out of reach for a minute. try calls its second
// argument whenever it hears of the controller.
func (c *Client) again(ctx context.Context, try func(ctx context.Context, heard func()) error) error {
	last, wait := time.Now(), soon
	for {
		err := try(ctx, func() { last, wait = time.Now(), soon })
		var status *StatusError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &status) && status.final(), errors.Is(err, errForGood):
			return fmt.Errorf("remote: %w", err)
		}
		if why := c.gone(ctx); why != nil {
			return fmt.Errorf("remote: %w", why)
		}
		if time.Since(last)+wait > patience {
			return fmt.Errorf("remote: %w: for %v nothing but: %w", ErrAway, patience, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// soon is how long after a failure it is tried again, at first.
const soon = 100 * time.Millisecond

// errForGood is wrapped by errors after which asking again would change nothing.
var errForGood = errors.New("the controller's answer cannot be used")

// do sends one request and returns the answer, whose body the caller closes, if its status is one of those that are right.
func (c *Client) do(r *http.Request, right ...int) (*http.Response, error) {
	r.Header.Set(TokenHeader, c.token)
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	for _, status := range right {
		if answer.StatusCode == status {
			return answer, nil
		}
	}
	defer answer.Body.Close() // only read
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	return nil, &StatusError{answer.StatusCode, strings.TrimSpace(string(text))}
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, method, c.base+path, body)
}

// shortly bounds a request whose answer is a few bytes.
func shortly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, silence)
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	ctx, cancel := shortly(ctx)
	defer cancel()
	r, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	answer, err := c.do(r, http.StatusOK)
	if err != nil {
		return err
	}
	defer answer.Body.Close() // only read
	return json.NewDecoder(answer.Body).Decode(into)
}

func (c *Client) post(ctx context.Context, path string) error {
	ctx, cancel := shortly(ctx)
	defer cancel()
	r, err := c.request(ctx, http.MethodPost, path, nil)
	if err != nil {
		return err
	}
	answer, err := c.do(r, http.StatusNoContent)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// escaped is a path as one of a URL.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// Fetch brings a copy up to what the controller has that does not change any more: the finished trials, and once the run has
// ended everything. A file that is replaced while it is fetched is fetched again.
func (c *Client) Fetch(ctx context.Context, to *record.Copy) error {
	for attempt := 1; ; attempt++ {
		err := c.fetch(ctx, to)
		if !errors.Is(err, record.ErrDiffers) || attempt == 4 {
			return err
		}
	}
}

func (c *Client) fetch(ctx context.Context, to *record.Copy) error {
	var list []record.FileSeal
	if err := c.again(ctx, func(ctx context.Context, _ func()) error { list = nil; return c.get(ctx, "/files", &list) }); err != nil {
		return err
	}
	for _, s := range list {
		if err := to.Take(s, func(from int64, w io.Writer) error { return c.download(ctx, s, from, w) }); err != nil {
			return err
		}
	}
	return nil
}

// download writes the bytes of a file from one on, however often the connection is cut.
func (c *Client) download(ctx context.Context, s record.FileSeal, from int64, w io.Writer) error {
	return c.again(ctx, func(ctx context.Context, heard func()) error {
		if from == s.Size {
			return nil
		}
		n, err := c.rangeOf(ctx, s, from, w)
		if from += n; n > 0 {
			heard()
		}
		return err
	})
}

// rangeOf writes what one request brings of a file, which ends when nothing comes.
func (c *Client) rangeOf(ctx context.Context, s record.FileSeal, from int64, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := c.request(ctx, http.MethodGet, "/file/"+escaped(s.Path), nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, s.Size-1))
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	answer, err := c.do(r, http.StatusPartialContent)
	if shorter(err) {
		return 0, fmt.Errorf("%w: %w", errForGood, record.ErrDiffers)
	}
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close() // only read
	out := &counted{w: w, alive: func() { dead.Reset(silence) }}
	_, err = io.Copy(out, io.LimitReader(answer.Body, s.Size-from))
	if out.err != nil {
		return out.n, fmt.Errorf("%w: %w", errForGood, out.err)
	}
	if err == nil && out.n < s.Size-from {
		err = io.ErrUnexpectedEOF
	}
	return out.n, err
}

// Tail is what a file that grows has from one of its bytes on, a piece at most; nothing where there is no more, or no such file yet. It
// is asked for once.
func (c *Client) Tail(ctx context.Context, path string, from int64) ([]byte, error) {
	ctx, cancel := shortly(ctx)
	defer cancel()
	r, err := c.request(ctx, http.MethodGet, "/file/"+escaped(path), nil)
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, from+piece-1))
	answer, err := c.do(r, http.StatusPartialContent)
	var status *StatusError
	if shorter(err) || errors.As(err, &status) && status.Status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	defer answer.Body.Close() // only read
	more, err := io.ReadAll(io.LimitReader(answer.Body, piece))
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	return more, nil
}

// shorter reports whether the file no longer has the bytes that were asked for.
func shorter(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Status == http.StatusRequestedRangeNotSatisfiable
}

// counted counts what was written, and says that something was.
type counted struct {
	w     io.Writer
	n     int64
	err   error // of writing
	alive func()
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.err = err
	c.alive()
	return n, err
}

// Upload sends what is proven of a run to a controller that resumes it, in pieces, however often the connection is cut.
func (c *Client) Upload(ctx context.Context, dir, name string) error {
	list, err := record.Files(dir, false)
	if err != nil {
		return err
	}
	run := "run=" + url.QueryEscape(name)
	for _, s := range list {
		if err := c.uploadFile(ctx, dir, run, s); err != nil {
			return err
		}
	}
	return c.again(ctx, func(ctx context.Context, _ func()) error { return c.post(ctx, "/record?"+run) })
}

func (c *Client) uploadFile(ctx context.Context, dir, run string, s record.FileSeal) error {
	file, err := record.OpenFile(dir, s.Path)
	if err != nil {
		return err
	}
	defer file.Close() // opened for reading
	buffer := make([]byte, piece)
	for at := int64(0); ; {
		part := buffer[:min(piece, s.Size-at)]
		if _, err := file.ReadAt(part, at); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("remote: %w", err)
		}
		err := c.again(ctx, func(ctx context.Context, _ func()) (err error) {
			at, err = c.put(ctx, "/record/"+escaped(s.Path)+"?"+run+"&offset="+strconv.FormatInt(at, 10), at, part)
			part = nil // after a cut it is asked first how much has arrived
			return err
		})
		if err != nil || at >= s.Size {
			return err
		}
	}
}

// put sends a piece and returns where the next one begins: behind it, or where the controller's file ends.
func (c *Client) put(ctx context.Context, path string, at int64, part []byte) (int64, error) {
	ctx, cancel := shortly(ctx)
	defer cancel()
	r, err := c.request(ctx, http.MethodPost, path, bytes.NewReader(part))
	if err != nil {
		return at, err
	}
	answer, err := c.do(r, http.StatusNoContent, http.StatusRequestedRangeNotSatisfiable)
	if err != nil {
		return at, err
	}
	defer answer.Body.Close() // only read
	size, err := strconv.ParseInt(answer.Header.Get(sizeHeader), 10, 64)
	if err != nil || size < 0 {
		return at, fmt.Errorf("%w: the size of a file is missing", errForGood)
	}
	return size, nil
}
