package dataset

import (
	"fmt"
	"strconv"
)

// Who draws the keys.
const (
	Client = "client" // the load generator: answers follow from their identity
	Server = "server" // the target: the answer carries its key
)

// WorkloadSpec is all an agent needs to know to ask and to judge. It travels
// as JSON.
type WorkloadSpec struct {
	Dataset Spec   `json:"dataset"`
	Seed    uint64 `json:"seed"` // of the keys
	// Salt is a secret on which the order of the keys depends in addition; empty: there is none.
	Salt     string  `json:"salt,omitempty"`
	HitRatio float64 `json:"hit_ratio"`
	Lookups  string  `json:"lookups"` // Client or Server
	// LengthPresent and LengthAbsent are what Overhead is for every answer of this
	// target, learned before the load; -1 means unknown.
	LengthPresent int `json:"length_present"`
	LengthAbsent  int `json:"length_absent"`
	// Moves are the changes of rows that go on at the same time; nil: none.
	Moves *MoveSpec `json:"moves,omitempty"`
}

// Overhead is the part of a body's length that does not depend on the answer:
// without the key and the digits of the id (id 0: absent, no digits).
func Overhead(length int64, key string, id int64) int {
	return int(length) - len(key) - digits(id)
}

func digits(id int64) int {
	n := 0
	for ; id > 0; id /= 10 {
		n++
	}
	return n
}

// Workload asks GET /demo and judges the answers. It satisfies the engine's
// interface of the same name, is pure, and is safe for concurrent use.
type Workload struct {
	spec  WorkloadSpec
	keys  *Keys
	moves *moves // nil: there are none
}

// Workload returns the workload of a specification over these rows; spec.Dataset must be theirs. It builds the
// indexes that its checks need, so that none is built under load.
func (d *Dataset) Workload(spec WorkloadSpec) (*Workload, error) {
	if spec.Dataset != d.spec {
		return nil, fmt.Errorf("dataset: the workload is for %+v, the dataset is %+v", spec.Dataset, d.spec)
	}
	keys, err := NewKeys(d, spec.Seed, spec.HitRatio)
	if err != nil {
		return nil, err
	}
	d.short()
	switch spec.Lookups {
	case Client:
	case Server:
		if _, err := d.full(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("dataset: lookups must be %q or %q, not %q", Client, Server, spec.Lookups)
	}
	w := &Workload{spec: spec, keys: keys.Salted(spec.Salt)}
	if spec.Lookups == Client {
		w.moves = newMoves(d, spec.Moves)
	}
	return w, nil
}

// Keys are the keys the workload asks for where the client draws them.
func (w *Workload) Keys() *Keys { return w.keys }

// AppendTarget appends the request target: "/demo?name=KEY", or "/demo" when
// the target draws the key.
func (w *Workload) AppendTarget(dst []byte, stream, n uint64) []byte {
	if w.spec.Lookups == Server {
		return append(dst, "/demo"...)
	}
	dst = append(dst, "/demo?name="...)
	dst, _, _ = w.appendAsked(dst, w.ask(stream, n)) // letters and digits need no escaping
	return dst
}

// Length reports whether a body of this length can be the right answer; true
// when that is unknown.
func (w *Workload) Length(stream, n uint64, length int64) bool {
	if w.spec.Lookups == Server {
		return true
	}
	var buf [nameBuffer]byte
	key, hit, id := w.appendAsked(buf[:0], w.ask(stream, n))
	want := w.spec.LengthAbsent
	if hit {
		want = w.spec.LengthPresent
	}
	return want < 0 || length == int64(want+len(key)+digits(id))
}

// Hit reports whether the key exists; known is false where the target draws it.
func (w *Workload) Hit(stream, n uint64) (hit, known bool) {
	if w.spec.Lookups == Server {
		return false, false
	}
	a := w.ask(stream, n)
	if a.named {
		return !a.renamed, true
	}
	return w.keys.hit(a.state), true
}

// Check judges an answer: "" when it is right, else why not: "status 500"
// (any other than 200), "not json", "wrong fields", "wrong name", "wrong
// exists" or "wrong id".
func (w *Workload) Check(stream, n uint64, status int, body []byte) string {
	if status != 200 {
		return "status " + strconv.Itoa(status)
	}
	a, why := parseAnswer(body)
	if why != "" {
		return why
	}
	if w.spec.Lookups == Server {
		return w.checkDrawn(a)
	}
	var buf [nameBuffer]byte
	key, hit, id := w.appendAsked(buf[:0], w.ask(stream, n))
	if !a.named(key) {
		return "wrong name"
	}
	return a.judge(hit, id)
}

// checkDrawn judges an answer to a key the target drew: any name the seed's
// random strings can be, with the answer the dataset gives for it.
func (w *Workload) checkDrawn(a answer) string {
	name, ok := a.text()
	if !ok || !Plain(name) {
		return "wrong name"
	}
	id, hit := w.keys.rows.Lookup(name)
	return a.judge(hit, id)
}
