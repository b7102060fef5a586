package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sys/unix"
)

// MySQL counts a connection until the thread that served it has ended. Threads cannot end while another one reads the status figures,
// but new connections are let in. So a target that opens one for each request is refused on a busy machine, where the reading thread
// lost its core, unless there is room for those that are just closing.
func TestClosingConnectionsAreCounted(t *testing.T) {
	s, _ := onMySQL(t)
	ctx := t.Context()
	before, err := s.variable(ctx, "max_connections")
	if err != nil {
		t.Fatal(err)
	}
	set := func(name, value string) {
		t.Helper()
		if err := s.run(context.WithoutCancel(ctx), "SET GLOBAL "+name+" = "+value); err != nil {
			t.Fatal(err)
		}
	}
	set("thread_cache_size", "0") // threads that could end have ended
	defer set("thread_cache_size", "256")
	defer set("max_connections", before)
	const places, spare, closing, opened = 24, 32, 128, 100 // as the controller counts them
	for most, want := range map[int]bool{places + spare + reserved: true, places + closing + spare + reserved: false} {
		set("max_connections", fmt.Sprint(most))
		refused, held, tries := 0, false, 0
		for ; tries < 2000 && !held; tries++ { // of 6 to 140 one hits, fewer on a busy machine
			whileStatusIsRead(t, s, func(thread int) {
				threads := threadsOf(t, thread)
				refused = churn(t, s.access, places, opened)
				held = refused > 0 || threadsOf(t, thread) >= threads+opened*3/4
			})
		}
		if t.Logf("room for %d, %d open at once: %d of %d refused; the thread was stopped %d times", most, places, refused, opened, tries); !held {
			t.Fatal("the thread was never stopped while it held the others")
		}
		if (refused > 0) != want {
			t.Errorf("with room for %d connections %d of %d were refused", most, refused, opened)
		}
	}
}

// churn has as many clients as there are places open connections and close them again, and returns how many were refused for their number.
func churn(t *testing.T, a Access, places, opened int) int {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName, cfg.Logger = a.User, a.Password, "tcp", address(a), a.Name, &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // the thread may hold other locks, too
	defer cancel()
	var left, refused atomic.Int64
	left.Store(int64(opened))
	var clients sync.WaitGroup
	for range places {
		clients.Go(func() {
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				c, err := connector.Connect(ctx)
				if err == nil {
					_ = c.Close()
				} else if e, ok := errors.AsType[*mysql.MySQLError](err); ok && e.Number == 1040 {
					refused.Add(1)
				}
			}
		})
	}
	clients.Wait()
	return int(refused.Load())
}

// whileStatusIsRead stops the thread of a session that reads the status figures again and again, at any moment, calls do with the
// thread, and lets it continue.
func whileStatusIsRead(t *testing.T, s *Server, do func(thread int)) {
	t.Helper()
	c, err := s.pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var thread int
	if err := c.QueryRowContext(t.Context(), "SELECT THREAD_OS_ID FROM performance_schema.threads WHERE PROCESSLIST_ID = CONNECTION_ID()").Scan(&thread); err != nil {
		t.Fatal(err)
	}
	var over atomic.Bool
	var reader sync.WaitGroup
	reader.Go(func() {
		for !over.Load() && readStatus(t.Context(), c) == nil {
		}
	})
	defer reader.Wait()
	defer over.Store(true)
	time.Sleep(10 * time.Millisecond)
	runtime.LockOSThread() // that traces
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(thread); err != nil {
		over.Store(true)
		t.Skipf("SKIPPED: threads cannot be stopped here: %v", err)
	}
	defer func() { _ = unix.PtraceDetach(thread) }()
	var status unix.WaitStatus
	if err := unix.PtraceInterrupt(thread); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(thread, &status, unix.WALL, nil); err != nil || !status.Stopped() {
		t.Fatalf("%v: %v", err, status)
	}
	do(thread)
}

func readStatus(ctx context.Context, c *sql.Conn) error {
	_, err := numbers(ctx, c, "SHOW GLOBAL STATUS", func(string) bool { return false })
	return err
}

// threadsOf is how many threads the process of a thread has.
func threadsOf(t *testing.T, thread int) int {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", thread))
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
