package dataset

import (
	"fmt"
	"strconv"
)

// Explain says of a wrong answer which key was asked for, what is right, and what came. body is nil where it was not kept;
// its length in bytes is known all the same.
func (w *Workload) Explain(stream, n uint64, length int64, body []byte) string {
	got, why := ParseAnswer(body)
	var buf [nameBuffer]byte
	name, hit, id := buf[:0], false, int64(0)
	if w.spec.Lookups == Server {
		name = append(name, got.Name...)
		id, hit = w.keys.rows.Lookup(got.Name)
	} else {
		name, hit, id = w.appendAsked(name, w.ask(stream, n))
	}
	came := fmt.Sprintf("a body of %d bytes", length)
	switch {
	case body == nil:
	case why != "":
		came = "the body " + quoted(string(body))
	case got.Name != string(name):
		came = "the name " + quoted(got.Name) + ", " + said(got.Exists, got.ID)
	default:
		came = said(got.Exists, got.ID)
	}
	return fmt.Sprintf("key %s of length %d: expected %s, got %s", quoted(string(name)), len(name), said(hit, id), came)
}

// said is an answer without its name.
func said(exists bool, id int64) string {
	if id == 0 {
		return fmt.Sprintf("exists %v, id null", exists)
	}
	return fmt.Sprintf("exists %v, id %d", exists, id)
}

// quoted is a text from outside, safe to print, and cut where it is long.
func quoted(s string) string {
	const most = 40
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:most]) + "..."
}
