package endpoint

import "regexp"

// Patterns are regular expressions; the body of a right answer matches each of them: for clients that compare
// texts and cannot call Check.
func (r *Requests) Patterns(uint64, uint64) []string {
	if r.spec.Body == "" {
		return nil
	}
	return []string{regexp.QuoteMeta(r.spec.Body)}
}

// Captures are none: of an answer nothing but its status is known beforehand.
func (r *Requests) Captures() [][2]string { return nil }

// Judge has nothing to judge.
func (r *Requests) Judge(uint64, uint64, []string) string { return "" }
