package contract_test

import (
	"fmt"
	"os"
	"testing"

	"bakeoff/internal/platform"
	"bakeoff/internal/platform/local"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		os.Exit(local.Guard())
	}
	os.Exit(m.Run())
}

// openPlatform returns a local platform that ends with the test.
func openPlatform(t *testing.T) platform.Platform {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := local.Open(t.Context(), local.Options{
		Self: []string{self, "guard"}, StateDir: t.TempDir(), Label: t.Name(),
		Lock: fmt.Sprintf("bakeoff-contract-test-%d", os.Getpid()),
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
