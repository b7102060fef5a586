package load

// ring is a queue that grows.
type ring[T any] struct {
	items []T
	first int
	n     int
}

func (q *ring[T]) len() int { return q.n }

func (q *ring[T]) push(v T) {
	if q.n == len(q.items) {
		q.grow()
	}
	q.items[(q.first+q.n)%len(q.items)] = v
	q.n++
}

func (q *ring[T]) grow() {
	bigger := make([]T, max(64, 2*len(q.items)))
	for i := range q.n {
		bigger[i] = q.items[(q.first+i)%len(q.items)]
	}
	q.items, q.first = bigger, 0
}

// head is the oldest item; the ring must not be empty.
func (q *ring[T]) head() T { return q.items[q.first] }

func (q *ring[T]) pop() T {
	var none T
	v := q.items[q.first]
	q.items[q.first] = none
	q.first = (q.first + 1) % len(q.items)
	q.n--
	return v
}
