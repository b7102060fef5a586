package database

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// setting is one server variable that is pinned, so that a server's or a
// distribution's default cannot make two runs differ.
type setting struct {
	name  string // as in the configuration file
	value string
	only  string // vendor; empty: both
	why   string
}

// instruments is the setting that is given several times.
const instruments = "performance_schema_instrument"

// nothing is an empty value, as opposed to none.
const nothing = "''"

// pinned are the settings of a private server while it is measured. What
// depends on the run (paths, port, sizes) is added by configure.
var pinned = []setting{
	{"character-set-server", "utf8mb4", "", "the table's"},
	{"collation-server", collation, "", "known by MariaDB and MySQL, ignores case"},
	{"default-storage-engine", "InnoDB", "", "the table's"},
	{"default-time-zone", "+00:00", "", "no dependency on the machine"},
	{"sql-mode", "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION", "", "no silent truncation"},
	{"transaction-isolation", "REPEATABLE-READ", "", "the default of both"},
	{"bind-address", "127.0.0.1", "", "nobody else's business"},
	{"skip-name-resolve", "ON", "", "no DNS on connect"},
	{"performance-schema", "OFF", MariaDB, "costs CPU; what it counts is counted without it"},
	{"userstat", "ON", MariaDB, "counts the rows that are read by each index"},
	{"performance-schema", "ON", MySQL, "counts the rows that are read by each index"},
	{"performance-schema-instrument", "'%=OFF'", MySQL, "nothing but these rows costs CPU"},
	{"performance-schema-instrument", "'wait/io/table/sql/handler=COUNTED'", MySQL, "these rows"},
	{"event-scheduler", "OFF", "", "on in MySQL since 8.0; it counts as a running statement"},
	{"general-log", "OFF", "", "costs CPU, would hold keys"},
	{"slow-query-log", "OFF", "", "costs CPU, would hold keys"},
	{"skip-log-bin", "", "", "nothing is replicated"},
	{"max-connect-errors", "1000000000", "", "a target's failed connects must not lock the machine out"},
	{"max-allowed-packet", "16M", "", "batches of the fill"},
	{"wait-timeout", "28800", "", "idle pools stay connected"},
	{"interactive-timeout", "28800", "", "the same"},
	{"connect-timeout", "10", "", "the default"},
	{"thread-cache-size", "256", "", "Django connects per request: threads are kept"},
	{"table-open-cache", "4000", "", "one per connection and table"},
	{"innodb-file-per-table", "ON", "", "the default of both"},
	{"innodb-flush-log-at-trx-commit", "2", "", "rows that bakeoff changes under load wait for no disk; targets only read"},
	{"innodb-doublewrite", "ON", "", "the default of both"},
	{"innodb-adaptive-hash-index", "OFF", "", "off in MariaDB, on in MySQL 8.0, off again in 8.4"},
	{"innodb-stats-persistent", "ON", "", "the default of both"},
	{"innodb-stats-auto-recalc", "OFF", "", "no statistics run inside a measurement"},
	{"innodb-buffer-pool-dump-at-shutdown", "OFF", "", "a start does not depend on the last one"},
	{"innodb-buffer-pool-load-at-startup", "OFF", "", "the same"},
	{"innodb-log-file-size", "96M", MariaDB, "the default"},
	{"local-infile", "OFF", "", "only the fill needs it"},
	{"query-cache-type", "OFF", MariaDB, "a cached answer would not be a lookup"},
	{"query-cache-size", "0", MariaDB, "the same"},
	{"log-warnings", "1", MariaDB, "no line per broken connection"},
	{"use-stat-tables", "NEVER", MariaDB, "a new connection's first use of a table would read those tables too, and be counted"},
	{"mysqlx", "OFF", MySQL, "no second listener"},
	{"tls-version", nothing, MySQL, "no TLS is offered: drivers that would take it are alike with those that would not"},
	{"auto-generate-certs", "OFF", MySQL, "the same"},
	{"ssl", "OFF", MariaDB, "the same"},
}

// uncounted are the settings that differ where nothing is counted of each lookup.
var uncounted = []setting{
	{"userstat", "OFF", MariaDB, "the plan leaves this check out"},
	{"performance-schema", "OFF", MySQL, "the same"},
}

