package database

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/platform"
)

func TestContainerRefuses(t *testing.T) {
	for name, c := range map[string]Container{
		"a setting of ours":   {FilesDir: "/f", Settings: map[string]string{"datadir": "/x"}},
		"a pool without size": {FilesDir: "/f", BufferPool: "much\nuser=root"},
		"no folder":           {},
	} {
		if files, err := c.Files(); err == nil {
			t.Errorf("%s: %v", name, files)
		}
	}
}

// What a container of a private server is given brings up a real server: the passwords come from the environment
// and log in from other addresses, nobody else does, and a second start finds the data of the first.
func TestContainerScript(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "container")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := newPlatform(t)
	port, err := p.Port(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := container{dir: dir, port: port}
	at.write(t)
	for start := range 2 {
		process := at.start(t, p)
		db := at.open(t, "bakeoff_admin", "secret-admin")
		at.await(t, db, process)
		var rows int
		if start == 0 {
			mustExec(t, db, "CREATE TABLE bakeoff.kept (id int) ENGINE=InnoDB")
			mustExec(t, db, "INSERT INTO bakeoff.kept VALUES (1), (2)")
		} else if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM bakeoff.kept").Scan(&rows); err != nil || rows != 2 {
			t.Errorf("%d rows after a restart, %v", rows, err)
		}
		for user, password := range map[string]string{"bakeoff_admin": "wrong", "root": "", "": ""} {
			if err := at.open(t, user, password).PingContext(t.Context()); err == nil {
				t.Errorf("%q with the password %q is let in", user, password)
			}
		}
		if err := process.Stop(t.Context(), 30*time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// container stands for one: its folders are below dir.
type container struct {
	dir  string
	port int
}

// write gives the files paths of this machine, as a container's mounts would.
func (c container) write(t *testing.T) {
	t.Helper()
	files, err := Container{FilesDir: c.dir + "/files", MaxConnections: 20, BufferPool: "64M"}.Files()
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer(DataDir+"/", c.dir+"/data/", RunDir+"/", c.dir+"/run/",
		fmt.Sprintf("port = %d\n", ContainerPort), fmt.Sprintf("port = %d\n", c.port))
	for _, folder := range []string{"files", "data", "run"} {
		if err := os.Mkdir(filepath.Join(c.dir, folder), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(c.dir, folder), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(c.dir, "files", name), []byte(here.Replace(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (c container) start(t *testing.T, p platform.Platform) platform.Process {
	t.Helper()
	who, err := findAccount() // a server refuses to run as root, as containers do
	if err != nil {
		t.Fatal(err)
	}
	process, err := p.Start(t.Context(), platform.Spec{
		Name: "container", Argv: Container{FilesDir: c.dir + "/files"}.Start(), Dir: "/", Log: filepath.Join(c.dir, "log"), User: who.name,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", AdminPassword + "=secret-admin", TargetPassword + "=secret-target"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return process
}

func (c container) open(t *testing.T, user, password string) *sql.DB {
	t.Helper()
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = user, password, "tcp", fmt.Sprintf("127.0.0.1:%d", c.port)
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (c container) await(t *testing.T, db *sql.DB, process platform.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	if ended := platform.Await(ctx, process, func(ctx context.Context) (bool, error) {
		err = db.PingContext(ctx)
		return err == nil, nil
	}); ended != nil {
		t.Fatalf("%v: %v", ended, err)
	}
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
