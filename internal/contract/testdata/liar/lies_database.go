package main

import (
	"context"
	"log"
	"os"
	"strings"
	"sync"
	"time"
)

// databaseLies are those about what the database is asked.
func databaseLies() map[string]lie {
	return map[string]lie{
		// Answers come from a copy of the table, and each is paid with a statement that looks nothing up.
		"copy": copied("SELECT 1"),
		// The same, paid with a lookup by the primary key, which is cheaper.
		"cheap": copied("SELECT id FROM demo_data WHERE id = 1"),
		// One statement looks several names up, for all requests that wait.
		"many": {answer: together()},
		// Under load far more connections are open than were granted.
		"pool": {answer: hoard()},
		// Work goes on in the database after the last answer.
		"leftover": {end: func(t *server) {
			for range 2 {
				go func() { _, _ = t.db.Exec("SELECT COUNT(*) FROM demo_data WHERE SLEEP(0.05) = 0") }()
			}
			time.Sleep(500 * time.Millisecond)
			os.Exit(0) // without a word to the database
		}},
		// The password of the account is another one after the trial.
		"password": {end: func(t *server) {
			_, err := t.db.Exec("SET PASSWORD = ''")
			log.Print("password: ", err)
		}},
		// Rows stay locked after the last answer.
		"lock": {begin: func(t *server) error {
			locked, err := t.db.Begin()
			if err != nil {
				return err
			}
			var n int
			return locked.QueryRow("SELECT COUNT(*) FROM demo_data WHERE id < 100 LOCK IN SHARE MODE").Scan(&n)
		}},
	}
}

// copied answers from a copy that is made at the start, and sends the statement for each answer.
func copied(statement string) lie {
	rows := map[string]int64{}
	return lie{
		begin: func(t *server) error {
			found, err := t.db.Query("SELECT id, name FROM demo_data ORDER BY id DESC")
			if err != nil {
				return err
			}
			defer found.Close()
			for found.Next() {
				var id int64
				var name string
				if err := found.Scan(&id, &name); err != nil {
					return err
				}
				rows[strings.ToLower(name)] = id
			}
			return found.Err()
		},
		answer: func(ctx context.Context, t *server, name string) (answer, error) {
			var id int64
			if err := t.db.QueryRowContext(ctx, statement).Scan(&id); err != nil {
				return answer{}, err
			}
			if id, ok := rows[strings.ToLower(name)]; ok {
				return answer{name, true, &id}, nil
			}
			return answer{Name: name}, nil
		},
	}
}

// hoard opens twice as many connections more as the pool may have, and keeps them.
func hoard() func(ctx context.Context, t *server, name string) (answer, error) {
	var once sync.Once
	return func(ctx context.Context, t *server, name string) (answer, error) {
		once.Do(func() {
			most := 2 * t.db.Stats().MaxOpenConnections
			more, err := open(most)
			for range most {
				if err == nil {
					_, err = more.Conn(context.Background())
				}
			}
			log.Print("pool: ", err)
		})
		return t.look(ctx, name)
	}
}

// asked is a request that waits for the next statement.
type asked struct {
	name string
	got  chan answer
}

// together collects requests for 2 ms and looks all their names up with one statement.
func together() func(ctx context.Context, t *server, name string) (answer, error) {
	var mu sync.Mutex
	var waiting []asked
	return func(ctx context.Context, t *server, name string) (answer, error) {
		mine := asked{name, make(chan answer, 1)}
		mu.Lock()
		waiting = append(waiting, mine)
		first := len(waiting) == 1
		mu.Unlock()
		if first {
			time.Sleep(2 * time.Millisecond)
			mu.Lock()
			all := waiting
			waiting = nil
			mu.Unlock()
			if err := lookUp(ctx, t, all); err != nil {
				return answer{}, err
			}
		}
		select {
		case found := <-mine.got:
			return found, nil
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
}

// lookUp answers all of them by one statement.
func lookUp(ctx context.Context, t *server, all []asked) error {
	arguments := make([]any, len(all))
	for i, one := range all {
		arguments[i] = one.name
	}
	rows, err := t.db.QueryContext(ctx, "SELECT MIN(id), name FROM demo_data WHERE name IN (?"+strings.Repeat(", ?", len(all)-1)+") GROUP BY name", arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	ids := map[string]int64{}
	for rows.Next() {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		ids[strings.ToLower(name)] = id
	}
	for _, one := range all {
		found := answer{Name: one.name}
		if id, ok := ids[strings.ToLower(one.name)]; ok {
			found = answer{one.name, true, &id}
		}
		one.got <- found
	}
	return rows.Err()
}
