// Package sidecar reads what the main container of a pod uses, from the container next to it: processor time,
// throttling and memory by the files of its control group, its processes one by one, their connections, and
// which recipe its image was built from; what the node under it does; and it has an nginx close its connections.
// It needs no right in the cluster, only that both containers share their processes and their user. It answers over
// HTTP to who knows the key of the run's samplers, and refuses everybody else. The main container can read what its
// sampler knows, so that is only the digest of the key. It can still get the key, which comes in a plain header, by
// ending the sampler and listening in its place. With the key somebody can read what pods use, and have an nginx
// close its connections, no more. What cannot be read is named as unmeasured, never given as 0.
package sidecar

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"bakeoff/internal/record"
)

// KeyHeader carries the key of the run's samplers.
const KeyHeader = "X-Bakeoff-Sampler-Key"

// Digest is what a sampler knows of its key.
func Digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Pod is where the processes are seen.
type Pod struct {
	Proc string // "/proc"
	Self int    // process id of this program there
	// Connections counts those that each process holds to a port; see collect.Connections.
	Connections func(port int, pids []int) (map[int]int, error)
	// Host reads the node's counters; see collect.Host.
	Host func() (record.Series, error)
	// Hang sends SIGHUP to a process.
	Hang func(pid int) error
}

// ErrNoContainer is returned while the main container has no process.
var ErrNoContainer = errors.New("the main container has no process")

// Serve answers until ctx ends: GET /usage?port=N&host=1 gives a Usage, GET /clock a Clock, GET /image an Image, POST /reload
// nothing, once it is done. digest is that of the key.
func Serve(ctx context.Context, l net.Listener, digest string, p Pod) error {
	if digest == "" {
		return errors.New("sidecar: no digest of a key")
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /usage", func(w http.ResponseWriter, r *http.Request) {
		port, err := strconv.Atoi(r.FormValue("port"))
		if r.FormValue("port") != "" && (err != nil || port < 1 || port > 65535) {
			http.Error(w, "port is not one", http.StatusBadRequest)
			return
		}
		usage, err := p.Usage(port, r.FormValue("host") != "")
		answer(w, usage, err)
	})
	routes.HandleFunc("GET /clock", func(w http.ResponseWriter, _ *http.Request) {
		clock, err := p.Clock()
		answer(w, clock, err)
	})
	routes.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, p.Reload(r.Context()))
	})
	routes.HandleFunc("GET /image", func(w http.ResponseWriter, _ *http.Request) {
		image, err := p.Image()
		answer(w, image, err)
	})
	server := &http.Server{Handler: guarded(digest, routes), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); ctx.Err() == nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	return nil
}

// guarded lets those through who know the key.
func guarded(digest string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(Digest(r.Header.Get(KeyHeader))), []byte(digest)) != 1 {
			http.Error(w, "the key is not that of the run's samplers", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case errors.Is(err, ErrNoContainer):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked is gone
}
