package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// How row-reading statements on demo_data are counted.
const (
	ByHandler = "handler_read_key" // the storage engine's index reads: one for each lookup
	ByDigest  = "digest"           // performance_schema's statement digests
)

// othersUse is why the counts of a whole server are not those of the targets.
const othersUse = "others use the server"

// Counters are what others than us asked of the server since it started.
// Differences between two idle points are exact.
type Counters struct {
	Reads       int64            // row-reading statements on demo_data
	Others      map[string]int64 // statements by kind: "select", "begin", "rollback", "set_option", "stmt_execute", ...
	Connections int64            // opened, or tried
	Touched     Touched          // what was done to tables
	Running     int64            // statements of others under way at that moment
}

// Sub is what was counted between earlier and c; kinds without any are left out.
func (c Counters) Sub(earlier Counters) Counters {
	d := Counters{
		Reads: c.Reads - earlier.Reads, Connections: c.Connections - earlier.Connections, Others: map[string]int64{},
		Touched: c.Touched.Sub(earlier.Touched), Running: c.Running,
	}
	for kind, n := range c.Others {
		if n -= earlier.Others[kind]; n != 0 {
			d.Others[kind] = n
		}
	}
	return d
}

// Plus is what was counted in two stretches together.
func (c Counters) Plus(o Counters) Counters {
	sum := Counters{
		Reads: c.Reads + o.Reads, Connections: c.Connections + o.Connections, Others: map[string]int64{},
		Touched: c.Touched.Plus(o.Touched), Running: o.Running,
	}
	for _, others := range []map[string]int64{c.Others, o.Others} {
		for kind, n := range others {
			sum.Others[kind] += n
		}
	}
	return sum
}

// Counters reads the counts. What our own connection did is taken off.
func (s *Server) Counters(ctx context.Context) (Counters, error) {
	var counters Counters
	err := s.peek(ctx, func(c *sql.Conn) error {
		var rows Touched
		if err := s.countRows(ctx, c, &rows); err != nil {
			return err
		}
		all, err := status(ctx, c, "GLOBAL")
		if err != nil {
			return err
		}
		own, err := status(ctx, c, "SESSION")
		if err != nil {
			return err
		}
		s.note(maps.Clone(own))
		own["Com_show_status"]-- // this session statement is not in the global figures yet
		counters = s.others(all, own)
		s.strayed = rows.ByOther - s.moved
		counters.Touched.ByName, counters.Touched.ByOther = rows.ByName, s.strayed
		if s.counter == ByDigest {
			counters.Reads, err = digestReads(ctx, c)
		}
		return err
	})
	if err != nil {
		return Counters{}, fmt.Errorf("database: counters: %w", err)
	}
	return counters, nil
}

// others takes our share off the global figures.
func (s *Server) others(all, own map[string]int64) Counters {
	rest := func(name string) int64 { return all[name] - own[name] - s.base[name] }
	c := Counters{
		Reads:       rest("Handler_read_key"),
		Others:      map[string]int64{},
		Connections: all["Connections"] - s.dialled.Load(),
		Touched:     Touched{KeyReads: rest("Handler_read_key"), Commits: rest("Handler_commit"), Empty: rest(emptyQueries)},
		Running:     max(0, all["Threads_running"]-1-s.resting),
	}
	for _, name := range rangeReads {
		c.Touched.Ranges += rest(name)
	}
	for name := range all {
		if kind, ok := strings.CutPrefix(name, "Com_"); ok {
			if n := rest(name); n != 0 {
				c.Others[kind] = n
			}
		}
	}
	return c
}

// restLooks is how often the statements that always run are counted.
const restLooks = 5

// findResting finds how many statements run before any target does, such as the event scheduler of MySQL: the fewest of some looks.
func (s *Server) findResting(ctx context.Context) error {
	s.setResting(0)
	least := int64(math.MaxInt64)
	for range restLooks {
		c, err := s.Counters(ctx)
		if err != nil {
			return err
		}
		least = min(least, c.Running)
	}
	s.setResting(least)
	return nil
}

