package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Session is a connection of a target that a statement runs on, or that holds locks.
type Session struct {
	ID        int64
	User      string
	Statement string // that runs; cut, without the account's password
	Rows      int64  // that it holds locks on
}

const (
	// ofTrials selects the connections of accounts that were made for trials from the process list p; ofTargets those of the account
	// that targets share as well, which others may use. A pattern with an escape would depend on the server's sql_mode.
	ofTrials  = "LEFT(p.USER, 14) = '" + trialPrefix + "'"
	ofTargets = "p.ID <> CONNECTION_ID() AND (p.USER = ? OR " + ofTrials + ")"
)

// working are the commands of connections on which a statement runs.
const working = "p.COMMAND IN ('Query', 'Execute', 'Fetch', 'Prepare', 'Killed')"

// statementLength is how much of a statement is kept.
const statementLength = 100

// Busy are the sessions on which a statement of a target runs. Of an account that all trials share nothing is known: others may
// use it.
func (s *Server) Busy(ctx context.Context) ([]Session, error) {
	return s.sessions(ctx, "SELECT p.ID, p.USER, COALESCE(p.INFO, p.STATE, ''), 0 FROM information_schema.PROCESSLIST p WHERE "+ofTrials+" AND "+working)
}

// Locking are the sessions of targets that hold locks on rows, likewise. Where we have no right to know there are none.
// InnoDB's answer may be some 100 ms old.
func (s *Server) Locking(ctx context.Context) ([]Session, error) {
	found, err := s.sessions(ctx, `SELECT p.ID, p.USER, COALESCE(p.INFO, ''), t.trx_rows_locked FROM information_schema.INNODB_TRX t
		JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id WHERE `+ofTrials+" AND t.trx_rows_locked > 0")
	if _, refused := errors.AsType[*mysql.MySQLError](err); refused {
		return nil, nil
	}
	return found, err
}

func (s *Server) sessions(ctx context.Context, query string) (out []Session, err error) {
	err = s.use(ctx, func(c *sql.Conn) error {
		rows, err := c.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var one Session
			if err := rows.Scan(&one.ID, &one.User, &one.Statement, &one.Rows); err != nil {
				return err
			}
			one.Statement = excerpt(one.Statement)
			out = append(out, one)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("database: sessions: %w", err)
	}
	return out, nil
}

// excerpt is the beginning of a statement up to its first quote: what follows may be a secret.
func excerpt(statement string) string {
	text := strings.Join(strings.Fields(statement), " ")
	if at := strings.IndexAny(text, `'"`); at >= 0 {
		text = text[:at] + "..."
	}
	if len(text) > statementLength {
		text = strings.ToValidUTF8(text[:statementLength], "") + "..."
	}
	return text
}

// endWithin is how long connections may take to end once they are told to.
const endWithin = 30 * time.Second

// End ends sessions and returns when the server has none of them any more.
func (s *Server) End(ctx context.Context, sessions []Session) error {
	ids := make([]string, len(sessions))
	for i, one := range sessions {
		ids[i] = fmt.Sprint(one.ID)
	}
	if len(ids) == 0 {
		return nil
	}
	if err := s.endAll(ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE ID IN ("+strings.Join(ids, ",")+")"); err != nil {
		return fmt.Errorf("database: sessions: %w", err)
	}
	return nil
}

// disband ends all connections of an account.
func (s *Server) disband(ctx context.Context, user string) error {
	return s.endAll(ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '"+user+"'")
}

// endAll ends the connections whose ids a query names, until it names none.
func (s *Server) endAll(ctx context.Context, query string) error {
	told := map[string]bool{}
	for end, wait := time.Now().Add(endWithin), time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		ids, err := s.column(ctx, query)
		if err != nil || len(ids) == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d connections have not ended within %v after KILL", len(ids), endWithin)
		}
		for _, id := range ids {
			if told[id] {
				continue
			}
			if err := s.run(ctx, "KILL "+id); err != nil && !isGone(err) {
				return err
			}
			told[id] = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// isGone reports whether KILL came too late: ER_NO_SUCH_THREAD.
func isGone(err error) bool {
	refused, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && refused.Number == 1094
}

// column is a query's one column as text.
func (s *Server) column(ctx context.Context, query string) (out []string, err error) {
	err = s.use(ctx, func(c *sql.Conn) error {
		rows, err := c.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var one string
			if err := rows.Scan(&one); err != nil {
				return err
			}
			out = append(out, one)
		}
		return rows.Err()
	})
	return out, err
}

// lockWait is how long a statement of ours waits for the locks of others: targets hold none. MySQL knows nothing shorter.
const lockWait = time.Second

// ErrLocked is what Insert and Delete wrap where somebody holds a lock on the rows.
var ErrLocked = errors.New("somebody holds locks on rows of the table")

// locked names the server's error for a lock that was not given up in time (ER_LOCK_WAIT_TIMEOUT), or chosen as the victim of
// a deadlock.
func locked(err error) error {
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok && (refused.Number == 1205 || refused.Number == 1213) {
		return fmt.Errorf("%w: %s", ErrLocked, refused.Message)
	}
	return err
}

// Tidy removes the rows that are not the dataset's, such as those of a check that was broken off.
func (s *Server) Tidy(ctx context.Context) error {
	err := s.use(ctx, func(c *sql.Conn) error {
		if s.table == nil {
			return nil
		}
		_, err := c.ExecContext(ctx, "DELETE FROM demo_data WHERE id > ?", s.table.Rows())
		return locked(err)
	})
	if err != nil {
		return fmt.Errorf("database: tidy: %w", err)
	}
	return nil
}