// filling are the settings that differ while a private server is filled; a
// crash then loses the table, which is made again.
var filling = []setting{
	{"innodb-flush-log-at-trx-commit", "0", "", "no sync per commit"},
	{"innodb-doublewrite", "OFF", "", "a torn page means a new fill"},
	{"innodb-sort-buffer-size", "4M", "", "measured: 4M sorts the index faster than 64M"},
	{"innodb-log-file-size", "512M", MariaDB, "no checkpoint in the way"},
	{"innodb-log-buffer-size", "64M", "", "the same"},
	{"local-infile", "ON", "", "LOAD DATA LOCAL"},
	{"innodb-autoinc-lock-mode", "2", "", "streams do not wait for each other"},
}

// reported are the variables that Info shows in addition to the pinned ones.
var reported = []string{
	"version", "version_comment", "max_connections", "innodb_buffer_pool_size", "innodb_log_file_size",
	"innodb_redo_log_capacity", "innodb_flush_method", "innodb_page_size", "innodb_io_capacity", "thread_handling",
	"open_files_limit", "back_log", "tx_isolation", "transaction_isolation", "time_zone", "performance_schema", "log_bin",
	"character_set_server", "collation_server", "sql_mode",
}

// owned are settings a plan cannot change: isolation and safety rest on them.
var owned = []string{
	"datadir", "socket", "port", "bind_address", "init_file", "pid_file", "user", "skip_grant_tables", "skip_networking",
	"tmpdir", "log_error", "plugin_dir", "plugin_load", "plugin_load_add", "basedir", "defaults_file", "secure_file_priv",
	"max_connections", "collation_server", "character_set_server", "skip_name_resolve", "general_log", "slow_query_log",
	"innodb_data_home_dir", "innodb_log_group_home_dir", "lc_messages_dir", "chroot", "help", "bootstrap", "initialize",
}

var (
	settingName  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
	settingValue = regexp.MustCompile(`^[A-Za-z0-9_.,:+-]{0,200}$`)
)

// checkSettings refuses settings of a plan that are not plain or not the
// plan's to change.
func checkSettings(settings map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		plain := strings.TrimPrefix(variable(name), "loose_")
		switch {
		case !settingName.MatchString(name):
			return fmt.Errorf("database: setting %q: not the name of a server variable", name)
		case slices.Contains(owned, plain) || slices.Contains(owned, strings.TrimPrefix(plain, "skip_")):
			return fmt.Errorf("database: setting %q belongs to bakeoff and cannot be changed", name)
		case !settingValue.MatchString(settings[name]):
			return fmt.Errorf("database: setting %s: value %q has characters that are not allowed", name, settings[name])
		}
	}
	return nil
}

// variable is a setting's name as the server reports it.
func variable(name string) string { return strings.ReplaceAll(name, "-", "_") }

// render writes the settings as lines of a configuration file, later ones of
// one name replacing earlier ones; instruments are chosen by as many lines as there are.
func render(vendor string, lists ...[]setting) string {
	lines := map[string]string{}
	for _, list := range lists {
		for _, s := range list {
			if s.only != "" && s.only != vendor {
				continue
			}
			name := variable(s.name)
			line := name
			if s.value != "" {
				line += " = " + s.value
			}
			if name == instruments {
				name = line
			}
			lines[name] = line
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		b.WriteString(lines[name] + "\n")
	}
	return b.String()
}

// settingNames are the variables Info reports.
func (s *Server) settingNames() []string {
	names := slices.Clone(reported)
	for _, p := range pinned {
		names = append(names, variable(p.name))
	}
	if s.private != nil {
		for name := range s.private.options.Settings {
			names = append(names, variable(name))
		}
	}
	for _, name := range s.chosen {
		names = append(names, variable(name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// reportedSettings are the values of those variables that the server knows.
func reportedSettings(ctx context.Context, c *sql.Conn, names []string) (map[string]string, error) {
	rows, err := c.QueryContext(ctx, "SHOW GLOBAL VARIABLES")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	settings := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		if _, ok := slices.BinarySearch(names, name); ok {
			settings[name] = value
		}
	}
	return settings, rows.Err()
}