func (s *Server) setResting(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resting = n
}

// status reads the figures that are counted, of the server or of our session.
func status(ctx context.Context, c *sql.Conn, scope string) (map[string]int64, error) {
	return numbers(ctx, c, "SHOW "+scope+" STATUS", func(name string) bool {
		switch name {
		case "Handler_read_key", "Handler_commit", "Connections", "Threads_running", emptyQueries:
			return true
		}
		return strings.HasPrefix(name, "Com_") || slices.Contains(rangeReads, name)
	})
}

// numbers reads those status figures that want accepts and that are whole numbers.
func numbers(ctx context.Context, c *sql.Conn, statement string, want func(string) bool) (map[string]int64, error) {
	rows, err := c.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	figures := map[string]int64{}
	var name, value sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		if want(string(name)) {
			if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
				figures[string(name)] = n
			}
		}
	}
	return figures, rows.Err()
}

// digestReads sums the executions of statements that select from demo_data, ours left out.
// What is executed after it was prepared has a digest of its own in MySQL since 9: EXECUTE SELECT.
func digestReads(ctx context.Context, c *sql.Conn) (int64, error) {
	var n int64
	err := c.QueryRowContext(ctx, `SELECT COALESCE(SUM(COUNT_STAR), 0) FROM performance_schema.events_statements_summary_by_digest
		WHERE SCHEMA_NAME = DATABASE() AND (DIGEST_TEXT LIKE 'SELECT%demo_data%' OR DIGEST_TEXT LIKE 'EXECUTE SELECT%demo_data%')
		AND DIGEST_TEXT NOT LIKE '%`+ownAlias+`%'`).Scan(&n)
	return n, err
}

// probes is how many lookups of each protocol prove a counter.
const probes = 5

// chooseCounter takes the first way of counting that is exact on this server,
// found out by lookups over a connection that is not taken for ours, and notes what is to be known of it. The
// storage engine's own count comes first: each connection adds to a figure of its own, so none is lost, where
// digests are added to by all at once and lose some (7 of 32,000 lookups over 16 connections, MySQL 9.7).
func (s *Server) chooseCounter(ctx context.Context) error {
	s.mu.Lock()
	s.counterReason = ""
	s.mu.Unlock()
	var refused []string
	for _, way := range []string{ByHandler, ByDigest} {
		why, err := s.tryCounter(ctx, way)
		if err != nil {
			return err
		}
		if why == "" {
			return s.explainCounter(ctx, way, refused, "UTC")
		}
		refused = append(refused, why)
	}
	return fmt.Errorf("row-reading statements cannot be counted: %s", strings.Join(refused, "; "))
}

// counterTries is how often a way may miscount before it is given up: connections that end in that moment move the sums.
const counterTries = 3

// tryCounter counts lookups of its own in one way, and says why the way is not exact, or "".
func (s *Server) tryCounter(ctx context.Context, way string) (why string, err error) {
	s.mu.Lock()
	s.counter = way
	s.mu.Unlock()
	return untilExact(func() (string, error) { return s.countProbes(ctx, way) })
}

// untilExact counts until a count is exact, counterTries times at most, and says why the last one was not, or "".
func untilExact(count func() (why string, err error)) (why string, err error) {
	for range counterTries {
		if why, err = count(); why == "" || err != nil {
			break
		}
	}
	return why, err
}

// countProbes makes the lookups once.
func (s *Server) countProbes(ctx context.Context, way string) (why string, err error) {
	if _, err := s.Counters(ctx); err != nil {
		return s.unreadable(ctx, err)
	}
	n, err := countLookups(ctx, func(ctx context.Context) (int64, error) {
		c, err := s.Counters(ctx)
		return c.Reads, err
	}, s.openProbe)
	if n == 2*probes || err != nil {
		return "", err
	}
	why = fmt.Sprintf("by %s %d lookups were counted, %d were made", way, n, 2*probes)
	if way == ByHandler {
		return why + ": " + othersUse, nil
	}
	if on, err := s.variable(ctx, "performance_schema"); err == nil && on != "ON" {
		why += ": performance_schema is off"
	}
	return why, nil
}

