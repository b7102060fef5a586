package database

import (
	"fmt"

	"bakeoff/internal/consent"
)

// Consented reads a DSN file and reports whether its server may be talked to: nil, or why
// not, wrapping a consent.RefusedError. It sends nothing and looks no name up, so
// that a plan can be refused before anything is started; Open asks again.
func Consented(dsnFile string, allowHosts []string) error {
	cfg, err := readDSN(dsnFile)
	if err != nil {
		return fmt.Errorf("database: %s: %w", dsnFile, err)
	}
	host, _, err := splitAddress(cfg.Addr)
	if err != nil {
		return fmt.Errorf("database: %s: %w", dsnFile, err)
	}
	if err := consent.Host(host, allowHosts); err != nil {
		return fmt.Errorf("database: %s: %w", dsnFile, &consent.RefusedError{Host: host, Err: err})
	}
	return nil
}
