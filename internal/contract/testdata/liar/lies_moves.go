package main

import (
	"context"
	"fmt"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// movesLies answer from a copy of the table, pay for each answer with a lookup, and take care not to be found by rows that change.
func movesLies() map[string]lie {
	return map[string]lie{
		// The place where rows are inserted stays locked for longer than bakeoff waited for it.
		"held": held(),
		// Answers come from the copy until the server has counted a few changes of rows.
		"until-change": untilChange(copied(honestly)),
		// They do for keys that have not come before.
		"first-sight": where(copied(honestly), firstSight()),
		// They do for short names, which several rows may have.
		"short": where(copied(honestly), func(_ *server, name string) bool { return len(name) <= 16 }),
		// They do, except for two seconds after a /ping, and for names that begin like that of the row with which a check came.
		"checked": where(copied(honestly), func(t *server, name string) bool {
			return time.Since(time.Unix(0, t.pinged.Load())) > 2*time.Second && !strings.HasPrefix(strings.ToLower(name), "fresh")
		}),
	}
}

// where lies only about some names.
func where(l lie, about func(t *server, name string) bool) lie {
	lying := l.answer
	l.answer = func(ctx context.Context, t *server, name string) (answer, error) {
		if about(t, name) {
			return lying(ctx, t, name)
		}
		return t.look(ctx, name)
	}
	return l
}

func firstSight() func(t *server, name string) bool {
	var seen sync.Map
	return func(_ *server, name string) bool {
		_, before := seen.LoadOrStore(strings.ToLower(name), true)
		return !before && strings.Trim(name, letters) == ""
	}
}

// letters are those of generated names.
const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// stretches numbers, from 1, stretches of requests without a pause of 50 ms, and says how long the present one takes.
func stretches() func() (number int, takes time.Duration) {
	var mu sync.Mutex
	var began, last time.Time
	number := 0
	return func() (int, time.Duration) {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		if now.Sub(last) > 50*time.Millisecond {
			began = now
			number++
		}
		last = now
		return number, now.Sub(began)
	}
}

// untilChange lies, once requests have come for 300 ms without a pause, until the server has counted a few more changes of rows than it
// had then: the first may come at once.
func untilChange(l lie) lie {
	stretch := stretches()
	var of, changed atomic.Int64 // the number of a stretch of requests, and of the last one in which a row changed
	var last atomic.Int64        // when the last request came
	return where(l, func(t *server, name string) bool {
		number, takes := stretch()
		if last.Store(time.Now().UnixNano()); takes < 300*time.Millisecond {
			return false
		}
		if of.Swap(int64(number)) != int64(number) {
			go func() {
				for first := changes(t); of.Load() == int64(number) && changed.Load() != int64(number); time.Sleep(5 * time.Millisecond) {
					if time.Since(time.Unix(0, last.Load())) > 50*time.Millisecond {
						return
					}
					if changes(t) >= first+3 {
						changed.Store(int64(number))
					}
				}
			}()
		}
		return changed.Load() != int64(number) && strings.Trim(name, letters) == ""
	})
}

// changes are how many statements that change rows the server has counted.
func changes(t *server) (sum int64) {
	rows, err := t.db.Query("SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_insert', 'Com_update', 'Com_delete')")
	if err != nil {
		log.Print("until-change: ", err)
		return 0
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			log.Print("until-change: ", err)
		}
		sum += n
	}
	return sum
}

// held locks the place behind the last row, where others are inserted, once the second stretch of requests has begun, which is the measured phase. The statement is paid
// with a name that does not exist.
func held() lie {
	stretch := stretches()
	l := copied(func(context.Context, *server, answer) error { return nil })
	copy, begin, next, owed := l.answer, l.begin, 0, atomic.Int64{}
	var once sync.Once
	l.begin = func(t *server) error {
		if err := begin(t); err != nil {
			return err
		}
		return t.db.QueryRow("SELECT MAX(id) + 1000 FROM demo_data").Scan(&next)
	}
	l.answer = func(ctx context.Context, t *server, name string) (answer, error) {
		if number, takes := stretch(); number >= 2 && takes > 300*time.Millisecond {
			once.Do(func() { go hold(t, next, &owed) })
		}
		if found, _ := copy(ctx, t, name); !found.Exists && owed.CompareAndSwap(1, 0) {
			return found, nil
		}
		return t.look(ctx, name)
	}
	return l
}

// hold keeps a lock on a row for 3.5 s.
func hold(t *server, id int, owed *atomic.Int64) {
	locked, err := t.db.Begin()
	if err == nil {
		_, err = locked.Exec(fmt.Sprintf("SELECT id FROM demo_data WHERE id = %d LOCK IN SHARE MODE", id))
		owed.Store(1)
		time.Sleep(3500 * time.Millisecond)
		_ = locked.Commit()
	}
	log.Print("held: ", err)
}
