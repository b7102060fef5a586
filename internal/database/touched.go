package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Touched is what the statements of others did to tables, by counters of the server. What each counts is found out by explore.
type Touched struct {
	KeyReads int64 // Handler_read_key: index reads
	Commits  int64 // Handler_commit: ends of statements and of transactions
	ByName   int64 // rows of demo_data that were read by the index on name
	ByOther  int64 // rows of demo_data that were read by another index, or by none; ours are among them
	Ranges   int64 // choices of a range of an index, and reads of its first, last, next and previous entries
	Empty    int64 // SELECT statements without a row
}

// Sub is what was counted between earlier and t.
func (t Touched) Sub(earlier Touched) Touched {
	return Touched{
		KeyReads: t.KeyReads - earlier.KeyReads, Commits: t.Commits - earlier.Commits, ByName: t.ByName - earlier.ByName,
		ByOther: t.ByOther - earlier.ByOther, Ranges: t.Ranges - earlier.Ranges, Empty: t.Empty - earlier.Empty,
	}
}

// Plus is what was counted in two stretches together.
func (t Touched) Plus(o Touched) Touched {
	return Touched{
		KeyReads: t.KeyReads + o.KeyReads, Commits: t.Commits + o.Commits, ByName: t.ByName + o.ByName,
		ByOther: t.ByOther + o.ByOther, Ranges: t.Ranges + o.Ranges, Empty: t.Empty + o.Empty,
	}
}

// rowSource is where the server counts rows by index.
type rowSource string

// Sources of counts of rows; none: they are not counted.
const (
	byStatistics rowSource = "INDEX_STATISTICS"                      // MariaDB, with userstat
	byTableWaits rowSource = "table_io_waits_summary_by_index_usage" // MySQL, with performance_schema
)

// rowCounts are the queries of the two sources: rows by the index on name, and by all other ways.
var rowCounts = map[rowSource]string{
	byStatistics: `SELECT n.by_name, t.total - n.by_name FROM
		(SELECT COALESCE(SUM(ROWS_READ), 0) AS by_name FROM information_schema.INDEX_STATISTICS
			WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'demo_data' AND INDEX_NAME = 'name') n,
		(SELECT COALESCE(SUM(ROWS_READ), 0) AS total FROM information_schema.TABLE_STATISTICS
			WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'demo_data') t`,
	byTableWaits: `SELECT COALESCE(SUM(IF(INDEX_NAME = 'name', COUNT_FETCH, 0)), 0), COALESCE(SUM(IF(INDEX_NAME = 'name', 0, COUNT_FETCH)), 0)
		FROM performance_schema.table_io_waits_summary_by_index_usage WHERE OBJECT_SCHEMA = DATABASE() AND OBJECT_NAME = 'demo_data'`,
}

// countRows reads the rows by index into t.
func (s *Server) countRows(ctx context.Context, c *sql.Conn, t *Touched) error {
	if s.rows == "" {
		return nil
	}
	return c.QueryRowContext(ctx, rowCounts[s.rows]).Scan(&t.ByName, &t.ByOther)
}

// What is counted of each lookup. These are also the names in a trial's record.
const (
	Lookups     = "lookups"
	Statements  = "statements"
	RowsByName  = "rows_by_name"
	RowsByOther = "rows_by_other"
	Ranges      = "ranges"
	Empty       = "empty"
)

// rangeReads are the figures of the server that Ranges adds up; emptyQueries is that of Empty, which only MariaDB has.
var rangeReads = []string{"Select_range", "Handler_read_first", "Handler_read_last", "Handler_read_next", "Handler_read_prev"}

const emptyQueries = "Empty_queries"

// What a counter was found to count.
const (
	PerLookup = "one per lookup"
	PerHit    = "one per hit"
	PerMiss   = "one per miss"
	Nothing   = "none"
)

// Meaning is what a counter of the server was found to count.
type Meaning struct {
	Counter string // the server's name of it
	Counts  string // PerLookup, PerHit, PerMiss or Nothing; where it is not used: why not
	Used    bool
}

// String is such as "one per hit (INDEX_STATISTICS)".
func (m Meaning) String() string { return m.Counts + " (" + m.Counter + ")" }

// Meanings are those of Lookups, Statements, RowsByName, RowsByOther and Ranges, and where the server has its counter of Empty.
type Meanings map[string]Meaning

// countable are what may have a meaning, in the order in which it is said.
func countable() []string {
	return []string{Lookups, Statements, RowsByName, RowsByOther, Ranges, Empty}
}

// Counts is what was counted, of that which can be.
func (m Meanings) Counts(t Touched) map[string]int64 {
	out := map[string]int64{}
	for what, n := range map[string]int64{
		Lookups: t.KeyReads, Statements: t.Commits, RowsByName: t.ByName, RowsByOther: t.ByOther, Ranges: t.Ranges, Empty: t.Empty,
	} {
		if m[what].Used {
			out[what] = n
		}
	}
	return out
}

// Unused says what cannot be counted, and why.
func (m Meanings) Unused() []string {
	var out []string
	for _, what := range countable() {
		if one, known := m[what]; known && !one.Used {
			out = append(out, fmt.Sprintf("%s (%s): %s", strings.ReplaceAll(what, "_", " "), one.Counter, one.Counts))
		}
	}
	return out
}

