package target_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/database"
	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "guard":
		os.Exit(local.Guard())
	case len(os.Args) > 1 && os.Args[1] == "fake":
		os.Exit(fakeTarget())
	}
	os.Exit(m.Run())
}

// locks numbers the machine locks the tests take, so that tests may run at once.
var locks atomic.Int64

// openPlatform returns a local platform that ends with the test.
func openPlatform(t *testing.T) platform.Platform {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := local.Open(t.Context(), local.Options{
		Self: []string{self, "guard"}, StateDir: t.TempDir(), Label: t.Name(),
		Lock: fmt.Sprintf("bakeoff-target-test-%d-%d", os.Getpid(), locks.Add(1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// openDatabase starts a private MariaDB that holds demo_data with the names
// given, in order, and ends with the test.
func openDatabase(t *testing.T, p platform.Platform, names ...string) database.Access {
	t.Helper()
	dir := t.TempDir()
	current, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	account, data := current.Username, filepath.Join(dir, "data")
	install := exec.CommandContext(t.Context(), "mariadb-install-db", "--no-defaults", "--datadir="+data, "--user="+account,
		"--auth-root-authentication-method=normal", "--skip-test-db")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port, err := p.Port(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Start(t.Context(), platform.Spec{
		Name: "database", Dir: dir, Log: filepath.Join(dir, "log"), Env: []string{"PATH=" + os.Getenv("PATH")},
		Argv: []string{
			"/usr/sbin/mariadbd", "--no-defaults", "--user=" + account, "--datadir=" + data, "--socket=" + filepath.Join(data, "sock"),
			"--port=" + strconv.Itoa(port), "--bind-address=127.0.0.1", "--pid-file=" + filepath.Join(data, "pid"),
			"--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci", "--innodb-buffer-pool-size=64M", "--skip-name-resolve",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	access := database.Access{
		Host: "127.0.0.1", Port: port, User: "target", Password: "canary 'pass' $word", Name: "bakeoff",
		PasswordFile: filepath.Join(dir, "password"),
	}
	if err := os.WriteFile(access.PasswordFile, []byte(access.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	fill(t, access, names)
	return access
}

func fill(t *testing.T, access database.Access, names []string) {
	t.Helper()
	db := dial(t, "root", "", access, "")
	for deadline := time.Now().Add(30 * time.Second); db.PingContext(t.Context()) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("database does not answer")
		}
	}
	for _, statement := range []string{
		"CREATE DATABASE bakeoff CHARACTER SET utf8mb4",
		`CREATE TABLE bakeoff.demo_data (id bigint(20) NOT NULL AUTO_INCREMENT, name varchar(255) NOT NULL,
			create_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP,
			PRIMARY KEY (id), INDEX (name)) CHARSET = utf8mb4 ENGINE = InnoDB`,
		`CREATE USER 'target'@'127.0.0.1' IDENTIFIED BY 'canary ''pass'' $word'`,
		"GRANT SELECT ON bakeoff.* TO 'target'@'127.0.0.1'",
	} {
		execute(t, db, statement)
	}
	for _, name := range names {
		execute(t, db, "INSERT INTO bakeoff.demo_data (name) VALUES (?)", name)
	}
}

func dial(t *testing.T, account, password string, access database.Access, schema string) *sql.DB {
	t.Helper()
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(access.Host, strconv.Itoa(access.Port))
	config.User, config.Passwd, config.DBName = account, password, schema
	config.InterpolateParams = true
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
