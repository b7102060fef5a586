package dataset

import (
	"strconv"
)

// Patterns are regular expressions; the body of the right answer to a request matches each of them: for
// clients that compare texts and cannot call Check. They know less than it does: not that there is nothing else.
func (w *Workload) Patterns(stream, n uint64) []string {
	if w.spec.Lookups == Server {
		return []string{`"name"\s*:\s*"[A-Za-z0-9]{1,255}"`, `"exists"\s*:\s*(true|false)`}
	}
	var buf [nameBuffer]byte
	key, hit, id := w.appendAsked(buf[:0], w.ask(stream, n))
	name := `"name"\s*:\s*"` + string(key) + `"` // letters and digits mean themselves
	if !hit {
		return []string{name, `"id"\s*:\s*null\s*[,}]`}
	}
	return []string{name, `"id"\s*:\s*` + strconv.FormatInt(id, 10) + `\s*[,}]`}
}

// Captures are the parts of an answer that Judge needs: a name, and a regular expression whose group is the part.
func (w *Workload) Captures() [][2]string {
	return [][2]string{{"key", `"name"\s*:\s*"([^"]*)"`}, {"id", `"id"\s*:\s*(\d+|null)`}, {"exists", `"exists"\s*:\s*(true|false)`}}
}

// Judge is what Check says of an answer when only its captures are known, in their order.
func (w *Workload) Judge(stream, n uint64, captures []string) string {
	name, text := captures[0], captures[1]
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil && text != "null" {
		return wrongFields
	}
	if captures[2] != strconv.FormatBool(text != "null") {
		return "wrong exists"
	}
	if w.spec.Lookups == Server {
		if !Plain(name) {
			return "wrong name"
		}
		if right, _ := w.keys.rows.Lookup(name); right != id {
			return "wrong id"
		}
		return ""
	}
	var buf [nameBuffer]byte
	key, hit, right := w.appendAsked(buf[:0], w.ask(stream, n))
	if name != string(key) {
		return "wrong name"
	}
	if !hit {
		right = 0
	}
	if id != right {
		return "wrong id"
	}
	return ""
}
