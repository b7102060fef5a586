package database

import (
	"crypto/rand"
	"crypto/rsa"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/dataset"
)

// TestNoTLS reads the server's greeting: whether TLS is offered is a bit of it.
func TestNoTLS(t *testing.T) {
	s, _ := shared(t)
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Access().Port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	header := make([]byte, 4)
	if _, err := io.ReadFull(c, header); err != nil {
		t.Fatal(err)
	}
	greeting := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	if _, err := io.ReadFull(c, greeting); err != nil {
		t.Fatal(err)
	}
	version, rest, found := strings.Cut(string(greeting[1:]), "\x00")
	if !found || len(rest) < 15 {
		t.Fatalf("greeting %q", greeting)
	}
	const clientSSL, protocol41 = 1 << 11, 1 << 9
	capabilities := int(rest[13]) | int(rest[14])<<8 // after the thread's id, 8 bytes of salt and a zero
	if capabilities&protocol41 == 0 || capabilities&clientSSL != 0 {
		t.Errorf("%s offers capabilities %#x", version, capabilities)
	}
}

// onMySQL skips a test about MySQL where the server is another one.
func onMySQL(t *testing.T) (*Server, *dataset.Dataset) {
	t.Helper()
	s, d := shared(t)
	if s.private.binary.vendor != MySQL {
		if os.Getenv("BAKEOFF_MYSQL") != "" {
			t.Fatalf("the server is %s %s, not MySQL", s.private.binary.vendor, s.private.binary.version)
		}
		t.Skip("about MySQL: make test-mysql")
	}
	return s, d
}

// shortLogin logs in as drivers do that do not know the long way of
// caching_sha2_password: with a public key that is not the server's, the long way fails.
func shortLogin(t *testing.T, a Access) error {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	mysql.RegisterServerPubKey("wrong", &key.PublicKey)
	defer mysql.DeregisterServerPubKey("wrong")
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = a.User, a.Password, "tcp", fmt.Sprintf("%s:%d", a.Host, a.Port), a.Name
	cfg.ServerPubKey = "wrong"
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	return errors.Join(db.PingContext(t.Context()), db.Close())
}

// TestLoginsAreWarm wants the short way open for the targets' account from the start.
func TestLoginsAreWarm(t *testing.T) {
	s, _ := onMySQL(t)
	if err := shortLogin(t, s.Access()); err != nil {
		t.Errorf("the targets' account: %v", err)
	}
	if err := s.run(t.Context(), "DROP USER IF EXISTS 'cold'@'127.0.0.1'", "CREATE USER 'cold'@'127.0.0.1' IDENTIFIED BY 'x'", "GRANT SELECT ON bakeoff.* TO 'cold'@'127.0.0.1'"); err != nil {
		t.Fatal(err)
	}
	cold := s.Access()
	cold.User, cold.Password = "cold", "x"
	if err := shortLogin(t, cold); err == nil {
		t.Error("an account that never logged in could take the short way: the test proves nothing")
	}
	if err := s.run(t.Context(), "DROP USER 'cold'@'127.0.0.1'"); err != nil {
		t.Fatal(err)
	}
}

// seedTable is how the experiment that bakeoff repeats made its table: the collation is the server's default.
const seedTable = `create table if not exists demo_data (
  id bigint(20) not null auto_increment,
  name varchar(255) not null,
  create_time timestamp default CURRENT_TIMESTAMP,
  update_time timestamp default CURRENT_TIMESTAMP,
  primary key (id),
  index (name)
) charset = utf8mb4 engine = innodb`

// TestSeedTable wants a table by the seed's own statement refused where the server's default
// collation is another one, with the statement that repairs it.
func TestSeedTable(t *testing.T) {
	_, d := shared(t)
	e := externalServer(t, "seed")
	ctx := t.Context()
	statement := seedTable
	if e.info.Vendor == MariaDB { // whose default is the right one
		statement += " collate = utf8mb4_unicode_520_ci"
	}
	if err := e.run(ctx, statement); err != nil {
		t.Fatal(err)
	}
	_, err := e.Fill(ctx, d, nil)
	if !errors.Is(err, ErrCollation) {
		t.Fatalf("%v", err)
	}
	_, after, found := strings.Cut(err.Error(), "change it by ")
	statement, _, _ = strings.Cut(after, ", or ")
	if !found {
		t.Fatalf("no way out in %v", err)
	}
	if err := e.run(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	if _, err := e.Fill(ctx, d, nil); errors.Is(err, ErrCollation) || !errors.Is(err, ErrRows) {
		t.Errorf("mended: %v", err)
	}
}
