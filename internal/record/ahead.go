package record

import (
	"bytes"
	"iter"
	"runtime"
	"slices"
	"sync"
)

// ahead is how many lines are decoded at a time on one core.
const ahead = 32

// decoded is a line's content, or what is wrong with it.
type decoded[T any] struct {
	number int
	value  T
	err    error
}

// decodeAhead yields what the lines hold, in their order. Decoding costs ten times what reading does, so that it is
// done on every core; it runs ahead by as many batches of lines as there are cores.
func decodeAhead[T any](in iter.Seq[line], decode func([]byte) (T, error)) iter.Seq[decoded[T]] {
	return func(yield func(decoded[T]) bool) {
		stop := make(chan struct{})
		batches := make(chan chan []decoded[T], runtime.GOMAXPROCS(0)) // in order; each holds its lines once they are decoded
		var working sync.WaitGroup
		working.Go(func() {
			defer close(batches)
			for batch := range chunks(in) {
				out := make(chan []decoded[T], 1)
				select {
				case batches <- out:
				case <-stop:
					return
				}
				working.Go(func() { out <- decodeAll(batch, decode) })
			}
		})
		defer working.Wait()
		defer close(stop)
		for out := range batches {
			for _, d := range <-out {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// decodeAsked is decodeAhead on the core of who asks, a line at a time.
func decodeAsked[T any](in iter.Seq[line], decode func([]byte) (T, error)) iter.Seq[decoded[T]] {
	return func(yield func(decoded[T]) bool) {
		for l := range in {
			if !yield(decodeOne(l, decode)) {
				return
			}
		}
	}
}

// chunks yields the lines in batches, as copies that last.
func chunks(in iter.Seq[line]) iter.Seq[[]line] {
	return func(yield func([]line) bool) {
		var batch []line
		for l := range in {
			l.record = bytes.Clone(l.record)
			if batch = append(batch, l); len(batch) < ahead {
				continue
			}
			if !yield(batch) {
				return
			}
			batch = nil
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}

func decodeAll[T any](batch []line, decode func([]byte) (T, error)) []decoded[T] {
	out := slices.Grow([]decoded[T](nil), len(batch))
	for _, l := range batch {
		out = append(out, decodeOne(l, decode))
	}
	return out
}

func decodeOne[T any](l line, decode func([]byte) (T, error)) decoded[T] {
	d := decoded[T]{number: l.number, err: l.err}
	if d.err == nil {
		d.value, d.err = decode(l.record)
	}
	return d
}