// prober is a connection that is not taken for ours.
type prober interface {
	probe(ctx context.Context) error // makes 2*probes lookups
	Close() error
}

// countLookups returns how many of a prober's lookups are counted. The connection stays open until they are: MariaDB
// first takes what ended connections have counted, then adds that of each one that is open, so a connection that ends
// between the two is in neither part of that one sum. If the prober ended before the count, all of its lookups could be missing.
func countLookups(ctx context.Context, reads func(context.Context) (int64, error), open func(context.Context) (prober, error)) (int64, error) {
	p, err := open(ctx)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	before, err := reads(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.probe(ctx); err != nil {
		return 0, err
	}
	after, err := reads(ctx)
	return after - before, err
}

// unreadable says why a counter cannot be read, where the server refuses it.
func (s *Server) unreadable(ctx context.Context, err error) (why string, _ error) {
	refused, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok || ctx.Err() != nil {
		return "", err
	}
	return fmt.Sprintf("statement digests cannot be read: %s (a remedy: GRANT SELECT ON performance_schema.* to this account)", refused.Message), nil
}

// explainCounter notes why not the first way was taken, and what distorts the one that was.
func (s *Server) explainCounter(ctx context.Context, way string, refused []string, zone string) error {
	if way == ByDigest {
		refused = append(refused, "statement digests lose some counts when connections work at the same time")
	} else if n, err := s.zoneReads(ctx, zone); err != nil {
		return err
	} else if n > 0 {
		refused = append(refused, fmt.Sprintf("looking for the time zone %s reads %d index entries each time, which count as lookups of any target that asks for it "+
			"(Django does, on each connection); a remedy is to fill the server's time zone tables (mysql_tzinfo_to_sql)", zone, n))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counterReason = strings.Join(refused, "; ")
	return nil
}

// zoneReads is how many index reads it costs to look for a time zone, once the server could remember it.
func (s *Server) zoneReads(ctx context.Context, zone string) (int64, error) {
	c, err := s.pool.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var before Counters
	for range 2 {
		if before, err = s.Counters(ctx); err != nil {
			return 0, err
		}
		if _, err := c.ExecContext(ctx, "DO CONVERT_TZ('2001-01-01 01:00:00', ?, 'UTC')", zone); err != nil {
			return 0, err
		}
	}
	after, err := s.Counters(ctx)
	return after.Reads - before.Reads, err
}

// probing is a prober on the server.
type probing struct{ *sql.Conn }

func (s *Server) openProbe(ctx context.Context) (prober, error) {
	c, err := s.pool.Conn(ctx)
	return probing{c}, err
}

// probe looks up names as a target would: in text, and prepared.
func (c probing) probe(ctx context.Context) error {
	for i := range probes {
		for _, ask := range []func() *sql.Row{
			func() *sql.Row {
				return c.QueryRowContext(ctx, fmt.Sprintf("SELECT id FROM demo_data WHERE name = 'probe%d' ORDER BY id LIMIT 1", i))
			},
			func() *sql.Row {
				return c.QueryRowContext(ctx, "SELECT id FROM demo_data WHERE name = ? ORDER BY id LIMIT 1", fmt.Sprintf("probe%d", i))
			},
		} {
			var id int64
			if err := ask().Scan(&id); err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
	}
	return nil
}

// watched are the figures of Status.
var watched = map[string]bool{
	"Threads_connected": true, "Threads_running": true, "Threads_created": true, "Questions": true, "Connections": true,
	"Aborted_connects": true, "Aborted_clients": true, "Bytes_received": true, "Bytes_sent": true,
	"Connection_errors_max_connections": true, "Max_used_connections": true,
	"Innodb_row_lock_waits": true, "Innodb_row_lock_time": true, "Innodb_buffer_pool_reads": true,
	"Innodb_buffer_pool_read_requests": true, "Innodb_data_reads": true, "Innodb_data_writes": true, "Innodb_rows_read": true,
	"Handler_read_key": true, "Created_tmp_disk_tables": true, "Slow_queries": true,
}

// TargetConnections is the name of Status for the connections that targets have open.
const TargetConnections = "target_connections"

// ConnectionsOf is the name of Status for those of an account that was made for one trial; it lacks accounts without any.
func ConnectionsOf(account string) string { return TargetConnections + " of " + account }

// LastingConnections is the name of Status for those of them that have been open for a second.
const LastingConnections = "lasting_connections"

// LastingOf is the name of Status for those of one account, likewise.
func LastingOf(account string) string { return ConnectionsOf(account) + ", lasting" }

// lasts is how long a connection is open that lasts: a second, less the unrest of samples.
const lasts = 900 * time.Millisecond

// connection is one that a target has open.
type connection struct {
	id   int64
	user string
}

// Status reads figures for the series of each second, by their server names
// in lower case, and how many connections the targets have open, in all and by account, and how many of them were there in a sample of
// a second ago. They are the server's, our own statements included.
func (s *Server) Status(ctx context.Context) (map[string]float64, error) {
	values := map[string]float64{}
	err := s.peek(ctx, func(c *sql.Conn) error {
		figures, err := numbers(ctx, c, "SHOW GLOBAL STATUS", func(name string) bool { return watched[name] })
		for name, n := range figures {
			values[strings.ToLower(name)] = float64(n)
		}
		if err != nil {
			return err
		}
		open, err := s.openConnections(ctx, c)
		if err == nil {
			s.gauge(values, open, time.Now())
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("database: status: %w", err)
	}
	return values, nil
}

// gauge adds how many connections are open, and how many last; s.mu is held.
func (s *Server) gauge(values map[string]float64, open []connection, now time.Time) {
	values[TargetConnections], values[LastingConnections] = 0, 0
	met := make(map[connection]time.Time, len(open))
	for _, c := range open {
		first, before := s.met[c]
		if !before {
			first = now
		}
		met[c] = first
		lasting := 0.0
		if now.Sub(first) >= lasts {
			lasting = 1
		}
		values[TargetConnections]++
		values[LastingConnections] += lasting
		if strings.HasPrefix(c.user, trialPrefix) {
			values[ConnectionsOf(c.user)]++
			values[LastingOf(c.user)] += lasting
		}
	}
	s.met = met
}

// ConnectionCount is how many connections the targets have open.
func (s *Server) ConnectionCount(ctx context.Context) (n int, err error) {
	open, err := s.Connections(ctx)
	for _, of := range open {
		n += of
	}
	return n, err
}

// Connections are how many connections the targets have open, by account.
func (s *Server) Connections(ctx context.Context) (open map[string]int, err error) {
	err = s.peek(ctx, func(c *sql.Conn) error {
		all, err := s.openConnections(ctx, c)
		open = map[string]int{}
		for _, one := range all {
			open[one.user]++
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("database: connections: %w", err)
	}
	return open, nil
}

// openConnections has one row for each connection: the server would group them by index reads, which are counted.
func (s *Server) openConnections(ctx context.Context, c *sql.Conn) (open []connection, err error) {
	rows, err := c.QueryContext(ctx, "SELECT p.ID, p.USER FROM information_schema.PROCESSLIST p WHERE "+ofTargets, s.access.User)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one connection
		if err := rows.Scan(&one.id, &one.user); err != nil {
			return nil, err
		}
		open = append(open, one)
	}
	return open, rows.Err()
}
