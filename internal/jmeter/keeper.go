package jmeter

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// tokenHeader carries the token of the run.
const tokenHeader = "X-Bakeoff-Token"

// A Keeper is a program on the machine of one server: it takes the server's files, starts Java once, as who knows the token says,
// and ends with it. It refuses everybody else, names with a folder in them, and a second start.
type Keeper struct {
	Token  string
	Dir    string // that files are put into, and that Java starts in
	Java   Java
	Output io.Writer // of Java

	mu      sync.Mutex
	started bool
}

// Serve answers until Java has ended, whose end it returns, or until ctx ends, with which Java ends: PUT and DELETE of
// /files/NAME, and POST /java with its arguments.
func (k *Keeper) Serve(ctx context.Context, l net.Listener) error {
	if k.Token == "" {
		return errors.New("jmeter: no token")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	routes := http.NewServeMux()
	routes.HandleFunc("PUT /files/{name}", k.put)
	routes.HandleFunc("DELETE /files/{name}", k.drop)
	routes.HandleFunc("POST /java", func(w http.ResponseWriter, r *http.Request) { k.start(ctx, w, r, ended) })
	server := &http.Server{Handler: k.guarded(routes), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var err error
	select {
	case err = <-ended:
	case err = <-served:
	case <-ctx.Done():
		if k.running() {
			<-ended
		}
	}
	return errors.Join(err, server.Close())
}

// guarded lets those through who know the token.
func (k *Keeper) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(k.Token)) != 1 {
			http.Error(w, "the token is not the run's", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var keptName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,100}$`)

// path is where a file of a request is; ok is false where the request is answered already.
func (k *Keeper) path(w http.ResponseWriter, r *http.Request) (path string, ok bool) {
	name := r.PathValue("name")
	if !keptName.MatchString(name) {
		http.Error(w, "that is not the name of a file", http.StatusBadRequest)
		return "", false
	}
	return filepath.Join(k.Dir, name), true
}

// put writes a file whole, or not at all.
func (k *Keeper) put(w http.ResponseWriter, r *http.Request) {
	path, ok := k.path(w, r)
	if !ok {
		return
	}
	err := write(path+".part", r.Body)
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func write(path string, from io.Reader) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, from)
	return errors.Join(err, file.Close())
}

func (k *Keeper) drop(w http.ResponseWriter, r *http.Request) {
	path, ok := k.path(w, r)
	if !ok {
		return
	}
	if err := os.Remove(path); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// start starts Java, once; how it ends goes to ended.
func (k *Keeper) start(ctx context.Context, w http.ResponseWriter, r *http.Request, ended chan<- error) {
	var args []string
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&args); err != nil {
		http.Error(w, "the arguments are no list of texts", http.StatusBadRequest)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.started {
		http.Error(w, "Java was started already", http.StatusConflict)
		return
	}
	cmd := exec.CommandContext(ctx, k.Java.Path, args...)
	// A pipe in any case: JMeter opens its output again, by its name.
	output := struct{ io.Writer }{k.Output}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = k.Dir, environment(k.Dir), output, output, 5*time.Second
	if err := cmd.Start(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	k.started = true
	go func() {
		if err := cmd.Wait(); err != nil {
			ended <- fmt.Errorf("jmeter: Java has ended: %w", err)
			return
		}
		ended <- errors.New("jmeter: Java has ended by itself")
	}()
}

// running reports whether Java was started.
func (k *Keeper) running() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.started
}

// KeeperClient asks a Keeper, for a Remote.
type KeeperClient struct {
	Address string // host:port
	Token   string
}

// putWithin bounds one request: the keys of a phase are some 30 MB at most.
const putWithin = time.Minute

// Put implements that of Remote; so do the others.
func (c KeeperClient) Put(ctx context.Context, name string, from io.Reader) error {
	return c.ask(ctx, http.MethodPut, "/files/"+name, from)
}

// Drop removes a file.
func (c KeeperClient) Drop(ctx context.Context, name string) error {
	return c.ask(ctx, http.MethodDelete, "/files/"+name, nil)
}

// Java starts it.
func (c KeeperClient) Java(ctx context.Context, args []string) error {
	text, err := json.Marshal(args)
	if err != nil {
		return err
	}
	return c.ask(ctx, http.MethodPost, "/java", bytes.NewReader(text))
}

func (c KeeperClient) ask(ctx context.Context, method, path string, body io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, putWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.Address+path, body)
	if err != nil {
		return fmt.Errorf("keeper: %w", err)
	}
	request.Header.Set(tokenHeader, c.Token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("keeper: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(text)))
	}
	if err != nil {
		return fmt.Errorf("keeper of %s: %w", c.Address, err)
	}
	return nil
}
