package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// shippedTargets are all of targets/, as a plan lists them.
var shippedTargets = []string{"{recipe: django, settings: {DATABASE_BOUND: semaphore}}", "flask", "fastapi", "go-nethttp", "node-fastify"}

// mysqlPlan is a plan of all shipped targets that this machine can run.
func mysqlPlan(t *testing.T, s *scene, database string) (text string, targets int) {
	t.Helper()
	var here []string
	for _, entry := range shippedTargets {
		s.write("one.yaml", planText(entry, 1))
		e := s.start("check", "one.yaml")
		<-e.done
		switch status := e.cmd.ProcessState.ExitCode(); status {
		case 0:
			here = append(here, entry)
		case 5:
			t.Logf("SKIPPED: %s on MySQL: %s", entry, e.stderr)
		default:
			t.Fatalf("check %s: status %d\n%s", entry, status, e.stderr)
		}
	}
	return fmt.Sprintf(`name: mysql
blocks: 1
dataset: {rows: 20000}
database: {%s}
deployment: {replicas: 2, workers: 2, pool: 4}
targets: [%s]
warmup: 1s
phases:
  - {name: closed, model: closed, connections: 16, duration: 2s}
  - {name: open, model: open, rate: 100, connections: 64, duration: 2s}
`, database, strings.Join(here, ", ")), len(here)
}

// mysqlOnly skips where make test-mysql has not put a MySQL server first on PATH.
func mysqlOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("BAKEOFF_MYSQL") == "" {
		t.Skip("SKIPPED: make test-mysql")
	}
}

// TestMySQLPrivate runs all shipped targets on a private MySQL server.
func TestMySQLPrivate(t *testing.T) {
	mysqlOnly(t)
	s := aloneScene(t)
	text, targets := mysqlPlan(t, s, "server: mysql")
	s.write("p.yaml", text)
	s.run(0, "data", "load", "p.yaml")
	e := s.start("run", "--short", "p.yaml")
	e.wantStatus(0, 4*time.Minute)
	e.nothingLeft(time.Second)
	s.noFiles()
	r := onMySQL(t, s, targets)
	if d := r.Run().Database; !d.FromCache || d.Counter != "handler_read_key" || d.CounterReason != "" {
		t.Errorf("from the cache %t, counted by %s: %s", d.FromCache, d.Counter, d.CounterReason)
	}
	wantAll(t, "report", strings.Join(strings.Fields(e.stdout.String()), " "), "mysql "+r.Run().Database.Version)
}

// onMySQL opens the run, which must be complete, on MySQL, each target with a trial that answered.
func onMySQL(t *testing.T, s *scene, targets int) *record.Reader {
	t.Helper()
	r := s.open()
	run := r.Run()
	if run.Status != record.Complete || run.Database.Vendor != "mysql" || strings.Contains(run.Database.Version, "MariaDB") {
		t.Fatalf("run %s on %s %s", run.Status, run.Database.Vendor, run.Database.Version)
	}
	checkTrials(t, r)
	loaded := map[string]bool{}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range trial.Phases {
			if p.Name == "closed" && p.Witness.DatabaseReads > 0 {
				loaded[trial.Target] = true
			}
		}
	}
	if len(loaded) != targets {
		t.Errorf("only %v had their lookups counted, of %d targets", loaded, targets)
	}
	return r
}

