// Package sidecar reads what the main container of a pod uses, from the container next to it: processor time,
// throttling and memory by the files of its control group, its processes one by one, their connections, and
// which recipe its image was built from; what the node under it does; and it has an nginx close its connections.
// It needs no right in the cluster, only that both containers share their processes and their user. It answers over
// HTTP to who has signed the question for this pod with the key of the run's samplers, and refuses everybody else. The
// main container can read what its sampler knows, so that is only how to check a signature. By ending the sampler and
// listening in its place it gets signatures, which no other pod takes. What cannot be read is named as unmeasured,
// never given as 0.
package sidecar

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
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

// signatureHeader carries the signature of a question.
const signatureHeader = "X-Bakeoff-Signature"

// private is what a run's key signs with.
func private(key string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(key))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Public is what samplers know of the key of their run: how to check its signature.
func Public(key string) string {
	return hex.EncodeToString(private(key)[ed25519.SeedSize:])
}

// Sign signs a question to the sampler of the pod of that UID.
func Sign(r *http.Request, key, pod string) {
	r.Header.Set(signatureHeader, hex.EncodeToString(ed25519.Sign(private(key), question(r, pod))))
}

// question is what is signed: whom what is asked. Asked again it is the same.
func question(r *http.Request, pod string) []byte {
	return fmt.Appendf(nil, "bakeoff sampler\n%s\n%s %s\n", pod, r.Method, r.URL.RequestURI())
}

// Signed reports whether a question to that pod was signed with the key that public is of.
func Signed(r *http.Request, public, pod string) bool {
	key, err := hex.DecodeString(public)
	signature, signErr := hex.DecodeString(r.Header.Get(signatureHeader))
	return err == nil && signErr == nil && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, question(r, pod), signature)
}

// Pod is where the processes are seen.
type Pod struct {
	Proc string // "/proc"
	Self int    // process id of this program there
	// Connections counts those that each process holds to a port; see collect.Connections.
	Connections func(port int, pids []int) (map[int]int, error)
	// Proportional is the memory of a process with shared pages divided among their users, in bytes; 0: not readable. See
	// collect.Proportional. Serve reads it less often than the rest.
	Proportional func(pid int) int64
	// Limited: this program has a limit of processor time. The kernel could hold it back in the middle of a reading of memory, with
	// the process whose pages these are, so that samples have neither proportional memory nor connections.
	Limited bool
	// Host reads the node's counters; see collect.Host.
	Host func() (record.Series, error)
	// Hang sends SIGHUP to a process.
	Hang func(pid int) error
}

// ErrNoContainer is returned while the main container has no process.
var ErrNoContainer = errors.New("the main container has no process")

// Serve answers until ctx ends: GET /usage?port=N&host=1&sample=1 gives a Usage, GET /clock a Clock, GET /image an Image, POST /reload
// nothing, once it is done. public is that of the run's key, pod the UID of this pod.
func Serve(ctx context.Context, l net.Listener, public, pod string, p Pod) error {
	if len(public) != hex.EncodedLen(ed25519.PublicKeySize) || pod == "" {
		return errors.New("sidecar: no public key of the run, or no UID of the pod")
	}
	proportional := &memory{read: p.Proportional}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /usage", func(w http.ResponseWriter, r *http.Request) {
		port, err := strconv.Atoi(r.FormValue("port"))
		if r.FormValue("port") != "" && (err != nil || port < 1 || port > 65535) {
			http.Error(w, "port is not one", http.StatusBadRequest)
			return
		}
		sample := r.FormValue("sample") != ""
		if sample && p.Limited {
			port = 0
		}
		usage, err := p.Usage(port, r.FormValue("host") != "")
		if sample && !p.Limited {
			proportional.into(usage.Processes, usage.At)
		}
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
	server := &http.Server{Handler: guarded(public, pod, routes), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); ctx.Err() == nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	return nil
}

// guarded lets through what is signed.
func guarded(public, pod string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !Signed(r, public, pod) {
			http.Error(w, "this is not signed for this pod with the key of the run's samplers", http.StatusUnauthorized)
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
