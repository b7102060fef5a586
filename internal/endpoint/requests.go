package endpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strconv"
	"strings"

	"bakeoff/internal/load"
	"bakeoff/internal/splitmix"
)

// Contract is the name by which agents know the workload of this package: any
// request, judged by its answer's status and, where asked for, a text in its body.
const Contract = "requests"

// Spec is all an agent needs to know of it. It travels as JSON.
type Spec struct {
	// Targets are the request targets by URL, cut where a key goes.
	Targets [][]string `json:"targets"`
	// Keys is the absolute path of the file of keys, empty where there is none;
	// Digest is its SHA-256 in hex: a file that changes during that time is refused.
	Keys   string `json:"keys,omitempty"`
	Digest string `json:"digest,omitempty"`
	Seed   uint64 `json:"seed"`
	Status string `json:"status"` // right ones, such as "2xx,404"
	// Filled says that header or body have places for a key, {key}.
	Filled bool `json:"filled,omitempty"`
	// Body, where it is not empty, is a text that a right answer's body contains.
	Body string `json:"body,omitempty"`
}

// Requests is the workload; see load.Workload.
type Requests struct {
	spec  Spec
	body  []byte
	keys  []string // percent-encoded
	plain [][]byte // as they are, where they are asked for so
	right [1000]bool
}

// NewRequests makes the workload of a Spec in JSON.
func NewRequests(raw json.RawMessage) (load.Workload, error) {
	r := &Requests{}
	if err := json.Unmarshal(raw, &r.spec); err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	r.body = []byte(r.spec.Body)
	if err := r.allow(r.spec.Status); err != nil {
		return nil, err
	}
	if r.spec.Keys == "" {
		if slices.ContainsFunc(r.spec.Targets, func(t []string) bool { return len(t) != 1 }) {
			return nil, errNoKeys
		}
		return r, nil
	}
	lines, digest, err := readLines(r.spec.Keys)
	if err == nil && digest != r.spec.Digest {
		err = fmt.Errorf("keys: %s has changed since it was first read", r.spec.Keys)
	}
	r.keys = escaped(lines)
	if r.spec.Filled {
		r.plain = lines
	}
	return r, err
}

// KeyMark stands where a key goes in header and body; see load.ByKey.
func (r *Requests) KeyMark() string {
	if !r.spec.Filled {
		return ""
	}
	return keyMark
}

// AppendKey appends the request's key as it is.
func (r *Requests) AppendKey(dst []byte, stream, n uint64) []byte {
	return append(dst, r.plain[r.pick(stream, n)]...)
}

// CheckStatus says what is wrong with a list of right statuses, or nil.
func CheckStatus(list string) error { return new(Requests).allow(list) }

// allow notes the statuses that are right: "204", or "2xx" for all of a hundred.
func (r *Requests) allow(list string) error {
	for word := range strings.SplitSeq(list, ",") {
		low, span := strings.TrimSpace(word), 1
		if digit, ok := strings.CutSuffix(low, "xx"); ok {
			low, span = digit+"00", 100
		}
		n, err := strconv.Atoi(low)
		if err != nil || n < 200 || n+span > len(r.right) {
			return fmt.Errorf("status %q is neither a number from 200 to 999 nor a class such as 2xx", word)
		}
		for i := range span {
			r.right[n+i] = true
		}
	}
	return nil
}

// AppendTarget is AppendTargetOf the first URL.
func (r *Requests) AppendTarget(dst []byte, stream, n uint64) []byte {
	return r.AppendTargetOf(dst, 0, stream, n)
}

// AppendTargetOf appends the target of a URL with the request's key in every place for one.
func (r *Requests) AppendTargetOf(dst []byte, url int, stream, n uint64) []byte {
	parts := r.spec.Targets[url]
	dst = append(dst, parts[0]...)
	if len(parts) == 1 {
		return dst
	}
	key := r.keys[r.pick(stream, n)]
	for _, part := range parts[1:] {
		dst = append(dst, key...)
		dst = append(dst, part...)
	}
	return dst
}

// pick is the index of a request's key: each is equally likely, and a pure function of seed, stream and n.
func (r *Requests) pick(stream, n uint64) uint64 {
	index, _ := bits.Mul64(splitmix.Mix(splitmix.Mix(splitmix.Mix(r.spec.Seed)^stream)^n), uint64(len(r.keys)))
	return index
}

// RightStatus reports whether an answer of that status is ok.
func (r *Requests) RightStatus(status int) bool {
	return status >= 0 && status < len(r.right) && r.right[status]
}

// Check judges the body of an answer: "" or "wrong body".
func (r *Requests) Check(_, _ uint64, _ int, body []byte) string {
	if !bytes.Contains(body, r.body) {
		return "wrong body"
	}
	return ""
}

func (r *Requests) Length(uint64, uint64, int64) bool    { return true }
func (r *Requests) Hit(uint64, uint64) (hit, known bool) { return false, false }

var (
	errNoKeys    = errors.New("keys: there are none, but a target contains {key}")
	errEmptyKeys = errors.New("keys: the file contains no key")
	// ErrTooManyKeys is a file beyond KeysLimit.
	ErrTooManyKeys = errors.New("keys: the file is larger than 1 GiB")
)

// KeysLimit bounds the file of keys, in bytes.
const KeysLimit = 1 << 30

// ReadKeys reads one key a line, empty lines left out, and returns them percent-encoded.
func ReadKeys(path string) (keys []string, digest string, err error) {
	lines, digest, err := readLines(path)
	return escaped(lines), digest, err
}

// CheckPlain says which key cannot be part of a header as it is, or nil.
func CheckPlain(path string) error {
	lines, _, err := readLines(path)
	for i, line := range lines {
		if bytes.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return fmt.Errorf("keys: key %d, %q, holds a control character and cannot be part of a header", i+1, line)
		}
	}
	return err
}

func escaped(lines [][]byte) []string {
	var keys []string
	for _, line := range lines {
		keys = append(keys, escapeKey(line))
	}
	return keys
}

// readLines reads one key a line, empty lines left out.
func readLines(path string) (lines [][]byte, digest string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", fmt.Errorf("keys: %w", err)
	}
	if info.Size() > KeysLimit {
		return nil, "", ErrTooManyKeys
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("keys: %w", err)
	}
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))) { // a byte order mark is no part of a key
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil, "", errEmptyKeys
	}
	sum := sha256.Sum256(data)
	return lines, hex.EncodeToString(sum[:]), nil
}

// escapeKey percent-encodes every byte that is not unreserved (RFC 3986,
// 2.3), so that a key is one piece of a path or a query whatever it holds.
func escapeKey(key []byte) string {
	const unreserved = "-._~"
	var b strings.Builder
	for _, c := range key {
		if isAlphanumeric(c) || strings.IndexByte(unreserved, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
