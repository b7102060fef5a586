package machine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"bakeoff/internal/balancer"
	"bakeoff/internal/database"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// Programs implements venue.Venue.
func (v *Venue) Programs(ctx context.Context, p *plan.Plan, version string) ([]record.Program, error) {
	all := []record.Program{{Name: "bakeoff", Path: v.Self, Version: version}}
	if !p.Running() && p.Balancer.Kind == "nginx" {
		path, err := balancer.Find()
		if err != nil {
			return nil, err
		}
		version, err := balancer.Version(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, record.Program{Name: "nginx", Path: path, Version: version})
	}
	if !p.Running() && p.Database.Kind != "external" {
		server, err := database.Program(ctx, p.Database.Server)
		if err != nil {
			return nil, err
		}
		all = append(all, record.Program{Name: server.Vendor, Path: server.Path, Version: server.Version})
	}
	for i := range all {
		var err error
		if all[i].SHA256, err = digestOf(all[i].Path); err != nil {
			return nil, fmt.Errorf("program %s: %w", all[i].Name, err)
		}
	}
	return all, nil
}

func digestOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() // opened for reading
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
