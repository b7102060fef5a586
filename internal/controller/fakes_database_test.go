package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/platform"
	"bakeoff/internal/venue"
)

// table is the database.
type table struct {
	world          *world
	venue.Database // what the controller must not use
}

func (d *table) Fill(_ context.Context, rows *dataset.Dataset, _ func(done, total int64)) (database.Filled, error) {
	digest := d.world.filled
	if digest == "" {
		digest = rows.Digest()
	}
	return database.Filled{Digest: digest}, d.world.call("fill")
}

func (d *table) Lookup(context.Context, string) (int64, bool, error) {
	return 1, true, nil
}

func (d *table) Alone(_ context.Context, names []string) (time.Duration, error) {
	d.world.lookups = append(d.world.lookups, names...)
	return d.world.alone, d.world.call("alone")
}

func (d *table) Info(context.Context) (database.Info, error) {
	return d.world.info, d.world.call("info")
}

func (d *table) Check(context.Context, *dataset.Dataset) error {
	d.world.looks++
	if d.world.look != nil {
		return d.world.look(d.world.looks)
	}
	return d.world.call("look")
}

func (d *table) Digest(context.Context) (string, error) {
	if err := d.world.call("digest"); err != nil || d.world.ended != "" {
		return d.world.ended, err
	}
	return d.world.rows.Digest(), nil
}
func (d *table) Status(context.Context) (map[string]float64, error) { return nil, nil }
func (d *table) ConnectionCount(context.Context) (int, error) {
	sum := 0
	for _, n := range d.open() {
		sum += n
	}
	return sum, d.world.call("connection count")
}

func (d *table) Connections(context.Context) (map[string]int, error) {
	return d.open(), d.world.call("connections")
}

func (d *table) open() map[string]int {
	open := map[string]int{}
	for _, name := range d.world.running() {
		open[d.world.accountOf(name)] += max(1, d.world.act(name).open)
	}
	return open
}

// Account is account-1, account-2 and so on, in the order of the deployments.
func (d *table) Account(context.Context) (database.Account, error) {
	if err := d.world.call("account"); err != nil {
		return database.Account{}, err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	d.world.accounts++
	user := fmt.Sprintf("account-%d", d.world.accounts)
	d.world.open[user] = true
	return database.Account{Access: database.Access{User: user, Password: "secret"}, Own: !d.world.shared}, nil
}

func (d *table) Retire(_ context.Context, a database.Account) error {
	if err := d.world.call("retire"); err != nil {
		return err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	delete(d.world.open, a.User)
	return nil
}

func (d *table) Opens(_ context.Context, a database.Account) error {
	return cmp.Or(d.world.refused[a.User], d.world.call("opens"))
}

func (d *table) Busy(context.Context) ([]database.Session, error) {
	if err := d.world.call("busy"); err != nil {
		return nil, err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	return slices.Clone(d.world.under), nil
}

func (d *table) Locking(context.Context) ([]database.Session, error) {
	return slices.Clone(d.world.held), d.world.call("locking")
}

func (d *table) End(_ context.Context, sessions []database.Session) error {
	if err := d.world.call("end sessions"); err != nil {
		return err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	for _, one := range sessions {
		gone := func(s database.Session) bool { return s.ID == one.ID }
		d.world.closed = append(d.world.closed, one.ID)
		d.world.under, d.world.held = slices.DeleteFunc(d.world.under, gone), slices.DeleteFunc(d.world.held, gone)
	}
	return nil
}

func (d *table) BeginMoves(_ context.Context, moves []dataset.Move) error {
	fault := d.world.call("begin moves")
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	if d.world.journal > 0 {
		return errors.New("MISTAKE: moves of an earlier phase are not undone")
	}
	if d.world.journalErr == nil {
		d.world.journal = len(moves)
	}
	return cmp.Or(d.world.journalErr, fault)
}

func (d *table) Move(ctx context.Context, moves ...dataset.Move) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d.world.moveTakes):
	}
	if err := d.world.call("move"); err != nil {
		return err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	d.world.batches++
	if d.world.moving != nil {
		if err := d.world.moving(d.world.batches); err != nil {
			return err
		}
	}
	for _, m := range moves {
		d.world.moved = append(d.world.moved, m.Kind)
	}
	return nil
}

func (d *table) UndoMoves(context.Context) error {
	if err := d.world.call("undo moves"); err != nil {
		return err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	d.world.undone++
	if d.world.undo != nil {
		if err := d.world.undo(d.world.undone); err != nil {
			return err
		}
	}
	d.world.journal = 0
	return nil
}

func (d *table) Tidy(context.Context) error { d.world.tidied++; return d.world.call("tidy") }

func (d *table) Process() platform.Process { return d.world.server }
func (d *table) Counters(context.Context) (database.Counters, error) {
	if err := d.world.call("counters"); err != nil {
		return database.Counters{}, err
	}
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	now := d.world.counters
	if d.world.behind != nil {
		now.Reads -= d.world.behind()
	}
	now.Running += int64(len(d.world.under))
	return now, nil
}

func (d *table) Stop(_ context.Context, grace time.Duration) error {
	d.world.note("database stops within %v", grace)
	return d.world.call("end of the database")
}
