package main

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// databaseLies are those about what the database is asked.
func databaseLies() map[string]lie {
	return map[string]lie{
		// Answers come from a copy of the table, and each is paid with a statement that looks nothing up.
		"copy": copied(always("SELECT 1")),
		// The same, paid with one that names the table, and still looks nothing up.
		"nothing": copied(always("SELECT id FROM demo_data WHERE 0 = 1")),
		// The same, paid with a lookup by the primary key, which is cheaper.
		"cheap": copied(always("SELECT id FROM demo_data WHERE id = 1")),
		// The same, paid with the first row of a range, or with a name that does not exist, as the answer says.
		"range": copied(either("SELECT id FROM demo_data WHERE name > 'm' ORDER BY name LIMIT 1")),
		// The same, paid with a lookup of always the same name, which exists or does not.
		"fixed": copied(honestly),
		// The same, while requests have come without a pause for some time: not while the contract is checked.
		"busy": underLoad(copied(honestly)),
		// The same, for requests that do not say which program sends them.
		"nameless": toNobody(copied(honestly)),
		// One statement looks several names up, for all requests that wait.
		"many": {answer: together(0)},
		// The same, and for each of them but one a statement is sent that looks nothing up.
		"many-paid": {answer: together(1)},
		// A statement goes on while answers are honest.
		"underway": {answer: once(func(t *server) {
			go func() { _, _ = t.db.Exec("SELECT BENCHMARK(100000000000, MD5('x'))") }()
		})},
		// Under load far more connections are open than were granted.
		"pool": {answer: hoard()},
		// Half as many more are, and as many others are opened and closed, as if those were closing.
		"half-pool": {answer: once(func(t *server) { go surplus(t) })},
		// Once nothing is asked any more, in turns before the target is frozen, rows are read.
		"afterwards": {answer: afterwards("SELECT name FROM demo_data WHERE id = 1")},
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

// payment is what is asked of the database for an answer that does not come from there.
type payment func(ctx context.Context, t *server, found answer) error

// always is the same statement.
func always(statement string) payment {
	return func(ctx context.Context, t *server, _ answer) error {
		var id int64
		if err := t.db.QueryRowContext(ctx, statement).Scan(&id); !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return nil
	}
}

// either is the statement where the key exists, else a lookup of one that does not.
func either(statement string) payment {
	exists := always(statement)
	return func(ctx context.Context, t *server, found answer) error {
		if found.Exists {
			return exists(ctx, t, found)
		}
		_, err := t.look(ctx, missing)
		return err
	}
}

// missing is a name that no row has; known is one that a row has, of those that were copied.
const missing = "none of them"

var known string

// honestly is a lookup as each answer needs one, of always the same name.
func honestly(ctx context.Context, t *server, found answer) error {
	name := missing
	if found.Exists {
		name = known
	}
	_, err := t.look(ctx, name)
	return err
}

// once does something with the first answer; all are honest.
func once(what func(t *server)) func(ctx context.Context, t *server, name string) (answer, error) {
	var first sync.Once
	return func(ctx context.Context, t *server, name string) (answer, error) {
		first.Do(func() { what(t) })
		return t.look(ctx, name)
	}
}

// afterwards has a statement run whenever no request has come for 3 ms; all answers are honest.
func afterwards(statement string) func(ctx context.Context, t *server, name string) (answer, error) {
	var first sync.Once
	var last atomic.Int64
	watch := func(t *server) {
		for done := int64(0); ; time.Sleep(time.Millisecond) {
			if at := last.Load(); at != done && time.Since(time.Unix(0, at)) > 3*time.Millisecond {
				var name string
				_ = t.db.QueryRow(statement).Scan(&name)
				done = at
			}
		}
	}
	return func(ctx context.Context, t *server, name string) (answer, error) {
		found, err := t.look(ctx, name)
		last.Store(time.Now().UnixNano())
		first.Do(func() { go watch(t) })
		return found, err
	}
}

// underLoad lies after requests have come for 300 ms without a pause of 50 ms.
func underLoad(l lie) lie {
	var mu sync.Mutex
	var began, last time.Time
	lying := l.answer
	l.answer = func(ctx context.Context, t *server, name string) (answer, error) {
		now := time.Now()
		mu.Lock()
		if now.Sub(last) > 50*time.Millisecond {
			began = now
		}
		last = now
		long := now.Sub(began) > 300*time.Millisecond
		mu.Unlock()
		if long {
			return lying(ctx, t, name)
		}
		return t.look(ctx, name)
	}
	return l
}

// toNobody lies to requests without User-Agent.
func toNobody(l lie) lie {
	l.spares = func(r *http.Request) bool { return r.UserAgent() != "" }
	return l
}

// copied answers from a copy that is made at the start, and pays for each answer.
func copied(pay payment) lie {
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
				if rows[strings.ToLower(name)] = id; len(name) >= len(known) {
					known = name
				}
			}
			return found.Err()
		},
		answer: func(ctx context.Context, t *server, name string) (answer, error) {
			found := answer{Name: name}
			if id, ok := rows[strings.ToLower(name)]; ok {
				found = answer{name, true, &id}
			}
			return found, pay(ctx, t, found)
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

// surplus has all connections of the pool open, and half as many more. As many others are opened and closed again and again.
func surplus(t *server) {
	most := t.db.Stats().MaxOpenConnections
	more, err := open(most)
	if err != nil {
		log.Print("surplus: ", err)
		return
	}
	release(connect(t.db, most)) // into the pool, which keeps them
	connect(more, most/2)
	more.SetMaxIdleConns(-1)
	for {
		release(connect(more, most/2))
		time.Sleep(300 * time.Millisecond)
	}
}

// connect takes n connections at the same time.
func connect(db *sql.DB, n int) (taken []*sql.Conn) {
	for range n {
		one, err := db.Conn(context.Background())
		if err != nil {
			log.Print("connect: ", err)
			continue
		}
		taken = append(taken, one)
	}
	return taken
}

// release gives them back: they stay open if their pool keeps idle ones.
func release(taken []*sql.Conn) {
	for _, one := range taken {
		_ = one.Close()
	}
}

// asked is a request that waits for the next statement.
type asked struct {
	name string
	got  chan answer
}

// together collects requests for 2 ms and looks all their names up with one statement; paid is how often one that looks nothing up
// is sent for each but the first.
func together(paid int) func(ctx context.Context, t *server, name string) (answer, error) {
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
			for range paid * (len(all) - 1) {
				if err := always("SELECT id FROM demo_data WHERE 0 = 1")(ctx, t, answer{}); err != nil {
					return answer{}, err
				}
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
