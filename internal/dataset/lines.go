package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"runtime"
	"strconv"
	"sync"
)

// chunkRows is how many rows are generated at a time: about half a megabyte.
const chunkRows = 4096

// AppendLine appends one row in the form that is loaded and hashed: the id in
// decimal digits, a tab, the name, a line feed.
func AppendLine(dst []byte, id int64, name []byte) []byte {
	dst = strconv.AppendInt(dst, id, 10)
	dst = append(dst, '\t')
	dst = append(dst, name...)
	return append(dst, '\n')
}

// AppendLines appends the lines of rows first to last, both included.
func (d *Dataset) AppendLines(dst []byte, first, last int64) []byte {
	for id := first; id <= last; id++ {
		dst = strconv.AppendInt(dst, id, 10)
		dst = append(dst, '\t')
		dst = d.AppendName(dst, id)
		dst = append(dst, '\n')
	}
	return dst
}

// Digest is "sha256:" and the hexadecimal SHA-256 of all lines (see
// AppendLine) in the order of their ids. The first call computes it from the
// rows.
func (d *Dataset) Digest() string { return d.digest() }

func (d *Dataset) hashLines() string {
	hash := NewDigest()
	_, _ = d.WriteTo(hash)
	return hash.String()
}

// A Digest hashes lines as they are written to it.
type Digest struct {
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
}

// NewDigest returns the digest of no lines.
func NewDigest() *Digest { return &Digest{sha256.New()} }

// Write adds lines; it never fails.
func (h *Digest) Write(p []byte) (int, error) { return h.sum.Write(p) }

// String is the digest of what was written, as "sha256:<hex>".
func (h *Digest) String() string { return "sha256:" + hex.EncodeToString(h.sum.Sum(nil)) }

// WriteTo writes all lines in the order of their ids, generating ahead on
// the other cores. It stops at the first error of w.
func (d *Dataset) WriteTo(w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var written int64
	err := d.generate(ctx, 1, d.Rows(), func(chunk []byte) error {
		n, err := w.Write(chunk)
		written += int64(n)
		return err
	})
	return written, err
}

// Reader returns a reader of the lines of rows first to last, both included,
// generated ahead of the reading. Close ends the generation and waits for it.
func (d *Dataset) Reader(first, last int64) io.ReadCloser {
	ctx, cancel := context.WithCancel(context.Background())
	r := &lineReader{cancel: cancel, chunks: make(chan []byte), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		err := d.generate(ctx, first, last, func(chunk []byte) error {
			select {
			case r.chunks <- chunk:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if r.end = io.ErrClosedPipe; err == nil {
			r.end = io.EOF
		}
	}()
	return r
}

type lineReader struct {
	cancel context.CancelFunc
	chunks chan []byte
	done   chan struct{} // closed when the generation has ended
	end    error         // why; valid then
	rest   []byte
}

// Read copies what is left of the current chunk. After Close it fails unless
// all was read.
func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		select {
		case r.rest = <-r.chunks:
		case <-r.done:
			return 0, r.end
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close ends the generation. It is never an error.
func (r *lineReader) Close() error {
	r.cancel()
	<-r.done
	return nil
}

// generate calls emit with the lines of each chunk of rows, in order, from the
// calling goroutine; chunks are generated ahead by one goroutine per core,
// which are gone when it returns.
func (d *Dataset) generate(ctx context.Context, first, last int64, emit func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	workers := runtime.GOMAXPROCS(0)
	total := int((last - first + chunkRows) / chunkRows)
	ready := make([]chan []byte, workers) // chunk i comes from worker i mod workers
	for w := range workers {
		ready[w] = make(chan []byte, 2)
		wg.Go(func() {
			for i := w; i < total; i += workers {
				from := first + int64(i)*chunkRows
				select {
				case ready[w] <- d.chunk(from, min(from+chunkRows-1, last)):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for i := range total {
		select {
		case chunk := <-ready[i%workers]:
			if err := emit(chunk); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (d *Dataset) chunk(first, last int64) []byte {
	size := int(last-first+1) * ((d.spec.MinLength+d.spec.MaxLength)/2 + 16)
	return d.AppendLines(make([]byte, 0, size), first, last)
}
