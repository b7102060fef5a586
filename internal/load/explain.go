package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode"
)

// exampleBytes bounds the words of one example.
const exampleBytes = 240

// Stages of a request, for anyone who wants to know where it ended.
const (
	stageOpening   = "while connecting"
	stageAgreeing  = "during the TLS handshake"
	stageWriting   = "while the request was written"
	stageWaiting   = "before the first byte of an answer"
	stageAnswering = "in the middle of an answer"
)

// explain says in words why a request failed: what, where, and at which stage. What a
// request carries that may be secret, a value of its header or its query, is masked wherever it
// stands, since servers repeat it.
func (j *Job) explain(r *result) string {
	address, limit := "", j.Phase.BodyLimit
	if r.origin != nil {
		address = r.origin.address
	}
	err := r.cause
	words := bare(err)
	switch {
	case r.class == classTimeout && (errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, os.ErrDeadlineExceeded)):
		words = fmt.Sprintf("no whole answer from %s within %v, it ended %s", address, j.Phase.Timeout, r.stage)
	case errors.Is(err, syscall.ECONNREFUSED):
		words = "connection refused by " + address
	case r.class == classReset:
		words = fmt.Sprintf("%s by %s %s", words, address, r.stage)
	case errors.Is(err, errNoAnswer):
		words = fmt.Sprintf("connection closed by %s %s", address, r.stage)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		words = fmt.Sprintf("connection closed by %s %s", address, r.stage)
	case errors.Is(err, errBodyLimit):
		words = fmt.Sprintf("a body of more than %d bytes from %s", limit, address)
	default:
		words += " (" + address + ")"
	}
	return j.masked(words, r)
}

// bare is an error's text without what the stage and the address say already.
func bare(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op != "remote error" && op.Op != "local error" {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err.Error()
}

// secrets are all values of the request's header and of its query, longest first.
func (j *Job) secrets(r *result) []string {
	var out []string
	for _, f := range j.Header {
		value := j.filled(f.Value, r.stream, r.n)
		out = append(append(out, value), strings.Fields(value)...)
	}
	if r.origin != nil {
		target := j.appendTarget(nil, r.origin, r.stream, r.n)
		_, query, _ := strings.Cut(string(target), "?")
		out = append(out, query)
		for pair := range strings.SplitSeq(query, "&") {
			_, value, _ := strings.Cut(pair, "=")
			out = append(out, value)
			if plain, err := url.QueryUnescape(value); err == nil && plain != value { // servers repeat it so, too
				out = append(out, plain)
			}
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out
}

// leastSecret is how long a value is at least that is masked: shorter ones are words of any text.
const leastSecret = 4

// masked leaves out what may be secret, and what a terminal would not show as text.
func (j *Job) masked(words string, r *result) string {
	for _, secret := range j.secrets(r) {
		if len(secret) >= leastSecret {
			words = strings.ReplaceAll(words, secret, "***")
		}
	}
	words = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(words, "?"))
	if len(words) > exampleBytes {
		words = strings.ToValidUTF8(words[:exampleBytes], "") + "..."
	}
	return words
}
