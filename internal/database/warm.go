package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

// warm logs the targets' account in once over TCP, as they do, and over the socket.
func (s *Server) warm(ctx context.Context) error {
	if s.private == nil {
		return nil // our own connections, by the same account, came the same way
	}
	return s.logIn(ctx, s.access)
}

// logIn logs in once over TCP, as targets do, and over the socket where there is one. MySQL's caching_sha2_password has a short
// way in for accounts that logged in since the server's start; the long way, which needs the server's public key, some drivers do
// not know (aiomysql, asyncmy): whichever target came first would fail.
func (s *Server) logIn(ctx context.Context, a Access) error {
	networks := []string{"tcp"}
	if a.Socket != "" {
		networks = append(networks, "unix")
	}
	for _, network := range networks {
		db, err := open(a, network)
		if err != nil {
			return err
		}
		if err := errors.Join(db.PingContext(ctx), db.Close()); err != nil {
			return fmt.Errorf("log in as the targets do, by %s: %w", network, err)
		}
	}
	return nil
}

// address is where a server is reached over TCP.
func address(a Access) string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// open makes a pool that logs in as targets do.
func open(a Access, network string) (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.DBName = a.User, a.Password, network, a.Name
	cfg.Logger = &mysql.NopLogger{}
	if cfg.Addr = address(a); network == "unix" {
		cfg.Addr = a.Socket
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