// TestMySQLExternal runs all shipped targets on a MySQL server with the defaults of its package: it
// offers TLS, refuses LOAD DATA LOCAL and makes tables of another collation.
func TestMySQLExternal(t *testing.T) {
	mysqlOnly(t)
	s := aloneScene(t)
	ask, port := startMySQL(t, s)
	const secret = "sEcReT-of-an-external-server-77"
	ask("CREATE DATABASE shop", "CREATE USER u@'%' IDENTIFIED BY '"+secret+"'", "GRANT ALL ON shop.* TO u@'%'")
	dsn := s.write("dsn", fmt.Sprintf("u:%s@tcp(127.0.0.1:%s)/shop\n", secret, port))
	text, targets := mysqlPlan(t, s, "kind: external, dsn_file: "+dsn)
	s.write("p.yaml", text)

	loaded := s.run(0, "data", "load", "p.yaml")
	wantAll(t, "data load", loaded.stderr.String(), "counted by handler_read_key: looking for the time zone UTC reads")
	ask("INSERT INTO mysql.time_zone (Time_zone_id, Use_leap_seconds) VALUES (1, 'N')", "INSERT INTO mysql.time_zone_name (Name, Time_zone_id) VALUES ('UTC', 1)",
		"INSERT INTO mysql.time_zone_transition_type (Time_zone_id, Transition_type_id, Offset, Is_DST, Abbreviation) VALUES (1, 0, 0, 0, 'UTC')")
	e := s.start("run", "--short", "p.yaml")
	e.wantStatus(0, 4*time.Minute)
	e.nothingLeft(time.Second)
	s.noFiles()
	r := onMySQL(t, s, targets)
	if d := r.Run().Database; d.Counter != "handler_read_key" || d.CounterReason != "" || !d.FromCache {
		t.Errorf("counted by %s (%s), table found %t", d.Counter, d.CounterReason, d.FromCache)
	}
	hidden(t, "stdout", []byte(e.stdout.String()), secret)
	hidden(t, "stderr", []byte(e.stderr.String()), secret)
	notIn(t, s.theRun(), secret)

	ask("DROP TABLE shop.demo_data", `create table if not exists shop.demo_data (id bigint(20) not null auto_increment, name varchar(255) not null,
		create_time timestamp default CURRENT_TIMESTAMP, update_time timestamp default CURRENT_TIMESTAMP,
		primary key (id), index (name)) charset = utf8mb4 engine = innodb`, "DROP TABLE shop.bakeoff_state")
	refused := s.run(1, "data", "load", "p.yaml")
	wantAll(t, "data load", refused.stderr.String(), "utf8mb4_0900_ai_ci, not utf8mb4_general_ci", "ALTER TABLE demo_data CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
}

// notIn reads every file below dir.
func notIn(t *testing.T, dir, secret string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		hidden(t, path, data, secret)
		return err
	})
	if err != nil || files < 10 {
		t.Errorf("%d files read: %v", files, err)
	}
}

// startMySQL starts a server that is not bakeoff's; ask has its administrator execute statements.
func startMySQL(t *testing.T, s *scene) (ask func(statements ...string), port string) {
	t.Helper()
	data, socket, port := s.path("mysql"), s.path("mysql", "sock"), freePort(t)
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	common := []string{"--no-defaults", "--datadir=" + s.path("mysql", "data")}
	if os.Geteuid() == 0 {
		name, err := serverAccount(data)
		if err != nil {
			t.Fatal(err)
		}
		common = append(common, "--user="+name)
	}
	if out, err := exec.Command("mysqld", append(slices.Clone(common), "--initialize-insecure")...).CombinedOutput(); err != nil {
		t.Fatalf("mysqld --initialize-insecure: %v\n%s", err, out)
	}
	var log buffer
	server := exec.Command("mysqld", append(common, "--socket="+socket, "--port="+port, "--bind-address=127.0.0.1", "--mysqlx=OFF",
		"--pid-file="+s.path("mysql", "pid"), "--secure-file-priv=NULL")...)
	server.Stdout, server.Stderr = &log, &log
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-server.Process.Pid, syscall.SIGKILL)
		server.Wait()
	})
	client := func(statement string) ([]byte, error) {
		return exec.Command("mysql", "--no-defaults", "--user=root", "--socket="+socket, "--execute="+statement).CombinedOutput()
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if out, err := client("DO 1"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("MySQL does not answer: %v\n%s\n%s", err, out, &log)
		}
	}
	return func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if out, err := client(statement); err != nil {
				t.Fatalf("%s: %v\n%s", statement, err, bytes.TrimSpace(out))
			}
		}
	}, port
}

// serverAccount is an account that is not root, which gets the folder.
func serverAccount(dir string) (name string, err error) {
	for _, name := range []string{"mysql", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		var uid, gid int
		if _, err := fmt.Sscan(u.Uid+" "+u.Gid, &uid, &gid); err != nil {
			return "", err
		}
		return name, os.Chown(dir, uid, gid)
	}
	return "", errors.New("neither account mysql nor nobody exists")
}
