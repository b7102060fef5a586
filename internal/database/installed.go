package database

import "context"

// Installed returns nil when this machine has a server to start privately,
// else ErrNoServer.
func Installed(ctx context.Context) error {
	_, err := findBinary(ctx)
	return err
}
