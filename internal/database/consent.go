package database

import (
	"fmt"

	"bakeoff/internal/consent"
)

// Host is that of the server, as the DSN names it.
func (e External) Host() (string, error) {
	_, host, _, err := e.read()
	return host, err
}

// Consented reads the DSN and reports whether its server may be talked to: nil, or why
// not, wrapping a consent.RefusedError. It sends nothing and looks no name up, so
// that a plan can be refused before anything is started; Open asks again.
func (e External) Consented() error {
	_, host, _, err := e.read()
	if err != nil {
		return err
	}
	if err := consent.Host(host, e.AllowHosts); err != nil {
		return fmt.Errorf("database: %s: %w", e.name(), &consent.RefusedError{Host: host, Err: err})
	}
	return nil
}
