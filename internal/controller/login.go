package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// statementsEnd is how long statements of a target may run after its last answer, before they count as left behind. Where
// requests were cut short the counts have been waited for before.
const statementsEnd = 2 * time.Second

// between two looks at the statements that run.
const statementsLook = 10 * time.Millisecond

// accuse notes why a trial is refused: that of the target whose account it is, or d's where that is not known.
func (d *replicated) accuse(user, code, text string) {
	s := d.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	owner := s.logins[user]
	if owner == nil {
		owner = d
	}
	owner.found = append(owner.found, record.Reason{Code: code, Text: text})
}

// reasons are what the database saw of the target, since they were last asked for, that refuses its trial.
func (d *replicated) reasons() []record.Reason {
	d.stage.mu.Lock()
	defer d.stage.mu.Unlock()
	out := d.found
	d.found = nil
	return out
}

// admit makes the account by which the target reaches the database.
func (d *replicated) admit(ctx context.Context) (err error) {
	if d.login, err = d.stage.db.Account(ctx); err != nil {
		return err
	}
	d.stage.mu.Lock()
	defer d.stage.mu.Unlock()
	if d.login.Own {
		d.ownUser = d.login.User
		d.stage.logins[d.ownUser] = d
	}
	return nil
}

// dismiss ends what the target left running in the database, and its account.
func (d *replicated) dismiss(ctx context.Context) error {
	s := d.stage
	if d.login.User == "" || s.databaseEnded() {
		return nil
	}
	_, err := d.quiet(ctx, "after its end")
	s.mu.Lock()
	login := d.login
	d.login = database.Account{} // it stays among the logins: others that stop at the same time may yet see its statements
	s.mu.Unlock()
	return errors.Join(err, s.db.Retire(ctx, login))
}

// databaseEnded reports whether a database server of our own is gone, with all that ran on it.
func (s *recipes) databaseEnded() bool {
	if s.db.Process() == nil {
		return false
	}
	select {
	case <-s.db.Process().Done():
		return true
	default:
		return false
	}
}

// quiet waits until no statement of a target runs. What still runs then is ended with its connection, and refuses the trial of
// the target whose it is: ended reports whether there was anything.
func (d *replicated) quiet(ctx context.Context, when string) (ended bool, err error) {
	if d.stage.o.Plan.Trust.Statements == plan.Off {
		return false, nil
	}
	for end := time.Now().Add(statementsEnd); ; {
		busy, err := d.stage.db.Busy(ctx)
		if err != nil || len(busy) == 0 {
			return false, err
		}
		if time.Now().After(end) {
			for _, one := range busy {
				d.accuse(one.User, record.CodeLeftBehind, fmt.Sprintf("a statement of the target still ran in the database %v %s: %s", statementsEnd, when, one.Statement))
			}
			return true, d.stage.db.End(ctx, busy)
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(statementsLook):
		}
	}
}

// unlock ends the sessions of targets that hold locks on rows, and refuses their trials. It reports whether there were any.
func (d *replicated) unlock(ctx context.Context, when string) (found bool, err error) {
	held, err := d.stage.db.Locking(ctx)
	if err != nil {
		return false, err
	}
	for _, one := range held {
		d.accuse(one.User, record.CodeLocks, fmt.Sprintf("a session of the target held locks on %d rows of the table %s", one.Rows, when))
	}
	return len(held) > 0, d.stage.db.End(ctx, held)
}

// examine looks, at the end of a trial and before the target is stopped, for what it left in the database.
func (d *replicated) examine(ctx context.Context) error {
	if d.login.User == "" || d.err != nil {
		return nil
	}
	if _, err := d.quiet(ctx, "after the last answer"); err != nil {
		return err
	}
	if d.stage.o.Plan.Trust.Statements == plan.Off {
		return nil
	}
	if _, err := d.unlock(ctx, "while nothing was asked of it"); err != nil {
		return err
	}
	err := d.stage.db.Opens(ctx, d.login)
	if errors.Is(err, database.ErrAccount) {
		d.accuse(d.login.User, record.CodeAccount, "the target changed its account in the database: "+err.Error())
		return nil
	}
	return err
}

// freed ends the locks that a check ran into, and puts the table right again. It reports whether the check is to be made again:
// where the locks were those of another target.
func (d *replicated) freed(ctx context.Context, why error) (again bool, err error) {
	found, err := d.unlock(ctx, "while nothing was asked of it")
	if err != nil {
		return false, err
	}
	if !found {
		d.accuse("", record.CodeLocks, "the check could not change its row: "+why.Error())
	}
	if err := d.stage.db.Tidy(ctx); err != nil {
		return false, err
	}
	d.stage.mu.Lock()
	defer d.stage.mu.Unlock()
	return len(d.found) == 0, nil
}

// alone ends whatever statements of earlier trials still run.
func (s *recipes) alone(ctx context.Context) error {
	busy, err := s.db.Busy(ctx)
	if err != nil {
		return err
	}
	return s.db.End(ctx, busy)
}
