package gate

import (
	"fmt"
	"slices"
	"strings"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// lookups refuses a measured phase whose answers were not each one indexed lookup of its own, by what the
// database counted between two idle points. With neither time-out nor error every count is exact; each request that was cut
// may or may not have been looked up.
//
// Index reads and statements that touched a table are as many as requests; rows by the index on name as many as
// answers whose key exists, or as requests where the server counts misses too; rows by anything else none, and nothing is read
// of an index but one key at a time; SELECT statements without a row as many as answers whose key does not exist; and each
// lookup is a SELECT of its own. Where Witness refuses the phase there is nothing more to say.
func (p *Phase) lookups(sum stats.Totals) []record.Reason {
	if p.Warmup || p.Ask != "" || len(p.Witness.Counters) == 0 || disagree(sum.Books, sum.Unwritten, p.Witness.DatabaseReads) != "" {
		return nil
	}
	var out []record.Reason
	for _, text := range []string{p.indexReads(sum), p.statements(sum), p.selects(sum), p.byName(sum), p.byOther(), p.ranges(), p.empty(sum)} {
		if text != "" {
			out = append(out, record.Reason{Code: record.CodeLookups, Text: "not each answer was one indexed lookup of its own: " + text})
		}
	}
	return out
}

// indexReads compares those of the storage engine with the requests, where Witness has not done so.
func (p *Phase) indexReads(sum stats.Totals) string {
	n := p.Witness.Lookups
	if n == nil || *n == p.Witness.DatabaseReads {
		return ""
	}
	if text := disagree(sum.Books, sum.Unwritten, *n); text != "" {
		return fmt.Sprintf("the database counted %d index reads, %s", *n, text)
	}
	return ""
}

// statements compares those that touched a table with the requests. The server counts their ends, and those of transactions: there may
// be one more for each statement that may have ended one.
func (p *Phase) statements(sum stats.Totals) string {
	n := p.Witness.Statements
	if n == nil {
		return ""
	}
	count, ends := *n, p.ends()
	if most := sum.Books.Sent - sum.Unwritten; count > most {
		count = max(most, count-ends)
	}
	if text := disagree(sum.Books, sum.Unwritten, count); text != "" {
		also := ""
		if ends > 0 {
			also = fmt.Sprintf(" and %d that may each have ended a transaction", ends)
		}
		return fmt.Sprintf("the database counted %d statements that touched a table%s, %s", *n, also, text)
	}
	return ""
}

// endless are kinds of statements whose end is not counted where they touch no table, and which commit no transaction.
var endless = []string{
	"select", "rollback", "stmt_prepare", "stmt_execute", "stmt_close", "stmt_reset", "prepare_sql", "execute_sql", "execute_immediate", "dealloc_sql",
	"admin_commands", "change_db",
}

// ends are how many statements that were no lookups may have ended a transaction.
func (p *Phase) ends() (n int64) {
	for kind, times := range p.Witness.DatabaseOthers {
		if !slices.Contains(endless, kind) && times > 0 {
			n += times
		}
	}
	return n
}

// selects refuses fewer SELECT statements than answers: the record has those that were no lookups, which are then fewer than none.
func (p *Phase) selects(sum stats.Totals) string {
	if n := p.Witness.DatabaseReads + p.Witness.DatabaseOthers["select"]; p.Witness.DatabaseReads != NotCounted && n < sum.Books.Answered() {
		return fmt.Sprintf("the database counted %d SELECT statements for %d answers", n, sum.Books.Answered())
	}
	return ""
}

// byName compares the rows that were read by the index on name with the answers. Of a wrong answer nobody knows what it read.
func (p *Phase) byName(sum stats.Totals) string {
	n, b := p.Witness.RowsByName, sum.Books
	if n == nil || sum.Hits+sum.Misses != b.Answered() { // the target drew keys
		return ""
	}
	what, low := "answers whose key exists", sum.Hits
	if strings.HasPrefix(p.Witness.Counters["rows_by_name"], record.CountsLookups) {
		what, low = "answers", b.Answered()
	}
	least, most := low-b.Bad, low+b.Bad+b.Sent-sum.Unwritten-b.Answered()
	switch {
	case *n >= least && *n <= most:
		return ""
	case least == most:
		return fmt.Sprintf("the database read %d rows by the index on name for %d %s", *n, low, what)
	}
	return fmt.Sprintf("the database read %d rows by the index on name, not within %d and %d for %d %s, wrong answers and cut requests", *n, least, most, low, what)
}

// byOther refuses rows that were read by another index, or by none.
func (p *Phase) byOther() string {
	if n := p.Witness.RowsByOther; n != nil && *n != 0 {
		return fmt.Sprintf("the database read %d rows of the table by another index than that on name, or by none", *n)
	}
	return ""
}

// ranges refuses reads of an index that are not of one key: of several names together, or of whatever comes first.
func (p *Phase) ranges() string {
	if n := p.Witness.Ranges; n != nil && *n != 0 {
		return fmt.Sprintf("the database chose ranges of an index, or read its first, last, next or previous entries, %d times", *n)
	}
	return ""
}

// empty compares the SELECT statements without a row with the answers whose key does not exist. Others than lookups may have none.
func (p *Phase) empty(sum stats.Totals) string {
	n, b := p.Witness.Empty, sum.Books
	if n == nil || sum.Hits+sum.Misses != b.Answered() { // the target drew keys
		return ""
	}
	least := sum.Misses - b.Bad
	most := sum.Misses + b.Bad + b.Sent - sum.Unwritten - b.Answered() + max(0, p.Witness.DatabaseOthers["select"])
	if *n >= least && *n <= most {
		return ""
	}
	return fmt.Sprintf("the database counted %d SELECT statements without a row, not within %d and %d for %d answers whose key does not exist, wrong answers, cut requests and other statements",
		*n, least, most, sum.Misses)
}
