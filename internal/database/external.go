package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"bakeoff/internal/consent"
)

// ErrFileMode is what Open wraps when the DSN file is not the user's alone.
var ErrFileMode = errors.New("the DSN file can be read by others; chmod 600 it")

// External says which server to use.
type External struct {
	// DSNFile holds user:password@tcp(host:port)/name on its first line and has mode 0600. DSN is that text where there is no file.
	DSNFile, DSN string
	// AllowHosts are the host names or addresses beyond loopback that may be
	// talked to.
	AllowHosts []string
	Less       Less
	// Resolver is net.DefaultResolver when nil.
	Resolver consent.Resolver
}

// Open connects to a server that somebody else runs. The targets use the
// account of the DSN file, as we do. Nothing is sent, not even a DNS query, before consent is
// established (package consent); connections go to the address that was checked.
func Open(ctx context.Context, e External) (*Server, error) {
	cfg, host, port, err := e.read()
	if err != nil {
		return nil, err
	}
	if e.Resolver == nil {
		e.Resolver = net.DefaultResolver
	}
	address, err := consent.Lookup(ctx, e.Resolver, host, uint16(port), e.AllowHosts)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	s := &Server{
		kind: KindExternal, less: e.Less, accountReason: e.Less.account(),
		base: map[string]int64{},
		last: map[string]int64{},
		access: Access{
			Host: address.String(), Port: port, User: cfg.User, Password: cfg.Passwd, Name: cfg.DBName,
		},
	}
	if s.access.PasswordFile, s.forget, err = keepPassword(cfg.Passwd); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	target := netip.AddrPortFrom(address, uint16(port)).String()
	err = s.connect(cfg, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", target)
	})
	if err == nil {
		err = s.identify(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("database: %s: %w", s.access, errors.Join(err, s.Stop(ctx, 0)))
	}
	return s, nil
}

// read is what the DSN says. No error carries its text.
func (e External) read() (cfg *mysql.Config, host string, port int, err error) {
	text := e.DSN
	if text == "" {
		text, err = ReadDSN(e.DSNFile)
	}
	if err == nil {
		cfg, err = parseDSN(text)
	}
	if err == nil {
		host, port, err = splitAddress(cfg.Addr)
	}
	if err != nil {
		return nil, "", 0, fmt.Errorf("database: %s: %w", e.name(), err)
	}
	return cfg, host, port, nil
}

// name is how errors call the DSN.
func (e External) name() string {
	if e.DSN != "" {
		return "the DSN"
	}
	return e.DSNFile
}

// ReadDSN reads the line of a DSN file, which is to be the user's alone.
func ReadDSN(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", ErrFileMode
	}
	text := make([]byte, 4097)
	n, _ := f.Read(text)
	line, rest, _ := strings.Cut(string(text[:n]), "\n")
	if n > 4096 || strings.TrimSpace(rest) != "" {
		return "", errors.New("not one line of at most 4096 bytes")
	}
	return strings.TrimSpace(line), nil
}

// parseDSN understands what ReadDSN has read. No error carries its text.
func parseDSN(text string) (*mysql.Config, error) {
	cfg, err := mysql.ParseDSN(text)
	switch {
	case err != nil:
		return nil, errors.New("not of the form user:password@tcp(host:port)/name")
	case cfg.Net != "tcp":
		return nil, errors.New("only tcp(host:port) addresses are understood")
	case cfg.User == "" || cfg.DBName == "":
		return nil, errors.New("the user or the name of the schema is missing")
	}
	clean := mysql.NewConfig() // none of the DSN's parameters: they would differ from what the targets use
	clean.User, clean.Passwd, clean.Net, clean.Addr, clean.DBName = cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName
	clean.Collation = collation
	clean.AllowNativePasswords = true
	return clean, nil
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, errors.New("the address is not host:port")
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, errors.New("the port is not a number from 1 to 65535")
	}
	return host, int(n), nil
}

// identify asks an external server who it is.
func (s *Server) identify(ctx context.Context) error {
	return s.peek(ctx, func(c *sql.Conn) error {
		var version, comment string
		if err := c.QueryRowContext(ctx, "SELECT @@version, @@version_comment").Scan(&version, &comment); err != nil {
			return err
		}
		s.info.Version, s.info.Vendor = version, MySQL
		if strings.Contains(strings.ToLower(version+comment), "mariadb") {
			s.info.Vendor = MariaDB
		}
		return nil
	})
}
