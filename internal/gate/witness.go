package gate

import (
	"fmt"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// NotCounted stands for the count of a witness that does not count.
const NotCounted = -1

// Witness says whether what others counted around a phase agrees with its
// books. reads are the row-reading statements the database saw, balancer the requests the
// balancer saw, both without our own; NotCounted where nobody counts. unwritten
// are the time-outs and errors whose request was not fully written.
//
// With neither time-out nor error each count is the requests sent, exactly.
// Otherwise it lies between the answers received and the requests fully
// written: a request that was cut may or may not have been served.
func Witness(books stats.Books, unwritten, reads, balancer int64) []record.Reason {
	var out []record.Reason
	for _, w := range []struct {
		who, what string
		count     int64
	}{
		{"database", "row-reading statements", reads},
		{"balancer", "requests", balancer},
	} {
		if text := disagree(books, unwritten, w.count); text != "" {
			out = append(out, record.Reason{Code: record.CodeWitness, Text: fmt.Sprintf("the %s counted %d %s, %s", w.who, w.count, w.what, text)})
		}
	}
	return out
}

// witness compares the counts of others with the books. A phase that asks for no lookup must make none, and one that leaves the
// balancer out must not be seen by it.
func (p *Phase) witness(sum stats.Totals) []record.Reason {
	reads, balancer := p.Witness.DatabaseReads, p.Witness.BalancerTotal
	var out []record.Reason
	if p.Direct {
		if balancer > 0 {
			out = append(out, record.Reason{Code: record.CodeWitness, Text: fmt.Sprintf("the balancer counted %d requests, and none was sent to it", balancer)})
		}
		balancer = NotCounted
	}
	if p.Ask == "" {
		return append(out, Witness(sum.Books, sum.Unwritten, reads, balancer)...)
	}
	out = append(out, Witness(sum.Books, sum.Unwritten, NotCounted, balancer)...)
	if reads > 0 {
		out = append(out, record.Reason{Code: record.CodeWitness, Text: fmt.Sprintf("the database counted %d row-reading statements, and nothing asked for any", reads)})
	}
	return out
}

// disagree says which bounds a count breaks, or "".
func disagree(books stats.Books, unwritten, count int64) string {
	low, high := books.Answered(), books.Sent-unwritten
	switch {
	case count == NotCounted:
		return ""
	case books.Timeout == 0 && books.Error == 0:
		if count != books.Sent {
			return fmt.Sprintf("the agents sent %d and had an answer to each", books.Sent)
		}
	case count < low || count > high:
		return fmt.Sprintf("not within %d answers received and %d requests fully written", low, high)
	}
	return ""
}
