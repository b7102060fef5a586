package database

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// trialPrefix begins the names of the accounts that are made for trials.
const trialPrefix = "bakeoff_trial_"

// ErrAccount is returned by Opens where an account is not any more as it was given out.
var ErrAccount = errors.New("the account cannot be logged in to with the password that it was given")

// Account is how the target of one trial reaches the server.
type Account struct {
	Access
	Own    bool // made for one trial; false: the account that all trials share
	forget func() error
}

// Account makes the account of one trial, with the one right to read the table, and logs in to it once.
// Where the server's own account may not make any, all trials share it, as Info says. Retire must follow.
func (s *Server) Account(ctx context.Context) (Account, error) {
	s.mu.Lock()
	shared := s.accountReason != ""
	s.mu.Unlock()
	if shared {
		return Account{Access: s.access}, nil
	}
	a, err := s.newAccount(ctx)
	if err != nil {
		return Account{}, fmt.Errorf("database: account of a trial: %w", err)
	}
	return a, nil
}

func (s *Server) newAccount(ctx context.Context) (a Account, err error) {
	a = Account{Access: s.access, Own: true}
	a.User = trialPrefix + strings.ToLower(rand.Text()[:12])
	a.Password = rand.Text() + "-x1" // also by the rules of servers that judge passwords
	if a.PasswordFile, a.forget, err = keepPassword(a.Password); err != nil {
		return Account{}, err
	}
	if err = s.grant(ctx, a); err == nil {
		err = s.logIn(ctx, a.Access)
	}
	if err != nil {
		return Account{}, errors.Join(err, s.remove(context.WithoutCancel(ctx), a))
	}
	return a, nil
}

// hosts are those that targets come from.
func (s *Server) hosts() []string {
	if s.private != nil {
		return []string{"localhost", "127.0.0.1"}
	}
	return []string{"%"}
}

// grant makes the account. On a server of somebody else its name is kept first, so that a later run can remove it.
func (s *Server) grant(ctx context.Context, a Account) error {
	if s.private == nil {
		if err := s.setMarkOf(ctx, markAccount+a.User, markFilling); err != nil {
			return err
		}
	}
	var statements []string
	for _, host := range s.hosts() {
		who := fmt.Sprintf("'%s'@'%s'", a.User, host)
		statements = append(statements, fmt.Sprintf("CREATE USER %s IDENTIFIED BY '%s'", who, a.Password),
			fmt.Sprintf("GRANT SELECT ON `%s`.%s TO %s", strings.ReplaceAll(a.Name, "`", "``"), tableName, who))
	}
	return s.run(ctx, statements...)
}

// drop removes the account of a name; connections that it has remain.
func (s *Server) drop(ctx context.Context, user string) error {
	var statements []string
	for _, host := range s.hosts() {
		statements = append(statements, fmt.Sprintf("DROP USER IF EXISTS '%s'@'%s'", user, host))
	}
	if s.private == nil {
		statements = append(statements, fmt.Sprintf("DELETE FROM %s WHERE name = '%s'", markTable, markAccount+user))
	}
	return s.run(ctx, statements...)
}

// Retire removes the account of a trial and ends all its connections, whatever runs on them. It returns once the server has none
// of them any more. An account that all trials share is left alone.
func (s *Server) Retire(ctx context.Context, a Account) error {
	if !a.Own {
		return nil
	}
	if err := s.remove(ctx, a); err != nil {
		return fmt.Errorf("database: account %s: %w", a.User, err)
	}
	return nil
}

func (s *Server) remove(ctx context.Context, a Account) error {
	return errors.Join(s.drop(ctx, a.User), s.disband(ctx, a.User), a.forget())
}

// Opens logs in as the target of a trial does; ErrAccount where the server refuses it now.
func (s *Server) Opens(ctx context.Context, a Account) error {
	err := s.logIn(ctx, a.Access)
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok && lockedOut[refused.Number] {
		return fmt.Errorf("%w: %s", ErrAccount, refused.Message)
	}
	if err != nil {
		return fmt.Errorf("database: account %s: %w", a.User, err)
	}
	return nil
}

// lockedOut are the server's errors for an account that was changed: access denied, password expired (two), account locked (MySQL,
// MariaDB).
var lockedOut = map[uint16]bool{1045: true, 1820: true, 1862: true, 3118: true, 4151: true}

// rights finds out whether accounts can be made for trials, by making one, connecting, and removing it with
// its connection. Accounts of a run that was killed are removed first.
func (s *Server) rights(ctx context.Context) error {
	if s.private != nil || s.less.SharedAccount {
		return nil
	}
	err := s.rehearse(ctx)
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok && ctx.Err() == nil {
		err = nil
		s.mu.Lock()
		s.accountReason = fmt.Sprintf("the account of the DSN file may not make others: %s (it needs CREATE USER, SELECT on %s with GRANT OPTION, "+
			"PROCESS and CONNECTION_ADMIN or SUPER)", refused.Message, tableName)
		s.mu.Unlock()
	}
	return err
}

func (s *Server) rehearse(ctx context.Context) error {
	if err := s.run(ctx, "DROP USER IF EXISTS '"+trialPrefix+"none'@'%'"); err != nil { // before anything is left that could not be removed
		return err
	}
	left, err := s.leftAccounts(ctx)
	for _, user := range left {
		err = errors.Join(err, s.drop(ctx, user), s.disband(ctx, user))
	}
	if err != nil {
		return err
	}
	a, err := s.newAccount(ctx)
	if err != nil {
		return err
	}
	db, err := open(a.Access, "tcp")
	if err != nil {
		return errors.Join(err, s.remove(ctx, a))
	}
	db.SetMaxIdleConns(1)
	defer db.Close()
	return errors.Join(db.PingContext(ctx), s.remove(ctx, a))
}

// leftAccounts are those that a killed run has left on the server.
func (s *Server) leftAccounts(ctx context.Context) ([]string, error) {
	if err := s.makeMarks(ctx); err != nil {
		return nil, err
	}
	names, err := s.column(ctx, "SELECT name FROM "+markTable+" WHERE name LIKE '"+markAccount+trialPrefix+"%'")
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], markAccount)
	}
	return names, err
}
