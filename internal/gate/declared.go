package gate

import (
	"fmt"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

const (
	// lasting is how long more connections than declared must be open to count, where nobody knows the age of each: a second, less the
	// unrest of samples.
	lasting = 900 * time.Millisecond
	// closingShare bounds what is taken for connections that are just closing, as a part of the declared ones, likewise.
	closingShare = 2
	// fewLines and lineShare are how many lines a log that is off may get in a phase: warnings, not accesses.
	fewLines  = 5
	lineShare = 100
)

// Kinds of protocol, as recipes declare them.
const (
	textProtocol     = "text"
	preparedProtocol = "prepared"
)

// connections follows the database connections of targets over a phase's samples.
type connections struct {
	may    int       // how many are declared
	aged   bool      // the samples have those that have been open for a second: most is the most of them
	most   int       // the greatest excess that lasted
	high   int       // of the excess under way
	from   time.Time // when it was first seen; zero: there is none
	opened float64   // by everybody until the last sample; 0: not known
}

// heldBy are the connections in a sample of the database, and how many are declared: the target's own, or those of all targets
// that are up where these share an account. counted is false for any other sample.
func heldBy(s record.Series, d *record.Declared) (n, may int, counted bool) {
	if own, known := s.Values[record.OwnConnections]; known {
		return int(own), d.Connections, true
	}
	all, counted := s.Values[record.TargetConnections]
	return int(all), d.Together, counted
}

// lastingOf are those of them that have been open for a second; known is false in a sample of an earlier version.
func lastingOf(s record.Series, d *record.Declared) (n, may int, known bool) {
	if _, own := s.Values[record.OwnConnections]; own {
		lasting, known := s.Values[record.OwnLasting]
		return int(lasting), d.Connections, known
	}
	lasting, known := s.Values[record.TargetLasting]
	return int(lasting), d.Together, known
}

// exceed reports whether there were more than declared. A request that was cut may have left one that its handler still uses.
func (c *connections) exceed(sum stats.Totals) bool {
	if !c.aged {
		return c.most > 0
	}
	return int64(c.most) > int64(c.may)+sum.Books.Timeout+sum.Books.Error
}

// add takes a sample. Those that have been open for a second are held against the declared ones alone. Where their age is not known
// there is some allowance: targets that open a connection for each request have some that are just closing: as many as were
// opened since the last sample are allowed on top of the declared ones, but never more than half of those.
func (c *connections) add(s record.Series, d *record.Declared) {
	if n, may, known := lastingOf(s, d); known {
		c.aged, c.may, c.most = true, may, max(c.most, n)
		return
	}
	n, may, counted := heldBy(s, d)
	if !counted {
		return
	}
	closing := 0
	if c.opened > 0 {
		closing = min(int(s.Values["connections"]-c.opened), may/closingShare)
	}
	c.may, c.opened = may, s.Values["connections"]
	if n <= may+max(0, closing) {
		c.high, c.from = 0, time.Time{}
		return
	}
	if c.from.IsZero() {
		c.from = s.At
	}
	if c.high = max(c.high, n); s.At.Sub(c.from) >= lasting {
		c.most = max(c.most, c.high)
	}
}

// Declare says what the target is declared to do, before the phase's first sample; nil: nothing is known.
func (p *Phase) Declare(d *record.Declared) { p.declared = d }

// otherwise refuses a phase in which the target did otherwise than its recipe declares. Database connections of
// the warm-up are let be: pools are still filling up and requests of the check are still closing.
func (p *Phase) otherwise(sum stats.Totals) []record.Reason {
	d := p.declared
	if d == nil {
		return nil
	}
	var out []record.Reason
	say := func(format string, args ...any) {
		out = append(out, record.Reason{Code: record.CodeDeclared, Text: fmt.Sprintf(format, args...)})
	}
	if p.held.exceed(sum) && !p.Warmup {
		say("database connections: %d were open, %d are declared (replicas x workers x pool)", p.held.most, p.held.may)
	}
	if text := protocol(d.Protocol, p.Witness.DatabaseReads, p.Witness.DatabaseOthers); text != "" {
		say("%s", text)
	}
	if lines := p.Witness.LogLines; lines != nil && !d.AccessLog && *lines > max(fewLines, sum.Books.Answered()/lineShare) {
		say("access log: off is declared, but %d lines were written for %d answers", *lines, sum.Books.Answered())
	}
	return out
}

// protocol says how executions of prepared statements contradict a declared protocol, or "". With prepared statements
// each read is one over the binary protocol; in the text protocol there is none. The server counts the SQL statement EXECUTE twice: as
// such, and among all executions.
func protocol(declared string, reads int64, others map[string]int64) string {
	executed, bySQL := others["stmt_execute"], others["execute_sql"]+others["execute_immediate"]
	switch {
	case declared == preparedProtocol && reads > 0 && executed-bySQL != reads:
		return fmt.Sprintf("protocol: prepared is declared, but %d of %d reads were executions of prepared statements over the binary protocol", executed-bySQL, reads)
	case declared == textProtocol && max(executed, bySQL) > 0:
		return fmt.Sprintf("protocol: text is declared, but %d prepared statements were executed for %d reads", max(executed, bySQL), reads)
	}
	return ""
}
