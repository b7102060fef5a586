package contract

import (
	"context"
	"errors"
	"time"
)

// checkFresh asks for a row that comes and goes: absent, inserted, inserted
// again under a higher id and in the other case, the first deleted, both deleted. An
// answer kept from before, or taken from a copy of the table, is wrong in one of them. Its name is drawn like those of other keys
// that do not exist.
func (s *inspection) checkFresh(ctx context.Context) (err error) {
	key := s.absent("fresh row").key
	rows := freshRows{fixture: s.Database}
	defer func() { err = errors.Join(err, rows.clear(ctx)) }()
	for _, stage := range []func() error{
		func() error { return nil },
		func() error { return rows.insert(ctx, key) },
		func() error { return rows.insert(ctx, swapCase(key)) },
		func() error { return rows.remove(ctx) },
		func() error { return rows.remove(ctx) },
	} {
		if err := stage(); err != nil {
			return err
		}
		if _, err := s.since(ctx, 0); err != nil {
			return err
		}
		if err := s.exactly(ctx, "fresh row", func() { s.everywhere(ctx, lookup{"fresh row", key, rows.first()}) }); err != nil {
			return err
		}
	}
	return nil
}

// freshRows are the rows a check has inserted and not yet deleted, oldest first.
type freshRows struct {
	fixture Fixture
	ids     []int64
}

func (r *freshRows) first() int64 {
	if len(r.ids) == 0 {
		return 0
	}
	return r.ids[0]
}

func (r *freshRows) insert(ctx context.Context, name string) error {
	id, err := r.fixture.Insert(ctx, name)
	if err == nil {
		r.ids = append(r.ids, id)
	}
	return err
}

// remove deletes the oldest row.
func (r *freshRows) remove(ctx context.Context) error {
	err := r.fixture.Delete(ctx, r.ids[0])
	if err == nil {
		r.ids = r.ids[1:]
	}
	return err
}

// clear deletes what is left, also after ctx has ended.
func (r *freshRows) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for len(r.ids) > 0 {
		if err := r.remove(ctx); err != nil {
			return err
		}
	}
	return nil
}
