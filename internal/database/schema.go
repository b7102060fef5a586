package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/dataset"
)

const (
	tableName = "demo_data"
	collation = "utf8mb4_general_ci"
	indexName = "name"

	// schemaVersion changes whenever the DDL or what is kept with it does; it is part of
	// a cached directory's key.
	schemaVersion = "1"
)

// ddl makes the table; the secondary index is added by addIndex once the
// rows are in.
const ddl = `CREATE TABLE demo_data (
  id bigint(20) NOT NULL AUTO_INCREMENT,
  name varchar(255) NOT NULL,
  create_time timestamp DEFAULT CURRENT_TIMESTAMP,
  update_time timestamp DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id)
) CHARACTER SET = utf8mb4 COLLATE = ` + collation + ` ENGINE = InnoDB`

const addIndex = "ALTER TABLE demo_data ADD INDEX name (name)"

// Errors that Check wraps.
var (
	ErrRows      = errors.New("another number of rows")
	ErrData      = errors.New("other data")
	ErrIndex     = errors.New("index is not as it should be")
	ErrCollation = errors.New("another collation")
	ErrTable     = errors.New("table is not as it should be")
)

// Check proves before a trial that the table is the dataset's: columns,
// collation, index, number of rows, and a sample of rows in full. Errors wrap
// ErrTable, ErrCollation, ErrIndex, ErrRows or ErrData.
func (s *Server) Check(ctx context.Context, d *dataset.Dataset) error {
	err := s.use(ctx, func(c *sql.Conn) error {
		for _, check := range []func(context.Context, *sql.Conn) error{checkColumns, checkIndexes} {
			if err := check(ctx, c); err != nil {
				return err
			}
		}
		if err := checkRows(ctx, c, d); err != nil {
			return err
		}
		return checkSample(ctx, c, d)
	})
	if err != nil {
		return fmt.Errorf("database: %s: %w", tableName, err)
	}
	return nil
}

// checkColumns compares the columns, the engine and the collation.
func checkColumns(ctx context.Context, c *sql.Conn) error {
	rows, err := c.QueryContext(ctx, `SELECT COLUMN_NAME, DATA_TYPE, COALESCE(CHARACTER_MAXIMUM_LENGTH, 0), IS_NULLABLE,
		COALESCE(COLLATION_NAME, '') FROM information_schema.COLUMNS
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'demo_data' ORDER BY ORDINAL_POSITION`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var got []string
	var nameCollation string
	for rows.Next() {
		var name, kind, nullable, collate string
		var length int64
		if err := rows.Scan(&name, &kind, &length, &nullable, &collate); err != nil {
			return err
		}
		if name == "name" {
			nameCollation = collate
		}
		if name == "id" || name == "name" { // what the timestamps allow depends on the server's defaults
			kind = fmt.Sprintf("%s(%d) nullable=%s", kind, length, nullable)
		}
		got = append(got, name+" "+strings.ToLower(kind))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	want := []string{"id bigint(0) nullable=no", "name varchar(255) nullable=no", "create_time timestamp", "update_time timestamp"}
	switch {
	case len(got) == 0:
		return fmt.Errorf("%w: it does not exist", ErrTable)
	case !slices.Equal(got, want):
		return fmt.Errorf("%w: columns are %q, not %q", ErrTable, got, want)
	case nameCollation != collation:
		return fmt.Errorf("%w: %s, not %s; change it by ALTER TABLE %s CONVERT TO CHARACTER SET utf8mb4 COLLATE %s, "+
			"or drop the table and have bakeoff make it", ErrCollation, nameCollation, collation, tableName, collation)
	}
	var engine string
	err = c.QueryRowContext(ctx, `SELECT COALESCE(ENGINE, '') FROM information_schema.TABLES
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'demo_data'`).Scan(&engine)
	if err == nil && !strings.EqualFold(engine, "InnoDB") {
		err = fmt.Errorf("%w: engine %s, not InnoDB", ErrTable, engine)
	}
	return err
}

// checkIndexes compares the whole list of indexes: one too many would change
// the plan as one missing does.
func checkIndexes(ctx context.Context, c *sql.Conn) error {
	rows, err := c.QueryContext(ctx, `SELECT INDEX_NAME, NON_UNIQUE, SEQ_IN_INDEX, COLUMN_NAME, COALESCE(SUB_PART, 0), INDEX_TYPE
		FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'demo_data'`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var index, column, kind string
		var nonUnique, place, part int
		if err := rows.Scan(&index, &nonUnique, &place, &column, &part, &kind); err != nil {
			return err
		}
		got = append(got, fmt.Sprintf("%s: %s column %d, first %d characters, unique %t, %s", index, column, place, part, nonUnique == 0, strings.ToLower(kind)))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	slices.Sort(got)
	want := []string{
		"PRIMARY: id column 1, first 0 characters, unique true, btree",
		"name: name column 1, first 0 characters, unique false, btree",
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%w: indexes are %q, not %q", ErrIndex, got, want)
	}
	return nil
}

// checkRows counts the rows and looks at the ends of the ids.
func checkRows(ctx context.Context, c *sql.Conn, d *dataset.Dataset) error {
	var count, least, greatest int64
	err := c.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(MIN(id), 0), COALESCE(MAX(id), 0) FROM demo_data AS "+ownAlias).Scan(&count, &least, &greatest)
	switch {
	case err != nil:
		return err
	case count != d.Rows():
		return fmt.Errorf("%w: %d, not %d", ErrRows, count, d.Rows())
	case least != 1 || greatest != d.Rows():
		return fmt.Errorf("%w: ids are %d to %d, not 1 to %d", ErrData, least, greatest, d.Rows())
	}
	return nil
}

// sampleSize is how many rows Check reads in full, evenly spread, first and last included.
const sampleSize = 200

// checkSample reads some rows by id and compares their names byte by byte.
func checkSample(ctx context.Context, c *sql.Conn, d *dataset.Dataset) error {
	var list strings.Builder
	step := max(1, (d.Rows()-1)/(sampleSize-1))
	expected := map[int64]bool{d.Rows(): true}
	fmt.Fprint(&list, d.Rows())
	for id := int64(1); id < d.Rows(); id += step {
		fmt.Fprintf(&list, ",%d", id)
		expected[id] = true
	}
	rows, err := c.QueryContext(ctx, "SELECT id, name FROM demo_data AS "+ownAlias+" WHERE id IN ("+list.String()+")")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		if want := d.Name(id); name != want {
			return fmt.Errorf("%w: row %d is %q, not %q", ErrData, id, name, want)
		}
		delete(expected, id)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(expected) > 0 {
		return fmt.Errorf("%w: %d of %d sampled rows are missing", ErrData, len(expected), sampleSize)
	}
	return nil
}

// nameCollation is that of demo_data.name, empty when there is no such table.
func nameCollation(ctx context.Context, c *sql.Conn) (string, error) {
	var name string
	err := c.QueryRowContext(ctx, `SELECT COALESCE(COLLATION_NAME, '') FROM information_schema.COLUMNS
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'demo_data' AND COLUMN_NAME = 'name'`).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return name, err
}

// isBroken reports whether an error is the connection's, not a statement's.
func isBroken(err error) bool {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return false
	}
	for _, own := range []error{ErrRows, ErrData, ErrIndex, ErrCollation, ErrTable, ErrLocked} {
		if errors.Is(err, own) {
			return false
		}
	}
	var refused *mysql.MySQLError
	return !errors.As(err, &refused)
}