// explore finds out what each counter counts, by lookups over a connection that is not taken for ours.
func (s *Server) explore(ctx context.Context) error {
	if err := s.findResting(ctx); err != nil {
		return err
	}
	why, err := s.findRows(ctx)
	if err != nil {
		return err
	}
	var found Meanings
	for range counterTries {
		probed, err := s.probeEach(ctx)
		if err != nil {
			return err
		}
		found = meaningsOf(probed, s.rows, why)
		if s.info.Vendor != MariaDB {
			delete(found, Empty)
		}
		if len(found.Unused()) == 0 {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meanings = found; s.counter == ByDigest {
		found.share()
	}
	return nil
}

// share gives up what the whole server counts, as others use it. Rows are counted by the table.
func (m Meanings) share() {
	for _, what := range []string{Lookups, Statements, Ranges, Empty} {
		if one, known := m[what]; known {
			m[what] = Meaning{one.Counter, othersUse, false}
		}
	}
}

// findRows finds where the server counts rows by index, and says why nowhere.
func (s *Server) findRows(ctx context.Context) (why string, err error) {
	source, needs, remedy := byStatistics, "userstat", "SET GLOBAL userstat = ON"
	if s.info.Vendor == MySQL {
		source, needs, remedy = byTableWaits, "performance_schema", "GRANT SELECT ON performance_schema.* to this account"
	}
	value, err := s.variable(ctx, needs)
	if err != nil {
		return "", err
	}
	if value != "ON" {
		return needs + " is " + value, nil
	}
	s.setRows(source)
	_, err = s.Counters(ctx)
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok && ctx.Err() == nil {
		s.setRows("")
		return fmt.Sprintf("%s (a remedy: %s)", refused.Message, remedy), nil
	}
	return "", err
}

func (s *Server) setRows(source rowSource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = source
}

// Kinds of probes, probes times each.
const (
	textHits = iota
	textMisses
	preparedHits
	preparedMisses
	kinds
)

// probeEach looks up names that exist and names that do not, in text and prepared, and returns what was counted of each kind.
func (s *Server) probeEach(ctx context.Context) (counted [kinds]Touched, err error) {
	c, err := s.pool.Conn(ctx)
	if err != nil {
		return counted, err
	}
	defer c.Close()
	for kind := range counted {
		before, err := s.Counters(ctx)
		if err != nil {
			return counted, err
		}
		for i := range int64(probes) {
			name := fmt.Sprintf("probe%d", i)
			if kind == textHits || kind == preparedHits {
				name = s.table.Name(1 + i%s.table.Rows())
			}
			if err := probeOnce(ctx, c, name, kind >= preparedHits); err != nil {
				return counted, err
			}
		}
		after, err := s.Counters(ctx)
		if err != nil {
			return counted, err
		}
		counted[kind] = after.Sub(before).Touched
	}
	return counted, nil
}

// probeOnce is one lookup as a target makes it; generated names need no quoting.
func probeOnce(ctx context.Context, c *sql.Conn, name string, prepared bool) error {
	query, args := "SELECT id FROM demo_data WHERE name = '"+name+"' ORDER BY id LIMIT 1", []any(nil)
	if prepared {
		query, args = "SELECT id FROM demo_data WHERE name = ? ORDER BY id LIMIT 1", []any{name}
	}
	var id int64
	if err := c.QueryRowContext(ctx, query, args...).Scan(&id); !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return nil
}

// meaningsOf says what counters count that counted so much of each kind of probe; why says why rows are not counted, or is empty.
func meaningsOf(counted [kinds]Touched, rows rowSource, why string) Meanings {
	each := func(of func(Touched) int64) (out [kinds]int64) {
		for kind, t := range counted {
			out[kind] = of(t)
		}
		return out
	}
	found := Meanings{
		Lookups:     fits("Handler_read_key", each(func(t Touched) int64 { return t.KeyReads }), PerLookup),
		Statements:  fits("Handler_commit", each(func(t Touched) int64 { return t.Commits }), PerLookup),
		RowsByName:  fits(string(rows), each(func(t Touched) int64 { return t.ByName }), PerLookup, PerHit),
		RowsByOther: fits(string(rows), each(func(t Touched) int64 { return t.ByOther }), Nothing),
		Ranges:      fits(strings.Join(rangeReads, ", "), each(func(t Touched) int64 { return t.Ranges }), Nothing),
		Empty:       fits(emptyQueries, each(func(t Touched) int64 { return t.Empty }), PerMiss),
	}
	if !found[RowsByName].Used {
		found[RowsByOther] = Meaning{string(rows), found[RowsByName].Counts, false}
	}
	if why != "" {
		found[RowsByName], found[RowsByOther] = Meaning{"by index", why, false}, Meaning{"by index", why, false}
	}
	return found
}

// fits says what a counter counts, of the meanings that it can be used with.
func fits(counter string, n [kinds]int64, meanings ...string) Meaning {
	for _, meaning := range meanings {
		if n == expected(meaning) {
			return Meaning{counter, meaning, true}
		}
	}
	return Meaning{counter, fmt.Sprintf("%d hits and %d misses counted %d and %d in text, %d and %d prepared", probes, probes,
		n[textHits], n[textMisses], n[preparedHits], n[preparedMisses]), false}
}

// expected is what probes of each kind count where a counter has this meaning.
func expected(meaning string) [kinds]int64 {
	switch meaning {
	case PerLookup:
		return [kinds]int64{probes, probes, probes, probes}
	case PerHit:
		return [kinds]int64{textHits: probes, preparedHits: probes}
	case PerMiss:
		return [kinds]int64{textMisses: probes, preparedMisses: probes}
	}
	return [kinds]int64{}
}
