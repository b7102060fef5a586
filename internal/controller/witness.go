package controller

import (
	"context"
	"fmt"
	"time"

	"bakeoff/internal/contract"
	"bakeoff/internal/database"
	"bakeoff/internal/gate"
	"bakeoff/internal/record"
)

// count is what the witnesses have counted so far.
type count struct {
	db       database.Counters
	balancer int64 // -1 where nothing counts
	lines    int64 // of the replicas' logs
}

// witness reads the counters.
func (d *replicated) witness(ctx context.Context) (count, error) {
	var c count
	var err error
	if c.db, err = d.stage.db.Counters(ctx); err != nil {
		return c, fmt.Errorf("database counters: %w", err)
	}
	if c.balancer, err = d.at.Requests(ctx); err != nil {
		return c, err
	}
	c.lines, err = d.at.LogLines()
	return c, err
}

// count begins to count once the database stands still.
func (d *replicated) count(ctx context.Context) (witnessCount, error) {
	if _, _, err := contract.Idle(ctx, d.stage.db); err != nil {
		return nil, fmt.Errorf("database counters: %w", err)
	}
	earlier, err := d.witness(ctx)
	if err != nil {
		return nil, err
	}
	if earlier.db.Running > 0 {
		if earlier, err = d.still(ctx, "before the phase"); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, sent int64) (record.Witness, error) {
		return d.difference(ctx, earlier, sent)
	}, nil
}

// still reads the counters once no statement of a target runs any more.
func (d *replicated) still(ctx context.Context, when string) (count, error) {
	ended, err := d.quiet(ctx, when)
	if err == nil && ended {
		_, _, err = contract.Idle(ctx, d.stage.db)
	}
	if err != nil {
		return count{}, fmt.Errorf("database counters: %w", err)
	}
	return d.witness(ctx)
}

// settle is how long the database may take to finish statements whose clients gave up.
const settle = 15 * time.Second

// difference reads the counters after a phase, once the target is idle: when
// nothing was cut the counts are final as soon as they agree; else they are
// once they stand still for half a second.
func (d *replicated) difference(ctx context.Context, before count, sent int64) (record.Witness, error) {
	deadline := time.Now().Add(settle)
	var earlier count
	for round := 0; ; round++ {
		now, err := d.witness(ctx)
		if err != nil {
			return record.Witness{}, err
		}
		if now.db.Running > 0 {
			if now, err = d.still(ctx, "after the phase"); err != nil {
				return record.Witness{}, err
			}
		}
		w := d.minus(now, before)
		agree := w.DatabaseReads == sent && (w.BalancerTotal < 0 || w.BalancerTotal == sent)
		still := round > 0 && now.db.Reads == earlier.db.Reads && now.balancer == earlier.balancer
		if agree || still || time.Now().After(deadline) {
			d.note(w, now.lines)
			return w, nil
		}
		earlier = now
		select {
		case <-ctx.Done():
			return w, context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// minus is what was counted from before to now.
func (d *replicated) minus(now, before count) record.Witness {
	w := minus(now, before, len(d.stage.meanings) > 0)
	counts := d.stage.meanings.Counts(now.db.Touched.Sub(before.db.Touched))
	for what, into := range map[string]**int64{
		database.Lookups: &w.Lookups, database.Statements: &w.Statements, database.RowsByName: &w.RowsByName, database.RowsByOther: &w.RowsByOther,
		database.Ranges: &w.Ranges, database.Empty: &w.Empty,
	} {
		n, counted := counts[what]
		if !counted {
			continue
		}
		if *into = new(n); w.Counters == nil {
			w.Counters = map[string]string{}
		}
		w.Counters[what] = d.stage.meanings[what].String()
	}
	return w
}

// minus is that without what was counted of each lookup. Among the others are the SELECT statements that were no lookups; where every
// lookup must be one, fewer of them than lookups are noted as less than none.
func minus(now, before count, each bool) record.Witness {
	d := now.db.Sub(before.db)
	selects := d.Others["select"] - d.Reads
	delete(d.Others, "select")
	if selects > 0 || selects < 0 && each {
		d.Others["select"] = selects
	}
	w := record.Witness{
		DatabaseReads: d.Reads, BalancerTotal: gate.NotCounted, Connections: d.Connections, DatabaseOthers: d.Others,
		LogLines: new(now.lines - before.lines),
	}
	if now.balancer >= 0 {
		w.BalancerTotal = now.balancer - before.balancer
	}
	return w
}

// turnAccount reads the counters whenever a turn has ended: nothing is under way then.
type turnAccount struct {
	d     *replicated
	begin count
	sum   database.Counters
}

// account begins with what others than the database have counted so far; still is for that.
func (d *replicated) account(ctx context.Context) (account, error) {
	a := &turnAccount{d: d}
	var err error
	if a.begin.balancer, err = d.at.Requests(ctx); err != nil {
		return a, err
	}
	a.begin.lines, err = d.at.LogLines()
	return a, err
}

func (a *turnAccount) still(ctx context.Context) error {
	now, _, err := contract.Idle(ctx, a.d.stage.db)
	if err == nil && now.Running > 0 {
		var last count
		last, err = a.d.still(ctx, "before the phase")
		now = last.db
	}
	if err != nil {
		return fmt.Errorf("database counters: %w", err)
	}
	a.d.stage.counted = now
	return nil
}

func (a *turnAccount) turn(ctx context.Context, cut bool) error {
	read := a.d.stage.db.Counters
	if cut {
		read = func(ctx context.Context) (database.Counters, error) {
			now, _, err := contract.Idle(ctx, a.d.stage.db)
			return now, err
		}
	}
	now, err := read(ctx)
	if err == nil && now.Running > 0 { // a statement that goes on would be counted, and felt, in another target's turn
		var last count
		last, err = a.d.still(ctx, "after its turn")
		now = last.db
	}
	if err != nil {
		return fmt.Errorf("database counters: %w", err)
	}
	a.sum = a.sum.Plus(now.Sub(a.d.stage.counted))
	a.d.stage.counted = now
	return nil
}

func (a *turnAccount) total(ctx context.Context) (record.Witness, error) {
	requests, err := a.d.at.Requests(ctx)
	if err != nil {
		return record.Witness{}, err
	}
	lines, err := a.d.at.LogLines()
	w := a.d.minus(count{a.sum, requests, lines}, a.begin)
	a.d.note(w, lines)
	return w, err
}

// note keeps what lines that come later are held against.
func (d *replicated) note(w record.Witness, lines int64) {
	d.served += max(w.BalancerTotal, w.DatabaseReads, 0)
	d.lines = lines
}
