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

// warm logs the targets' account in once over TCP, as they do, and over the
// socket. MySQL's caching_sha2_password has a short way in for accounts that logged in since the
// server's start; the long way, which needs the server's public key, some drivers do not
// know (aiomysql, asyncmy): whichever target came first would fail.
func (s *Server) warm(ctx context.Context) error {
	if s.private == nil {
		return nil // our own connections, by the same account, came the same way
	}
	for network, address := range map[string]string{"tcp": net.JoinHostPort(s.access.Host, strconv.Itoa(s.access.Port)), "unix": s.access.Socket} {
		cfg := mysql.NewConfig()
		cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = s.access.User, s.access.Password, network, address, s.access.Name
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return err
		}
		db := sql.OpenDB(connector)
		if err := errors.Join(db.PingContext(ctx), db.Close()); err != nil {
			return fmt.Errorf("log in as the targets do, by %s: %w", network, err)
		}
	}
	return nil
}
