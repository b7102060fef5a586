package target_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/target"
	"bakeoff/targets"
)

// prepared prepares a shipped target in the folder the program itself uses.
func prepared(t *testing.T, name, variant string) *target.Prepared {
	t.Helper()
	r, err := target.Load(targets.Files(), name, variant)
	if err != nil {
		t.Fatal(err)
	}
	if missing := r.Missing(t.Context()); len(missing) > 0 {
		t.Skipf("SKIPPED: this machine lacks %v", missing)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p, err := target.Prepare(t.Context(), r, filepath.Join(cache, "bakeoff", "targets"), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("prepared in %.1f s, cached %t: %v", time.Since(began).Seconds(), p.Cached, p.Versions)
	return p
}

func TestShippedTargetsServe(t *testing.T) {
	p := openPlatform(t)
	access := openDatabase(t, p, "twice", "once", "Twice", "100%", "it's", "ü")
	names, err := target.List(targets.Files())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			port, err := p.Port(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r, err := target.Start(t.Context(), target.Launch{
				Prepared: prepared(t, name, ""), Platform: p, Name: name + "-1", Port: port, Nonce: "nonce-" + name,
				Workers: 2, Pool: 3, Database: access, LogDir: t.TempDir(),
			})
			if err != nil {
				t.Fatal(err)
			}
			workers, err := r.Ready(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println(workers)
			for _, q := range []string{"once", "twice", "none", "", "it%27s", "%ff", "%00", "%c3%bc", "100%25", strings.Repeat("x", 256)} {
				resp, err := http.Get("http://" + r.Address() + "/demo?name=" + q)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				var x any
				json.Unmarshal(b, &x)
				t.Log(q, resp.StatusCode, resp.Header, x)
			}
			if err := r.Stop(t.Context(), 10*time.Second); err != nil {
				t.Fatal(err)
			}
			l, _ := os.ReadFile(r.Log())
			t.Log(string(l))
			t.Log(r.Command())
		})
	}
	_ = errors.New
}
