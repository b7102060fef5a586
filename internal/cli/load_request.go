package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"bakeoff/internal/endpoint"
	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
)

const headerHint = "such as --header 'Accept: application/json'"

// request is what all requests have in common.
func (f *loadFlags) request(env Env, t *fleet.Task) error {
	t.Seed, t.Contract = f.seed, endpoint.Contract
	if err := f.header(t); err != nil {
		return err
	}
	if err := f.secrets(t); err != nil {
		return err
	}
	if f.keys == "-" && f.body == "@-" {
		return misused("name a file for one of them", "--keys - and --body @- both read standard input")
	}
	var err error
	if t.Body, err = f.readBody(env); err != nil {
		return misused("--body is the text itself, @FILE, or @- for standard input", "--body: %w", err)
	}
	t.Method = f.method
	if t.Method == "" && f.given("body") {
		t.Method = http.MethodPost
	}
	if t.Method == http.MethodConnect {
		return misused("such as --method PUT", "--method CONNECT asks for a tunnel, not for an answer")
	}
	return nil
}

// header takes the fields as they were given; Host goes into the URLs.
func (f *loadFlags) header(t *fleet.Task) error {
	for _, h := range f.headers {
		name, value, found := strings.Cut(h, ":")
		switch {
		case !found:
			return misused(headerHint, "--header %q has no colon", h)
		case strings.TrimSpace(name) == "":
			return misused(headerHint, "--header %q has no name before the colon", h)
		}
		field := load.Field{Name: name, Value: strings.Trim(value, " \t")}
		switch http.CanonicalHeaderKey(name) {
		case "Host":
			if f.host != "" {
				return misused("HTTP/1.1 allows one Host", "--header Host is given twice")
			}
			f.host = field.Value
			continue
		case "Connection":
			return misused("--reconnect opens a connection for each request, and says Connection: close", "--header %q: the engine manages connections", h)
		case "Content-Length", "Transfer-Encoding":
			return misused("the length is that of --body", "--header %q: the engine sets lengths", h)
		}
		if err := field.Check(); err != nil {
			return misused(headerHint, "--header %q: %w", h, errors.Unwrap(err))
		}
		t.Header = append(t.Header, field)
	}
	return nil
}

// secrets takes the files of TLS by their whole paths, since agents may work elsewhere.
func (f *loadFlags) secrets(t *fleet.Task) error {
	t.TLS = f.tls
	for _, path := range []*string{&t.TLS.CAFile, &t.TLS.CertFile, &t.TLS.KeyFile} {
		if *path == "" {
			continue
		}
		whole, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		*path = whole
	}
	if err := t.TLS.Check(); err != nil {
		return misused("--cacert, --cert and --key are files in PEM", "%w", err)
	}
	return nil
}

func (f *loadFlags) readBody(env Env) ([]byte, error) {
	path, isFile := strings.CutPrefix(f.body, "@")
	if !isFile {
		return checkedBody([]byte(f.body))
	}
	in := env.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	body, err := io.ReadAll(io.LimitReader(in, bodyLimit+1))
	if err != nil {
		return nil, err
	}
	return checkedBody(body)
}

func checkedBody(body []byte) ([]byte, error) {
	if len(body) > bodyLimit {
		return nil, fmt.Errorf("more than %d bytes", bodyLimit)
	}
	return body, nil
}
